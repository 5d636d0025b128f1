"""Sessions and tasks: the dearest sessions, what a kind of work costs, how long calls take, how they fail."""

from __future__ import annotations

from typing import Final

from grafana.source import signals
from grafana.source.dashboard import Dashboard, Row
from grafana.source.panels import Look, bar, bars, figure, lines, table
from grafana.source.promql import SESSION_FILTERS

from costspan.names import ERROR_TYPE, PROVIDER, REQUEST_MODEL, SESSION, TASK_TYPE, prometheus_label

_NO_SESSIONS: Final = "no call carries a session: see docs/attribution.md"
_STEP: Final = "5m"
_POINTS: Final = 250
_GOING_ON: Final = "The last step is still going on."
_ENDS: Final = {"error": "red", "abandoned": "orange"}


def dashboard() -> Dashboard:
    """The dashboard."""
    look = Look(nothing=_NO_SESSIONS)
    figures = [
        figure("Sessions", "Sessions that cost something.", (signals.SESSIONS,), 6, look),
        figure("Cost in sessions", "And by session.", (signals.SESSION_COST, signals.COST_A_SESSION), 10, look),
        figure("Share of cost in sessions", signals.SESSION_SHARE.description, (signals.SESSION_SHARE,), 8, look),
    ]
    sessions = table(
        "Dearest sessions", "Exact, save for a session that was dropped and came back: a lower bound then.",
        {prometheus_label(SESSION): "Session"},
        (signals.DEAREST_COST, signals.DEAREST_IN, signals.DEAREST_OUT), 12,
        order="Cost", totals=("Cost",), look=look,
    )  # fmt: skip
    tasks = table(
        "Task types", "What a kind of work costs.", {prometheus_label(TASK_TYPE): "Task type"},
        (signals.TASK_CALLS, signals.TASK_COST, signals.TASK_COST_A_CALL, signals.TASK_SHARE), 12,
        order="Cost", totals=("Requests", "Cost", "Share of cost"), cells={"Share of cost": bar()},
        look=Look(nothing="no calls", decimals={"Cost a request": 6}),
    )  # fmt: skip
    by_day = bars(
        "Cost by day and task type", "Whole days in the budget time zone, today so far.",
        (signals.DAILY_COST_BY_TASK,), look=Look(interval="1d", nothing="no cost on these days"),
    )  # fmt: skip
    failures = table(
        "Failed calls", "By the error that ended them.",
        {prometheus_label(PROVIDER): "Provider", prometheus_label(REQUEST_MODEL): "Model",
         prometheus_label(ERROR_TYPE): "Error"},
        (signals.FAILURES,), 12, order="Failed calls", totals=("Failed calls",), look=Look(nothing="no call failed"),
    )  # fmt: skip
    quick = Look(interval=_STEP, points=_POINTS, nothing="no calls")
    rows = (
        Row(4, figures),
        Row(12, [sessions, tasks]),
        Row(9, [
            lines("Duration", f"From the start of a call to its end. {_GOING_ON}", signals.DURATIONS, look=quick),
            lines("Time to the first event", f"Of streamed calls. {_GOING_ON}", signals.FIRST_CHUNKS, look=quick),
        ]),
        Row(9, [by_day, bars("Calls that did not end well", f"By step. {_GOING_ON}", (signals.OUTCOMES,),
                             look=Look(colours=_ENDS, interval=_STEP, points=_POINTS, nothing="every call ended well"))]),
        Row(9, [failures]),
    )  # fmt: skip
    said = "Which conversations and which kinds of work cost what, how long they take, how they fail."
    return Dashboard("sessions", "Sessions and tasks", said, rows, SESSION_FILTERS)
