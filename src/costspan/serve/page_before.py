"""The stretch of time that a period is compared with: the one before it, as far as the period has come."""

from __future__ import annotations

from datetime import datetime, time, timedelta, tzinfo
from typing import Final

from costspan.report.period import Period

_NS: Final = 1_000_000_000


def before(asked: Period, zone: tzinfo, now_s: float) -> Period | None:
    """The period before; None of one without a beginning, and of one that has not begun.

    Of a calendar month it is the month before, of whole days as many days, else as much time. A period that is still going on
    is compared up to the same time of day.
    """
    if asked.start_ns is None or asked.start_ns >= now_s * _NS:
        return None
    now = datetime.fromtimestamp(now_s, zone)
    start = datetime.fromtimestamp(asked.start_ns // _NS, zone)
    end = now if asked.end_ns is None else datetime.fromtimestamp(asked.end_ns / _NS, zone)
    if start.time() != time(0):
        took_ns = int(min(end.timestamp(), now_s)) * _NS - asked.start_ns
        return Period("", asked.start_ns - took_ns, asked.start_ns)
    first = _first(start, end)
    # Subtracted by the clock on the wall: a day is a day, also where the clock is changed.
    until = start if end <= now else min(now - (start - first), start)
    return Period("", _ns(first), _ns(until))


def _first(start: datetime, end: datetime) -> datetime:
    month_before = (start - timedelta(days=1)).replace(day=1)
    if start.day == 1 and end == (start + timedelta(days=31)).replace(day=1):
        return month_before
    days = (end - timedelta(microseconds=1)).date() - start.date()
    return start - days - timedelta(days=1)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * _NS
