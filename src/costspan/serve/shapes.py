"""Plain values as JSON, and the schema of that JSON: both by the fields and properties of a dataclass."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, Final, cast

from costspan.report.forms import fields, required

_UTC: Final = "+00:00"
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


@functools.cache
def members(of: type) -> Mapping[str, Any]:
    """The names and types of what a value of this class is told by: its fields, then its properties."""
    found = dict(fields(of))
    for name, each in vars(of).items():
        if isinstance(each, property) and each.fget is not None:
            found[name] = typing.get_type_hints(each.fget)["return"]
    return found


def plain(value: Any) -> Any:
    """The value as JSON has it: exact amounts are text, moments have their offset."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    of: type[Any] = cast("type[Any]", type(value))
    told = _AS_TEXT.get(of)
    if told is not None:
        return told(value)
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        return {str(name): plain(each) for name, each in entries.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in cast("list[Any]", value)]
    return {name: plain(getattr(value, name)) for name in members(of)}


def _moment(value: datetime) -> str:
    text = value.isoformat()
    return text.removesuffix(_UTC) + "Z" if value.tzinfo is timezone.utc else text


_AS_TEXT: Final[dict[type, Callable[[Any], str]]] = {
    Decimal: lambda value: f"{value:f}",
    datetime: _moment,
    date: date.isoformat,
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
