"""The spend of one day, and how long it is told.

A day is told under its weekday, so that seven values are enough for ever. Every sample that a process sends under a
weekday is the spend of one single day, because the day is told for three days only: the query needs no start to
subtract, and a process may be silent for a week and go on.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Final, TypeAlias

from costspan import names
from costspan.facts import usage as units
from costspan.facts.call import REFUSED, Call
from costspan.facts.money import Cost
from costspan.names import OTHER

#: For how many days after its end a day is told: late calls, and a process that could not report meanwhile. With five
#: or more, a query that looks 27 hours back could meet the same weekday of the week before.
DAYS_TOLD_AFTER: Final = 3
# By a clock that is never set: whatever the time of day does meanwhile, the day is over by then.
_KEPT_S: Final = 5 * 86_400.0
_LABELS: Final = names.DAY_LABELS[:-1]

#: The labels of a day but the weekday, and its date.
DayKey: TypeAlias = tuple[str, ...]


class Day:
    """What one set of labels spent on one day, told under its weekday. Money in nano-USD; a refused call is no request."""

    __slots__ = ("began_s", "input", "key", "nano_usd", "output", "requests", "started_ns")

    def __init__(self, key: DayKey, began_s: float, started_ns: int) -> None:
        self.key = key
        self.began_s = began_s
        self.started_ns = started_ns
        self.nano_usd = self.input = self.output = self.requests = 0

    def add(self, call: Call) -> None:
        """Add one call."""
        if call.outcome != REFUSED:
            self.requests += 1
        if isinstance(call.price, Cost):
            self.nano_usd += call.price.nano_usd
        usage = call.answer.usage
        if usage is not None:
            self.input += usage.counts.get(units.INPUT, 0)
            self.output += usage.counts.get(units.OUTPUT, 0)

    @property
    def date(self) -> str:
        """Its date, `YYYYMMDD`."""
        return self.key[-1]

    @property
    def labels(self) -> dict[str, str]:
        """The labels under which it is told."""
        return {**dict(zip(_LABELS, self.key, strict=False)), names.WEEKDAY: weekday(self.key[-1])}


class Days:
    """The days of a process, those that are told and those that may be told again because a clock was set.

    To be used with the lock of the totals held.
    """

    def __init__(self) -> None:
        self._days: dict[DayKey, Day] = {}
        #: The date by which days are told; empty until they are.
        self.today = ""
        self._told: frozenset[str] = frozenset()
        self._most = float("inf")
        self._sets: dict[str, int] = {}  # by date
        self.overflowed = 0

    def __len__(self) -> int:
        return len(self._days)

    def values(self) -> Iterable[Day]:
        """Every day that is kept."""
        return self._days.values()

    def limit_sets(self, most: int) -> None:
        """Keep so many sets of labels apart on one date; `other` takes the rest."""
        self._most = most

    def of(self, labels: dict[str, str], date: str, now_s: float, now_ns: int) -> Day:
        """The day of a set of labels; above the limit, the one of `other`."""
        key = (*(labels[name] for name in _LABELS), date)
        day = self._days.get(key)
        if day is None and self._sets.get(date, 0) >= self._most:
            self.overflowed += 1
            key = (*[OTHER] * len(_LABELS), date)
            day = self._days.get(key)
        if day is None:
            self._sets[date] = self._sets.get(date, 0) + 1
            day = self._days[key] = Day(key, now_s, now_ns)
        return day

    def restore(self, key: DayKey, started_ns: int) -> Day:
        """A day that another process's sums had, begun when it was there."""
        self._sets[key[-1]] = self._sets.get(key[-1], 0) + 1
        day = self._days[key] = Day(key, 0.0, started_ns)
        return day

    def told(self) -> Iterator[Day]:
        """The days that are told, each set of labels under another weekday."""
        return (day for day in self._days.values() if day.key[-1] in self._told)

    def turn(self, today: str, now_s: float) -> tuple[list[Day], set[Day]]:
        """Go on to the date `today`: the days that are told no more, and those that are let go of."""
        if today == self.today:
            return [], set()
        told = frozenset(told_on(today))
        gone = [day for day in self._days.values() if day.date in self._told - told]
        self.today, self._told = today, told
        over_s, first = now_s - _KEPT_S, min(told)
        old = {day for day in self._days.values() if day.date < first and day.began_s < over_s}
        if old:
            self._days = {key: day for key, day in self._days.items() if day not in old}
            for day in old:
                self._sets[day.date] -= 1
            self._sets = {date: count for date, count in self._sets.items() if count}
        return gone, old

    def clear(self) -> None:
        """Start from zero."""
        self._days.clear()
        self._sets.clear()
        self.overflowed = 0


@functools.lru_cache(16)
def weekday(word: str) -> str:
    """The weekday of a date `YYYYMMDD`: `1` (Monday) to `7`."""
    return str(_date(word).isoweekday())


def told_on(today: str) -> Iterator[str]:
    """The dates that are told on a date: it, the three before, and the next, as a clock may be set back over midnight."""
    for number in range(-DAYS_TOLD_AFTER, 2):
        yield (_date(today) + timedelta(days=number)).isoformat().replace("-", "")


def _date(word: str) -> date:
    return date(int(word[:4]), int(word[4:6]), int(word[6:]))
