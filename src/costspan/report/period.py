"""A stretch of time in the words of a user: `today`, `last-month`, `2026-11-03..2026-11-10`, `7d`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from typing import Final, NamedTuple

_NS: Final = 1_000_000_000
#: What the error for a mistaken period names.
EXPECTED: Final = (
    "today, yesterday, this-month, last-month, a year (2026), month (2026-11) or day (2026-11-03), "
    "two of them with .. between, 7d (the last days, today included), 24h, or all"
)
_DATE: Final = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?")
_LAST: Final = re.compile(r"(\d{1,5})([dh])")


class Period(NamedTuple):
    """From (included) and to (not included), in nanoseconds since the epoch; None is open. `text` is what was asked."""

    text: str
    start_ns: int | None = None
    end_ns: int | None = None


ALL: Final = Period("all")


def parse(text: str, zone: tzinfo, now_s: float) -> Period:
    """The period that a user means. Raises ValueError with a sentence."""
    now = datetime.fromtimestamp(now_s, zone)
    word = text.strip().lower()
    try:
        start, end = _named(word, now) or _last(word, now) or _range(word, zone)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no period: expected {EXPECTED}") from None
    if start and end and start >= end:
        raise ValueError(f"{text!r} is no period: it ends before it begins")
    return Period(word, _ns(start), _ns(end))


def _ns(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp()) * _NS


def _named(word: str, now: datetime) -> tuple[datetime | None, datetime | None] | None:
    today = _midnight(now)
    month = today.replace(day=1)
    named = {
        "all": (None, None),
        "today": (today, _day_after(today)),
        "yesterday": (_midnight(today - timedelta(days=1)), today),
        "this-month": (month, _month_after(month)),
        "last-month": (_midnight(month - timedelta(days=1)).replace(day=1), month),
    }
    return named.get(word)


def _last(word: str, now: datetime) -> tuple[datetime | None, datetime | None] | None:
    found = _LAST.fullmatch(word)
    if found is None or int(found[1]) == 0:
        return None
    number, unit = int(found[1]), found[2]
    if unit == "h":
        # Over the absolute time: an aware subtraction in a zone goes by the clock on the wall.
        return datetime.fromtimestamp(now.timestamp() - number * 3600, now.tzinfo), None
    return _midnight(now - timedelta(days=number - 1)), _day_after(_midnight(now))


def _range(word: str, zone: tzinfo) -> tuple[datetime | None, datetime | None]:
    first, dots, last = word.partition("..")
    if not dots:
        return _dates(word, zone)
    if not first and not last:
        raise ValueError(word)
    return _dates(first, zone)[0] if first else None, _dates(last, zone)[1] if last else None


def _dates(word: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """The first moment of a year, month or day, and the first after it."""
    found = _DATE.fullmatch(word)
    if found is None:
        raise ValueError(word)
    year, month, day = int(found[1]), found[2], found[3]
    start = datetime(year, int(month or 1), int(day or 1), tzinfo=zone)
    if day:
        return start, _day_after(start)
    return start, _month_after(start) if month else start.replace(year=year + 1)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def _day_after(midnight: datetime) -> datetime:
    return _midnight(midnight + timedelta(days=1))


def _month_after(first: datetime) -> datetime:
    return _midnight(first + timedelta(days=31)).replace(day=1)
