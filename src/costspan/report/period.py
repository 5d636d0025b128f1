"""A stretch of time in the words of a user: `today`, `last-week`, `2026-11-03..2026-11-10`, `7d`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final, NamedTuple, TypeAlias

_NS: Final = 1_000_000_000
_FARTHEST: Final = 9_223_372_036 * _NS
#: What the error for a mistaken period names.
EXPECTED: Final = (
    "today, yesterday, this-week, last-week, this-month, last-month, a year (2026), month (2026-11), week (2026-W47), "
    "day (2026-11-03) or time (2026-11-03T14:30), two of them with .. between, 7d (the last days, today included), "
    "24h, or all"
)
#: What --since and --until take: what they make of a stretch of time is its beginning and its end.
EXPECTED_MOMENT: Final = (
    "a day (2026-11-03), week (2026-W47), month (2026-11) or year (2026), a time (2026-11-03T14:30), today, yesterday, "
    "this-week, last-week, this-month, last-month, 7d or 24h"
)
_DATE: Final = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?")
_WEEK: Final = re.compile(r"(\d{4})-w(\d\d)")
_LAST: Final = re.compile(r"(\d{1,5})([dh])")
_Span: TypeAlias = "tuple[datetime | None, datetime | None]"


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
    return _period(word, start, end)


def moment_s(text: str) -> float:
    """Seconds since the epoch of a date or time in ISO 8601, UTC unless it names an offset. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        expected = "expected a date or time such as 2026-11-03 or 2026-11-03T14:30"
        raise ValueError(f"{text!r} is no time: {expected}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def between(since: str | None, until: str | None, zone: tzinfo, now_s: float) -> Period:
    """The period from the beginning of one stretch of time to the end of another: a day is included. `until=7d` ends
    where the last seven days begin. Raises ValueError with a sentence.
    """
    now = datetime.fromtimestamp(now_s, zone)
    start = _moment(since, now)[0] if since is not None else None
    end = None
    if until is not None:
        begin, end = _moment(until, now)
        end = begin if _last(until.strip().lower(), now) else end
    return _period(f"{since or ''}..{until or ''}", start, end)


def _period(text: str, start: datetime | None, end: datetime | None) -> Period:
    if start and end and start >= end:
        raise ValueError(f"{text!r} is no period: it ends before it begins")
    return Period(text, _ns(start), _ns(end))


def _moment(text: str, now: datetime) -> _Span:
    word = text.strip().lower()
    named = _named(word, now) if word != "all" else None
    try:
        return named or _last(word, now) or _dates(word, now.tzinfo or timezone.utc)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: expected {EXPECTED_MOMENT}") from None


def _ns(moment: datetime | None) -> int | None:
    """Within what the ledger can hold: years before 1678 and after 2261 are beyond every call."""
    return None if moment is None else min(max(int(moment.timestamp()) * _NS, -_FARTHEST), _FARTHEST)


def _named(word: str, now: datetime) -> _Span | None:
    today = _midnight(now)
    month = today.replace(day=1)
    week = _midnight(today - timedelta(days=today.weekday()))
    named: dict[str, _Span] = {
        "all": (None, None),
        "today": (today, _day_after(today)),
        "yesterday": (_midnight(today - timedelta(days=1)), today),
        "this-week": (week, _week_after(week)),
        "last-week": (_midnight(week - timedelta(days=7)), week),
        "this-month": (month, _month_after(month)),
        "last-month": (_midnight(month - timedelta(days=1)).replace(day=1), month),
    }
    return named.get(word)


def _last(word: str, now: datetime) -> _Span | None:
    found = _LAST.fullmatch(word)
    if found is None or int(found[1]) == 0:
        return None
    number, unit = int(found[1]), found[2]
    if unit == "h":
        # Over the absolute time: an aware subtraction in a zone goes by the clock on the wall.
        return datetime.fromtimestamp(now.timestamp() - number * 3600, now.tzinfo), None
    return _midnight(now - timedelta(days=number - 1)), _day_after(_midnight(now))


def _range(word: str, zone: tzinfo) -> _Span:
    first, dots, last = word.partition("..")
    if not dots:
        return _dates(word, zone)
    if not first and not last:
        raise ValueError(word)
    return _dates(first, zone)[0] if first else None, _dates(last, zone)[1] if last else None


def _dates(word: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """The first moment of a year, month, week or day, and the first after it; of a time, itself twice."""
    week = _WEEK.fullmatch(word)
    if week:
        monday = datetime.fromisocalendar(int(week[1]), int(week[2]), 1).replace(tzinfo=zone)
        return monday, _week_after(monday)
    found = _DATE.fullmatch(word)
    if found is None:
        moment = _time(word, zone)
        return moment, moment
    year, month, day = int(found[1]), found[2], found[3]
    start = datetime(year, int(month or 1), int(day or 1), tzinfo=zone)
    if day:
        return start, _day_after(start)
    return start, _month_after(start) if month else start.replace(year=year + 1)


def _time(word: str, zone: tzinfo) -> datetime:
    """A date with a time of day, in the zone unless it names an offset."""
    if not re.match(r"\d{4}-\d\d-\d\d[t ]", word):
        raise ValueError(word)
    moment = datetime.fromisoformat(word.upper().replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def _day_after(midnight: datetime) -> datetime:
    return _midnight(midnight + timedelta(days=1))


def _week_after(monday: datetime) -> datetime:
    return _midnight(monday + timedelta(days=7))


def _month_after(first: datetime) -> datetime:
    return _midnight(first + timedelta(days=31)).replace(day=1)
