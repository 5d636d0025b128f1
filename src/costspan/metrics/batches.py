"""Metrics in messages of bounded size.

A receiver refuses a message above its limit (4 MiB over gRPC by default, 1 MiB behind many proxies) as a whole, and
would refuse it again, larger, with the next export.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics

#: No message of ours is larger, as far as it can be split.
MOST_BYTES: Final = 512 * 1024

# Times, value, flags, lengths; and what a label adds to the bytes of its two texts.
_POINT_BYTES: Final = 48
_LABEL_BYTES: Final = 10
_BUCKET_BYTES: Final = 16
_ONE_MORE_LABEL: Final = 60


def size_of(point: Any) -> int:
    """About how many bytes a data point takes in OTLP, rather too many than too few."""
    return _POINT_BYTES + labels_size(point.attributes) + _BUCKET_BYTES * len(getattr(point, "bucket_counts", ()))


def size_of_series(labels: Mapping[str, Any]) -> int:
    """About how many bytes a point with these labels, and one more that has a short value, takes in OTLP."""
    return _POINT_BYTES + labels_size(labels) + _ONE_MORE_LABEL


def labels_size(labels: Mapping[str, Any] | None) -> int:
    """About how many bytes the labels of a data point take."""
    return sum(_LABEL_BYTES + _text_size(name) + _text_size(value) for name, value in (labels or {}).items())


def _text_size(value: Any) -> int:
    if not isinstance(value, str):
        return _LABEL_BYTES
    return len(value) if value.isascii() else 4 * len(value)


def is_large(metrics_data: Any, size: int = 0) -> bool:
    """Whether the data of a reader, everybody's, are too many for one message that has `size` bytes already."""
    for resource in metrics_data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                size += sum(size_of(point) for point in metric.data.data_points)
                if size > MOST_BYTES:
                    return True
    return size > MOST_BYTES


def without_scope(metrics_data: Any, name: str) -> tuple[Any, list[tuple[ResourceMetrics, ScopeMetrics]]]:
    """The data without the scopes of this name, and these, each with its resource."""
    kept: list[ResourceMetrics] = []
    taken: list[tuple[ResourceMetrics, ScopeMetrics]] = []
    for resource in metrics_data.resource_metrics:
        others = [scope for scope in resource.scope_metrics if scope.scope.name != name]
        taken += [(resource, scope) for scope in resource.scope_metrics if scope.scope.name == name]
        if others:
            kept.append(replace(resource, scope_metrics=others))
    return replace(metrics_data, resource_metrics=kept), taken


def messages(resource: ResourceMetrics, scope: ScopeMetrics) -> Iterator[MetricsData]:
    """The metrics of one scope in messages of at most `MOST_BYTES`."""
    for part in _parts(scope.metrics):
        yield message(resource, replace(scope, metrics=part))


def message(resource: ResourceMetrics, scope: ScopeMetrics) -> MetricsData:
    """One message with the metrics of one scope."""
    return MetricsData([replace(resource, scope_metrics=[scope])])


def _parts(metrics: Sequence[Metric]) -> Iterator[list[Metric]]:
    part: list[Metric] = []
    size = 0
    for metric in metrics:
        points: list[Any] = []
        for point in metric.data.data_points:
            added = size_of(point)
            if size and size + added > MOST_BYTES:
                yield [*part, *_with_points(metric, points)]
                part, points, size = [], [], 0
            points.append(point)
            size += added
        part += _with_points(metric, points)
    if part:
        yield part


def _with_points(metric: Metric, points: list[Any]) -> list[Metric]:
    return [replace(metric, data=replace(metric.data, data_points=points))] if points else []
