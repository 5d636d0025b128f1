"""The words by which usage is grouped and filtered, and what each of them means in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone, tzinfo
from typing import Final, NamedTuple

from costspan.report.period import Period

#: A word and what it stands for in the ledger's `calls`.
COLUMNS: Final = {
    "session": "session",
    "task_type": "task_type",
    "source": "source",
    "team": "team",
    "account": "account",
    "provider": "provider",
    "model": "COALESCE(response_model, request_model)",
    "client": "client",
    "operation": "operation",
    "outcome": "outcome",
    "quality": "CASE WHEN unpriced_reason IS NOT NULL THEN 'unpriced' ELSE quality END",
}
TIMES: Final = ("day", "month", "hour")
WORDS: Final = (*COLUMNS, *TIMES)

# Every zone's offset has been a multiple of 15 minutes since 1980, so that a quarter of an hour lies within one hour,
# day and month of any zone: SQL adds up quarters, Python knows the zone.
_QUARTER_S: Final = 900
QUARTER: Final = f"started_ns / {_QUARTER_S * 1_000_000_000}"


class Condition(NamedTuple):
    """A piece of SQL that holds for the calls meant, and its values."""

    sql: str
    values: tuple[object, ...]


def filters(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Filters such as `team=search` as pairs of word and value. Raises ValueError with a sentence."""
    pairs: list[tuple[str, str]] = []
    for text in texts:
        word, sign, value = text.partition("=")
        word = word.strip().replace("-", "_")
        if not sign or word not in COLUMNS:
            raise ValueError(f"{text!r} is no filter: expected WORD=VALUE, the word one of {', '.join(COLUMNS)}")
        pairs.append((word, value.strip()))
    return tuple(pairs)


def conditions(pairs: Iterable[tuple[str, str]], period: Period) -> Condition:
    """What the filters and the period ask for. Values of one word are alternatives; an empty one means "not set"."""
    by_word: dict[str, list[str]] = {}
    for word, value in pairs:
        by_word.setdefault(word, []).append(value)
    all_of = [_one_word(COLUMNS[word], values) for word, values in by_word.items()]
    if period.start_ns is not None:
        all_of.append(Condition("started_ns >= ?", (period.start_ns,)))
    if period.end_ns is not None:
        all_of.append(Condition("started_ns < ?", (period.end_ns,)))
    return Condition(
        " AND ".join(one.sql for one in all_of) or "1", tuple(value for one in all_of for value in one.values)
    )


def _one_word(column: str, values: Sequence[str]) -> Condition:
    any_of: list[str] = []
    for value in values:
        if not value:
            any_of.append(f"{column} IS NULL")
        elif "*" in value:
            any_of.append(f"{column} GLOB ?")
        else:
            any_of.append(f"{column} = ?")
    return Condition(f"({' OR '.join(any_of)})", tuple(_pattern(value) for value in values if value))


def _pattern(value: str) -> str:
    """In a value with a star the star stands for anything; SQLite's other signs are meant as they are."""
    if "*" not in value:
        return value
    return "".join(f"[{sign}]" if sign in "?[" else sign for sign in value)


def time_word(word: str, quarter: int, zone: tzinfo) -> str:
    """The day, month or hour in a zone of a quarter of an hour since the epoch."""
    moment = datetime.fromtimestamp(quarter * _QUARTER_S, zone)
    if word == "hour":
        # With its offset: when the clock goes back, an hour comes twice.
        text = moment.replace(minute=0).isoformat(timespec="minutes")
        return text.removesuffix("+00:00") + "Z" if zone is timezone.utc else text
    return moment.strftime("%Y-%m-%d" if word == "day" else "%Y-%m")
