"""JSON read as a value of a dataclass, by its fields: every mistake with its place."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, cast

from costspan.report.words import nearest

_DECIMAL: Final = re.compile(r"-?\d+(\.\d+)?")


class MisreadError(ValueError):
    """What was found is not of the form. `place` is a path such as `records[1].seconds`, empty for the whole; `found` is None
    where nothing was.
    """

    def __init__(self, place: str, found: str | None, expected: str) -> None:
        super().__init__(f"{place or 'the whole'} is {found or 'missing'}: expected {expected}")
        self.place = place
        self.found = found
        self.expected = expected


class _Kind(NamedTuple):
    """What JSON has for a plain type, how it is read, and how that is called."""

    found: type | tuple[type, ...]
    read: Callable[[Any], Any]
    expected: str


def _as_it_is(value: Any) -> Any:
    return value


def _decimal(text: str) -> Decimal:
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(text)
    return Decimal(text)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.removesuffix("Z") + "+00:00" if text.endswith("Z") else text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment


_KINDS: Final[Mapping[Any, _Kind]] = {
    str: _Kind(str, _as_it_is, "a text"),
    int: _Kind(int, _as_it_is, "a whole number"),
    float: _Kind((int, float), _as_it_is, "a number"),
    bool: _Kind(bool, _as_it_is, "true or false"),
    type(None): _Kind(type(None), _as_it_is, "null"),
    Decimal: _Kind(str, _decimal, "a decimal number as a text"),
    datetime: _Kind(str, _moment, "a moment in ISO 8601 with its offset, as a text"),
    date: _Kind(str, date.fromisoformat, "a date as a text"),
}


@functools.cache
def fields(of: type) -> Mapping[str, Any]:
    """The names and types of the fields of a dataclass."""
    hints = typing.get_type_hints(of)
    return {each.name: hints[each.name] for each in dataclasses.fields(of)}


def required(of: type[Any]) -> list[str]:
    """The fields that whoever makes a value has to say."""
    missing = dataclasses.MISSING
    return [each.name for each in dataclasses.fields(of) if each.default is missing and each.default_factory is missing]


def understood(of: Any, found: object, place: str = "", *, is_told: bool = False) -> Any:
    """What was found in JSON as a value of the type `of`. Raises MisreadError.

    An answer (`is_told`) has every field, and may have more, of a newer version; of what is asked or sent, fields with a default may
    be missing, and others are mistakes.
    """
    read = functools.partial(understood, is_told=is_told)
    if dataclasses.is_dataclass(of):
        return _record(cast("type[Any]", of), _entries(found, place), place, read, is_told=is_told)
    origin, parts = typing.get_origin(of), typing.get_args(of)
    if origin in {typing.Union, types.UnionType}:
        return None if found is None else read(parts[0], found, place)
    if origin is tuple:
        if not isinstance(found, list):
            raise _wrong(place, found, "a list")
        each = enumerate(cast("list[object]", found))
        return tuple(read(parts[0], one, f"{place}[{number}]") for number, one in each)
    if origin is not None:  # a mapping of texts
        entries = _entries(found, place).items()
        return types.MappingProxyType({name: read(parts[1], one, f"{place}.{name}") for name, one in entries})
    return _plain(_KINDS[of], found, place, is_bool=of is bool)


def _plain(kind: _Kind, found: object, place: str, *, is_bool: bool) -> Any:
    if isinstance(found, kind.found) and isinstance(found, bool) == is_bool:
        try:
            return kind.read(found)
        except ValueError:
            pass
    raise _wrong(place, found, kind.expected)


def _record(
    of: type[Any], entries: Mapping[str, object], place: str, read: Callable[..., Any], *, is_told: bool
) -> Any:
    known = fields(of)
    prefix = f"{place}." if place else ""
    for name in () if is_told else entries:
        if name not in known:
            raise _wrong(prefix + name, entries[name], f"one of {', '.join(known)}{nearest(name, known)}")
    for name in known if is_told else required(of):
        if name not in entries:
            raise MisreadError(prefix + name, None, "the field")
    return of(**{name: read(hint, entries[name], prefix + name) for name, hint in known.items() if name in entries})


def _entries(found: object, place: str) -> Mapping[str, object]:
    if not isinstance(found, dict):
        raise _wrong(place, found, "an object")
    return cast("Mapping[str, object]", found)


def _wrong(place: str, found: object, expected: str) -> MisreadError:
    return MisreadError(place, json.dumps(found), expected)
