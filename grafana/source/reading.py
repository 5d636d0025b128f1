"""Reads the budgets.json of `costspan budgets compile`; a mistake is told with its file and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

_TEXT: Final = (str,)
_WORDS: Final[Mapping[str, tuple[type, ...]]] = {"time_zone": _TEXT, "budgets": (list,)}
_BUDGET_WORDS: Final[Mapping[str, tuple[type, ...]]] = {
    "title": _TEXT, "period": _TEXT, "unit": _TEXT, "owner": _TEXT, "each_label": (str, type(None)),
    "thresholds": (list,), "queries": (dict,),
}  # fmt: skip
_QUERY_WORDS: Final[Mapping[str, tuple[type, ...]]] = dict.fromkeys(
    ("spend", "limit", "used", "projected", "burn"), _TEXT
)


class BudgetsError(ValueError):
    """The file is refused; the message says where and why, a line for each mistake."""


def read(path: Path) -> dict[str, Any]:
    """The budgets of a file. Raises BudgetsError."""
    try:
        text = path.read_text(encoding="utf-8")
        root, said = (
            yaml.compose(text, yaml.SafeLoader),
            yaml.safe_load(text),
        )  # JSON is YAML, and nodes know their lines
    except yaml.MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else 1
        raise BudgetsError(f"{path}:{line}: is not valid JSON: {fault.problem}") from fault
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise BudgetsError(f"{path}:1: cannot be read: {fault}") from fault
    if found := list(_mistakes(root, said)):
        expected = "expected the budgets.json of `costspan budgets compile`"
        raise BudgetsError("\n".join(f"{path}:{line}: {wrong}: {expected}" for line, wrong in found))
    return said


def _mistakes(root: Any, said: Any) -> Iterator[tuple[int, str]]:
    """Line and words of every mistake."""
    found = list(_lacking(root, said, "", _WORDS))
    yield from found
    if found:
        return
    for number, (node, budget) in enumerate(zip(_value(root, "budgets").value, said["budgets"], strict=True)):
        name = f"budgets[{number}]"
        found = list(_lacking(node, budget, f"{name}.", _BUDGET_WORDS))
        yield from found
        if not found:
            yield from _lacking(_value(node, "queries"), budget["queries"], f"{name}.queries.", _QUERY_WORDS)
        if not found and not budget["thresholds"]:
            yield _line(_value(node, "thresholds")), f"{name}.thresholds is empty"


def _lacking(node: Any, said: Any, path: str, words: Mapping[str, tuple[type, ...]]) -> Iterator[tuple[int, str]]:
    if not isinstance(said, dict):
        yield (_line(node) if node else 1), f"{path.rstrip('.') or 'the file'} is no object"
        return
    for word, kinds in words.items():
        if word not in said:
            yield _line(node), f"{path}{word} is missing"
        elif not isinstance(said[word], kinds):
            yield _line(_value(node, word)), f"{path}{word} is {said[word]!r}"


def _line(node: Any) -> int:
    return node.start_mark.line + 1


def _value(node: Any, word: str) -> Any:
    return next(value for key, value in node.value if key.value == word)
