"""Which Views of the program concern metrics of ours, and so decide how these are aggregated and labelled."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from costspan import names
from costspan.names import Metric

#: The counters, and the histograms of durations.
COUNTERS: Final = tuple(metric for metric in names.METRICS if metric.kind == names.COUNTER)
HISTOGRAMS: Final = tuple(metric for metric in names.METRICS if metric.kind == names.HISTOGRAM)


def is_default(meters: Any, metrics: Sequence[Metric]) -> bool:
    """Whether this is a meter provider of the SDK, and no View in it concerns any of these metrics."""
    views = getattr(getattr(meters, "_sdk_config", None), "views", None)
    return views is not None and not any(_concerns(view, metric) for view in views for metric in metrics)


def _concerns(view: Any, metric: Metric) -> bool:
    """Whether a View may choose the instrument of a metric. What it asks for beyond name, kind and meter is not looked at."""
    from opentelemetry.sdk.metrics import Histogram, ObservableCounter

    name: Any = getattr(view, "_instrument_name", None)
    kind: Any = getattr(view, "_instrument_type", None)
    meter: Any = getattr(view, "_meter_name", None)
    ours = Histogram if metric.kind == names.HISTOGRAM else ObservableCounter
    return (
        (name is None or fnmatchcase(metric.name, name.lower()))
        and (kind is None or issubclass(ours, kind))
        and (meter is None or meter == names.SCOPE)
    )
