"""What a fresh clone needs is in it: the lock, the verbs, the pages for newcomers."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from typing import Any, Final

import pytest

from places import ROOT

LOCK: Final = (ROOT / "requirements.lock").read_text()
MAKEFILES: Final = (ROOT / "Makefile").read_text() + (ROOT / "stack.mk").read_text()
VERBS: Final = [verb for line in re.findall(r"^\.PHONY: (.*)$", MAKEFILES, re.MULTILINE) for verb in line.split()]
#: Installed from the lock by `make setup`; what is missing in `dev` would be missing on a fresh machine.
GROUPS: Final = ("build", "clients", "test", "lint")

toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
PROJECT: Final[dict[str, Any]] = toml.loads((ROOT / "pyproject.toml").read_text())


def declared() -> set[str]:
    """Every distribution that pyproject.toml asks for, by its normalised name."""
    lists: list[list[str]] = [
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
        *[PROJECT["dependency-groups"][group] for group in GROUPS],
    ]
    return {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower().replace("_", "-") for names in lists for line in names}


def test_the_lock_pins_all_that_is_declared() -> None:
    """A dependency that is written down and not locked would be installed as whatever is newest."""
    pinned = set(re.findall(r"^([\w.-]+)==", LOCK, re.MULTILINE))
    assert declared() <= pinned, "run make lock"


def test_every_pin_has_a_hash_and_no_address() -> None:
    """What is installed is what was tested, wherever it is fetched from."""
    pins = re.findall(r"^[\w.-]+==.*\\\n    --hash=sha256:", LOCK, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[\w.-]+==", LOCK, re.MULTILINE))
    assert "://" not in LOCK


def test_make_alone_tells_every_verb() -> None:
    """Each verb has a line of help, and is no file."""
    told = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607  (whichever make there is)
    assert [line.split()[1] for line in told.splitlines()] == VERBS
    assert {"setup", "fmt", "lint", "types", "test", "docs", "generate", "demo", "bench", "clean"} <= set(VERBS)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/getting-started.md"])
def test_a_page_names_only_verbs_that_exist(page: str) -> None:
    """`make something` on a page can be typed."""
    named = set(re.findall(r"`(?:\$ )?make (\w+)", (ROOT / page).read_text()))
    named |= set(re.findall(r"^make (\w+)", (ROOT / page).read_text(), re.MULTILINE))
    assert named <= set(VERBS)


def test_agents_read_what_people_read() -> None:
    """One page for all who contribute."""
    assert (ROOT / "AGENTS.md").resolve() == ROOT / "CONTRIBUTING.md"


MODULES: Final = {"yaml": "pyyaml", "opentelemetry": "opentelemetry-api", "packaging": "opentelemetry-instrumentation"}
#: Rooms that need an extra, and which.
EXTRAS: Final = {"serve": ("serve", "parquet"), "budgets": ("redis", "postgresql")}


def foreign(room: str) -> set[str]:
    """The distributions of what a room imports from outside."""
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "src" / "costspan" / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    return {MODULES.get(name, name) for name in imported - sys.stdlib_module_names - {"costspan"}}


def distributions(lines: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in lines}


def test_everything_that_is_imported_is_installed_without_an_extra() -> None:
    """`pip install costspan` gives whatever a page shows: each import is a dependency, or of the extra of its room."""
    core = distributions(PROJECT["project"]["dependencies"])
    extras = PROJECT["project"]["optional-dependencies"]
    rooms = [path.name for path in (ROOT / "src" / "costspan").iterdir() if path.is_dir() and path.name not in EXTRAS]
    assert set[str]().union(*map(foreign, rooms)) <= core
    for room, names in EXTRAS.items():
        assert foreign(room) <= core.union(*(distributions(extras[name]) for name in names))


def test_a_watched_process_loads_nothing_of_the_command_line() -> None:
    """What the command needs is installed with every program, and loaded by none."""
    program = (
        "import sys, costspan.instrumentor as i; i.CostspanInstrumentor().instrument(ledger='off'); i.connect();"
        "print([name for name in ('click', 'rich', 'yaml') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
