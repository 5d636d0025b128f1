"""The schema of plain values as JSON (report/plain.py), by the fields and properties of a dataclass."""

from __future__ import annotations

import types
import typing
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from costspan.report.forms import required
from costspan.report.plain import members

_PLAIN: Final[dict[Any, dict[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Decimal: {"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "description": "An exact decimal number."},
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
            "additionalProperties": False,
            "properties": {name: schema(each, named, is_told=is_told) for name, each in members_of.items()},
        }
    return {"$ref": f"#/components/schemas/{of.__name__}"}


def _either(choices: list[dict[str, Any]]) -> dict[str, Any]:
    if all(set(each) == {"type"} for each in choices):
        return {"type": [each["type"] for each in choices]}
    return {"anyOf": choices}
