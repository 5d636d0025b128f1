"""The session counters on their way out: they ride with the data that a metric reader is about to hand on.

Same exporter, same resource, same flush and shutdown as every other metric, and only what changed since the last time.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from time import time_ns
from typing import Any

from opentelemetry.sdk.metrics import Counter
from opentelemetry.sdk.metrics.export import AggregationTemporality, Metric, NumberDataPoint, ScopeMetrics, Sum
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from costspan import guard, names
from costspan.emit.sessions import Key, Sessions, Spent
from costspan.facts.money import NANO_PER_USD


class Rider:
    """Adds the session counters to what one metric reader hands on."""

    def __init__(self, sessions: Sessions, reader: Any) -> None:
        self._sessions = sessions
        self._clock = 0
        self._sent: dict[Key, tuple[int, int, int]] = {}
        self._is_delta = _prefers_delta(reader)
        self._since_ns = time_ns()
        receive = weakref.WeakMethod(reader._receive_metrics)  # noqa: SLF001  # what a reader subclass implements

        def receive_with_sessions(metrics_data: Any, *args: Any, **kwargs: Any) -> Any:
            own = receive()
            return own(self.joined(metrics_data), *args, **kwargs) if own is not None else None

        reader._receive_metrics = receive_with_sessions  # noqa: SLF001

    def forget(self) -> None:
        """In a forked child: nothing was reported yet."""
        self._sent.clear()
        self._since_ns = time_ns()

    def joined(self, metrics_data: Any) -> Any:
        """The reader's data with the session counters added, or as it was where there is nothing to add."""
        return self._join(metrics_data) or metrics_data

    @guard.guarded("emit.sessions")
    def _join(self, metrics_data: Any) -> Any:
        resources = list(getattr(metrics_data, "resource_metrics", ()))
        if not resources:
            return None
        self._clock, changed = self._sessions.changed_since(self._clock)
        if not changed:
            return None
        own = ScopeMetrics(
            scope=InstrumentationScope(f"{names.SCOPE}.sessions"), metrics=list(self._metrics(changed)), schema_url=""
        )
        first = resources[0]
        resources[0] = replace(first, scope_metrics=[*first.scope_metrics, own])
        return replace(metrics_data, resource_metrics=resources)

    def _metrics(self, changed: list[tuple[Key, Spent]]) -> Iterator[Any]:
        now = time_ns()
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
        self._since_ns = now

    def _portion(self, key: Key, spent: Spent) -> tuple[int, int, int, int]:
        """Start, and what to report: everything since the start, or what came since the last report."""
        if not self._is_delta:
            return spent.started_ns, spent.nano_usd, spent.input, spent.output
        now = (spent.nano_usd, spent.input, spent.output)
        before = self._sent.pop(key, (0, 0, 0))
        before = before if all(a <= b for a, b in zip(before, now, strict=True)) else (0, 0, 0)
        self._sent[key] = now
        while len(self._sent) > 2 * self._sessions.limit:
            del self._sent[next(iter(self._sent))]
        return (self._since_ns, *(b - a for a, b in zip(before, now, strict=True)))  # type: ignore[return-value]


def _prefers_delta(reader: Any) -> bool:
    preferred = getattr(reader, "_instrument_class_temporality", {})
    return preferred.get(Counter) is AggregationTemporality.DELTA
