"""The periods in PromQL: one record for each of `budgets/periods.py`, which is all that a new one needs beside its series."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from costspan.alerting import calendar, cycles, spend
from costspan.alerting.rule import CRITICAL, WARNING
from costspan.alerting.series import (
    CURRENT_CYCLE,
    CURRENT_DAY,
    CURRENT_MONTH,
    CURRENT_WEEK,
    CYCLE_LENGTH,
    CYCLE_OF,
    CYCLE_OVER,
    DAYS_OF,
    EVERY_LABEL,
    LOCAL_TIME,
    PERIOD_LABEL,
    REQUESTS_DAY,
    REQUESTS_MONTH,
    REQUESTS_WEEK,
    SPEND_DAY,
    SPEND_MONTH,
    SPEND_WEEK,
    TOKENS_DAY,
    TOKENS_MONTH,
    TOKENS_WEEK,
    WEEKDAY_LABEL,
    Series,
)
from costspan.budgets import periods
from costspan.budgets.policy import REQUESTS, TOKENS, USD
from costspan.facts.call import OK, REFUSED
from costspan.names import (
    COST_USD,
    DAY_COST_USD,
    DAY_REQUESTS,
    DAY_TOKENS,
    DIRECTION,
    INPUT_TOKENS,
    OUTCOME,
    OUTPUT_TOKENS,
    Metric,
    prometheus_label,
)
from costspan.names import REQUESTS as CALLS


class Pace(NamedTuple):
    """Spending `factor` times faster than evenly, over the long window and still in the short one.

    `kept` is how long the alert stays after that: as long as the next slower pace, which it silences, still sees the
    same spending in its short window. And a burst that comes again within it is no news.
    """

    factor: str
    long: str
    short: str
    severity: str
    kept: str


class Example(NamedTuple):
    """What the rule tests write of a period, on Saturday 1970-01-03: the counters of a unit with labels that they carry,
    the label by which the counters know the period, its value then and in the period before (empty where nothing of that is told
    any more), and the period's own label.
    `earlier` are the values of what else is in the period: the days of the week before Saturday. `uncounted` are labels by unit
    with which the first of its counters counts nothing of a budget.
    """

    counters: Mapping[str, tuple[tuple[Metric, Mapping[str, str]], ...]]
    label: str
    now: str
    before: str
    period: str
    earlier: tuple[str, ...] = ()
    uncounted: Mapping[str, tuple[Mapping[str, str], ...]] = {}


class PeriodRules(NamedTuple):
    """What the rules of a period are made of.

    `current` is the series that is 1 for the current period, `is_current` and `elapsed` are PromQL of the local time,
    `spent` has the series of each unit and its PromQL. `an_hour` turns the spend of a window into that of a whole period
    of as many hours (PromQL behind the spend). `forecast_from` is the part of a period that has to be over before its pace
    says something about its end, and how long it has to say so. Panels read `is_on_panels`; the others are recorded where a
    budget is for them. `labels` tell its series from those of a period that shares them, `before` are series of the calendar that
    come before the others, by PromQL of the local time; `is_of_days` says that `spent` reads the recorded spend of single days.
    """

    name: str
    current: Series
    is_current: Callable[[str], str]
    elapsed: Callable[[str], str]
    spent: Mapping[str, tuple[Series, str]]
    an_hour: str
    paces: tuple[Pace, ...]
    forecast_from: tuple[str, str]
    example: Example
    is_on_panels: bool = True
    labels: Mapping[str, str] = {}
    before: tuple[tuple[Series, Callable[[str], str]], ...] = ()
    is_of_days: bool = False


_OUTCOME: Final = prometheus_label(OUTCOME)
# After the Google SRE workbook, chapter "Alerting on SLOs": 2 % of a month's limit in an hour, 5 % in six hours,
# 10 % in a day. Of a day's limit: a quarter in an hour; of a week's, a fifth in six hours.
_MONTH: Final = PeriodRules(
    periods.MONTH.name,
    CURRENT_MONTH,
    calendar.month,
    calendar.month_elapsed,
    {
        USD: (SPEND_MONTH, spend.this_month(COST_USD)),
        TOKENS: (TOKENS_MONTH, spend.tokens_this_month()),
        REQUESTS: (REQUESTS_MONTH, spend.calls_this_month()),
    },
    f"\n* on () group_left () days_in_month({LOCAL_TIME.name}) * 24",
    (
        Pace("14.4", "1h", "5m", CRITICAL, "30m"),
        Pace("6", "6h", "30m", WARNING, "2h"),
        Pace("3", "1d", "2h", WARNING, "2h"),
    ),
    ("0.1", "1h"),
    Example(
        {
            USD: ((COST_USD, {}),),
            TOKENS: ((INPUT_TOKENS, {}), (OUTPUT_TOKENS, {})),
            REQUESTS: ((CALLS, {_OUTCOME: OK}),),
        },
        PERIOD_LABEL,
        "197001",
        "196912",
        "197001",
        uncounted={REQUESTS: ({_OUTCOME: REFUSED},)},
    ),
)
#: The counters that tell days apart, and what the rule tests write of them.
OF_DAYS: Final[Mapping[str, Metric]] = {USD: DAY_COST_USD, TOKENS: DAY_TOKENS, REQUESTS: DAY_REQUESTS}
_EXAMPLE_OF_DAYS: Final[Mapping[str, tuple[tuple[Metric, Mapping[str, str]], ...]]] = {
    USD: ((DAY_COST_USD, {}),),
    TOKENS: ((DAY_TOKENS, {prometheus_label(DIRECTION): "input"}),),
    REQUESTS: ((DAY_REQUESTS, {}),),
}
_DAY: Final = PeriodRules(
    periods.DAY.name,
    CURRENT_DAY,
    calendar.day,
    calendar.day_elapsed,
    {
        USD: (SPEND_DAY, spend.today(DAY_COST_USD)), TOKENS: (TOKENS_DAY, spend.today(DAY_TOKENS)),
        REQUESTS: (REQUESTS_DAY, spend.today(DAY_REQUESTS)),
    },
    " * 24",
    (Pace("6", "1h", "5m", WARNING, "30m"),),
    ("0.25", "15m"),
    Example(
        _EXAMPLE_OF_DAYS, WEEKDAY_LABEL, "6", "5", "19700103",
    ),
)  # fmt: skip
_WEEK: Final = PeriodRules(
    periods.WEEK.name,
    CURRENT_WEEK,
    calendar.week,
    calendar.week_elapsed,
    {
        USD: (SPEND_WEEK, spend.this_week(DAY_COST_USD)), TOKENS: (TOKENS_WEEK, spend.this_week(DAY_TOKENS)),
        REQUESTS: (REQUESTS_WEEK, spend.this_week(DAY_REQUESTS)),
    },
    " * 168",
    (Pace("6", "6h", "30m", WARNING, "2h"),),
    ("0.2", "1h"),
    Example(
        _EXAMPLE_OF_DAYS, WEEKDAY_LABEL, "6", "7", "1970W01", ("1", "2", "3", "4", "5"),
    ),
    is_on_panels=False,
)  # fmt: skip
#: By the name of the period, in the order in which rules are written.
PERIOD_RULES: Final = {rules.name: rules for rules in (_MONTH, _DAY, _WEEK)}
# Friday to Tuesday, the days before the example's Saturday that are read at each evaluation.
_EARLIER: Final = ("5", "4", "3", "2")


def of(name: str) -> PeriodRules | None:
    """What the rules of a period are made of; None where there can be none."""
    word, _, day = name.partition("-")
    return PERIOD_RULES.get(name) or (_cycle(int(day)) if day and word == periods.MONTH.name else None)


def rules_of(name: str) -> PeriodRules:
    """What the rules of a period are made of. Raises KeyError where there can be none."""
    if (found := of(name)) is None:
        raise KeyError(name)
    return found


@functools.lru_cache(31)
def _cycle(day: int) -> PeriodRules:
    """The month that begins on another day than the first: paced and forecast like any other."""
    name = periods.month_from(day).name
    return _MONTH._replace(
        name=name,
        current=CURRENT_CYCLE,
        is_current=functools.partial(cycles.current, name),
        elapsed=functools.partial(cycles.elapsed, name),
        spent={unit: (CYCLE_OF[unit], cycles.this_cycle(days, name)) for unit, days in DAYS_OF.items()},
        an_hour=cycles.an_hour(name),
        example=_example_of_cycle(day),
        is_on_panels=False,
        labels={EVERY_LABEL: name},
        before=(
            (CYCLE_OVER, functools.partial(cycles.over, day)),
            (CYCLE_LENGTH, functools.partial(cycles.length, day, name)),
        ),
        is_of_days=True,
    )


def _example_of_cycle(day: int) -> Example:
    """Friday and the days before it are in the month, as far as it had begun by then."""
    saturday, period = datetime(1970, 1, 3), periods.month_from(day)  # noqa: DTZ001 - the wall clock's
    inside = min((saturday - period.start(saturday)).days, len(_EARLIER))
    before = [*_EARLIER, ""][inside]  # no day before these is told on Saturday
    return Example(_EXAMPLE_OF_DAYS, WEEKDAY_LABEL, "6", before, period.label(saturday), _EARLIER[:inside])
