"""Points of our own on their way out: they leave with the data that a metric reader is about to hand on.

Same exporter, same resource, same flush and shutdown as every other metric. The totals of a process go first. They
share a message with other metrics only while that is small and was accepted the last time; session counters go after
them, in messages of their own (docs/decisions/0045-messages-of-bounded-size.md).
"""

from __future__ import annotations

import functools
import threading
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
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.view import DefaultAggregation, ExplicitBucketHistogramAggregation
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from costspan import guard, names
from costspan.metrics import batches
from costspan.metrics.durations import Durations, Spread
from costspan.metrics.session_points import SessionPoints
from costspan.metrics.sessions import Sessions
from costspan.sdk import scraped

#: How long one export may go on sending session counters; what is left goes with the next.
_MOST_S: Final = 10.0
#: And which part of the time that the reader has.
_SHARE_OF_TIMEOUT: Final = 0.5
_MS_PER_S: Final = 1e3

#: Hands one message on, and tells whether it was delivered.
_Send = Callable[[Any], bool]


class ExportExtra:
    """Adds session counters (where they are wanted) and durations to what one metric reader hands on."""

    def __init__(
        self, sessions: Sessions | None, durations: Durations | None, reader: Any, after_delivery: Callable[[], object]
    ) -> None:
        self._durations = durations
        self._reported: dict[tuple[int, int], tuple[int, float, list[int]]] = {}
        self._is_delta = _prefers_delta(reader)
        #: Whether this reader aggregates histograms into explicit buckets, in the temporality of its counters.
        self.is_plain = _has_plain_histograms(reader)
        self._since_ns = time_ns()
        self._sessions = (
            SessionPoints(sessions, is_delta=self._is_delta, since_ns=self._since_ns) if sessions is not None else None
        )
        #: When this reader last delivered the totals, by the steady clock.
        self.delivered_s = float("-inf")
        self._is_delivered = True
        self._is_apart = False  # our totals go in messages of their own: what they went with failed
        self._after_delivery = after_delivery
        self._lock = threading.RLock()
        receive = weakref.WeakMethod(reader._receive_metrics)  # noqa: SLF001  # what a reader subclass implements

        def receive_with_ours(metrics_data: Any, *args: Any, **kwargs: Any) -> Any:
            own = receive()
            return None if own is None else self._received(own, metrics_data, args, kwargs)

        #: A reader without an exporter hands over what it has when it is asked: one message each time.
        self._is_pulled = getattr(reader, "_exporter", None) is None
        self._identity = scraped.identity(reader)
        self._listen(getattr(reader, "_exporter", None))
        reader._receive_metrics = receive_with_ours  # noqa: SLF001  # last: by what is whole

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

    def _received(self, own: Callable[..., Any], metrics_data: Any, args: Any, kwargs: Any) -> Any:
        """In place of the reader's method `own`. One thread at a time: what was delivered is told by a field."""
        with self._lock:
            result = None

            def send(data: Any) -> bool:
                nonlocal result
                result = own(data, *args, **kwargs)
                return self._is_delivered

            until_s = monotonic() + _patience_s(args, kwargs)
            if self._hand_on(send, metrics_data):
                self._note_delivery()
                if not self._is_pulled:
                    self._send_sessions(send, metrics_data, until_s)
            return result

    def _hand_on(self, send: _Send, metrics_data: Any) -> bool:
        """Send everything but the sessions; True once all totals are delivered."""
        joined = self._join(metrics_data) or metrics_data
        if self._identity is not None:
            joined = scraped.identified(joined, self._identity) or joined
        own = self._own_messages(joined) if not self._is_pulled else None
        if own is None:
            is_delivered = send(joined)
            self._is_apart = not is_delivered
            return is_delivered
        others, ours = own
        self._is_apart = bool(others.resource_metrics) and not send(others)
        return all(send(message) for message in ours)

    @guard.guarded("metrics.batches")
    def _own_messages(self, joined: Any) -> tuple[Any, list[Any]] | None:
        """What is not ours, and our messages; None where all of it fits into one."""
        if not self._is_apart and not batches.is_large(joined):
            return None
        others, ours = batches.without_scope(joined, names.SCOPE)
        return others, [message for resource, scope in ours for message in batches.messages(resource, scope)]

    @guard.guarded("emit.delivery")
    def _note_delivery(self) -> None:
        self.delivered_s = monotonic()
        if self._is_pulled and self._sessions is not None:
            self._sessions.delivered(time_ns())
        self._after_delivery()

    @guard.guarded("metrics.sessions")
    def _send_sessions(self, send: _Send, metrics_data: Any, until_s: float) -> None:
        """Send what the sessions have, piece by piece, until all is delivered, one is refused, or time is up."""
        resources = list(getattr(metrics_data, "resource_metrics", ()))
        if self._sessions is None or not resources:
            return
        backlog = self._sessions.backlog()
        while backlog and monotonic() < until_s:
            now = time_ns()
            piece = self._sessions.take(backlog, now)
            if not send(batches.message(resources[0], _scope(piece))):
                self._sessions.refused()
                return
            self._sessions.delivered(now)

    def forget(self) -> None:
        """In a forked child: nothing was reported yet, and the lock may be held by a thread that is not here."""
        self._lock = threading.RLock()
        self._reported.clear()
        self._since_ns = time_ns()
        if self._sessions is not None:
            self._sessions.forget(self._since_ns)

    @guard.guarded("metrics.sessions")
    def _pulled_sessions(self, now: int) -> list[Metric]:
        """One piece of the sessions, for a reader that is pulled."""
        backlog = self._sessions.backlog() if self._sessions is not None and self._is_pulled else None
        return self._sessions.take(backlog, now) if self._sessions is not None and backlog else []

    @guard.guarded("metrics.durations")
    def _duration_metrics(self, now: int) -> list[Metric]:
        return list(self._of_durations(now))

    @guard.guarded("emit.join")
    def _join(self, metrics_data: Any) -> Any:
        """The data with our durations added, and for a reader that is pulled one piece of the sessions."""
        resources: list[Any] = list(getattr(metrics_data, "resource_metrics", ()))
        if not resources:
            return None
        now = time_ns()
        metrics = [*(self._duration_metrics(now) or ()), *(self._pulled_sessions(now) or ())]
        self._since_ns = now
        if not metrics:
            return None
        first = resources[0]
        resources[0] = replace(first, scope_metrics=[*first.scope_metrics, _scope(metrics)])
        return replace(metrics_data, resource_metrics=resources)

    def _of_durations(self, now: int) -> Iterator[Any]:
        if self._durations is None:
            return
        kind = AggregationTemporality.DELTA if self._is_delta else AggregationTemporality.CUMULATIVE
        for which, metric in enumerate((names.DURATION_S, names.FIRST_CHUNK_S)):
            found = self._durations.read(functools.partial(self._spreads, which, now))
            if found:
                data = Histogram(data_points=found, aggregation_temporality=kind)
                yield Metric(metric.name, metric.description, metric.unit, data)

    def _spreads(self, which: int, now: int) -> list[HistogramDataPoint]:
        own = self._durations.own[which] if self._durations is not None else {}
        points = [self._spread(which, key, spread, now) for key, spread in own.items()]
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


def _scope(metrics: list[Metric]) -> ScopeMetrics:
    return ScopeMetrics(InstrumentationScope(names.SCOPE), metrics, schema_url="")


def _patience_s(args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """How long sessions may be sent, of the time that the reader was given in milliseconds."""
    given = args[0] if args else kwargs.get("timeout_millis")
    if not isinstance(given, int | float):
        return _MOST_S
    return min(_MOST_S, _SHARE_OF_TIMEOUT * given / _MS_PER_S)


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
