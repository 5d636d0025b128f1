"""Exact spend in PromQL, from counters that every process counts up from zero under an identity of its own.

As no series ever resets, its last value is all it ever spent, and the difference of two of its values is what it
spent between them. `increase()` guesses at the edges of its window instead: its error was -67 % to +15 %.
"""

from __future__ import annotations

from typing import Final

from costspan.budgets.series import (
    CURRENT_DAY,
    CURRENT_MONTH,
    CURRENT_WEEKDAY,
    DIMENSION_LABELS,
    PERIOD_LABEL,
    WEEKDAY_LABEL,
)
from costspan.names import DIRECTION, INPUT_TOKENS, OUTPUT_TOKENS, Metric, prometheus_label

#: The windows in which the pace of spending is measured.
WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d")
_DIRECTION: Final = prometheus_label(DIRECTION)

# A month is at most 31 days and one hour long.
_MONTH: Final = "32d"
# A day is at most 26 hours long (Antarctica/Troll), so that a sample older than 27 hours is from before today ...
_TODAY: Final = "27h"
# ... and one younger than five days is from after the end of this weekday's last occurrence, with all calls of that
# day that ended up to 23 hours late: what a weekday's series showed then is what it stood at when today began.
_BEFORE_TODAY: Final = "93h"
# How long a gap in the telemetry may be before a process that was silent is taken for a new one.
_LONGEST_GAP: Final = "1d"


def indented(expression: str) -> str:
    """The expression, every line two spaces further in."""
    return "  " + expression.replace("\n", "\n  ")


def total(expression: str, *more: str) -> str:
    """PromQL: the sum of an expression by the labels that budgets know, and by `more`."""
    return f"sum by ({', '.join([*DIMENSION_LABELS, *more])}) (\n{indented(expression)}\n)"


def last_minus_start(selector: str, window: str, before: str = _LONGEST_GAP) -> str:
    """PromQL: by how much each series grew in the window. A series that began in it grew from zero."""
    last = f"last_over_time({selector}[{window}])"
    return f"{last}\n- (\n  last_over_time({selector}[{before}] offset {window})\n  or {last} * 0\n)"


def this_month(metric: Metric) -> str:
    """PromQL: the spend of the current month: the last values of the series that carry its label."""
    spent = f"last_over_time({metric.prometheus}[{_MONTH}])\nand on ({PERIOD_LABEL}) {CURRENT_MONTH.name}"
    return total(spent, PERIOD_LABEL)


def today(metric: Metric) -> str:
    """PromQL: the spend of the current day, labelled with it.

    The series of this weekday, less what they stood at when the day began. They have not moved in the six days
    before, so the time of that reading does not matter, and a day with a change of clock is a day like others.
    """
    grown = last_minus_start(metric.prometheus, _TODAY, _BEFORE_TODAY)
    spent = total(f"(\n{indented(grown)}\n)\nand on ({WEEKDAY_LABEL}) {CURRENT_WEEKDAY.name}")
    return f"{spent}\n* on () group_left ({PERIOD_LABEL}) {CURRENT_DAY.name}"


def window(metric: Metric, length: str) -> str:
    """PromQL: the spend of the window of time up to now."""
    return total(last_minus_start(metric.prometheus, length))


def _input_and_output(of_input: str, of_output: str, *more: str) -> str:
    """PromQL: the sum of both, also where one of them is missing."""
    inner = "\nor\n".join(
        f'label_replace(\n{indented(side)},\n  "{_DIRECTION}", "{word}", "", ""\n)'
        for word, side in (("input", of_input), ("output", of_output))
    )
    return total(inner, *more)


def tokens_this_month() -> str:
    """PromQL: input and output tokens of the current month."""
    return _input_and_output(this_month(INPUT_TOKENS), this_month(OUTPUT_TOKENS), PERIOD_LABEL)


def tokens_window(length: str) -> str:
    """PromQL: input and output tokens of the window of time up to now."""
    return _input_and_output(window(INPUT_TOKENS, length), window(OUTPUT_TOKENS, length))
