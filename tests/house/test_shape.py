"""What a linter cannot say: where faults may stop, what files are called, who imports what, how long things get."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from costspan import scope, settings
from costspan.clients import CLIENTS
from costspan.facts import attribution_words
from costspan.facts.attribution import Attribution
from costspan.ledger import rows
from costspan.names import prometheus_label
from places import ROOT

SOURCE: Final = ROOT / "src" / "costspan"
GUARD: Final = SOURCE / "guard.py"
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
PROJECT: Final[dict[str, Any]] = toml.loads((ROOT / "pyproject.toml").read_text())


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def committed() -> list[Path]:
    """Every file that git knows, as text; links and pictures are left out."""
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607  # whichever git there is
    paths = [ROOT / name for name in told.split("\0") if name]
    return [
        path for path in paths if path.is_file() and not path.is_symlink() and b"\0" not in path.read_bytes()[:8_000]
    ]


COMMITTED: Final = committed()
MODULES: Final = [path for path in COMMITTED if path.suffix == ".py"]
SOURCES: Final = [path for path in MODULES if SOURCE in path.parents]


# --- faults ---------------------------------------------------------------------------------------------------

BROAD: Final = {"Exception", "BaseException"}


def broad_handlers(module: ast.AST) -> Iterator[ast.ExceptHandler]:
    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler) and (node.type is None or names_in(node.type) & BROAD):
            yield node


def names_in(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def goes_on(handler: ast.ExceptHandler) -> bool:
    """Whether the fault leaves the handler: raised again at its end, handed to the guard, or thrown into a generator."""
    last = handler.body[-1]
    return (
        isinstance(last, ast.Raise)
        or ast.unparse(last).startswith("guard.fault(")
        or any(
            isinstance(each, ast.Call)
            and isinstance(each.func, ast.Attribute)
            and each.func.attr in {"throw", "athrow"}
            for each in ast.walk(handler)
        )
    )


def swallows(module: ast.AST) -> list[int]:
    """The lines where any fault at all is stopped."""
    suppressed = [
        node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and "suppress" in {getattr(node.func, "attr", ""), getattr(node.func, "id", "")}
        and any(names_in(each) & BROAD for each in node.args)
    ]
    return suppressed + [each.lineno for each in broad_handlers(module) if not goes_on(each)]


@pytest.mark.parametrize(
    ("code", "is_swallowed"),
    [
        ("try: f()\nexcept Exception: log()", True),
        ("try: f()\nexcept: pass", True),
        ("try: f()\nexcept (OSError, BaseException) as e: log(e)", True),
        ("try: f()\nexcept Exception:\n if a: raise\n log()", True),
        ("with contextlib.suppress(Exception): f()", True),
        ("with suppress(ValueError, BaseException): f()", True),
        ("try: f()\nexcept BaseException: undo(); raise", False),
        ("try: f()\nexcept OSError: pass", False),
        ("try: f()\nexcept BaseException as e: g.athrow(e)", False),
        ("try: f()\nexcept Exception as e: guard.fault('here', e)", False),
        ("with suppress(FileNotFoundError): f()", False),
    ],
)
def test_a_swallowed_fault_is_seen(code: str, is_swallowed: bool) -> None:  # noqa: FBT001  # a column of the table
    """The reading of the syntax trees tells a handler that swallows from one that does not."""
    assert bool(swallows(ast.parse(code))) == is_swallowed


def test_faults_stop_in_the_guard_only() -> None:
    """A broad handler that does not raise again hides faults from the count, the warning and the tests."""
    swallowed = [f"{named(path)}:{line}" for path in SOURCES if path != GUARD for line in swallows(tree(path))]
    assert swallowed == [], "stop faults with guard.guarded"


def test_the_guard_lets_go_what_is_no_fault() -> None:
    """It stops exceptions, and never a cancellation, a GeneratorExit or a KeyboardInterrupt."""
    types = [names_in(handler.type) if handler.type else set[str]() for handler in broad_handlers(tree(GUARD))]
    assert types
    assert all(caught == {"Exception"} for caught in types)


# --- imports --------------------------------------------------------------------------------------------------


def imported(module: ast.AST) -> set[str]:
    """The top names of everything that is imported, wherever the import stands."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def test_facts_are_plain_values() -> None:
    """Facts import the standard library and each other."""
    facts = [path for path in SOURCES if path.parent.name == "facts"]
    assert set[str]().union(*(imported(tree(path)) for path in facts)) <= sys.stdlib_module_names | {"costspan"}


def test_nothing_is_imported_that_is_not_declared() -> None:
    """A fresh installation has what pyproject.toml asks for, and nothing else."""
    found = set[str]().union(*(imported(tree(path)) for path in SOURCES if "example" not in path.parts))
    # packaging comes with opentelemetry-instrumentation.
    declared = {
        "costspan",
        "opentelemetry",
        "wrapt",
        "click",
        "rich",
        "yaml",
        "packaging",
        "starlette",
        "uvicorn",
        "jinja2",
        "redis",
        "psycopg",
    }
    assert found <= sys.stdlib_module_names | declared


def test_every_client_library_is_forbidden_to_import() -> None:
    """The contract of import-linter names the library of every client."""
    contracts = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    assert {client.module.partition(".")[0] for client in CLIENTS} <= set(contracts["clients"]["forbidden_modules"])


# --- what the engine does not know ----------------------------------------------------------------------------

CALLS: Final = [path for path in SOURCES if path.parent.name == "calls"]
#: Libraries and vendors. "together" is a word of English, too.
NAMED: Final = re.compile(
    "|".join({label for client in CLIENTS for label in (client.name, client.provider)} - {"together"} | {
        "google", "gemini", "vertex", "bedrock", "amazon", "aws", "azure", "mistral", "cohere", "ollama", "litellm",
        "openrouter", "xai", "httpx", "botocore",
    }),
    re.IGNORECASE,
)  # fmt: skip


def fields_read(module: ast.AST) -> Iterator[str]:
    """The fields that are read off a body: `said.get("usage")`, `said["usage"]`."""
    for node in ast.walk(module):
        found: list[ast.expr] = []
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get":
            found = node.args[:1]
        elif isinstance(node, ast.Subscript):
            found = [node.slice]
        yield from (each.value for each in found if isinstance(each, ast.Constant) and isinstance(each.value, str))


def test_the_engine_names_no_library_and_no_vendor() -> None:
    """What one of them needs stands in its dialect or its client file, in comments too: the engine serves them all."""
    told = [
        f"{named(path)}:{number}: {found.group()}"
        for path in CALLS
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (found := NAMED.search(line))
    ]
    assert told == []


def test_the_engine_reads_no_field_of_a_body() -> None:
    """What the client files read off bodies is theirs to know, as an item and as an attribute of an event.

    Private attributes of libraries are refused by ruff (SLF001), which has no exception for these files.
    """
    known = {name for path in SOURCES if "clients" in path.parts for name in fields_read(tree(path))}
    of_ours = {
        name
        for path in SOURCES
        if path.parent.name in {"calls", "facts"}
        for node in ast.walk(tree(path))
        for name in (
            (node.attr,) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            else (node.name,) if isinstance(node, Function)
            else (getattr(node.target, "id", ""),) if isinstance(node, ast.AnnAssign)
            else ()
        )
    }  # fmt: skip
    assert {"usage", "choices", "model"} <= known
    for path in CALLS:
        attributes = {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
        assert set(fields_read(tree(path))) & known == set(), named(path)
        assert (attributes & known) - of_ours == set(), named(path)


# --- names and words ------------------------------------------------------------------------------------------

FORBIDDEN: Final = (
    "util", "utils", "helper", "helpers", "common", "misc", "base", "manager", "handler", "handlers", "wrapper",
    "wrappers", "processor", "data", "info", "impl", "v2",
)  # fmt: skip


def words(path: Path) -> set[str]:
    """The words of a file's name. `as_data.py` says into what, which is a subject."""
    stem = path.stem.removeprefix("test_")
    return set() if stem.startswith("as_") else set(stem.split("_"))


def test_a_file_is_named_by_what_it_is_about() -> None:
    """If only such a word fits, the boundary is wrong."""
    assert [named(path) for path in MODULES if words(path) & set(FORBIDDEN)] == []


# Spelled so that this file does not hold them itself.
PRIVATE: Final = re.compile(
    r"/wor[k]/|/roo[t]/|py[p]i\.org|python[h]osted|proxy\.go[l]ang|npm[j]s|\bsub-?agen[t]s?\b|claude[ -]cod[e]"
    r"|generated (?:with|b[y]) (?:an? )?(?:ai|llm)|co-authore[d]-by",
    re.IGNORECASE,
)


def test_no_file_tells_of_a_machine_or_a_tool() -> None:
    """What is committed holds true for everybody: no path of one machine, no registry's address, no author's tool."""
    told = [
        f"{named(path)}:{number}: {found.group()}"
        for path in COMMITTED
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (found := PRIVATE.search(line))
    ]
    assert told == []


# --- what is done in one place --------------------------------------------------------------------------------


#: A record that was made comes back from where it was kept.
COMES_BACK: Final = {"Call": ("src/costspan/ledger/kept_calls.py",)}


@pytest.mark.parametrize(
    ("called", "where"),
    [("Call", "src/costspan/calls/engine.py"), ("register_at_fork", "src/costspan/process/fork.py")],
)
def test_what_is_done_in_one_place_is_done_nowhere_else(called: str, where: str) -> None:
    """A second way to make a record forgets a piece of it; handlers of forks in two places take locks in two orders."""
    found = [
        named(path)
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and called in {getattr(node.func, "id", ""), getattr(node.func, "attr", "")}
    ]
    assert found == [where, *COMES_BACK.get(called, ())]


# --- the words of the attribution --------------------------------------------------------------------------------

WORDS_FILE: Final = SOURCE / "facts" / "attribution_words.py"
#: Files that spell a word once more, each with the reason.
SPELT_AGAIN: Final = {
    "src/costspan/clients/openai_live.py": "`session` is a field of OpenAI's messages: the session of a socket",
    "src/costspan/clients/openai_socket.py": "`session` is a field of OpenAI's messages: the session of a socket",
    "src/costspan/ledger/rows.py": "columns of the ledger: files that exist are not renamed with a word",
    "src/costspan/pricing/catalog.py": "`source` is a field of the price table: where its data comes from",
    "src/costspan/pricing/resolve.py": "the same",
}
#: A word as a whole text; within one, an attribute, its label in Prometheus, or a source.
_ATTRIBUTE: Final = "|".join(
    rf"(?<![\w.]){re.escape(name)}(?![\w.])"
    for attribute in (*attribution_words.ATTRIBUTE_OF.values(), *attribution_words.FRAMEWORK_ATTRIBUTES.values())
    for name in (attribute, prometheus_label(attribute))
)
SPELLING: Final = re.compile(
    rf"\A({'|'.join(attribution_words.WORDS)})\Z|{_ATTRIBUTE}|\b({'|'.join(attribution_words.SOURCES)})\b"
)


def texts(module: ast.Module) -> Iterator[ast.Constant]:
    """Every text of a module but its docstrings."""
    documented = [node for node in ast.walk(module) if isinstance(node, ast.Module | ast.ClassDef | Function)]
    docstrings = {id(node.body[0].value) for node in documented if node.body and isinstance(node.body[0], ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


def spelt(module: ast.Module) -> list[int]:
    """The lines in which a word of the attribution, or a name that is made of one, is spelt as a text."""
    return sorted({node.lineno for node in texts(module) if SPELLING.search(str(node.value))})


@pytest.mark.parametrize(
    ("code", "is_spelt"),
    [
        ("labels = {'team': 1}", True),
        ("labels['llm.team']", True),
        ("query = f'sum by (llm_team) ({x})'", True),
        ("who = 'task_agent'", True),
        ("session = attributes.get('gen_ai.conversation.id')", True),
        ("def f():\n    'Of a team: llm.team.'", False),
        ("sentence = 'no team or task type'", False),
        ("name = 'llm.task_types'", False),
        ("attribution(team='search')", False),
    ],
)
def test_a_spelt_word_is_seen(code: str, is_spelt: bool) -> None:  # noqa: FBT001  # a column of the table
    """The check tells texts that spell a word from others."""
    assert bool(spelt(ast.parse(code))) == is_spelt


def test_the_words_of_the_attribution_stand_in_one_table() -> None:
    """Labels, span attributes, baggage keys, settings, reports and rules are made of facts/attribution_words.py."""
    asked = [path for path in MODULES if {SOURCE, ROOT / "grafana"} & {*path.parents}]
    found = {named(path): lines for path in asked if path != WORDS_FILE and (lines := spelt(tree(path)))}
    assert {name: lines for name, lines in found.items() if name not in SPELT_AGAIN} == {}
    assert found.keys() == SPELT_AGAIN.keys()


def test_what_spells_a_word_once_more_has_all_of_them() -> None:
    """The fields of an attribution are the words in their order; each has its setting, which the launcher knows."""
    assert Attribution._fields == tuple(attribution_words.WORDS)
    for word in attribution_words.WORDS:
        name = f"OTEL_COSTSPAN_{word.upper()}"
        assert getattr(settings, name) == name
        assert name in {setting.name for setting in settings.SETTINGS}
        assert word in settings.Settings.__annotations__
        assert word in {*rows.KIND_COLUMNS, *rows.RECORD_COLUMNS}
        for function in (scope.attribution, scope.defaults):
            assert word in inspect.signature(function).parameters


# --- docstrings -----------------------------------------------------------------------------------------------


def opens_with_a_sentence(module: ast.Module) -> bool:
    return (ast.get_docstring(module) or "").partition("\n\n")[0].rstrip().endswith((".", "?", "!", ":"))


def test_a_module_opens_with_what_it_is_for() -> None:
    """One sentence, with its full stop, in words a user would understand."""
    assert [named(path) for path in MODULES if not opens_with_a_sentence(tree(path))] == []


def public(module: ast.Module) -> Iterator[tuple[str, ast.ClassDef | Function]]:
    """Public classes, functions and methods. A method that another class of the module has said before is left out."""
    said: set[str] = set()
    for node in module.body:
        if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
            continue
        yield node.name, node
        if isinstance(node, ast.ClassDef) and "Protocol" not in {
            name for base in node.bases for name in names_in(base)
        }:
            methods = [each for each in node.body if isinstance(each, Function) and not each.name.startswith("_")]
            yield from ((f"{node.name}.{each.name}", each) for each in methods if each.name not in said)
            said |= {each.name for each in methods}


def is_overload(node: ast.ClassDef | Function) -> bool:
    return any("overload" in names_in(each) for each in node.decorator_list)


def test_what_is_public_says_what_it_means() -> None:
    """Every public class, function and method has a sentence; for private ones a name is enough."""
    silent = [
        f"{named(path)}:{node.lineno}: {name}"
        for path in SOURCES
        for name, node in public(tree(path))
        if not ast.get_docstring(node) and not is_overload(node)
    ]
    assert silent == []


# --- sizes ----------------------------------------------------------------------------------------------------

MOST_LINES: Final = 300
LONG: Final = 40
#: Files that are longer, each with the reason.
LONGER: Final = {
    "grafana/source/signals.py": "a table: every signal of every panel once, with its expression",
    "src/costspan/names.py": "a table: every metric, attribute and label once",
}


def test_a_file_fits_in_the_head() -> None:
    """Above 300 lines a file has more than one subject; what is listed as longer is longer."""
    measured = [path for path in MODULES if ROOT / "tests" not in path.parents]
    longer = {named(path) for path in measured if len(path.read_text().splitlines()) > MOST_LINES}
    assert longer == set(LONGER)


def test_functions_are_short() -> None:
    """The median is at most 11 lines, and fewer than 5 % have more than 40."""
    lengths = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, Function)
    ]
    assert statistics.median(lengths) <= 11
    assert sum(length > LONG for length in lengths) < 0.05 * len(lengths)


# --- what nothing uses ------------------------------------------------------------------------------------------

#: Called by name from outside: by OpenTelemetry's base class of instrumentors, and by click's of groups.
CALLED_FROM_OUTSIDE: Final = {
    "instrumentation_dependencies", "_uninstrument", "list_commands", "get_command",
    "daily", "last_used",  # of `costspan.usage()`: for programs (docs/usage-in-code.md)
}  # fmt: skip
WORD: Final = re.compile(r"\w+")
LONGEST_REFERENCE: Final = 80


def names_used(module: ast.AST) -> Iterator[str]:
    """Every name that a module uses: in its code, and in short texts, as for what is loaded or patched by name."""
    for node in ast.walk(module):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield from WORD.findall(node.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < LONGEST_REFERENCE:
            yield from WORD.findall(node.value)


def test_nothing_in_the_package_is_there_for_tests_alone() -> None:
    """Every function, method and class is named somewhere outside the tests, or carries a decorator that takes it."""
    used = {word for path in MODULES if ROOT / "tests" not in path.parents for word in names_used(tree(path))}
    # Templates of the page call what they show.
    used |= {word for path in COMMITTED if path.parent.name == "templates" for word in WORD.findall(path.read_text())}
    unused = [
        f"{named(path)}:{node.lineno}: {node.name}"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("__")
        and not node.decorator_list
        and node.name not in used | CALLED_FROM_OUTSIDE
    ]
    assert unused == []


def test_every_test_lies_in_the_folder_of_its_area() -> None:
    """What tests share lies in `support`, where none is collected; a name is given once, since folders are no packages."""
    found = [path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("*.py")]
    tests = [path for path in found if path.stem.startswith("test_")]
    assert [path for path in tests if len(path.parts) != 2 or path.parts[0] == "support"] == []
    assert {path for path in found if path not in tests and path.parts[0] != "support"} == {Path("conftest.py")}
    assert len({path.name for path in tests}) == len(tests)


def test_placeholders_of_sql_have_no_numbers() -> None:
    """From Python 3.14 on `?1` takes no sequence; `excluded` names what was to be inserted."""
    numbered = [f"{named(path)}:{line}" for path in SOURCES for line, text in enumerate(path.read_text().splitlines(), 1)
                if re.search(r"[ (,=]\?\d", text)]  # fmt: skip
    assert not numbered
