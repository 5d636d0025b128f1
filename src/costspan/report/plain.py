"""Plain values as JSON, by the fields and properties of a dataclass."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, Final, cast

from costspan.report.forms import fields

_UTC: Final = "+00:00"


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
