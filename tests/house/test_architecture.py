"""docs/architecture.md says what is so: files, functions, words, rooms and who imports whom."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from test_shape import PROJECT, ROOT, SOURCE, SOURCES, tree

PAGE: Final = ROOT / "docs" / "architecture.md"
#: What is a word in a code font and no name of ours: words of this page's pictures, commands, names of others.
_FOREIGN: Final = re.compile(
    r"(make|costspan|python -m|with) .*|client\.chat\.completions\.create\(\)|SyncAPIClient\.request|file\.py:name"
    r"|openai|multiprocessing|\.\.\."
)


def section(title: str) -> str:
    """The text under a heading of the page."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def spoken(text: str) -> list[str]:
    """What stands in a code font, in its order; blocks and links are left out."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


@cache
def named_in(path: Path) -> frozenset[str]:
    """The functions, classes, methods and values of a module: `name` and `Class.name`."""

    def names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from names(node.body, f"{node.name}.")
            targets: list[Any] = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            yield from (prefix + each.id for each in targets if isinstance(each, ast.Name))

    return frozenset(names(tree(path).body, ""))


@cache
def words() -> frozenset[str]:
    """What the code calls things: the last part of every name that it gives, attributes of its objects, texts."""
    given = {name.rpartition(".")[2] for path in SOURCES for name in named_in(path)}
    attributes = {
        node.attr
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    texts = {
        node.value
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    contracts = {contract["id"] for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    return frozenset(given | attributes | texts | contracts)


def rooms() -> dict[str, tuple[int, set[str]]]:
    """Each room of the page: its layer, and what it imports from outside."""
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| .* \|([^|]*)\|$", section("Rooms"), re.MULTILINE)
    return {room: (int(layer), {each for each in re.split(r"[, ]+", outside) if each}) for layer, room, outside in rows}


def is_there(name: str) -> bool:
    """Whether what the page names exists: a file, a function of a file, a room, a word of the code."""
    path, _, function = name.partition(":")
    for root in (ROOT, SOURCE):
        target = root / path
        if target.exists() and (not function or function in named_in(target)):
            return True
    if function or "/" in path:
        return False
    return name in words() or all(part in words() or part in rooms() for part in name.split("."))


def test_what_the_page_names_is_there() -> None:
    """Every file, function, class and word in a code font."""
    names = [name for name in spoken(PAGE.read_text()) if not _FOREIGN.fullmatch(name)]
    assert len(names) > 150
    assert [name for name in names if not is_there(name)] == []


@pytest.mark.parametrize(
    "name",
    [
        "calls/engine.py:began",
        "emit/spans.py:Spans.begin",
        "calls/motor.py",
        "ObservedCalls",
        "Endpoint.reads",
        "emits",
    ],
)
def test_a_name_that_is_not_there_is_seen(name: str) -> None:
    """The check tells names from others."""
    assert not is_there(name)


def test_every_room_is_on_the_page_with_its_layer_and_what_it_imports() -> None:
    """As the contracts of import-linter have it, and no room of the package is missing."""
    contracts = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    names = {path.stem if path.parent == SOURCE else path.relative_to(SOURCE).parts[0] for path in SOURCES}
    layers = {
        room.strip(" ()"): number
        for number, line in enumerate(contracts["layers"]["layers"], 1)
        for room in line.split("|")
        if room.strip(" ()") in names
    }
    outside: dict[str, set[str]] = {room: set() for room in layers}
    for contract in contracts.values():
        for importer in contract.get("allowed_importers", ()):
            outside[importer.split(".")[1]].update(contract["protected_modules"])
    assert rooms() == {room: (layers[room], outside[room]) for room in names - {"__init__"}}
