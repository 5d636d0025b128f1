"""The two histograms on their way to one metric reader, where they are not the SDK's instruments."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics.export import AggregationTemporality, Histogram, HistogramDataPoint, Metric

from costspan import names
from costspan.metrics.durations import Durations, Spread


class DurationPoints:
    """The durations of one reader."""

    def __init__(self, durations: Durations, *, is_delta: bool, since_ns: int) -> None:
        self._durations = durations
        self._is_delta = is_delta
        self._since_ns = since_ns
        self._reported: dict[tuple[int, int], tuple[int, float, list[int]]] = {}

    def metrics(self, now: int) -> list[Metric]:
        """Both histograms as of now, as far as they have anything."""
        found = list(self._metrics(now))
        self._since_ns = now
        return found

    def _metrics(self, now: int) -> Iterator[Metric]:
        kind = AggregationTemporality.DELTA if self._is_delta else AggregationTemporality.CUMULATIVE
        for which, metric in enumerate((names.DURATION_S, names.FIRST_CHUNK_S)):
            found = self._durations.read(functools.partial(self._spreads, which, now))
            if found:
                data: Any = Histogram(data_points=found, aggregation_temporality=kind)
                yield Metric(metric.name, metric.description, metric.unit, data)

    def _spreads(self, which: int, now: int) -> list[HistogramDataPoint]:
        points = [self._spread(which, key, spread, now) for key, spread in self._durations.own[which].items()]
        return [point for point in points if point is not None]

    def _spread(self, which: int, key: int, spread: Spread, now: int) -> HistogramDataPoint | None:
        since, count, total, buckets = spread.started_ns, spread.count, spread.total, list(spread.buckets)
        if self._is_delta:
            before = self._reported.get((which, key), (0, 0.0, [0] * len(buckets)))
            self._reported[which, key] = (count, total, buckets)
            since, count, total = max(since, self._since_ns), count - before[0], total - before[1]
            buckets = [after - former for former, after in zip(before[2], buckets, strict=True)]
            if not count:
                return None
        return HistogramDataPoint(
            spread.labels, since, now, count, total, buckets, names.DURATION_BUCKETS_S, spread.least, spread.most
        )

    def forget(self, now: int) -> None:
        """In a forked child: nothing was reported yet."""
        self._reported.clear()
        self._since_ns = now
