"""Usage: what was called, how many tokens, what it cost, by day, source, provider and model."""

from __future__ import annotations

from typing import Final

from grafana.source import signals
from grafana.source.dashboard import Dashboard, Row, only
from grafana.source.panels import GREEN, GREY, YELLOW, Look, bar, bars, figure, table
from grafana.source.promql import ALL_FILTERS

from costspan.facts.attribution_words import SOURCES
from costspan.names import UNKNOWN

_STATES: Final = Look(
    words={
        signals.NOTHING_CHOSEN: ("No calls in this time range and these filters", GREY),
        signals.PRICED: ("Every call has a price", GREEN),
        signals.PARTLY_PRICED: ("Some calls are priced in part: the cost is a lower bound", YELLOW),
        signals.UNPRICED: ("Some calls have no price: the cost is a lower bound", YELLOW),
    },
    nothing="No telemetry yet: nothing has arrived. See docs/stack.md",
)
_BY_DAY: Final = "1d"
_DIRECTIONS: Final = {"input": "blue", "output": "orange"}
_SOURCES: Final = {**dict(zip(SOURCES, ("blue", "orange", "purple"), strict=True)), UNKNOWN: "text"}
_MODELS: Final = {"gen_ai_provider_name": "Provider", "gen_ai_request_model": "Model"}


def dashboard() -> Dashboard:
    """The dashboard."""
    calls = figure(
        "Requests", "Calls in the time range. A day: by the days since telemetry began, at least one.", (signals.CALLS, signals.CALLS_A_DAY),
        look=Look(nothing="no calls", decimals={"Average a day": 1}),
    )  # fmt: skip
    tokens = figure(
        "Tokens", "Input includes cached tokens, output includes reasoning.",
        (signals.TOKENS, signals.TOKENS_IN, signals.TOKENS_OUT), 8, Look(nothing="no calls"),
    )  # fmt: skip
    cost = figure(
        "Cost", "Of the calls that have a price; see the line above.", (signals.COST, signals.COST_A_CALL), 10,
        Look(nothing="no price or no calls", decimals={"Average a request": 6}),
    )  # fmt: skip
    models = table(
        "Providers and models", "A call without a price has no cost here, and counts as unpriced.", _MODELS,
        (signals.MODEL_CALLS, signals.MODEL_IN, signals.MODEL_CACHED, signals.MODEL_OUT, signals.MODEL_TOKENS,
         signals.MODEL_COST, signals.MODEL_SHARE, signals.MODEL_UNPRICED),
        order="Cost", look=Look(nothing="no calls"),
        totals=("Requests", "Input", "Cached", "Output", "Tokens", "Cost", "Share of cost", "Unpriced"),
        cells={"Share of cost": bar()},
        links={"Provider": only("usage", "provider", ALL_FILTERS), "Model": only("usage", "model", ALL_FILTERS)},
    )  # fmt: skip
    said = "Whole days in the budget time zone, today so far. The first day of the time range is shown whole."
    tokens_by_day = Look(colours=_DIRECTIONS, interval=_BY_DAY, nothing="no calls on these days")
    by_day = Look(interval=_BY_DAY, nothing="no cost on these days")
    by_source = Look(colours=_SOURCES, interval=_BY_DAY, nothing="no calls, or all of one source")
    rows = (
        Row(3, [figure("State", "What the figures of this page are worth.", (signals.STATE,), 24, _STATES)]),
        Row(5, [calls, tokens, cost]),
        Row(9, [
            bars("Tokens by day", said, (signals.DAILY_TOKENS,), 8, tokens_by_day),
            bars("Cost by day", said, (signals.DAILY_COST,), 8, by_day),
            bars("Cost by day and source", f"Where there are several sources. {said}", (signals.DAILY_COST_BY_SOURCE,), 8,
                 by_source),
        ]),
        Row(12, [models]),
    )  # fmt: skip
    said = "What LLM calls used and cost. Figures are exact: see docs/dashboards.md."
    return Dashboard("usage", "Usage", said, rows, ALL_FILTERS)
