"""Points of our own on their way out: they leave with the data that a metric reader is about to hand on.

Same exporter, same resource, same flush and shutdown as every other metric. The totals of a process go first. They
share a message with other metrics only while that is small and was accepted the last time; session counters go after
them, in messages of their own (docs/decisions/0045-messages-of-bounded-size.md).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from time import monotonic, time_ns
from typing import Any, Final, Protocol

from opentelemetry.sdk.metrics import Counter, ObservableCounter
from opentelemetry.sdk.metrics.export import Metric, MetricExportResult, ScopeMetrics
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from costspan import guard, names
from costspan.facts.periods import Periods
from costspan.metrics import batches
from costspan.metrics.duration_points import DurationPoints
from costspan.metrics.durations import Durations
from costspan.metrics.label_points import LabelPoints, Piece
from costspan.metrics.session_points import SessionPoints
from costspan.metrics.sessions import Sessions
from costspan.metrics.totals import Totals
from costspan.sdk import preferences, way_out
from costspan.sdk.acknowledged import Acknowledgement
from costspan.sdk.identity import Identity

#: How long one export may go on sending session counters; what is left goes with the next.
_MOST_S: Final = 10.0
#: And which part of the time that the reader has.
_SHARE_OF_TIMEOUT: Final = 0.5
_MS_PER_S: Final = 1e3
#: After so many messages that were refused, each of which may have taken the exporter's patience, an export gives up.
_MOST_REFUSALS: Final = 2

_DELTA: Final = (
    "costspan: metrics leave as deltas (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE): the Collector of costspan's stack "
    "refuses them, since a delta that gets lost is money lost. Take the setting away, or send to a backend that adds deltas up"
)

#: Hands one message on, and tells whether it was delivered.
_Send = Callable[[Any], bool]


class Outbox(Protocol):
    """What keeps the calls until they are known to be delivered."""

    @property
    def is_closing(self) -> bool: ...
    def totals_delivered(self, booked: int) -> None: ...
    def deliver_others(self, send: _Send) -> None: ...


class ExportExtra:
    """Adds to what one metric reader hands on: totals and durations where the SDK's instruments do not have them, and
    session counters where they are wanted.
    """

    def __init__(
        self, reader: Any, totals: Totals, periods: Periods, sessions: Sessions | None, durations: Durations | None,
        *, leave_by_themselves: Callable[[], bool], after_delivery: Callable[[], object], outbox: Outbox | None = None,
    ) -> None:  # fmt: skip
        is_delta = preferences.prefers_delta(reader, ObservableCounter)
        #: Whether this reader aggregates histograms into explicit buckets, in the temporality of its counters.
        self.has_plain_histograms = preferences.has_plain_histograms(reader)
        #: Whether this reader adds counters up.
        self.has_plain_counters = preferences.has_plain_counters(reader)
        #: A reader without an exporter hands over what it has when it is asked: one message each time.
        self.exporter = getattr(reader, "_exporter", None)
        self._is_pulled = self.exporter is None
        self._outbox = outbox
        self._totals = totals
        #: Whether it sends sums by OTLP, so that sending them again changes nothing.
        self.is_repeatable = way_out.is_otlp(self.exporter) and not is_delta
        now = time_ns()
        if is_delta and not self._is_pulled:
            guard.tell_once("delta", _DELTA)
        self._labels = LabelPoints(totals, periods, is_delta=is_delta, is_pulled=self._is_pulled)
        self._leave_by_themselves = leave_by_themselves
        self._durations = (
            DurationPoints(durations, is_delta=preferences.prefers_delta(reader, Counter), since_ns=now)
            if durations is not None
            else None
        )
        self._sessions = SessionPoints(sessions, is_delta=is_delta, since_ns=now) if sessions is not None else None
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

        self.identity = Identity(reader)
        self._listen(self.exporter)
        reader._receive_metrics = receive_with_ours  # noqa: SLF001  # last: by what is whole

    @guard.guarded("emit.delivery")
    def _listen(self, exporter: Any) -> None:
        """A reader does not say whether its exporter could deliver; a reader without one hands over what it has."""
        if exporter is None:
            return
        export = exporter.export
        acknowledged = Acknowledgement(exporter)

        def export_and_note(*args: Any, **kwargs: Any) -> Any:
            self._is_delivered = False
            acknowledged.begin()
            result = export(*args, **kwargs)
            self._is_delivered = result is MetricExportResult.SUCCESS and acknowledged.is_taken()
            return result

        exporter.export = export_and_note

    def _received(self, own: Callable[..., Any], metrics_data: Any, args: Any, kwargs: Any) -> Any:
        """In place of the reader's method `own`. One thread at a time: what was delivered is told by a field."""
        with self._lock:
            result = None

            def send_as_it_is(data: Any) -> bool:
                nonlocal result
                result = own(data, *args, **kwargs)
                return self._is_delivered

            def send(data: Any) -> bool:
                return send_as_it_is(self.identity.added(data) or data)

            until_s = monotonic() + _patience_s(args, kwargs)
            booked = self._totals.booked
            if self._hand_on(send, metrics_data):
                self._note_delivery()
                if self._is_pulled or not self._send_sessions(send, metrics_data, until_s):
                    return result
                self._tell_outbox(send_as_it_is, booked)
            return result

    @guard.guarded("emit.outbox")
    def _tell_outbox(self, send: _Send, booked: int) -> None:
        """Everything has arrived: what so many calls come to. The receiver is there: what others left behind may go, too."""
        if self._outbox is not None and self.is_repeatable and self._leave_by_themselves():
            self._outbox.totals_delivered(booked)
            self._outbox.deliver_others(send)

    def _hand_on(self, send: _Send, metrics_data: Any) -> bool:
        """Send everything but the sessions; True once all totals are delivered."""
        if not getattr(metrics_data, "resource_metrics", ()):  # nothing of ours can be among them
            return send(metrics_data)
        now = time_ns()
        pieces = self._pieces(now)
        first = next(pieces, None)
        durations = self._duration_metrics(now) or []
        if self._is_pulled or self._is_one_message(metrics_data, durations, first):
            return self._send_together(send, metrics_data, first, [*durations, *(self._pulled_sessions(now) or ())])
        data = _joined(metrics_data, durations)
        return self._send_apart(send, data, chain([first] if first is not None else (), pieces))

    def _pieces(self, now: int) -> Iterator[Piece]:
        """The totals in pieces, where they leave by themselves; a fault of ours ends them."""
        if self._leave_by_themselves():
            pieces = self._labels.pieces(now)
            yield from iter(lambda: _next(pieces), None)

    @guard.guarded("metrics.batches")
    def _is_one_message(self, metrics_data: Any, durations: list[Metric], first: Piece | None) -> bool:
        """Whether everything fits into one message; what went together and failed goes apart."""
        if self._is_apart or (first is not None and not first.is_last):
            return False
        return not batches.is_large(_joined(metrics_data, durations), first.size if first is not None else 0)

    def _send_together(self, send: _Send, metrics_data: Any, piece: Piece | None, others: list[Metric]) -> bool:
        joined = self._join(metrics_data, piece, others)
        is_delivered = send(joined or metrics_data)
        self._is_apart = not is_delivered
        if piece is not None and is_delivered and joined is not None:
            self._labels.delivered(piece)
        return is_delivered and joined is not None and self._is_finished()

    def _send_apart(self, send: _Send, data: Any, pieces: Iterable[Piece]) -> bool:
        """First what is not ours, then the totals, piece by piece. One that is refused does not hold up the others."""
        others, ours = batches.without_scope(data, names.SCOPE)
        is_reached = bool(others.resource_metrics) and send(others)
        self._is_apart = bool(others.resource_metrics) and not is_reached
        if self._is_apart and self._outbox is not None and self._outbox.is_closing:
            return False  # nobody is there, and the end of the program waits: the outbox has it
        refusals = 0
        for message, piece in self._own_messages(data.resource_metrics[0], ours, pieces):
            if send(message):
                is_reached = True
                if piece is not None:
                    self._labels.delivered(piece)
                continue
            refusals += 1
            if piece is not None:
                self._labels.refused(piece)
            if not is_reached or refusals >= _MOST_REFUSALS:
                return False
        return not refusals and self._is_finished()

    def _own_messages(
        self, resource: Any, ours: list[tuple[Any, Any]], pieces: Iterable[Piece]
    ) -> Iterator[tuple[Any, Piece | None]]:
        """Our messages, with the piece of the totals that one holds."""
        for piece in pieces:
            yield batches.message(resource, _scope(piece.metrics(self._labels.kind))), piece
        for of, scope in ours:
            for message in batches.messages(of, scope):
                yield message, None

    def _is_finished(self) -> bool:
        return not self._leave_by_themselves() or self._labels.finished()

    @guard.guarded("emit.delivery")
    def _note_delivery(self) -> None:
        self.delivered_s = monotonic()
        if self._is_pulled and self._sessions is not None:
            self._sessions.delivered(time_ns())
        self._after_delivery()

    @guard.guarded("metrics.sessions")
    def _send_sessions(self, send: _Send, metrics_data: Any, until_s: float) -> bool:
        """Send what the sessions have, piece by piece, until all is delivered, one is refused, or time is up."""
        resources = list(getattr(metrics_data, "resource_metrics", ()))
        if self._sessions is None or not resources:
            return bool(resources)
        backlog = self._sessions.backlog()
        while backlog and monotonic() < until_s:
            now = time_ns()
            piece = self._sessions.take(backlog, now)
            if not send(batches.message(resources[0], _scope(piece))):
                self._sessions.refused()
                return False
            self._sessions.delivered(now)
        return not backlog

    def forget(self) -> None:
        """In a forked child: nothing was reported yet, and the lock may be held by a thread that is not here."""
        self._lock = threading.RLock()
        now = time_ns()
        self.identity.renew()
        self._labels.forget()
        for points in (self._durations, self._sessions):
            if points is not None:
                points.forget(now)

    @guard.guarded("metrics.sessions")
    def _pulled_sessions(self, now: int) -> list[Metric]:
        """One piece of the sessions, for a reader that is pulled."""
        backlog = self._sessions.backlog() if self._sessions is not None and self._is_pulled else None
        return self._sessions.take(backlog, now) if self._sessions is not None and backlog else []

    @guard.guarded("metrics.durations")
    def _duration_metrics(self, now: int) -> list[Metric]:
        return self._durations.metrics(now) if self._durations is not None else []

    @guard.guarded("emit.join")
    def _join(self, metrics_data: Any, piece: Piece | None, others: list[Metric]) -> Any:
        """The data with ours added."""
        return _joined(metrics_data, [*(piece.metrics(self._labels.kind) if piece is not None else ()), *others])


@guard.guarded("metrics.labels")
def _next(pieces: Iterator[Piece]) -> Piece | None:
    return next(pieces, None)


def _joined(metrics_data: Any, metrics: list[Metric]) -> Any:
    """The data of a reader with metrics of ours added."""
    if not metrics:
        return metrics_data
    first, *others = metrics_data.resource_metrics
    first = replace(first, scope_metrics=[*first.scope_metrics, _scope(metrics)])
    return replace(metrics_data, resource_metrics=[first, *others])


def _scope(metrics: list[Metric]) -> ScopeMetrics:
    return ScopeMetrics(InstrumentationScope(names.SCOPE), metrics, schema_url="")


def _patience_s(args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """How long sessions may be sent, of the time that the reader was given in milliseconds."""
    given = args[0] if args else kwargs.get("timeout_millis")
    if not isinstance(given, int | float):
        return _MOST_S
    return min(_MOST_S, _SHARE_OF_TIMEOUT * given / _MS_PER_S)
