"""Counters tagged with the session, for as many sessions as are active; they ride with the SDK's own export.

A session is unbounded, and an SDK counter that carries it stops working after 2000 of them. So these sums live in a
table of bounded size, the longest idle session goes first, and what changed since the last export is added to the
data that a metric reader is about to hand on: same exporter, same resource, same flush and shutdown.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import time_ns
from typing import Any, Final, TypeAlias

from costspan import guard, names
from costspan.facts import usage as units
from costspan.facts.call import Call
from costspan.facts.money import NANO_PER_USD, Cost
from costspan.names import UNKNOWN

_Key: TypeAlias = tuple[str, str, str, str]


class Spent:
    """What one session spent on one kind of work with one model. Money in nano-USD."""

    __slots__ = ("changed", "input", "nano_usd", "output", "started_ns")

    def __init__(self, started_ns: int) -> None:
        self.started_ns = started_ns
        self.nano_usd = self.input = self.output = self.changed = 0


class Sessions:
    """The active sessions of this process."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.lock = threading.Lock()
        self.active: OrderedDict[_Key, Spent] = OrderedDict()
        #: Went before they were exported; dropped with the next export, or when as many again have gone.
        self.departed: OrderedDict[_Key, Spent] = OrderedDict()
        self.clock = 0
        self.exported = 0

    def add(self, call: Call) -> None:
        """Add one finished call; nothing happens for a call without a session."""
        who = call.attribution
        if who.session is None:
            return
        key = (who.session, who.task_type or UNKNOWN, call.request_model or UNKNOWN, who.source or UNKNOWN)
        usage, price = call.answer.usage, call.price
        with self.lock:
            spent = self.active.get(key)
            if spent is None:
                spent = self._admit(key)
            else:
                self.active.move_to_end(key)
            self.clock += 1
            spent.changed = self.clock
            if usage is not None:
                spent.input += usage.get(units.INPUT)
                spent.output += usage.get(units.OUTPUT)
            if isinstance(price, Cost):
                spent.nano_usd += price.nano_usd

    def _admit(self, key: _Key) -> Spent:
        spent = self.departed.pop(key, None) or Spent(time_ns())
        self.active[key] = spent
        if len(self.active) > self.limit:
            gone, last = self.active.popitem(last=False)
            if last.changed > self.exported:
                self.departed[gone] = last
                if len(self.departed) > self.limit:
                    self.departed.popitem(last=False)
        return spent

    def changed_since(self, clock: int) -> tuple[int, list[tuple[_Key, Spent]]]:
        """The sessions that changed after `clock`, and the clock now."""
        with self.lock:
            changed = [
                item for table in (self.departed, self.active) for item in table.items() if item[1].changed > clock
            ]
            self.exported = self.clock
            self.departed.clear()
            return self.clock, changed

    def clear(self) -> None:
        """Start from zero (a forked child)."""
        self.lock = threading.Lock()
        self.active.clear()
        self.departed.clear()


class Rider:
    """Adds the session counters to what one metric reader hands on."""

    def __init__(self, sessions: Sessions, reader: Any) -> None:
        self._sessions = sessions
        self._clock = 0
        self._sent: dict[_Key, tuple[int, int, int]] = {}
        self._is_delta = _prefers_delta(reader)
        self._since_ns = time_ns()
        receive = weakref.WeakMethod(reader._receive_metrics)  # noqa: SLF001  # what a reader subclass implements

        def receive_with_sessions(metrics_data: Any, *args: Any, **kwargs: Any) -> Any:
            own = receive()
            return own(self.joined(metrics_data), *args, **kwargs) if own is not None else None

        reader._receive_metrics = receive_with_sessions  # noqa: SLF001

    def joined(self, metrics_data: Any) -> Any:
        """The reader's data with the session counters added, or as it was where there is nothing to add."""
        return self._join(metrics_data) or metrics_data

    @guard.guarded("emit.sessions")
    def _join(self, metrics_data: Any) -> Any:
        from opentelemetry.sdk.metrics.export import ScopeMetrics
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

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

    def _metrics(self, changed: list[tuple[_Key, Spent]]) -> Iterator[Any]:
        from opentelemetry.sdk.metrics.export import AggregationTemporality, Metric, NumberDataPoint, Sum

        now = time_ns()
        cost: list[Any] = []
        tokens: list[Any] = []
        for key, spent in changed:
            labels = dict(zip(names.SESSION_LABELS, key, strict=True))
            since, nano_usd, given, made = self._portion(key, spent)
            cost.append(NumberDataPoint(labels, since, now, nano_usd / NANO_PER_USD))
            for direction, value in (("input", given), ("output", made)):
                tokens.append(NumberDataPoint({**labels, names.DIRECTION: direction}, since, now, value))
        kind = AggregationTemporality.DELTA if self._is_delta else AggregationTemporality.CUMULATIVE
        for metric, points in ((names.SESSION_COST_USD, cost), (names.SESSION_TOKENS, tokens)):
            data = Sum(data_points=points, aggregation_temporality=kind, is_monotonic=True)
            yield Metric(metric.name, metric.description, metric.unit, data)
        self._since_ns = now

    def _portion(self, key: _Key, spent: Spent) -> tuple[int, int, int, int]:
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
    from opentelemetry.sdk.metrics import Counter
    from opentelemetry.sdk.metrics.export import AggregationTemporality

    preferred = getattr(reader, "_instrument_class_temporality", {})
    return preferred.get(Counter) is AggregationTemporality.DELTA


def readers_of(provider: Any) -> list[Any]:
    """The metric readers of an SDK meter provider; none for any other."""
    found: Callable[[], Any] | Any = getattr(provider, "_metric_readers", None)
    if found is None:
        found = getattr(getattr(provider, "_sdk_config", None), "metric_readers", ())
    return [reader for reader in found or () if hasattr(reader, "_receive_metrics")]
