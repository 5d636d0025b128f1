"""Words of the attribution: what a program may give, and what becomes of it."""

from __future__ import annotations

import enum
import logging
from typing import Any, NoReturn
from uuid import UUID

import pytest

from costspan import guard
from costspan.facts.foreign import LONGEST
from costspan.scope.words import word


class Team(str, enum.Enum):
    SEARCH = "search"


class Kind(enum.IntEnum):
    RETRY = 7


class Identity(enum.Enum):
    ROOT = UUID(int=1)
    NESTED = ("a", "b")


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        msg = "a text of the program's own that cannot be shown"
        raise RuntimeError(msg)


class Proxy:
    """A proxy with nothing behind it, as a web framework's request outside of a request."""

    @property
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        msg = "working outside of a request"
        raise RuntimeError(msg)


class Broken(enum.Enum):
    ONE = 1

    @property
    def value(self) -> NoReturn:
        msg = "no value today"
        raise RuntimeError(msg)


UNDERSTOOD = [
    ("search", "search"),
    ("  search\t", "search"),
    ("zoë 你好 👩‍💻", "zoë 你好 👩‍💻"),
    (Team.SEARCH, "search"),
    (Kind.RETRY, "7"),
    (Identity.ROOT, "00000000-0000-0000-0000-000000000001"),
    (Loud("loud"), "loud"),
    (UUID(int=2), "00000000-0000-0000-0000-000000000002"),
    (42, "42"),
    (-1, "-1"),
    ("line\r\nbreak \x1b[31mred\x00", "line break  [31mred"),
    ("safe\u202egnp.exe", "safe gnp.exe"),
    ("half \ud83d character", "half \ufffd character"),
    ("\ud83d\ude00 in two halves", "😀 in two halves"),
    ("x" * 1_000_000, "x" * LONGEST),
    ("x" * (LONGEST - 1) + " yz", "x" * (LONGEST - 1)),
    ("", None),
    (" \x00\n ", None),
    (None, None),
]

IGNORED = [True, 1.5, b"search", ["search"], {"a": 1}, object(), Identity.NESTED, 1 << 100_000]


def of(value: object) -> str:
    return f"{type(value).__name__}-{str.__str__(value)[:20]!a}" if isinstance(value, str) else type(value).__name__


@pytest.mark.parametrize(("value", "expected"), UNDERSTOOD, ids=of)
def test_a_simple_value_becomes_a_clean_text(value: object, expected: str | None) -> None:
    """Texts, integers, UUIDs and Enums of them become a text without control characters, of at most 200 characters."""
    cleaned = word("session", value)
    assert cleaned == expected
    assert cleaned is None or type(cleaned) is str


@pytest.mark.parametrize("value", IGNORED, ids=lambda value: type(value).__name__)
def test_a_value_that_is_no_word_is_ignored_and_told_once(value: object, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be a word is left out, and one sentence names the argument and the type."""
    with caplog.at_level(logging.WARNING, "costspan"):
        assert [word("team", value), word("team", value)] == [None, None]
    [record] = caplog.records
    assert f"the attribution's team was given as {type(value).__name__} and is ignored" in record.getMessage()


def test_a_long_text_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Cutting may join two sessions into one, so it is said, without the text itself."""
    with caplog.at_level(logging.WARNING, "costspan"):
        word("session", "s" * 300)
        word("session", "t" * 400)
    [record] = caplog.records
    assert record.getMessage() == "costspan: the attribution's session is 300 characters long and is cut to 200"


def test_a_value_that_raises_is_stopped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value whose own code fails says nothing; the program goes on."""
    monkeypatch.setattr(guard, "raise_again", False)
    monkeypatch.setattr(guard, "faults", dict[str, int]())
    assert word("session", Broken.ONE) is None
    assert guard.faults == {"attribution": 1}


def test_a_proxy_is_not_asked_what_it_is() -> None:
    """An object that raises when asked for its class is ignored like any other."""
    assert word("session", Proxy()) is None
