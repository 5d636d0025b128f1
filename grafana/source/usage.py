"""Usage: what was called, how many tokens, what it cost, by day, source, provider and model."""

from __future__ import annotations

from typing import Final

from grafana.source import signals
from grafana.source.dashboard import Dashboard, Row
from grafana.source.panels import GREEN, GREY, YELLOW, Look, bars, figure, table
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
_ONLY: Final = "/d/costspan-usage?${__url_time_range}&var-"


def dashboard(time_zone: str) -> Dashboard:
    """The dashboard, its days in the budget time zone."""
    daily = signals.daily(time_zone)
    calls = figure(
        "Requests", "Calls in the time range, and how many that is a day.", (signals.CALLS, signals.CALLS_A_DAY),
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
        (signals.MODEL_CALLS, signals.MODEL_TOKENS, signals.MODEL_COST, signals.MODEL_SHARE, signals.MODEL_UNPRICED),
        order="Cost", totals=("Requests", "Tokens", "Cost", "Share of cost", "Unpriced"), look=Look(nothing="-"),
        links={"Provider": f"{_ONLY}provider=${{__value.raw}}", "Model": f"{_ONLY}model=${{__value.raw}}"},
    )  # fmt: skip
    said = "Whole days in the budget time zone, today so far. The first day of the time range is shown whole."
    rows = (
        Row(3, [figure("State", "What the figures of this page are worth.", (signals.STATE,), 24, _STATES)]),
        Row(5, [calls, tokens, cost]),
        Row(9, [
            bars("Tokens by day", said, (daily.tokens,), look=Look(colours=_DIRECTIONS, interval=_BY_DAY)),
            bars("Cost by day and source", said, (daily.cost_by_source,), look=Look(colours=_SOURCES, interval=_BY_DAY)),
        ]),
        Row(12, [models]),
    )  # fmt: skip
    said = "What LLM calls used and cost. Figures are exact: see docs/dashboards.md."
    return Dashboard("usage", "Usage", said, rows, ALL_FILTERS, time_zone)
