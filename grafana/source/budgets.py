"""Budgets: month and day to date against the limits, where the pace leads, what burns. From the compiled budgets.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from grafana.source import signals
from grafana.source.dashboard import Dashboard, Row
from grafana.source.panels import BLUE, GREEN, RED, YELLOW, Look, figure, gauge, lines, table
from grafana.source.promql import title
from grafana.source.signals import COUNT, PLAIN, SHARE, Signal

from costspan.alerting.series import BUDGET_LABEL, EVERY_LABEL, WINDOW_LABEL
from costspan.budgets.policy import DIMENSIONS, USD
from costspan.names import prometheus_label

_NO_RULES: Final = "no spend yet, or no rules: see docs/budgets.md"
_DIMENSION: Final = {prometheus_label(name): title(word) for word, name in DIMENSIONS.items()}


def dashboard(budgets: Mapping[str, Any]) -> Dashboard:
    """The dashboard of a budgets.json."""
    look = Look(nothing=_NO_RULES)
    now = [
        figure("This month", "To date, in the budget time zone.", (signals.THIS_MONTH,), 6, look),
        figure("Today", "To date, in the budget time zone.", (signals.TODAY,), 6, look),
        figure("Last hour", "What arrived in the last hour.", (signals.LAST_HOUR,), 6, look),
        gauge("How much of the period is over", "Day and month.", (signals.PERIOD_OVER,), 6, look),
    ]
    each = sorted({one["each_label"] for one in budgets["budgets"] if one["each_label"]})
    keys = {BUDGET_LABEL: "Budget", EVERY_LABEL: "Period", **{label: _DIMENSION[label] for label in each}}
    used = f"max by ({', '.join(keys)})"
    columns = [one._replace(expression=f"{used} ({one.expression})")
               for one in (signals.USED, signals.PROJECTED, signals.BURN)]  # fmt: skip
    spenders = table(
        "What burns", "The twenty that spend most in each column.", _DIMENSION, signals.SPENDERS, order="This month",
    )  # fmt: skip
    rows = [
        Row(5, now),
        Row(9, [table("All budgets", "The fullest first.", keys, columns, order="Used", look=Look(nothing=_NO_RULES))]),
        Row(10, [spenders]),
        *(row for one in budgets["budgets"] for row in _rows(one)),
    ]
    said = "Spend of the current day and month against budgets.yaml, whatever the time range says."
    return Dashboard("budgets", "Budgets", said, rows, time_zone=budgets["time_zone"], start="now-24h")


def _rows(one: Mapping[str, Any]) -> Iterator[Row]:
    legend = f"{{{{{one['each_label']}}}}}" if one["each_label"] else ""
    unit = signals.USD if one["unit"] == USD else COUNT
    ask = one["queries"]
    spent = Signal("Spent", unit, "In the period so far.", ask["spend"], legend)
    limit = Signal("Limit", unit, "By budgets.yaml.", ask["limit"])
    used = Signal("Used", SHARE, "Spend by limit.", ask["used"], legend or "used")
    end = Signal("At the end", SHARE, "At this pace.", ask["projected"], legend or "at the end")
    pace = Signal("Pace", PLAIN, "1 is evenly.", ask["burn"], f"{legend} {{{{{WINDOW_LABEL}}}}}".strip())
    steps = _steps(one["thresholds"])
    so_far, fill = f"no spend this {one['period']}", Look(steps=steps, nothing=f"no spend this {one['period']}")
    said = f"Owner: {one['owner'] or 'nobody'}. Thresholds: {', '.join(one['thresholds'])} %."
    yield Row(7, [
        figure("Spent and limit", said, (spent, limit), 6, Look(nothing=so_far)),
        gauge("Used", said, (used,), 6, fill),
        gauge("At the end, at this pace", said, (end,), 6, fill),
        lines("Pace", "How many times faster than evenly, by window.", (pace,), 6, Look(nothing=so_far)),
    ], one["title"])  # fmt: skip


def _steps(thresholds: list[str]) -> list[tuple[float | None, str]]:
    """Green at first; yellow from the first threshold, red from 100 % or the last."""
    shares = [float(percent) / 100 for percent in thresholds]
    red = min([one for one in shares if one >= 1], default=shares[-1])
    steps: list[tuple[float | None, str]] = [(None, GREEN if len(shares) > 1 or shares[0] < red else BLUE)]
    if shares[0] < red:
        steps.append((shares[0], YELLOW))
    return [*steps, (red, RED)]
