"""What a contender has recorded of a call: tokens and money, read from its spans and from its metrics.

Every name that a contender is known to write is asked for. Figures are added over all spans, as a person does who
sums a column: a call that was recorded twice shows as twice the tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks.telemetry import Telemetry

INPUT_ATTRIBUTES: Final = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
OUTPUT_ATTRIBUTES: Final = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
COST_ATTRIBUTES: Final = (
    "gen_ai.usage.cost.amount",
    "gen_ai.usage.cost",
    "operation.cost",
    "llm.cost.total",
    "gen_ai.usage.total_cost",
)
QUALITY_ATTRIBUTES: Final = ("llm.cost.quality", "gen_ai.usage.cost.quality")
# Langfuse keeps the provider's usage as JSON.
JSON_ATTRIBUTES: Final = ("langfuse.observation.usage_details",)
JSON_INPUT: Final = ("prompt_tokens", "input_tokens", "input")
JSON_OUTPUT: Final = ("completion_tokens", "output_tokens", "output")

TOKEN_HISTOGRAM: Final = "gen_ai.client.token.usage"
INPUT_METRICS: Final = ("gen_ai.client.inference.usage.input_tokens",)
OUTPUT_METRICS: Final = ("gen_ai.client.inference.usage.output_tokens",)
UNPRICED_METRICS: Final = ("llm.unpriced.requests",)
UNPRICED: Final = "unpriced"
COST_METRICS: Final = ("llm.cost.usd", "gen_ai.usage.cost", "operation.cost")


@dataclass
class Figures:
    """What one source says; None where it says nothing. `quality` is the contender's own word about the cost."""

    input: float | None = None
    output: float | None = None
    cost_usd: float | None = None
    quality: str | None = None

    def add(self, *, input: Any = None, output: Any = None, cost_usd: Any = None, quality: Any = None) -> None:  # noqa: A002
        """Add what one span or data point says."""
        self.input = _sum(self.input, input)
        self.output = _sum(self.output, output)
        self.cost_usd = _sum(self.cost_usd, cost_usd)
        self.quality = quality or self.quality

    def __bool__(self) -> bool:
        return asdict(self) != asdict(Figures())


def recorded(telemetry: Telemetry) -> dict[str, Any]:
    """The figures in spans and in metrics."""
    spans, metrics = Figures(), Figures()
    for span in telemetry.spans.kept:
        _read_span(span.attributes or {}, spans)
    for name, point in telemetry.data_points():
        _read_point(name, point, metrics)
    return {"spans": asdict(spans), "metrics": asdict(metrics)}


def _read_span(attributes: Mapping[str, Any], figures: Figures) -> None:
    figures.add(
        input=_first(attributes, INPUT_ATTRIBUTES),
        output=_first(attributes, OUTPUT_ATTRIBUTES),
        cost_usd=_first(attributes, COST_ATTRIBUTES),
        quality=_first(attributes, QUALITY_ATTRIBUTES),
    )
    for name in JSON_ATTRIBUTES:
        usage = json.loads(attributes.get(name) or "{}")
        figures.add(input=_first(usage, JSON_INPUT), output=_first(usage, JSON_OUTPUT))


def _read_point(name: str, point: Any, figures: Figures) -> None:
    labels = point.attributes or {}
    amount = point.sum if hasattr(point, "sum") else point.value
    if name == TOKEN_HISTOGRAM and labels.get("gen_ai.token.type") in ("input", "output"):
        figures.add(**{labels["gen_ai.token.type"]: amount})
    elif name in INPUT_METRICS:
        figures.add(input=amount)
    elif name in OUTPUT_METRICS:
        figures.add(output=amount)
    elif name in UNPRICED_METRICS:
        figures.add(quality=UNPRICED)
    elif name in COST_METRICS:
        figures.add(cost_usd=amount, quality=_first(labels, QUALITY_ATTRIBUTES))


def _first(values: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def _sum(so_far: float | None, more: Any) -> float | None:
    return so_far if more is None else (so_far or 0) + float(more)
