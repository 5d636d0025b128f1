"""JSON Schema, as far as the published schema of budgets.yaml uses it; a word that is not known here fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _TYPES["number"](value) and value % 1 == 0,
}
# The type that a word speaks of (a value of another type is not its concern), and what it says.
_WORDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "minimum": ("number", lambda value, said: not value < said),
    "maximum": ("number", lambda value, said: not value > said),
    "exclusiveMinimum": ("number", lambda value, said: not value <= said),
    "minLength": ("string", lambda value, said: len(value) >= said),
    "maxLength": ("string", lambda value, said: len(value) <= said),
    "pattern": ("string", lambda value, said: re.search(said, value) is not None),
    "minItems": ("array", lambda value, said: len(value) >= said),
    "uniqueItems": ("array", lambda value, said: said and all(value.count(each) == 1 for each in value)),
    "minProperties": ("object", lambda value, said: len(value) >= said),
    "required": ("object", lambda value, said: all(word in value for word in said)),
}
_SILENT = {"$schema", "title", "description", "default", "$defs"}


def violations(schema: dict[str, Any], value: Any, part: dict[str, Any] | None = None) -> list[str]:
    """The words of a part of the schema (or all of it) that the value breaks."""
    said = schema if part is None else part
    return [word for word in said if word not in _SILENT and not _holds(schema, said, word, value)]


def _holds(schema: dict[str, Any], part: dict[str, Any], word: str, value: Any) -> bool:
    said = part[word]
    if word in _WORDS:
        kind, holds = _WORDS[word]
        return not _TYPES[kind](value) or holds(value, said)
    if word not in _PARTS:
        raise AssertionError(f"the schema uses {word!r}, which the tests do not know")
    return _PARTS[word](schema, part, said, value)


def _fits(schema: dict[str, Any], value: Any, said: Any) -> bool:
    return not violations(schema, value, said)


_PARTS: dict[str, Callable[[dict[str, Any], dict[str, Any], Any, Any], bool]] = {
    "type": lambda _, __, said, value: _TYPES[said](value),
    "enum": lambda _, __, said, value: value in said,
    "const": lambda _, __, said, value: type(value) is type(said) and value == said,
    "not": lambda schema, _, said, value: not _fits(schema, value, said),
    "allOf": lambda schema, _, said, value: all(_fits(schema, value, each) for each in said),
    "anyOf": lambda schema, _, said, value: any(_fits(schema, value, each) for each in said),
    "oneOf": lambda schema, _, said, value: sum(_fits(schema, value, each) for each in said) == 1,
    "$ref": lambda schema, _, said, value: _fits(schema, value, schema["$defs"][said.removeprefix("#/$defs/")]),
    "items": lambda schema, _, said, value: all(_fits(schema, each, said) for each in _list(value)),
    "properties": lambda schema, _, said, value: all(
        _fits(schema, _dict(value)[key], said[key]) for key in said if key in _dict(value)
    ),
    "additionalProperties": lambda _, part, __, value: not (_dict(value).keys() - part["properties"].keys()),
}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
