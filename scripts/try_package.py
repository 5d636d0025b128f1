"""Install the wheel and the sdist as people do, with every Python that is here, and use them.

    python scripts/try_package.py [PYTHON ...]

PYTHON is a version such as 3.12; without one, every supported Python on the PATH is taken (also those of pyenv). For each: the wheel by pip
into an empty environment, with the demo, a page and the files of the stack; with extras beside other packages of OpenTelemetry;
the sdist by uv; the command by pipx and by `uv tool run`. Packages come from the index. Exit code 1 if one of them fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
BESIDE: Final = ("opentelemetry-instrumentation-requests", "opentelemetry-exporter-prometheus")
TOOLS: Final = ("build", "uv", "pipx")


class CommandError(Exception):
    """A command that did not end well."""


def ran(*words: str | Path, **environ: str) -> str:
    """What a command prints, with nothing of this process's settings. Raises CommandError with both its outputs."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        list(map(str, words)), cwd=ROOT, env={**kept, **environ}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandError(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def pythons() -> dict[str, str]:
    """Every supported Python that is here, by its version: that of the PATH, else pyenv's newest."""
    named = re.findall(r'Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
    found: dict[str, str] = {}
    for version in named:
        kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        for candidate in (shutil.which(f"python{version}"), *map(str, reversed(kept))):
            if candidate and _is(candidate, version):
                found[version] = candidate
                break
    return found


def _is(python: str, version: str) -> bool:
    """Whether it starts, and is of this version: a shim of pyenv may lead nowhere."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    told = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False)
    return told.stdout.strip() == version


def by_pip(python: str, place: Path, wheel: Path, _sdist: Path, _tools: Path) -> None:
    """Without extras: version, demo, a page, the files of the stack."""
    ran(python, "-m", "venv", place / "empty")
    ran(place / "empty" / "bin" / "pip", "install", "--quiet", wheel, "openai", "anthropic")
    costspan, home = place / "empty" / "bin" / "costspan", {"HOME": str(place)}
    ran(costspan, "--version", **home)
    printed = ran(costspan, "demo", **home)
    if "USD" not in printed:
        raise CommandError(f"the demo shows no cost:\n{printed}")
    if not ran(costspan, "docs", "pricing", **home).startswith("# Prices"):
        raise CommandError("costspan docs pricing shows another page")
    ran(costspan, "stack", "init", place / "stack", **home)


def with_extras(python: str, place: Path, wheel: Path, _sdist: Path, _tools: Path) -> None:
    """Extras, beside other packages of OpenTelemetry."""
    ran(python, "-m", "venv", place / "extras")
    ran(place / "extras" / "bin" / "pip", "install", "--quiet", f"{wheel}[serve,parquet,redis]", *BESIDE)
    ran(place / "extras" / "bin" / "pip", "check")
    ran(place / "extras" / "bin" / "costspan", "serve", "--help")


def sdist_by_uv(python: str, place: Path, _wheel: Path, sdist: Path, tools: Path) -> None:
    """The source distribution is built and installed."""
    ran(tools / "uv", "venv", "--quiet", "--python", python, place / "source")
    ran(tools / "uv", "pip", "install", "--quiet", "--python", place / "source" / "bin" / "python", sdist)
    ran(place / "source" / "bin" / "costspan", "docs", "serve")


def by_tools(python: str, place: Path, wheel: Path, _sdist: Path, tools: Path) -> None:
    """The command in an environment of its own, by pipx and by uv."""
    own = {name: str(place / "tools") for name in ("PIPX_HOME", "PIPX_BIN_DIR", "UV_TOOL_DIR", "UV_TOOL_BIN_DIR")}
    ran(tools / "pipx", "run", "--python", python, "--spec", wheel, "costspan", "--version", **own)
    ran(tools / "uv", "tool", "run", "--python", python, "--from", wheel, "costspan", "--version", **own)


WAYS: Final = {
    "pip": by_pip,
    "extras, beside others": with_extras,
    "sdist by uv": sdist_by_uv,
    "pipx, uv tool": by_tools,
}


def main(wanted: list[str]) -> int:
    """Try every way with every Python; print a line each."""
    found = pythons()
    if missing := [version for version in wanted if version not in found]:
        print(f"Not here: Python {', '.join(missing)}; here are {', '.join(found)}.")
        return 2
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tools = place / "tools" / "bin"
        ran(sys.executable, "-m", "venv", tools.parent)
        ran(tools / "pip", "install", "--quiet", *TOOLS)
        ran(tools / "python", "-m", "build", "--quiet", "--outdir", place / "dist", ROOT)
        (wheel,), (sdist,) = (place / "dist").glob("*.whl"), (place / "dist").glob("*.tar.gz")
        for version in wanted or found:
            for name, way in WAYS.items():
                started = time.monotonic()
                try:
                    way(found[version], Path(tempfile.mkdtemp(dir=place)), wheel, sdist, tools)
                except CommandError as reason:
                    failed = True
                    print(f"Python {version}: {name}: FAILED: {reason}", flush=True)
                else:
                    print(f"Python {version}: {name}: works, {time.monotonic() - started:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
