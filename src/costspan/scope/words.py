"""What a program says about a call, made a clean word, or left out where it cannot be one."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final
from uuid import UUID

from costspan import guard
from costspan.facts.attribution import Attribution
from costspan.facts.foreign import LONGEST, cleaned

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a word may be given as. Anything else is ignored and told once.
Word = str | int | UUID | Enum | None

# str(int) is quadratic, and refuses more than 4,300 digits; an id has at most 192.
_LONGEST_INT_BITS: Final = 640


def word(name: str, value: object) -> str | None:
    """The word that `value` says for `name`; None where it says nothing or cannot be understood."""
    if value is None:
        return None
    if type(value) is str and len(value) <= LONGEST and value.isprintable():
        return value.strip() or None
    return _unusual(name, value)


def attribution_of(words: Mapping[str, object]) -> Attribution:
    """The attribution that words by name make; names that are none of ours are ignored."""
    return attribution_in_order(*map(words.get, Attribution._fields))


def attribution_in_order(*values: object) -> Attribution:
    """The attribution that one value for each word makes, in the order of its fields."""
    return Attribution(*map(word, Attribution._fields, values))


@guard.guarded("attribution")
def _unusual(name: str, value: object) -> str | None:
    text = _text(value)
    if text is None:
        kind = type(value).__name__
        guard.tell_once(
            f"word:{name}:{kind}",
            "costspan: the attribution's %s was given as %s and is ignored: "
            "expected a text, an integer, a UUID, or an Enum of these",
            name,
            kind,
        )
        return None
    if len(text) > LONGEST:
        sentence = "costspan: the attribution's %s is %d characters long and is cut to %d"
        guard.tell_once(f"long:{name}", sentence, name, len(text), LONGEST)
    return cleaned(text)[:LONGEST].strip() or None


def _text(value: object) -> str | None:
    # By type(), not isinstance: a proxy object answers isinstance with code of its own, which may raise.
    kind = type(value)
    if issubclass(kind, Enum):
        return _text(value.value)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    if issubclass(kind, str):
        return str.__str__(value)  # pyright: ignore[reportArgumentType]
    if issubclass(kind, int) and kind is not bool:
        return _digits(value)  # pyright: ignore[reportArgumentType]
    return str(value) if issubclass(kind, UUID) else None


def _digits(value: int) -> str | None:
    return int.__repr__(value) if int.bit_length(value) <= _LONGEST_INT_BITS else None
