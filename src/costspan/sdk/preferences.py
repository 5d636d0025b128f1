"""What a metric reader prefers for each kind of instrument."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import Counter, ObservableCounter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.metrics.view import DefaultAggregation, ExplicitBucketHistogramAggregation, SumAggregation


def has_plain_counters(reader: Any) -> bool:
    """Whether a reader adds counters up."""
    return isinstance(choice(reader, "aggregation", ObservableCounter), DefaultAggregation | SumAggregation)


def has_plain_histograms(reader: Any) -> bool:
    """Whether a reader aggregates histograms into explicit buckets, in the temporality of its counters."""
    chosen = choice(reader, "aggregation", SdkHistogram)
    is_same = choice(reader, "temporality", SdkHistogram) == choice(reader, "temporality", Counter)
    return is_same and isinstance(chosen, DefaultAggregation | ExplicitBucketHistogramAggregation)


def prefers_delta(reader: Any, kind: type) -> bool:
    """Whether a reader tells what a kind of instrument counts as deltas."""
    return choice(reader, "temporality", kind) is AggregationTemporality.DELTA


def choice(reader: Any, what: str, kind: type) -> Any:
    """What a reader prefers for a kind of instrument; it knows them by inner classes of the SDK."""
    table: dict[type, Any] = getattr(reader, f"_instrument_class_{what}", {})
    return next((choice for known, choice in table.items() if issubclass(known, kind)), None)
