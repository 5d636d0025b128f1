"""The words by which usage is grouped and filtered: those of the ledger, and times."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final, NamedTuple

from costspan.ledger.columns import COLUMNS
from costspan.ledger.cover import Wanted
from costspan.report.period import ALL, Period

TIMES: Final = ("day", "week", "month", "hour")
WORDS: Final = (*COLUMNS, *TIMES)

# Every zone's offset has been a multiple of 15 minutes since 1980, so that a quarter of an hour lies within one hour,
# day and month of any zone: SQL adds up quarters, Python knows the zone.
_QUARTER_S: Final = 900
_QUARTER_NS: Final = _QUARTER_S * 1_000_000_000
QUARTER: Final = f"started_ns / {_QUARTER_NS}"


class Condition(NamedTuple):
    """A piece of SQL that holds for the calls meant, and its values."""

    sql: str
    values: tuple[object, ...]


class Filter(NamedTuple):
    """A word, a sign of SIGNS and a value; an empty value means "not set"."""

    word: str
    sign: str
    value: str

    def as_object(self) -> dict[str, str | None]:
        """The filter for a program."""
        return {"word": self.word, "sign": self.sign, "value": self.value or None}


#: Is, is not; and the same to the letter, where upper and lower case differ and a star is a star.
SIGNS: Final = ("=", "!=", "==", "!==")
_FILTER: Final = re.compile(r"\s*([\w-]*)\s*(!==|==|!=|=)(.*)", re.DOTALL)


def filters(texts: Iterable[str]) -> tuple[Filter, ...]:
    """Filters such as `team=search` or `model!=gpt-*`. Raises ValueError with a sentence."""
    found: list[Filter] = []
    for text in texts:
        parts = _FILTER.fullmatch(text)
        word = parts[1].lower().replace("-", "_") if parts else ""
        if parts is None or word not in COLUMNS:
            expected = f"expected WORD=VALUE or WORD!=VALUE, the word one of {', '.join(COLUMNS)}"
            when = "; a time is chosen by --period, --since and --until" if word in TIMES else ""
            raise ValueError(f"{text!r} is no filter: {expected}{nearest(word, COLUMNS)}{when}")
        found.append(Filter(word, parts[2], parts[3].strip()))
    return tuple(found)


def groups(texts: Iterable[str]) -> tuple[str, ...]:
    """The words to group by, given with commas or one by one; `total` for none. Raises ValueError with a sentence."""
    words = [word.strip().lower().replace("-", "_") for text in texts for word in text.split(",")]
    if words == ["total"]:
        return ()
    for word in words:
        if word not in WORDS:
            raise ValueError(
                f"{word!r} is nothing to group by: expected {', '.join(WORDS)} or total{nearest(word, WORDS)}"
            )
    return tuple(dict.fromkeys(words))


def nearest(word: str, words: Iterable[str]) -> str:
    """What a mistaken word may mean, as the end of a sentence."""
    near = difflib.get_close_matches(word, list(words), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def conditions(asked: Iterable[Filter], period: Period) -> Condition:
    """What the filters and the period ask for. Values that a word is to have are alternatives; those that it is not to
    have are all excluded. A reader of the ledger has to know FOLDED.
    """
    by_word: dict[tuple[str, bool], list[Filter]] = {}
    for one in asked:
        by_word.setdefault((one.word, one.sign.startswith("!")), []).append(one)
    all_of: list[Condition] = []
    for (word, is_not), same in by_word.items():
        any_of = _any_of(COLUMNS[word], same)
        # Of what is not set, SQL does not know whether it equals a value: it does not.
        all_of.append(any_of._replace(sql=f"NOT COALESCE({any_of.sql}, 0)") if is_not else any_of)
    if period.start_ns is not None:
        all_of.append(Condition("started_ns >= ?", (period.start_ns,)))
    if period.end_ns is not None:
        all_of.append(Condition("started_ns < ?", (period.end_ns,)))
    return Condition(
        " AND ".join(one.sql for one in all_of) or "1", tuple(value for one in all_of for value in one.values)
    )


def wanted(
    asked_by: Iterable[str], asked: Sequence[Filter], period: Period = ALL, zone: tzinfo = timezone.utc
) -> Wanted:
    """What the ledger has to know of a question to choose what answers it."""
    times = [word for word in asked_by if word in TIMES]
    named = frozenset(asked_by) - {*times} | {one.word for one in asked}

    def one(quarter: int) -> list[str]:
        return [time_word(word, quarter, zone) for word in times]

    known: Callable[[int], list[str]] = functools.lru_cache(4096)(one)

    def is_one(first_ns: int, last_ns: int) -> bool:
        return known(first_ns // _QUARTER_NS) == known(last_ns // _QUARTER_NS)

    return Wanted(frozenset(named), period.start_ns, period.end_ns, is_one if times else None, _only(asked))


def _only(asked: Sequence[Filter]) -> dict[str, list[str]]:
    """The values of each word that is to have one of some values, spelt out."""
    found: dict[str, list[str]] = {}
    for one in asked:
        if not one.sign.startswith("!"):
            found.setdefault(one.word, []).append("" if "*" in one.value and one.sign != "==" else one.value)
    return {word: values for word, values in found.items() if all(values)}


def _any_of(column: str, asked: Sequence[Filter]) -> Condition:
    sql: list[str] = []
    values: list[str] = []
    for one in asked:
        if not one.value:
            sql.append(f"{column} IS NULL")
            continue
        is_exact = one.sign.endswith("==")
        operator = "GLOB" if "*" in one.value and not is_exact else "="
        sql.append(f"{column} {operator} ?" if is_exact else f"FOLDED({column}) {operator} ?")
        values.append(one.value if is_exact else _pattern(one.value.casefold()))
    return Condition(f"({' OR '.join(sql)})", tuple(values))


def folded(value: object) -> str | None:
    """FOLDED of the conditions: a value without regard to upper and lower case."""
    return None if value is None else str(value).casefold()


def _pattern(value: str) -> str:
    """In a value with a star the star stands for anything; SQLite's other signs are meant as they are."""
    if "*" not in value:
        return value
    return "".join(f"[{sign}]" if sign in "?[" else sign for sign in value)


def time_word(word: str, quarter: int, zone: tzinfo) -> str:
    """The day, week (its Monday), month or hour in a zone of a quarter of an hour since the epoch."""
    moment = datetime.fromtimestamp(quarter * _QUARTER_S, zone)
    if word == "hour":
        # With its offset: when the clock goes back, an hour comes twice.
        text = moment.replace(minute=0).isoformat(timespec="minutes")
        return text.removesuffix("+00:00") + "Z" if zone is timezone.utc else text
    if word == "week":
        moment -= timedelta(days=moment.weekday())  # by the calendar: no hour is shown
    return moment.strftime("%Y-%m" if word == "month" else "%Y-%m-%d")
