"""Budgets: month and day to date against the limits, where the pace leads, what burns.

Everything is read from the series that the compiled rules record: names, limits, thresholds, owners. A budgets.yaml that is
compiled is shown, and no dashboard is written for it.
"""

from __future__ import annotations

from typing import Final

from grafana.source import signals
from grafana.source.dashboard import Dashboard, Row, choice, only
from grafana.source.panels import BLUE, NO_COLOUR, ORANGE, RED, Json, Look, bar, figure, gauge, highlight, lines, table
from grafana.source.promql import title

from costspan.alerting.series import BUDGET_LABEL, EVERY_LABEL, OWNER_LABEL
from costspan.budgets.policy import COUNTED_DIMENSIONS
from costspan.names import ANOMALY_KIND, BUDGET, TASK_TYPE, TEAM, THRESHOLD, prometheus_label

_NO_RULES: Final = Look(nothing="no spend yet, or no rules: see docs/budgets.md")
_NO_BUDGETS: Final = "no budgets: see docs/budgets.md"
_DIMENSION: Final = {prometheus_label(name): title(word) for word, name in COUNTED_DIMENSIONS.items()}
_KEYS: Final = {BUDGET_LABEL: "Budget", EVERY_LABEL: "Period", signals.EACH_LABEL: "For", OWNER_LABEL: "Owner"}
_ANOMALY: Final = {
    "job": "Job", prometheus_label(ANOMALY_KIND): "What", prometheus_label(TEAM): "Team", prometheus_label(TASK_TYPE): "Task type",
}  # fmt: skip
_CROSSING: Final = {"job": "Job", prometheus_label(BUDGET): "Budget", prometheus_label(THRESHOLD): "Threshold, %"}
_STATES: Final = {
    signals.BELOW: ("fine", NO_COLOUR),
    signals.ABOVE: ("threshold reached", ORANGE),
    signals.LAST: ("limit or last threshold", RED),
}
_AS_OF: Final = "As of the end of the time range"


def dashboard() -> Dashboard:
    """The dashboard."""
    to_date = f"{_AS_OF}, in the budget time zone."
    now = [
        figure("Month to date", to_date, (signals.MONTH_TO_DATE,), 6, _NO_RULES),
        figure("Day to date", to_date, (signals.DAY_TO_DATE,), 6, _NO_RULES),
        figure("Last hour", "What arrived in the last hour of the time range.", (signals.LAST_HOUR,), 6, _NO_RULES),
        gauge("How much of the period is over", to_date, (signals.PERIOD_OVER,), 6, _NO_RULES),
    ]
    spenders = table(
        "What burns", f"The twenty that spend most in each column. {_AS_OF}.", _DIMENSION, signals.SPENDERS,
        order="Month to date", look=_NO_RULES,
    )  # fmt: skip
    graphs = [
        lines("Used in the time range", "Of the limit, period by period.", (signals.USED_OVER_TIME,), look=_NO_RULES),
        lines("Pace in the time range", "How many times faster than evenly, by the hour before.",
              (signals.BURN_OVER_TIME,), look=_NO_RULES),
    ]  # fmt: skip
    anomalies = table(
        "Anomalies", f"{signals.ANOMALIES_FOUND.description} In the time range; `costspan anomalies` names them.", _ANOMALY,
        (signals.ANOMALIES_FOUND,), order=signals.ANOMALIES_FOUND.name,
        look=Look(nothing="none, or nobody watches: see docs/anomalies.md"),
    )  # fmt: skip
    crossings = table(
        "Told by programs",
        f"{signals.CROSSINGS_TOLD.description} In the time range; `costspan budgets status` says whose they are.", _CROSSING,
        (signals.CROSSINGS_TOLD,), order=signals.CROSSINGS_TOLD.name, look=Look(nothing="none, or no program obeys the file: see docs/enforcement.md"),
    )  # fmt: skip
    rows = [
        Row(5, now),
        Row(12, [_budgets()]),
        Row(9, graphs),
        Row(10, [spenders]),
        Row(7, [anomalies]),
        Row(7, [crossings]),
    ]
    said = "Spend of day and month against budgets.yaml, as of the end of the time range: now, if it ends now."
    chosen = [choice(signals.CHOSEN, signals.BUDGET_NAMES)]
    return Dashboard("budgets", "Budgets", said, rows, start="now-24h", refresh="1m", choices=chosen)


def _budgets() -> Json:
    """A row for each budget, or for each value that it stands for, coloured by its thresholds."""
    columns = (
        signals.USED, signals.STATE_OF_BUDGET, signals.CROSSED, signals.SPENT_USD, signals.OF_USD, signals.SPENT_TOKENS,
        signals.OF_TOKENS, signals.SPENT_CALLS, signals.OF_CALLS, signals.PROJECTED, signals.BURN,
    )  # fmt: skip
    full = ((None, BLUE), (1, RED))
    return table(
        "Budgets", f"The fullest first, with the colour of the thresholds that it has reached. {_AS_OF}.", _KEYS, columns,
        order="Used", look=Look(nothing=_NO_BUDGETS, steps=full, decimals={"Pace": 1}),
        cells={"Used": bar(), "At the end": bar(), "State": highlight(_STATES)},
        links={"Budget": only("budgets", signals.CHOSEN, [signals.CHOSEN])},
    )  # fmt: skip
