"""Reads docker-compose.yml: the one place where the stack's commands, files, ports and health checks stand."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import yaml

ROOT: Final = Path(__file__).parent.parent
FILE: Final = ROOT / "docker-compose.yml"


class Mount(NamedTuple):
    """A path in the container and what lies there: a path of this repository, or a volume that survives restarts."""

    inside: PurePosixPath
    source: Path | None
    volume: str


class Service(NamedTuple):
    """One service of the compose file, as far as it matters outside docker."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: dict[str, str]
    mounts: tuple[Mount, ...]
    published: dict[int, int]
    health: str
    needs: tuple[str, ...]

    @property
    def version(self) -> str:
        """The version that the image's tag names: `prom/prometheus:v3.14.0@sha256:...` gives `3.14.0`."""
        return self.image.partition("@")[0].rpartition(":")[2].removeprefix("v")


def services(file: Path = FILE) -> dict[str, Service]:
    """Every service by name, in the order of the file."""
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {name: _service(name, body, file.parent) for name, body in document["services"].items()}


def _service(name: str, body: dict[str, Any], root: Path) -> Service:
    return Service(
        name=name,
        image=body["image"],
        command=tuple(body.get("command", ())),
        environment=body.get("environment", {}),
        mounts=tuple(_mount(words, root) for words in body.get("volumes", ())),
        published=dict(_port(words) for words in body.get("ports", ())),
        health=_health(body.get("healthcheck", {}).get("test", ())),
        needs=tuple(body.get("depends_on", ())),
    )


def _mount(words: str, root: Path) -> Mount:
    source, inside = words.split(":")[:2]
    if source.startswith("."):
        return Mount(PurePosixPath(inside), root / source, "")
    return Mount(PurePosixPath(inside), None, source)


def _port(words: str) -> tuple[int, int]:
    """Port inside, port on this machine: `127.0.0.1:4317:4317`."""
    _, outside, inside = words.split(":")
    return int(inside), int(outside)


def _health(test: tuple[str, ...]) -> str:
    """The address that the health check asks, wherever in its words that stands."""
    found = re.search(r"http://[^\s'\"]+", " ".join(test))
    return found.group() if found else ""
