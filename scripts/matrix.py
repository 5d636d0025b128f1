"""Run the tests of the engine with the oldest and the latest clients, each in an environment of its own.

    python scripts/matrix.py [ROW ...] [-- PYTEST ARGUMENT ...]

The rows stand in tests/matrix.toml. Environments are built by uv under .envs/ and kept until their row changes. Rows run
beside each other, the long ones first, with as many processes as PYTEST_XDIST_AUTO_NUM_WORKERS says.
"""
# pyright: basic, reportMissingImports=false
# It runs on 3.11 and later only, where tomllib is.

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import tomllib

ROOT = Path(__file__).parents[1]
TESTS = (
    "test_engine",
    "test_asking",
    "test_interruptions",
    "test_endpoints",
    "test_patching",
    "test_sockets",
    "test_live_sessions",
    "test_google_live",
    "test_videos",
    "test_spans",
    "test_replay",
    "test_google_genai",
    "test_google_interactions",
    "test_google_replay",
    "test_bedrock",
    "test_bedrock_replay",
    "test_ollama",
    "test_ollama_replay",
    "test_mistral",
    "test_mistral_replay",
    "test_cohere",
    "test_cohere_replay",
    "test_voyage",
    "test_huggingface",
    "test_huggingface_replay",
    "test_azure_inference",
    "test_perplexity",
    "test_assistants",
)
TOOLS = ("pytest>=9", "pytest-asyncio>=1", "pytest-randomly>=5", "pytest-xdist>=3", "hypothesis")


def main(arguments: list[str]) -> int:
    """Build what is missing and run every row, the failed ones told at the end."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    wanted, more = arguments[:at], arguments[at + 1 :]
    rows = tomllib.loads((ROOT / "tests" / "matrix.toml").read_text())
    unknown = [name for name in wanted if name not in rows]
    if unknown:
        print(f"tests/matrix.toml has no row {', '.join(unknown)}; it has {', '.join(rows)}.")
        return 2
    rows = {name: {**rows[row["like"]], **row} if "like" in row else row for name, row in rows.items()}
    there = {name: rows[name] for name in wanted or rows if _is_there(name, rows[name])}
    pythons = {name: _environment(name, row) for name, row in there.items()}
    passed = _run_all({name: (python, there[name]) for name, python in pythons.items() if python is not None}, more)
    failed = [name for name in there if name not in passed]
    if failed:
        print(f"\nFailed: {', '.join(failed)}")
    return 1 if failed else 0


def _is_there(name: str, row: dict[str, Any]) -> bool:
    """Whether the row can be run: one that is optional is skipped, aloud, where its Python is missing."""
    asked = [_uv(), "python", "find", "--no-python-downloads", row["python"]]
    if (
        not row.get("optional")
        or subprocess.run(asked, env=_environ(), capture_output=True, check=False).returncode == 0
    ):
        return True
    print(f"\n--- {name}: SKIPPED: there is no Python {row['python']} here", flush=True)
    return False


def _run_all(rows: dict[str, tuple[str, dict[str, Any]]], more: list[str]) -> set[str]:
    """Run the tests of rows beside each other, as many as there is room for; the names of those that passed."""
    room = max(2, int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or 2 * (os.cpu_count() or 1)))
    free = threading.Semaphore(room)
    results: dict[str, Future[bool]] = {}
    # The long ones first: what is left at the end is short.
    in_turn = sorted(rows, key=lambda name: len(rows[name][1].get("tests", TESTS)), reverse=True)
    with ThreadPoolExecutor(room) as pool:
        for name in in_turn:
            python, row = rows[name]
            # All of the engine's tests take minutes. In most others a second process would begin and have nothing to do.
            processes = 1 if "tests" in row else 2
            for _ in range(processes):
                free.acquire()
            results[name] = pool.submit(_run, name, python, row, processes, more)
            results[name].add_done_callback(lambda _, processes=processes: free.release(processes))
    return {name for name, result in results.items() if result.result()}


def _run(name: str, python: str, row: dict[str, Any], processes: int, more: list[str]) -> bool:
    """Run the tests of a row, and print in one piece what they said."""
    started = time.monotonic()
    files = [str(path) for test in row.get("tests", TESTS) for path in ROOT.glob(f"tests/*/{test}.py")]
    command = [python, "-m", "pytest", "-q", "-rfE", *("-n", str(processes if processes > 1 else 0)), *(more or files)]
    done = subprocess.run(  # a command of ours
        command, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    print(
        f"\n--- {name}: {_versions(python, row)}\n{done.stdout}"
        f"--- {name}: {'passed' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return done.returncode == 0


def _environment(name: str, row: dict[str, Any]) -> str | None:
    folder = ROOT / ".envs" / f"matrix-{name}"
    python, ready = folder / "bin" / "python", folder / ".ready"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]  # settings of tools make no difference
    told = hashlib.sha256(repr((row, TOOLS, project)).encode()).hexdigest()
    uv = _uv()
    if ready.exists() and ready.read_text() == told:
        return str(python) if _install(uv, python, row) else None
    steps = (
        [uv, "venv", "--quiet", "--clear", "--python", row["python"], str(folder)],
        [
            *(uv, "pip", "install", "--quiet", "--prerelease", "allow", "--python", str(python)),
            *("--editable", str(ROOT), *row["packages"], *TOOLS),
            *(f"--no-binary={name}" for name in row.get("built", ())),
        ],
    )
    for step in steps:
        if subprocess.run(step, cwd=ROOT, env=_environ(), check=False).returncode:  # a command of ours
            print(f"\n--- {name}: its environment could not be built by `{' '.join(step[:5])} ...`")
            return None
    ready.write_text(told)
    return str(python) if _install(uv, python, row) else None


def _install(uv: str, python: Path, row: dict[str, Any]) -> bool:
    """Costspan as its users have it, among the other packages, where the row asks for that."""
    if not row.get("installed"):
        return True
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--reinstall", "--python", str(python), str(ROOT)]
    return subprocess.run(command, env=_environ(), check=False).returncode == 0  # a command of ours


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


def _environ() -> dict[str, str]:
    """The environment for uv: pyenv's shims fail for versions that are not chosen, so it is shown the versions."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [str(folder) for folder in sorted(versions.glob("3.1*/bin"))]
    paths = [path for path in os.environ["PATH"].split(os.pathsep) if not path.endswith("shims")]
    return {**os.environ, "PATH": os.pathsep.join([*found, *paths])}


def _versions(python: str, row: dict[str, Any]) -> str:
    names = [package.split("[")[0].split("=")[0].split("<")[0].split(">")[0] for package in row["packages"]]
    code = f"import importlib.metadata as m; print(*(n + ' ' + m.version(n) for n in {names!r}), sep=', ')"
    told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)  # a command of ours
    return f"Python {row['python']}, {told.stdout.strip()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
