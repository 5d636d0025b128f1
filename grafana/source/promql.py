"""The words in which panels ask Prometheus: exact growth, by day, by step, shares.

Money never goes through `increase()` or `rate()`: they guess at the edges of their window. Here the highest value of a
series less that at the start is what it grew by, because no series of ours resets (see costspan/alerting/spend.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from costspan.alerting import calendar
from costspan.alerting.series import WEEKDAY_LABEL
from costspan.alerting.spend import difference, growth, indented
from costspan.budgets.policy import COUNTED_DIMENSIONS
from costspan.facts.attribution_words import SOURCE, TASK_TYPE, TEAM
from costspan.names import REQUESTS, UNKNOWN, WEEKDAY, Metric, prometheus_label

#: The dashboard's time range, and the step of a graph, as Grafana fills them in.
RANGE: Final = "$__range"
STEP: Final = "$__interval"
_RANGE_S: Final = "$__range_s"
# `@ end()` would be the last step, for days the midnight before.
_AT_THE_END: Final = "@ ${__to:date:seconds}"

# For how long a process may have been silent around the beginning of the time range and still be the same one: a
# laptop that sleeps over the weekend, or over a week of holidays.
_LONGEST_SILENCE: Final = "8d"
# How far back a step looks for what a series had before it.
_BEFORE_A_STEP: Final = "1d"
#: How long a session may have been idle and still be the same one. Its counters are sent only when they change.
LONGEST_IDLE: Final = "30d"

# A day is told for three days after its end (costspan/metrics/days.py). Those in which it is told, and a day before, for a
# reader who is hours away from the budget time zone: the same weekday is not told in them for any other day.
_DAY: Final = "[5d] offset -4d"
# Grafana puts a day's bar at the midnight of its own time zone. 13 hours later UTC has the same date, for every zone from
# more than 11 hours behind UTC to 13 hours ahead of it: no panel has to know the zone.
_SAME_DATE_S: Final = 13 * 3_600


class Filters(tuple[str, ...]):
    """The filters that a dashboard offers: words of `COUNTED_DIMENSIONS`, each a variable of the same name."""

    __slots__ = ()

    def matchers(self, metric: Metric) -> list[str]:
        """The matchers of a metric; a ValueError where it lacks the label, because a panel would ignore a filter."""
        for word in self:
            if COUNTED_DIMENSIONS[word] not in metric.labels:
                raise ValueError(
                    f"{metric.name} has no {COUNTED_DIMENSIONS[word]}: it cannot be shown under the filter {word!r}"
                )
        return [f'{prometheus_label(COUNTED_DIMENSIONS[word])}=~"${word}"' for word in self]


NO_FILTERS: Final = Filters()
ALL_FILTERS: Final = Filters(("provider", "model", TEAM, SOURCE, TASK_TYPE))
#: What the session counters carry as well.
SESSION_FILTERS: Final = Filters(("model", SOURCE, TASK_TYPE))


def title(word: str) -> str:
    """A word of `COUNTED_DIMENSIONS` as people read it."""
    return word.replace("_", " ").capitalize()


def labels(attributes: Sequence[str]) -> str:
    """PromQL: a list of labels."""
    return ", ".join(map(prometheus_label, attributes))


def equal(attribute: str, value: str) -> str:
    """PromQL: the label has this value."""
    return f'{prometheus_label(attribute)}="{value}"'


def known(attribute: str) -> str:
    """PromQL: somebody said a value."""
    return f'{prometheus_label(attribute)}!~"|{UNKNOWN}"'


def selector(metric: Metric, filters: Filters = NO_FILTERS, *more: str, ends: str = "") -> str:
    """PromQL: the series of a metric under the filters. `ends` is `_bucket` or `_count` of a histogram."""
    matchers = ", ".join([*more, *filters.matchers(metric)])
    return f"{metric.prometheus}{ends}{{{matchers}}}" if matchers else f"{metric.prometheus}{ends}"


def total(expression: str, *by: str) -> str:
    """PromQL: the sum, by attributes."""
    return f"sum by ({labels(by)}) (\n{indented(expression)}\n)" if by else f"sum (\n{indented(expression)}\n)"


def grown(series: str, *by: str, window: str = RANGE) -> str:
    """PromQL: by how much the series grew in the window."""
    return total(growth(series, window, _LONGEST_SILENCE) if window == RANGE else growth(series, window), *by)


def in_sessions(series: str, *by: str) -> str:
    """PromQL: by how much session series grew in the time range.

    They are sent only when they change, so the start is looked for far back. A session that was dropped and came
    back begins at zero again: what stands below the start is taken whole, which makes the figure a lower bound.
    """
    last = f"last_over_time({series}[{RANGE}])"
    start = f"last_over_time({series}[{LONGEST_IDLE}] offset {RANGE}) <= {last}"
    return total(f"{last}\n- (\n  ({start})\n  or {last} * 0\n)", *by)


def in_steps(series: str, *by: str) -> str:
    """PromQL: by how much the series grew in the step that begins with each point: the last one is still going on."""
    return total(in_step(series), *by)


def in_step(series: str) -> str:
    """PromQL: the same for each series."""
    return difference(f"max_over_time({series}[{STEP}] offset -{STEP})", f"max_over_time({series}[{_BEFORE_A_STEP}])")


def in_days(metric: Metric, filters: Filters, *by: str) -> str:
    """PromQL: what was spent on the day that begins with each step, by the day that the calls carry themselves."""
    if WEEKDAY not in metric.labels:
        raise ValueError(f"{metric.name} has no {WEEKDAY}: it cannot be shown by day")
    reached = f"max_over_time({selector(metric, filters)}{_DAY})"
    weekday = calendar.weekday(f"vector(time() + {_SAME_DATE_S})")
    return total(f"{reached}\nand on ({WEEKDAY_LABEL}) {weekday}", *by)


def where_several(expression: str, series: str, by: str) -> str:
    """PromQL: the expression at each step where more than one value of an attribute grew in the whole time range."""
    start = f"max_over_time({series}[{_LONGEST_SILENCE}] {_AT_THE_END} offset {RANGE})"
    grew = total(difference(f"max_over_time({series}[{RANGE}] {_AT_THE_END})", start), by)
    return f"{expression}\nand on () count (\n{indented(grew)}\n  > 0\n) > 1"


def covered_days() -> str:
    """PromQL: the days of the time range from the first telemetry on (to the hour), and never less than one.

    An average by them is neither blown up from an hour to a day nor thinned out by the time before costspan was there.
    """
    first = f"min_over_time((group (last_over_time({REQUESTS.prometheus}[1h])) * 0 + time())[{RANGE}:1h] offset -1h)"
    before = f"group (last_over_time({REQUESTS.prometheus}[{_LONGEST_SILENCE}] offset {RANGE}))"
    since = f"time() - {first} + 3600 unless {before}\nor vector({_RANGE_S})"
    return f"clamp_min(\n  clamp_max(\n{indented(indented(since))},\n    {_RANGE_S}\n  ) / 86400,\n  1\n)"


def share(part: str, whole: str) -> str:
    """PromQL: part of a whole that is more than zero."""
    return f"{part}\n/ on () group_left () (\n{indented(whole)}\n  > 0\n)"


def ratio(part: str, whole: str) -> str:
    """PromQL: a quotient, label by label, where there is something to divide by."""
    return f"{part}\n/ (\n{indented(whole)}\n  > 0\n)"


def quantile(part: float, buckets: str) -> str:
    """PromQL: the value below which this part of the histogram lies; nothing where the histogram has nothing."""
    return f"histogram_quantile({part}, {buckets}) >= 0"
