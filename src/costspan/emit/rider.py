"""Points of our own on their way out: they ride with the data that a metric reader is about to hand on.

Session counters and durations: same exporter, same resource, same flush and shutdown as every other metric. Of the
sessions, only those that changed since the last time.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic, time_ns
from typing import Any, Final

from opentelemetry.sdk.metrics import Counter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    NumberDataPoint,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.view import DefaultAggregation, ExplicitBucketHistogramAggregation
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from costspan import guard, names
from costspan.emit.durations import Durations, Spread
from costspan.emit.sessions import Key, Sessions, Spent
from costspan.facts.money import NANO_PER_USD

_NONE: Final = (0, 0, 0)


class Rider:
    """Adds session counters (where they are wanted) and durations to what one metric reader hands on."""

    def __init__(
        self, sessions: Sessions | None, durations: Durations | None, reader: Any, after_delivery: Callable[[], object]
    ) -> None:
        self._sessions = sessions
        self._durations = durations
        self._reported: dict[tuple[int, int], tuple[int, float, list[int]]] = {}
        #: The clock of the sessions up to which everything is delivered, and up to which it is on its way.
        self._clock = self._under_way = 0
        self._sent: dict[Key, tuple[int, tuple[int, int, int]]] = {}
        self._sending: dict[Key, tuple[int, tuple[int, int, int]]] = {}
        self._is_delta = _prefers_delta(reader)
        #: Whether this reader aggregates histograms into explicit buckets, in the temporality of its counters.
        self.is_plain = _has_plain_histograms(reader)
        self._since_ns = time_ns()
        #: When this reader last delivered, by the steady clock.
        self.delivered_s = float("-inf")
        self._is_delivered = True
        receive = weakref.WeakMethod(reader._receive_metrics)  # noqa: SLF001  # what a reader subclass implements

        def receive_with_ours(metrics_data: Any, *args: Any, **kwargs: Any) -> Any:
            own = receive()
            if own is None:
                return None
            result = own(self.joined(metrics_data), *args, **kwargs)
            if self._is_delivered:
                self._note_delivery()
                after_delivery()
            return result

        reader._receive_metrics = receive_with_ours  # noqa: SLF001
        self._listen(getattr(reader, "_exporter", None))
        if sessions is not None:
            sessions.delivered(id(self), 0)

    @guard.guarded("emit.delivery")
    def _listen(self, exporter: Any) -> None:
        """A reader does not say whether its exporter could deliver; a reader without one hands over what it has."""
        if exporter is None:
            return
        export = exporter.export

        def export_and_note(*args: Any, **kwargs: Any) -> Any:
            self._is_delivered = False
            result = export(*args, **kwargs)
            self._is_delivered = result is MetricExportResult.SUCCESS
            return result

        exporter.export = export_and_note

    @guard.guarded("emit.delivery")
    def _note_delivery(self) -> None:
        self.delivered_s = monotonic()
        self._clock = self._under_way
        for key, told in self._sending.items():
            self._sent.pop(key, None)
            self._sent[key] = told  # the last ones last: the first ones go
        self._sending.clear()
        if self._sessions is not None:
            self._sessions.delivered(id(self), self._clock)
            while len(self._sent) > 2 * self._sessions.limit:
                del self._sent[next(iter(self._sent))]

    def forget(self) -> None:
        """In a forked child: nothing was reported yet."""
        self._sent.clear()
        self._sending.clear()
        self._reported.clear()
        self._since_ns = time_ns()

    def joined(self, metrics_data: Any) -> Any:
        """The reader's data with ours added, or as it was where there is nothing to add."""
        return self._join(metrics_data) or metrics_data

    @guard.guarded("emit.sessions")
    def _session_metrics(self, now: int) -> list[Any]:
        return list(self._of_sessions(now))

    @guard.guarded("emit.durations")
    def _duration_metrics(self, now: int) -> list[Any]:
        return list(self._of_durations(now))

    @guard.guarded("emit.join")
    def _join(self, metrics_data: Any) -> Any:
        resources: list[Any] = list(getattr(metrics_data, "resource_metrics", ()))
        if not resources:
            return None
        now = time_ns()
        metrics = [*(self._session_metrics(now) or ()), *(self._duration_metrics(now) or ())]
        self._since_ns = now
        if not metrics:
            return None
        own = ScopeMetrics(scope=InstrumentationScope(names.SCOPE), metrics=metrics, schema_url="")
        first = resources[0]
        resources[0] = replace(first, scope_metrics=[*first.scope_metrics, own])
        return replace(metrics_data, resource_metrics=resources)

    def _of_sessions(self, now: int) -> Iterator[Any]:
        if self._sessions is None:
            return
        self._under_way, changed = self._sessions.changed_since(self._clock)
        self._sending.clear()
        if not changed:
            return
        cost: list[Any] = []
        tokens: list[Any] = []
        for key, spent in changed:
            labels: dict[str, Any] = dict(zip(names.SESSION_LABELS, key, strict=True))
            since, nano_usd, given, made = self._portion(key, spent)
            cost.append(NumberDataPoint(labels, since, now, nano_usd / NANO_PER_USD))
            for direction, value in (("input", given), ("output", made)):
                tokens.append(NumberDataPoint({**labels, names.DIRECTION: direction}, since, now, value))
        kind = AggregationTemporality.DELTA if self._is_delta else AggregationTemporality.CUMULATIVE
        for metric, points in ((names.SESSION_COST_USD, cost), (names.SESSION_TOKENS, tokens)):
            data = Sum(data_points=points, aggregation_temporality=kind, is_monotonic=True)
            yield Metric(metric.name, metric.description, metric.unit, data)

    def _of_durations(self, now: int) -> Iterator[Any]:
        if self._durations is None:
            return
        kind = AggregationTemporality.DELTA if self._is_delta else AggregationTemporality.CUMULATIVE
        for which, metric in enumerate((names.DURATION_S, names.FIRST_CHUNK_S)):
            with self._durations.lock:
                points = [self._spread(which, key, spread, now) for key, spread in self._durations.own[which].items()]
            found = [point for point in points if point is not None]
            if found:
                data = Histogram(data_points=found, aggregation_temporality=kind)
                yield Metric(metric.name, metric.description, metric.unit, data)

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

    def _portion(self, key: Key, spent: Spent) -> tuple[int, int, int, int]:
        """Start, and what to report: everything since the start, or what came since the last that was delivered."""
        if not self._is_delta:
            return spent.started_ns, spent.nano_usd, spent.input, spent.output
        now = (spent.nano_usd, spent.input, spent.output)
        started_ns, before = self._sent.get(key, (0, _NONE))
        if started_ns != spent.started_ns:  # it went, and came back from zero
            before = _NONE
        self._sending[key] = (spent.started_ns, now)
        return (self._since_ns, *(b - a for a, b in zip(before, now, strict=True)))  # type: ignore[return-value]


def _has_plain_histograms(reader: Any) -> bool:
    chosen = _choice(reader, "aggregation", SdkHistogram)
    is_same = _choice(reader, "temporality", SdkHistogram) == _choice(reader, "temporality", Counter)
    return is_same and isinstance(chosen, DefaultAggregation | ExplicitBucketHistogramAggregation)


def _prefers_delta(reader: Any) -> bool:
    return _choice(reader, "temporality", Counter) is AggregationTemporality.DELTA


def _choice(reader: Any, what: str, kind: type) -> Any:
    """What a reader prefers for a kind of instrument; it knows them by inner classes of the SDK."""
    table: dict[type, Any] = getattr(reader, f"_instrument_class_{what}", {})
    return next((choice for known, choice in table.items() if issubclass(known, kind)), None)
