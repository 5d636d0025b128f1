"""The spend of one day, and how long it is told.

A day is told under its weekday, so that seven values are enough for ever. Every sample that a process sends under a
weekday is the spend of one single day, because the day is told for three days only: the query needs no start to
subtract, and a process may be silent for a week and go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from costspan.facts import usage as units
from costspan.facts.call import Call
from costspan.facts.money import Cost

#: For how many days after its end a day is told: late calls, and a process that could not report meanwhile. With five
#: or more, a query that looks 27 hours back could meet the same weekday of the week before.
DAYS_TOLD_AFTER: Final = 3


class Day:
    """What one set of labels spent on one day, told under its weekday. Money in nano-USD."""

    __slots__ = ("began_s", "date", "input", "labels", "nano_usd", "output")

    def __init__(self, labels: dict[str, str], date: str, began_s: float) -> None:
        self.labels = labels
        self.date = date
        self.began_s = began_s
        self.nano_usd = self.input = self.output = 0

    def add(self, call: Call) -> None:
        """Add one call."""
        if isinstance(call.price, Cost):
            self.nano_usd += call.price.nano_usd
        usage = call.answer.usage
        if usage is not None:
            self.input += usage.counts.get(units.INPUT, 0)
            self.output += usage.counts.get(units.OUTPUT, 0)


def weekday(word: str) -> str:
    """The weekday of a date `YYYYMMDD`: `1` (Monday) to `7`."""
    return str(_date(word).isoweekday())


def told_on(today: str) -> Iterator[str]:
    """The dates that are told on a date: it, the three before, and the next, as a clock may be set back over midnight."""
    for number in range(-DAYS_TOLD_AFTER, 2):
        yield (_date(today) + timedelta(days=number)).isoformat().replace("-", "")


def _date(word: str) -> date:
    return date(int(word[:4]), int(word[4:6]), int(word[6:]))
