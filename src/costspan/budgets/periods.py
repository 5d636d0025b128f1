"""The periods that a limit may be for: one record each. What Prometheus needs of them stands in `alerting/periods.py`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final, NamedTuple

from costspan.facts.periods import NS_PER_S


class Period(NamedTuple):
    """A stretch of the calendar that comes again. All three functions take what the clock on the wall shows.

    `label` names the period around a moment (the label `llm_period`), `start` gives its first moment, `end` the first
    moment after it, of its start.
    """

    name: str
    label: Callable[[datetime], str]
    start: Callable[[datetime], datetime]
    end: Callable[[datetime], datetime]

    def around(self, zone: tzinfo, now_ns: int) -> tuple[str, int, int, float]:
        """Label, first and last (exclusive) nanosecond, and the part that is over by the clock on the wall: the rules'
        own reckoning, so that both project alike.
        """
        local = datetime.fromtimestamp(now_ns // NS_PER_S, zone).replace(tzinfo=None)
        start = self.start(local)
        end = self.end(start)
        return self.label(local), _ns(start, zone), _ns(end, zone), (local - start) / (end - start)


def _ns(wall: datetime, zone: tzinfo) -> int:
    """The first moment at which the wall clock shows this time, or passes it."""
    return round(wall.replace(tzinfo=zone).astimezone(timezone.utc).timestamp()) * NS_PER_S


def _midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _next_day(start: datetime) -> datetime:
    return start + timedelta(days=1)


def _first_of_month(local: datetime) -> datetime:
    return _midnight(local).replace(day=1)


def _next_month(start: datetime) -> datetime:
    return (start + timedelta(days=31)).replace(day=1)


DAY: Final = Period("day", "{:%Y%m%d}".format, start=_midnight, end=_next_day)
MONTH: Final = Period("month", "{:%Y%m}".format, start=_first_of_month, end=_next_month)
#: By the word that stands in budgets.yaml.
PERIODS: Final = {period.name: period for period in (DAY, MONTH)}
