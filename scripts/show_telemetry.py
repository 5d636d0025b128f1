"""Write the tables of metrics, attributes and rate limit headers into docs/telemetry.md.

python scripts/show_telemetry.py [--check]
"""

from __future__ import annotations

import time
from typing import Any, cast

from costspan import names
from costspan.emit.events import Events
from costspan.facts.attribution import Attribution
from costspan.facts.call import Answer, Call
from costspan.facts.money import Cost, Unpriced
from costspan.facts.usage import UNITS, Usage
from costspan.metrics.ratelimits import quotas
from pages import ROOT, code, deliver, table, with_parts

PAGE = ROOT / "docs" / "telemetry.md"

#: What only the usage event says of a call. The rest of it stands on the span as well; tests/house/test_docs.py compares.
EVENT_ALONE = {names.EVENT_ID, names.PERIOD, names.DURATION, names.COST_NANO_USD, names.USAGE_UNITS}

#: Header families, each with one that was seen: https://platform.openai.com/docs/guides/rate-limits,
#: https://docs.claude.com/en/api/rate-limits, https://console.groq.com/docs/rate-limits,
#: https://inference-docs.cerebras.ai/support/rate-limits, Azure OpenAI and Together by their answers.
HEADERS = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "199970",
    "x-ratelimit-reset-tokens": "6m0s",
    "x-ratelimit-limit-requests-day": "14400",
    "x-ratelimit-remaining-tokens-minute": "59988",
    "x-ratelimit-reset-tokens-minute": "12.5",
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-tokens-remaining": "39000",
    "anthropic-ratelimit-input-tokens-limit": "30000",
    "anthropic-ratelimit-output-tokens-reset": "2026-11-22T12:00:00Z",
}


def calls() -> list[Call]:
    """Calls of which everything is known, one with a cost and one without, for the attributes that are told."""
    who = Attribution(session="s", task_type="t", source="s", team="t", account="a")
    found: list[Call] = []
    for price in (Cost(1, "exact", version="v"), Unpriced("unknown_model")):
        answer = Answer(model="m", id="id", finish_reasons=("stop",), tier="t", usage=Usage(dict.fromkeys(UNITS, 1)))
        call = Call("id", "openai", "openai", "chat", time.time_ns(), "m", "h", 1, who, is_stream=True, answer=answer)
        call.price, call.first_chunk_s, call.error_type, call.http_status = price, 0.1, "Error", 500
        found.append(call)
    return found


class Records:
    """A provider of loggers, and its one logger, which keeps what is written."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    def get_logger(self, _name: str) -> Records:
        """The logger."""
        return self

    def emit(self, record: Any) -> None:
        """Keep a record."""
        self.written.append(record)


def on_events() -> set[str]:
    """The attributes of the usage event, as it is written."""
    records = Records()
    Events(cast("Any", records)).take(calls())
    return {name for record in records.written for name in record.attributes}


def metrics() -> str:
    """Every metric."""
    rows = [
        (code(each.name), code(each.prometheus), f"{each.kind}, `{each.unit or '1'}`", each.description, labels(each))
        for each in names.METRICS
    ]
    return table(("metric", "in Prometheus", "kind, unit", "what it says", "attributes"), rows)


def labels(metric: names.Metric) -> str:
    """The attributes of a metric; the common ones in one word."""
    common = names.COMMON if set(names.COMMON) <= set(metric.labels) else names.COMMON[:-1]
    if not set(common) <= set(metric.labels):
        return code(*metric.labels)
    more = [name for name in metric.labels if name not in common]
    kind = "common" if common == names.COMMON else "common but the period"
    return ", ".join([kind, code(*more)] if more else [kind])


def attributes() -> str:
    """Every attribute, and where it stands."""
    counted = {name for metric in names.METRICS for name in metric.labels}
    events = on_events()
    spans = events - EVENT_ALONE
    rows = [
        (
            code(each.name),
            each.description,
            code(names.prometheus_label(each.name)) if each.name in counted else "",
            ", ".join(
                place for place, told in (("metrics", counted), ("span", spans), ("event", events)) if each.name in told
            ),
        )
        for each in names.ATTRIBUTES
    ]
    return table(("attribute", "what it says", "label in Prometheus", "stands on"), rows)


def rate_limits() -> str:
    """What is read off each header."""
    found: list[tuple[str, str, str, str]] = []
    for header, value in HEADERS.items():
        for what, dimension, window, _ in quotas([(header, value)], time.time()):
            found.append((code(header), code(f"llm.ratelimit.{what}"), dimension, window))
    return table(("header", "metric", "dimension", "window"), found)


def shown(page: str) -> str:
    """The page with every table as the code has it."""
    common = code(*names.COMMON)
    buckets = ", ".join(f"{bound:g}" for bound in names.DURATION_BUCKETS_S)
    return with_parts(
        page,
        {
            "common": common,
            "metrics": metrics(),
            "buckets": buckets,
            "attributes": attributes(),
            "rate limits": rate_limits(),
        },
    )


if __name__ == "__main__":
    deliver({PAGE: shown}, str(__doc__))
