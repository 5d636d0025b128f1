"""Environments of the contenders: made by uv when first needed, under .envs/bench-3.12/, which git ignores."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.contenders import ENVIRONMENTS, ROOT

#: The interpreter to build the environments on; by default the one that runs the benchmark.
PYTHON: Final = os.environ.get("COSTSPAN_BENCH_PYTHON") or sys.executable


@cache
def python_of(environment: str) -> Path:
    """The interpreter of an environment, which is made first where it is missing or its requirements have changed."""
    folder = _home() / environment
    stamp = folder / "made-from"
    wanted = _fingerprint(ENVIRONMENTS[environment])
    with _alone():
        if not stamp.exists() or stamp.read_text() != wanted:
            _make(folder, ENVIRONMENTS[environment])
            stamp.write_text(wanted)
    return folder / "bin" / "python"


@cache
def versions_in(environment: str) -> dict[str, str]:
    """The version of each distribution in an environment."""
    listed = _uv("pip", "list", "--format", "json", "--python", str(python_of(environment)))
    return {row["name"]: row["version"] for row in json.loads(listed)}


@cache
def python_version() -> str:
    """Major and minor version of the environments' Python: instructions are comparable within one only."""
    tell = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([PYTHON, "-c", tell], capture_output=True, text=True, check=True).stdout.strip()


@cache
def _home() -> Path:
    home = ROOT / ".envs" / f"bench-{python_version()}"
    home.mkdir(parents=True, exist_ok=True)
    return home


@contextmanager
def _alone() -> Generator[None]:
    """Two benchmarks at a time do not make the same environment."""
    with (_home() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path, requirements: tuple[str, ...]) -> None:
    print(f"making {folder.relative_to(ROOT)} ...", file=sys.stderr, flush=True)
    _uv("venv", "--quiet", "--clear", "--python", PYTHON, str(folder))
    _uv("pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *requirements)


def _fingerprint(requirements: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join((PYTHON, *requirements)).encode()).hexdigest()


def _uv(*arguments: str) -> str:
    uv = shutil.which("uv")
    if uv is None:
        raise SystemExit("the benchmark makes its environments with uv, which is not on the PATH: pip install uv")
    done = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"uv {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout
