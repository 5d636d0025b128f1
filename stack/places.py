"""Where the addresses and paths of the compose file's containers lie when the programs run on this machine."""

from __future__ import annotations

import random
import re
import shutil
import socket
from pathlib import Path
from typing import Final

from stack.compose import Service

# Below the range from which systems take the ports of outgoing connections, so that a port found free stays free.
_PORTS: Final = range(20_000, 32_000)


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    for port in random.sample(_PORTS, 200):
        if _is_free(port):
            return port
    raise RuntimeError(f"no free port among 200 tried between {_PORTS.start} and {_PORTS.stop} on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Places:
    """Translates what was written for containers: `prometheus:9090` becomes `127.0.0.1:21234`, `/prometheus` a folder.

    Args:
        folder: where data and translated configurations are kept.
        fixed: True takes the ports of the compose file, False free ones.
    """

    def __init__(self, folder: Path, services: dict[str, Service], *, fixed: bool) -> None:
        self.folder = folder
        self._services = services
        self._fixed = fixed
        self._ports: dict[tuple[str, int], int] = {}

    def port(self, service: str, inside: int) -> int:
        """The port of this machine that stands for a container's port."""
        key = (service, inside)
        if key not in self._ports:
            wish = self._services[service].published.get(inside, inside)
            self._ports[key] = wish if self._fixed else self._another_port()
        return self._ports[key]

    def _another_port(self) -> int:
        while (port := free_port()) in self._ports.values():
            pass
        return port

    def address(self, service: str, inside: int) -> str:
        """Host and port of a container's port."""
        return f"127.0.0.1:{self.port(service, inside)}"

    def path(self, service: str, inside: str) -> Path:
        """The folder or file of this machine that stands for a container's path."""
        for mount in self._services[service].mounts:
            if inside == str(mount.inside) or inside.startswith(f"{mount.inside}/"):
                home = self.folder / "data" / mount.volume if mount.volume else self.folder / "etc" / service
                return home / mount.inside.name / inside[len(str(mount.inside)) :].lstrip("/")
        raise KeyError(f"docker-compose.yml mounts nothing at {inside} of {service}")

    def translate(self, service: str, text: str, *, has_own: bool = True) -> str:
        """A command or configuration of a service, with every container's address and path replaced.

        Args:
            service: whose text it is.
            text: the command, configuration or value.
            has_own: False leaves 0.0.0.0 and loopback alone: there they mean this machine already.
        """
        text = self._translate_addresses(service, text, has_own=has_own)
        for mount in self._services[service].mounts:
            text = re.sub(
                rf"(?<![\w./]){re.escape(str(mount.inside))}(?=[/\s\"']|$)",
                str(self.path(service, str(mount.inside))),
                text,
            )
        return text

    def _translate_addresses(self, service: str, text: str, *, has_own: bool) -> str:
        # `localhost` is no container's address: it stands in links, for a reader on this machine.
        own = {"0.0.0.0", "127.0.0.1"} if has_own else set[str]()  # noqa: S104  we listen on none of them

        def here(found: re.Match[str]) -> str:
            host, port = found["host"], int(found["port"])
            return self.address(service if host in own else host, port)

        hosts = "|".join(re.escape(host) for host in (*own, *self._services))
        text = re.sub(rf"(?<![\w.-])(?P<host>{hosts}):(?P<port>\d+)\b", here, text)
        # The Collector writes the address of its own metrics in two lines.
        return re.sub(
            r"host: (?:0\.0\.0\.0|127\.0\.0\.1)(\s+)port: (\d+)",
            lambda found: f"host: 127.0.0.1{found[1]}port: {self.port(service, int(found[2]))}",
            text,
        )

    def taken(self) -> list[str]:
        """The addresses handed out on which somebody listens."""
        return [f"127.0.0.1:{port}" for port in self._ports.values() if not _is_free(port)]

    def prepare(self, service: str, *, live: bool) -> None:
        """Make the service's folders, and lay out its configuration translated.

        Args:
            service: the service's name.
            live: a file in which nothing is to be translated becomes a link, so that editing the original counts.
        """
        for mount in self._services[service].mounts:
            here = self.path(service, str(mount.inside))
            if mount.source is None:
                here.mkdir(parents=True, exist_ok=True)
            else:
                here.parent.mkdir(parents=True, exist_ok=True)
                self._lay_out(service, mount.source, here, live=live)

    def _lay_out(self, service: str, source: Path, here: Path, *, live: bool) -> None:
        if here.is_symlink():
            here.unlink()
        if live and not self._needs_translation(service, source):
            here.symlink_to(source.resolve())
        elif source.is_dir():
            here.mkdir(exist_ok=True)
            for part in source.iterdir():
                self._lay_out(service, part, here / part.name, live=live)
        elif self._needs_translation(service, source):
            here.write_text(self.translate(service, source.read_text(encoding="utf-8")), encoding="utf-8")
        else:
            shutil.copyfile(source, here)

    def _needs_translation(self, service: str, source: Path) -> bool:
        if source.is_dir():
            return any(self._needs_translation(service, part) for part in source.iterdir())
        if source.suffix not in {".yml", ".yaml"}:
            return False
        text = source.read_text(encoding="utf-8")
        return self.translate(service, text) != text
