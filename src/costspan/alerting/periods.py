"""The periods in PromQL: one record for each of `budgets/periods.py`, which is all that a new one needs beside its series."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from costspan.alerting import calendar, spend
from costspan.alerting.rule import CRITICAL, WARNING
from costspan.alerting.series import (
    CURRENT_DAY,
    CURRENT_MONTH,
    CURRENT_WEEK,
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
    the label by which the counters know the period, its value then and in the period before, and the period's own label.
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
    budget is for them.
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
#: The counters that tell days apart.
_OF_DAYS: Final[Mapping[str, tuple[tuple[Metric, Mapping[str, str]], ...]]] = {
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
        _OF_DAYS, WEEKDAY_LABEL, "6", "5", "19700103",
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
        _OF_DAYS, WEEKDAY_LABEL, "6", "7", "1970W01", ("1", "2", "3", "4", "5"),
    ),
    is_on_panels=False,
)  # fmt: skip
#: By the name of the period, in the order in which rules are written.
PERIOD_RULES: Final = {rules.name: rules for rules in (_MONTH, _DAY, _WEEK)}
