"""Exact spend in PromQL, from counters that every process counts up from zero under an identity of its own.

As no series ever resets, the highest value of a series is all it ever spent, and the difference of two such values is
what it spent between them. The highest and not the newest: a host's clock may step back, and then the newest time has
an older value. `increase()` guesses at the edges of its window instead: its error was -67 % to +15 %.

What holds for which counter, and why, stands in docs/decisions/0022-days-and-months.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from costspan.alerting import calendar
from costspan.alerting.literals import differs, quoted, selector
from costspan.alerting.series import (
    CURRENT_DAY,
    CURRENT_MONTH,
    CURRENT_WEEK,
    CURRENT_WEEKDAY,
    DIMENSION_LABELS,
    LOCAL_TIME,
    PERIOD_LABEL,
    WEEKDAY_LABEL,
)
from costspan.budgets.policy import REQUESTS, TOKENS, USD
from costspan.facts.call import REFUSED
from costspan.names import COST_USD, DIRECTION, INPUT_TOKENS, OUTCOME, OUTPUT_TOKENS, Metric, prometheus_label
from costspan.names import REQUESTS as CALLS

#: The windows in which the pace of spending is measured.
WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d")
_DIRECTION: Final = prometheus_label(DIRECTION)

# A month is at most 31 days and one hour long.
_MONTH: Final = "32d"
# A day is at most 26 hours long (Antarctica/Troll). A process tells a day for the three days after it, so that what it
# said of this weekday in the last 27 hours is of today, and not of the same weekday of last week.
TODAY_H: Final = 27
_TODAY: Final = f"{TODAY_H}h"
# How long a gap in the telemetry may be before a process that was silent is taken for a new one.
_LONGEST_GAP: Final = "1d"


def indented(expression: str) -> str:
    """The expression, every line two spaces further in."""
    return "  " + expression.replace("\n", "\n  ")


def summed(expression: str, labels: str = "") -> str:
    """PromQL: the sum of an expression, by these labels if any, on lines of its own."""
    return f"sum by ({labels}) (\n{indented(expression)}\n)" if labels else f"sum (\n{indented(expression)}\n)"


def total(expression: str, *more: str) -> str:
    """PromQL: the sum of an expression by the labels that budgets know, and by `more`."""
    return f"sum by ({', '.join([*DIMENSION_LABELS, *more])}) (\n{indented(expression)}\n)"


def growth(series: str, window: str, before: str = _LONGEST_GAP) -> str:
    """PromQL: by how much each series grew in the window. A series that began in it grew from zero.

    Never below zero: where a clock stepped back, the higher value may have the earlier time.
    """
    return difference(f"max_over_time({series}[{window}])", f"max_over_time({series}[{before}] offset {window})")


def difference(end: str, start: str) -> str:
    """PromQL: by how much each series grew from its value at the start, or from zero where it had none."""
    return f"clamp_min(\n  {end}\n  - (\n    {start}\n    or {end} * 0\n  ),\n  0\n)"


def scraped_growth(series: str, window: str) -> str:
    """PromQL: by how much each counter of a service grew in the window, roughly: it is for alerts, not for money.

    Such a counter begins at zero whenever the service is restarted, and many are not there before they count one.
    """
    return (
        f"last_over_time({series}[{window}]) unless last_over_time({series}[{_LONGEST_GAP}] offset {window})\n"
        f"or increase({series}[{window}])"
    )


def this_month(metric: Metric, *matchers: str) -> str:
    """PromQL: the spend of the current month: what the series that carry its label have reached."""
    spent = f"max_over_time({selector(metric.prometheus, *matchers)}[{_MONTH}])\nand on ({PERIOD_LABEL}) {CURRENT_MONTH.name}"
    return total(spent, PERIOD_LABEL)


def today(metric: Metric) -> str:
    """PromQL: the spend of the current day, labelled with it: what the series of this weekday have reached.

    Zero for those of whom only other days are known: they have spent nothing yet.
    """
    reached = f"max_over_time({metric.prometheus}[{_TODAY}])"
    spent = total(f"{reached}\nand on ({WEEKDAY_LABEL}) {CURRENT_WEEKDAY.name}\nor {reached} * 0")
    return f"{spent}\n* on () group_left ({PERIOD_LABEL}) {CURRENT_DAY.name}"


def this_week(metric: Metric) -> str:
    """PromQL: the spend of the current week, labelled with it: that of each of its days so far.

    A day of this week is asked for as far back as today is, and as many days further: what is so old of the same weekday
    was said before that day began, of a day that was last told three days after it.
    """
    days = [
        f"max_over_time({metric.prometheus}[{TODAY_H + 24 * ago}h])\n"
        f"and on ({WEEKDAY_LABEL}) {calendar.weekday(LOCAL_TIME.name, ago)}"
        for ago in range(7)
    ]
    nothing = f"max_over_time({metric.prometheus}[{_TODAY}]) * 0"
    spent = total("\nor\n".join([*(f"(\n{indented(day)}\n)" for day in days), nothing]))
    return f"{spent}\n* on () group_left ({PERIOD_LABEL}) {CURRENT_WEEK.name}"


def window(metric: Metric, length: str, *matchers: str) -> str:
    """PromQL: the spend of the window of time up to now."""
    return total(growth(selector(metric.prometheus, *matchers), length))


def _input_and_output(of_input: str, of_output: str, *more: str) -> str:
    """PromQL: the sum of both, also where one of them is missing."""
    inner = "\nor\n".join(
        f'label_replace(\n{indented(side)},\n  {quoted(_DIRECTION)}, {quoted(word)}, "", ""\n)'
        for word, side in (("input", of_input), ("output", of_output))
    )
    return total(inner, *more)


def tokens_this_month() -> str:
    """PromQL: input and output tokens of the current month."""
    return _input_and_output(this_month(INPUT_TOKENS), this_month(OUTPUT_TOKENS), PERIOD_LABEL)


def tokens_window(length: str) -> str:
    """PromQL: input and output tokens of the window of time up to now."""
    return _input_and_output(window(INPUT_TOKENS, length), window(OUTPUT_TOKENS, length))


# A call that a budget refused was not made.
_MADE: Final = differs(prometheus_label(OUTCOME), REFUSED)


def calls_this_month() -> str:
    """PromQL: the calls of the current month."""
    return this_month(CALLS, _MADE)


def calls_window(length: str) -> str:
    """PromQL: the calls of the window of time up to now."""
    return window(CALLS, length, _MADE)


def _cost_window(length: str) -> str:
    return window(COST_USD, length)


#: PromQL of a window of time up to now, by what is counted.
OF_WINDOW: Final[Mapping[str, Callable[[str], str]]] = {
    USD: _cost_window,
    TOKENS: tokens_window,
    REQUESTS: calls_window,
}
