"""Health of the meter: how sure the figures are, what has no price or no owner, what got lost on the way."""

from __future__ import annotations

from typing import Final

from grafana.source import signals
from grafana.source.dashboard import Dashboard, Row
from grafana.source.panels import GREEN, RED, YELLOW, Look, figure, gauge, table

from costspan.names import (
    CLIENT,
    ESTIMATE_FIGURE,
    PLACE,
    PROVIDER,
    RATELIMIT_DIMENSION,
    RATELIMIT_WINDOW,
    REQUEST_MODEL,
    UNPRICED_REASON,
    prometheus_label,
)

_MODEL: Final = {prometheus_label(PROVIDER): "Provider", prometheus_label(REQUEST_MODEL): "Model"}
_NO_COST: Final = Look(nothing="no cost in this time range")
_FEW: Final = ((None, GREEN), (0.05, YELLOW))
_AS_OF: Final = "As of the end of the time range."
_NEVER: Final = ((None, GREEN), (1, RED))
_OLD: Final = ((None, GREEN), (300, YELLOW), (1_800, RED))
_FULL: Final = ((None, GREEN), (0.5, YELLOW), (0.8, RED))


def dashboard() -> Dashboard:
    """The dashboard."""
    job = {"job": "Job"}
    place = {**job, prometheus_label(PLACE): "Place"}
    quota = {**_MODEL, prometheus_label(RATELIMIT_DIMENSION): "Of", prometheus_label(RATELIMIT_WINDOW): "A"}
    price = [
        gauge("Where the amounts come from", "Of the cost; see docs/pricing.md.", (signals.QUALITIES,), 8, _NO_COST),
        figure("Estimated or incomplete", "Of the cost.", (signals.ESTIMATES,), 4, Look(steps=_FEW)),
        figure("Unpriced calls", "Of all calls.", (signals.UNPRICED_SHARE,), 4, Look(steps=_FEW)),
        gauge("Attribution: known of the cost", "See docs/attribution.md.", signals.COVERAGE, 8, _NO_COST),
    ]
    unpriced = table(
        "Unpriced models", "Every cost figure that they are part of is a lower bound.",
        {**_MODEL, prometheus_label(UNPRICED_REASON): "Reason"}, (signals.UNPRICED_CALLS, signals.UNPRICED_AMOUNT), 12,
        order="Tokens", totals=("Requests", "Tokens"), look=Look(nothing="every call has a price"),
    )  # fmt: skip
    limits = table(
        "Rate limits", f"By the headers of the last answers. {_AS_OF}", quota,
        (signals.QUOTA_LEFT, signals.QUOTA, signals.QUOTA_RESET), 12, order="Left", look=Look(nothing="no such headers"),
    )  # fmt: skip
    arrival = [
        gauge("Age of the last sample", f"By job; a job that has ended stops. {_AS_OF}", (signals.AGE,), 8,
              Look(steps=_OLD, nothing="nothing for a day")),
        figure("Lost on the way", "Points refused or thrown away, strangers, failed notifications.", signals.LOSSES, 8,
               Look(steps=_NEVER, nothing="nothing")),
        gauge("Collector's queue", f"How full it is. {_AS_OF}", (signals.QUEUE,), 8,
              Look(steps=_FULL, nothing="the Collector says nothing")),
    ]  # fmt: skip
    arrival[0]["fieldConfig"]["defaults"]["max"] = 3_600
    own = [
        figure("Counters that fell", signals.RESETS.description, (signals.RESETS,), 4, Look(steps=_NEVER)),
        figure("Folded into other", signals.FOLDS.description, (signals.FOLDS,), 4, Look(steps=_NEVER)),
        table("Faults of costspan", signals.FAULTS.description, place, (signals.FAULTS,), 8,
              order=signals.FAULTS.name),
        table("Not watched as intended", f"{signals.DEGRADED_CLIENTS.description} {_AS_OF}",
              {**place, prometheus_label(CLIENT): "Client"}, (signals.DEGRADED_CLIENTS,), 8,
              order=signals.DEGRADED_CLIENTS.name),
    ]  # fmt: skip
    ledger = table(
        "Ledger and counters", "Counted = written + lost, once all has arrived.", job, signals.LEDGER,
        order="Counted", totals=[one.name for one in signals.LEDGER], look=Look(nothing="no ledger"),
    )  # fmt: skip
    estimates = table(
        "Estimates before calls", "Of calls made within an estimate; see docs/estimates.md.",
        {prometheus_label(REQUEST_MODEL): "Model", prometheus_label(ESTIMATE_FIGURE): "Figure"}, signals.ESTIMATES_MADE,
        order="Compared", look=Look(nothing="no call was made within an estimate"),
    )  # fmt: skip
    rows = (
        Row(7, price), Row(9, [unpriced, limits]), Row(7, arrival), Row(7, own), Row(8, [ledger]), Row(8, [estimates]),
    )  # fmt: skip
    said = "Whether the other pages can be trusted: prices, attribution, arrival, losses, faults of costspan itself."
    return Dashboard("health", "Health of the meter", said, rows, start="now-24h", refresh="1m")
