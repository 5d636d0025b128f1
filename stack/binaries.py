"""Finds the real programs of the stack, or builds them: Collector, Prometheus, Alertmanager and their tools.

Versions stand in three places that a test keeps equal: the images of docker-compose.yml, collector-config/manifest.yaml
and stack/go/*/go.mod. What was built or fetched lies in .cache/bin/<program>-<version> and is not built again.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from stack.compose import ROOT, services

CACHE: Final = ROOT / ".cache" / "bin"
MANIFEST: Final = ROOT / "collector-config" / "manifest.yaml"
_MODULES: Final = ROOT / "stack" / "go"
_LINKED_VERSION: Final = "github.com/prometheus/common/version.Version"


class MissingProgramError(RuntimeError):
    """A program is neither here nor to be had; the sentence says what was tried."""


class Family(NamedTuple):
    """Programs that come together.

    Args:
        name: also the folder below stack/go, for those that are built as they are.
        version: the version wanted.
        programs: name of a program -> where it lies in the image.
        image: the image that holds them.
        oldest: the oldest version that knows our flags and configurations, for what is found on the PATH.
        aliases: other names under which a program may be on the PATH.
    """

    name: str
    version: str
    programs: dict[str, str]
    image: str
    oldest: str
    aliases: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the programs lie once they were built or fetched."""
        suffix = f"-{hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:8]}" if self.name == "collector" else ""
        return CACHE / f"{self.name}-{self.version}{suffix}"


def families() -> dict[str, Family]:
    """What the stack consists of, with the versions of docker-compose.yml."""
    of = services()
    collector, prometheus, alertmanager = of["collector"], of["prometheus"], of["alertmanager"]
    return {
        "collector": Family(
            "collector",
            collector.version,
            {"otelcol": "/otelcol-contrib"},
            f"otel/opentelemetry-collector-contrib:{collector.version}",
            "0.159.0",  # otlp_http by this name
            ("otelcol-costspan", "otelcol-contrib"),
        ),
        "prometheus": Family(
            "prometheus",
            prometheus.version,
            {"prometheus": "/bin/prometheus", "promtool": "/bin/promtool"},
            prometheus.image,
            "3.14.0",  # --config.auto-reload, storage.tsdb.retention
        ),
        "alertmanager": Family(
            "alertmanager",
            alertmanager.version,
            {"alertmanager": "/bin/alertmanager", "amtool": "/bin/amtool"},
            alertmanager.image,
            "0.32.0",  # dict in templates
        ),
        "kustomize": Family("kustomize", go_version("kustomize"), {"kustomize": ""}, "", "5.4.0"),
        "compose": Family("compose", go_version("compose"), {"docker-compose": ""}, "", "2.23.0"),  # dockerfile_inline
    }


def go_version(module: str) -> str:
    """The version that stack/go/<module>/go.mod pins for its first tool, as its project counts: v0.314.0 is 3.14.0."""
    text = (_MODULES / module / "go.mod").read_text(encoding="utf-8")
    tools = re.search(r"^tool \(?\s*(\S+)", text, re.MULTILINE)
    pins = re.findall(r"^\s*(?:require )?(\S+) v(\d\S*)", text, re.MULTILINE)
    version = next(version for path, version in pins if tools is not None and tools[1].startswith(path))
    as_library = re.fullmatch(r"0\.(\d)(\d\d)\.(\d+)", version) if module == "prometheus" else None
    return f"{as_library[1]}.{int(as_library[2])}.{as_library[3]}" if as_library else version


def program(name: str) -> Path:
    """A program of the stack, built first where need be; MissingProgramError where it cannot be had.

    The order: what was built before, the PATH with the very version wanted, Go, docker's images, the PATH with another
    version (and a word about it).
    """
    family = next(family for family in families().values() if name in family.programs)
    here = family.folder / name
    if here.exists():
        return here
    on_path, version = _on_path(family, name)
    if on_path and version == family.version:
        return on_path
    with _one_at_a_time():
        for way in (_build, _fetch):
            if here.exists() or way(family):
                return here
    if on_path and _numbers(version) >= _numbers(family.oldest):
        print(f"{on_path} is version {version}; costspan is tested with {family.version}")
        return on_path
    found = f"{on_path} is version {version or 'unknown'}" if on_path else "none on the PATH"
    raise MissingProgramError(
        f"{name} {family.version} is not here: none in {family.folder}; {found} ({family.oldest} or later is needed);"
        " and neither Go (to build it) nor docker (to take it from its image) is at hand. Install Go"
        f" (https://go.dev/dl) and run `make binaries`, or put {name} on the PATH."
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _on_path(family: Family, name: str) -> tuple[Path | None, str]:
    """A program on the PATH and the version it tells."""
    for candidate in (name, *family.aliases):
        if found := shutil.which(candidate):
            told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
            version = re.search(r"\d+\.\d+\.\d+", told.stdout + told.stderr)
            return Path(found), version.group() if version else ""
    return None, ""


@contextmanager
def _one_at_a_time() -> Generator[None]:
    """Two builds at once would do the same work twice."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(family: Family) -> bool:
    """Build a family by Go; False where there is no Go, or where it cannot (and it says why)."""
    go = shutil.which("go")
    if go is None:
        return False
    print(f"building {', '.join(family.programs)} {family.version}: some minutes, once", flush=True)
    build = _build_collector if family.name == "collector" else _build_module
    try:
        _complete(family, lambda folder: build(go, family, folder))
    except subprocess.CalledProcessError as fault:
        print(f"`{' '.join(fault.cmd)}` failed:\n{(fault.stdout + fault.stderr)[-3000:]}", flush=True)
        return False
    return True


def _complete(family: Family, make: Callable[[Path], None]) -> None:
    """Let `make` fill a folder, which becomes the family's folder when it is whole."""
    unfinished = family.folder.with_name(family.folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    make(unfinished)
    unfinished.rename(family.folder)
    for name in family.programs:
        _link(CACHE / name, family.folder / name)


def _link(link: Path, program: Path) -> None:
    """Show a program under its plain name too: .cache/bin may be put on a PATH."""
    draft = link.with_name(f".{link.name}.draft")
    draft.unlink(missing_ok=True)
    draft.symlink_to(program.relative_to(link.parent))
    draft.replace(link)


def _build_module(go: str, family: Family, folder: Path) -> None:
    """The commands are dependencies of a module of ours, because `go install` refuses modules that replace others."""
    module = _MODULES / family.name
    if family.name == "alertmanager":
        module = _with_pages(go, module, folder)
    flags = f"-s -w -X {_LINKED_VERSION}={family.version}"
    _go([go, "build", "-trimpath", f"-ldflags={flags}", "-o", f"{folder}/", "tool"], module)
    if family.name == "compose":
        (folder / "cmd").rename(folder / "docker-compose")
    if module.parent == folder:
        shutil.rmtree(module)


_ALERTMANAGER: Final = "github.com/prometheus/alertmanager"
#: What is shown in place of Alertmanager's pages, which are made with Node.js and are no part of its module.
_NO_PAGES: Final = (
    "<!doctype html><title>Alertmanager</title><p>This Alertmanager was built without its pages: use <code>amtool</code>, or "
    "docker-compose.yml, whose image has them.</p>"
)


def _with_pages(go: str, module: Path, folder: Path) -> Path:
    """Our module with a copy of Alertmanager that has something to embed where its pages belong."""
    copied = shutil.copytree(module, folder / "module")
    told = _go([go, "mod", "download", "-json", f"{_ALERTMANAGER}@v{go_version(module.name)}"], module)
    sources = shutil.copytree(json.loads(told)["Dir"], copied / "alertmanager", copy_function=shutil.copyfile)
    for place in (sources, *sources.rglob("*/")):
        place.chmod(0o755)  # what Go keeps may not be written
    for kind in ("elm", "mantine"):
        page = sources / "ui" / "app" / "dist" / kind / "index.html.gz"  # its server expects them compressed
        page.parent.mkdir(parents=True)
        page.write_bytes(gzip.compress(_NO_PAGES.encode(), mtime=0))
    _go([go, "mod", "edit", f"-replace={_ALERTMANAGER}={sources}"], copied)
    return copied


def _build_collector(go: str, _: Family, folder: Path) -> None:
    """The Collector's own builder writes a main package from the manifest, then compiles it."""
    builder = folder / "builder"
    _go([go, "build", "-o", f"{builder}", "tool"], _MODULES / "collector-builder")
    sources = folder / "sources"
    sources.mkdir()
    manifest = MANIFEST.read_text(encoding="utf-8").replace("dist:", f"dist:\n  output_path: {sources}", 1)
    (folder / "manifest.yaml").write_text(manifest, encoding="utf-8")
    _go([f"{builder}", f"--config={folder / 'manifest.yaml'}"], folder)
    (sources / "otelcol-costspan").rename(folder / "otelcol")
    shutil.rmtree(sources)
    builder.unlink()


def _go(command: list[str], folder: Path) -> str:
    nice = ["nice", *command] if shutil.which("nice") else command
    flags = f"{os.environ.get('GOFLAGS', '')} -buildvcs=false".strip()
    environ = {**os.environ, "GOFLAGS": flags}
    return subprocess.run(nice, cwd=folder, env=environ, capture_output=True, text=True, check=True).stdout


def _fetch(family: Family) -> bool:
    """Take a family out of its image; False where docker or the image cannot be reached."""
    docker = shutil.which("docker")
    if docker is None or not family.image:
        return False
    made = subprocess.run([docker, "create", family.image], capture_output=True, text=True, check=False)
    if made.returncode:
        return False
    container = made.stdout.strip().splitlines()[-1]

    def copy(folder: Path) -> None:
        for name, inside in family.programs.items():
            subprocess.run([docker, "cp", f"{container}:{inside}", f"{folder / name}"], check=True)

    try:
        _complete(family, copy)
    finally:
        subprocess.run([docker, "rm", container], capture_output=True, check=False)
    return True
