"""The calendar day and month of a moment, in one time zone: the words by which spend is counted into budgets."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NS_PER_S: Final = 1_000_000_000
_MINUTE_S: Final = 60
_DAY_S: Final = 86_400
# Since this minute of 1972 (Liberia gave up -0:44:30) every offset and every change of offset in the tz database falls
# on a whole minute of UTC, so that one minute of UTC lies within one day of every zone.
_WHOLE_MINUTES_SINCE_S: Final = 63_593_100
_OFFSET: Final = re.compile(r"UTC([+-])([01]\d|2[0-3]):([0-5]\d)")


def zone(name: str) -> tzinfo:
    """The time zone of that name, e.g. `Europe/Berlin`. Raises ValueError for a name that is not one."""
    if name == "UTC":
        return timezone.utc  # needs no tz database
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as fault:
        raise ValueError(
            f"{name!r} is no known time zone: expected a name of the tz database such as `UTC` or `Europe/Berlin` "
            "(where the system has no tz database, `pip install tzdata`)"
        ) from fault


def offset(name: str) -> tzinfo | None:
    """The zone of an offset that does not change, as Python names it: `UTC+02:00`. None for other names."""
    found = _OFFSET.fullmatch(name)
    if found is None:
        return None
    apart = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(apart if found[1] == "+" else -apart)


class _Stretch(NamedTuple):
    """A stretch of time within one day: from and to (exclusive) in nanoseconds since the epoch, and its words."""

    start_ns: int
    end_ns: int
    day: str
    month: str
    weekday: str


class Periods:
    """Day, month and weekday of a moment in one time zone.

    The stretch of the last answer is kept, so that a question about the same day costs two comparisons. Threads
    may share one object: the stretch is replaced whole.
    """

    __slots__ = ("_last", "zone")

    def __init__(self, name: str = "UTC") -> None:
        self.zone = zone(name)
        self._last = _Stretch(0, 0, "", "", "")

    def day(self, ns: int) -> str:
        """The calendar day, `YYYYMMDD`. `ns`: nanoseconds since the epoch."""
        last = self._last
        return last[2] if last[0] <= ns < last[1] else self._stretch(ns).day

    def month(self, ns: int) -> str:
        """The calendar month, `YYYYMM`. `ns`: nanoseconds since the epoch."""
        last = self._last
        return last[3] if last[0] <= ns < last[1] else self._stretch(ns).month

    def weekday(self, ns: int) -> str:
        """The day of the week, `1` (Monday) to `7`. `ns`: nanoseconds since the epoch."""
        last = self._last
        return last[4] if last[0] <= ns < last[1] else self._stretch(ns).weekday

    def _stretch(self, ns: int) -> _Stretch:
        moment_s = ns // NS_PER_S
        local = datetime.fromtimestamp(moment_s, self.zone)
        start_s, end_s = self._borders_s(moment_s, local)
        self._last = stretch = _Stretch(
            start_s * NS_PER_S,
            end_s * NS_PER_S,
            f"{local.year:04}{local.month:02}{local.day:02}",
            f"{local.year:04}{local.month:02}",
            str(local.isoweekday()),
        )
        return stretch

    def _borders_s(self, moment_s: int, local: datetime) -> tuple[int, int]:
        """The day around the moment if the clock does not change in it, else the minute (else the second).

        On a day with a change of clock a day may even come twice: in St. John's the clock went from 00:01 back
        to 23:01 of the day before, until 2011.
        """
        start_s = moment_s - (local.hour * 60 + local.minute) * 60 - local.second
        if self._offset(start_s) == local.utcoffset() == self._offset(start_s + _DAY_S):
            return start_s, start_s + _DAY_S
        if moment_s < _WHOLE_MINUTES_SINCE_S:
            return moment_s, moment_s + 1
        minute_s = moment_s - moment_s % _MINUTE_S
        return minute_s, minute_s + _MINUTE_S

    def _offset(self, moment_s: int) -> timedelta | None:
        return datetime.fromtimestamp(moment_s, self.zone).utcoffset()
