"""The schema of plain values as JSON (report/plain.py), by the fields and properties of a dataclass."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from costspan.report.forms import required
from costspan.report.plain import members

_WORDS: Final = "words"
_PLAIN: Final[dict[Any, dict[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Decimal: {
        "type": "string",
        "format": "decimal",
        "pattern": r"^-?\d+(\.\d+)?$",
        "description": "An exact decimal number.",
    },
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    Any: {},
}


def schema(of: Any, named: dict[str, Any], *, is_told: bool = True) -> dict[str, Any]:
    """The JSON schema of a type. Those of dataclasses are put into `named`, and referred to. What the server tells has every
    member; of what it is told, fields with a default may be missing.
    """
    if of in _PLAIN:
        return dict(_PLAIN[of])
    origin, parts = typing.get_origin(of), typing.get_args(of)
    if origin in {typing.Union, types.UnionType}:
        return _either([schema(each, named, is_told=is_told) for each in parts])
    if origin in {tuple, list}:
        return {"type": "array", "items": schema(parts[0], named, is_told=is_told)}
    if origin is not None:  # a mapping of texts
        return {"type": "object", "additionalProperties": schema(parts[1], named, is_told=is_told)}
    if of.__name__ not in named:
        named[of.__name__] = {}  # before its members: one may refer to it
        members_of = members(of)
        named[of.__name__] = {
            "type": "object",
            "description": " ".join((of.__doc__ or "").split()),
            "required": list(members_of) if is_told else required(of),
            # An answer of a later version may have more; in what is sent, a name that nobody knows is a mistake.
            **({} if is_told else {"additionalProperties": False}),
            "properties": {
                name: {**schema(each, named, is_told=is_told), **_known(of, name)} for name, each in members_of.items()
            },
        }
    return {"$ref": f"#/components/schemas/{of.__name__}"}


def of_words(words: Iterable[str]) -> Mapping[str, Any]:
    """What a field of text says of itself that has one of some words: the `metadata` of the field."""
    return {_WORDS: tuple(words)}


def _known(of: type[Any], name: str) -> dict[str, Any]:
    """The words that a field may have, where it says so."""
    (words,) = [each.metadata.get(_WORDS) for each in dataclasses.fields(of) if each.name == name] or [None]
    return {} if words is None else {"enum": list(words)}


def _either(choices: list[dict[str, Any]]) -> dict[str, Any]:
    if all(set(each) == {"type"} for each in choices):
        return {"type": [each["type"] for each in choices]}
    return {"anyOf": choices}
