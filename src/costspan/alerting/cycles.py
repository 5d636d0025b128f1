"""A month that begins on another day than the first, in PromQL: the sum of its days, each read from the counters of days.

`budgets/periods.py` says what such a month is: where it has no such day it begins on its last one. The day is read as far back as
it was told (docs/decisions/0022-days-and-months.md), which is a lot for thirty of them. So days of which nothing more can come are
recorded by a group of its own, less often, under their dates: docs/decisions/0195-months-from-another-day.md.
"""

from __future__ import annotations

from typing import Final

from costspan.alerting import calendar
from costspan.alerting.literals import selector
from costspan.alerting.series import (
    CURRENT_CYCLE,
    CYCLE_LENGTH,
    CYCLE_OVER,
    DAYS_AGO,
    EVERY_LABEL,
    LOCAL_TIME,
    PERIOD_LABEL,
    WEEKDAY_LABEL,
    Series,
)
from costspan.alerting.spend import TODAY_H, total
from costspan.names import Metric

#: How often the days are read of which nothing more can come.
INTERVAL: Final = "10m"
#: The longest of these months has so many days.
_LONGEST: Final = 31
# Today and so many days before it are read at each evaluation. Of the last of these nothing more can come: the other group reads it,
# too, so that it has recorded the day when that becomes one day older.
_RECENT: Final = 4
# All samples of a day that is told for three days after it, with three hours for changes of the clock and the rules' own delay, and
# no sample of the same weekday of another week.
_WHOLE_H: Final = 126
_SPARE_H: Final = 3
# Prometheus may have been away: what was recorded of a day stays true.
_KEPT: Final = "1d"
_DAY_S: Final = 86_400


def days_ago() -> str:
    """PromQL: how many days ago each date was."""
    return "\nor ".join(f"{calendar.day(LOCAL_TIME.name, ago)} * {ago}" for ago in range(_LONGEST))


def recent_days(metric: Metric, past: Series) -> str:
    """PromQL: the spend of each of the last 31 days by its date: the last ones of the counter, the others as they were recorded."""
    last = [_day(metric, ago) for ago in range(_RECENT + 1)]
    return "\nor\n".join([*last, f"max_over_time({past.name}[{_KEPT}])\nand on ({PERIOD_LABEL}) {DAYS_AGO.name}"])


def past_days(metric: Metric) -> str:
    """PromQL: the spend of each day by its date of which nothing more can come."""
    return "\nor\n".join(_day(metric, ago) for ago in range(_RECENT, _LONGEST))


def _day(metric: Metric, ago: int) -> str:
    """PromQL: the spend of a day, labelled with its date: what the series of its weekday reached while it was told."""
    whole = f"[{TODAY_H + 24 * ago}h]" if ago <= _RECENT else f"[{_WHOLE_H}h] offset {24 * (ago - _RECENT) - _SPARE_H}h"
    reached = f"max_over_time({metric.prometheus}{whole})"
    spent = total(f"{reached}\nand on ({WEEKDAY_LABEL}) {calendar.any_weekday(LOCAL_TIME.name, ago)}")
    return f"{spent}\n* on () group_left ({PERIOD_LABEL}) {calendar.day(LOCAL_TIME.name, ago)}"


def this_cycle(days: Series, name: str) -> str:
    """PromQL: the spend of the month of that name, labelled with its first day. Zero for those who spent before it alone."""
    inside = f"{days.name}\nand on ({PERIOD_LABEL}) {DAYS_AGO.name} <= on () group_left () {_of(CYCLE_OVER, name)}"
    spent = total(f"{inside}\nor {days.name} * 0")
    return f"{spent}\n* on () group_left ({PERIOD_LABEL}) {_of(CURRENT_CYCLE, name)}"


def over(day: int, local: str) -> str:
    """PromQL: how many days of the month from that day are over: 0 on its first day."""
    today = f"day_of_month({local})"
    before = f"day_of_month({local} - {today} * {_DAY_S})"  # the last day of the month before: how long that was
    start, earlier = _on(day, f"days_in_month({local})"), _on(day, before)
    return f"{today} - {start}\n+ ({today} < bool {start}) * ({before} - {earlier} + {start})"


def current(name: str, local: str) -> str:
    """PromQL: one series with the first day of the month of that name as `llm_period`, e.g. `20261115`."""
    return calendar.day(_start(name, local))


def length(day: int, name: str, local: str) -> str:
    """PromQL: how many days the month from that day has."""
    start = _start(name, local)
    left = f"days_in_month({start}) - day_of_month({start})"
    following = f"days_in_month({start} + ({left} + 1) * {_DAY_S})"
    return f"{left} + {_on(day, following)}"


def elapsed(name: str, local: str) -> str:
    """PromQL: the part of it that is over, 0 to 1, by the clock on the wall."""
    return f"({_of(CYCLE_OVER, name)} * {_DAY_S} + on () {local} % {_DAY_S}) / on () ({_of(CYCLE_LENGTH, name)} * {_DAY_S})"


def an_hour(name: str) -> str:
    """PromQL behind the spend of an hour: what a whole month of such hours spends."""
    return f"\n* on () group_left () {_of(CYCLE_LENGTH, name)} * 24"


def _start(name: str, local: str) -> str:
    return f"({local} - on () {_of(CYCLE_OVER, name)} * {_DAY_S})"


def _on(day: int, length: str) -> str:
    """PromQL: that day of a month of so many days, or its last one."""
    return f"clamp_max({length}, {day})"


def _of(series: Series, name: str) -> str:
    return selector(series.name, **{EVERY_LABEL: name})
