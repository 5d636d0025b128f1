"""The parts between a finished call and the outside, built once a process and closed in the right order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry import metrics as otel_metrics
from opentelemetry import trace
from opentelemetry._logs import get_logger_provider

from costspan import guard, names, scope
from costspan.calls import finishing, observed_stream
from costspan.emit.dispatcher import CallDispatcher
from costspan.emit.estimates import EstimateErrors
from costspan.emit.events import Events
from costspan.emit.outbox import Outbox
from costspan.emit.outputs import BOOKED, FINISHED, QUEUED, Output, forking, taking
from costspan.emit.overflow import Overflow
from costspan.emit.recorder import CallRecorder, into_rate_limits, into_totals
from costspan.emit.spans import Spans
from costspan.facts.call import Call
from costspan.facts.periods import Periods
from costspan.ledger.claims import Claims
from costspan.metrics.durations import Durations
from costspan.metrics.health import (
    LedgerHealth,
    observe_admission,
    observe_anomalies,
    observe_crossings,
    observe_health,
    observe_rate_limits,
)
from costspan.metrics.instruments import observe_totals
from costspan.metrics.ratelimits import RateLimits
from costspan.metrics.sessions import Sessions
from costspan.metrics.totals import Totals
from costspan.pricing.opener import LazyPrices
from costspan.process.fork import Participant
from costspan.sdk.after_fork import disown
from costspan.sdk.readers import Readers
from costspan.settings import Settings

if TYPE_CHECKING:
    from costspan.budgets.keeper import Keeper

_PATIENCE_MS: Final = 8_000


class Ledger(LedgerHealth, Protocol):
    """What the pipeline asks of a ledger."""

    def hold(self, call: Call) -> None: ...
    def take(self, calls: Sequence[Call]) -> None: ...
    def lose(self, lost: Sequence[Call], reason: str) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...
    def before_fork(self, give_up_s: float) -> bool: ...
    def after_fork_in_parent(self) -> None: ...
    def forget(self) -> None: ...


class Pipeline:
    """Everything that hears of a call. One for a process."""

    def __init__(
        self, settings: Settings, *, prices: LazyPrices, ledger: Ledger | None,
        tracer_provider: trace.TracerProvider | None, meter_provider: otel_metrics.MeterProvider | None,
        logger_provider: Any, claims: Claims | None = None, notices: Sequence[Output] = (), outbox: Path | None = None,
        keeper: Keeper | None = None,
    ) -> None:  # fmt: skip
        self._providers = (tracer_provider, meter_provider, logger_provider)
        self.ledger = ledger
        self.keeper = keeper
        self.totals = Totals(settings.label_limit, settings.label_set_limit, with_account=settings.account_metrics)
        self.sessions = guard.part("sessions", lambda: _sessions(settings))
        self.rate_limits = RateLimits()
        periods = guard.part("time zone", lambda: Periods(settings.time_zone)) or Periods()
        self.outbox = None if outbox is None else guard.part("outbox", lambda: self._outbox(outbox, settings))
        self.readers = Readers(self._meters, self.totals, periods, self.sessions, self.outbox)
        if self.outbox is not None:
            self.outbox.readers = self.readers
        meter = guard.part("metrics", lambda: otel_metrics.get_meter(names.SCOPE, meter_provider=meter_provider))
        self._observe(meter or otel_metrics.NoOpMeter(names.SCOPE), periods, settings.label_limit)
        spans = guard.part("spans", lambda: _spans(settings, tracer_provider))
        queued = [*self._queued(settings, logger_provider), *notices]
        self.dispatcher = CallDispatcher(
            taking(queued, QUEUED), ledger.lose if ledger is not None else None,
        )  # fmt: skip
        #: In the order in which they hear of a call, and in which a thread that passes calls on takes their locks.
        self.outputs = (*self._at_once(spans, periods), *queued)
        self.recorder = CallRecorder(
            prices=prices, periods=periods, spans=spans, outputs=self.outputs, claims=claims,
            admission=keeper.admission if keeper is not None else None,
        )  # fmt: skip

    def _observe(self, meter: otel_metrics.Meter, periods: Periods, label_limit: int) -> None:
        """Have what this process sums read at each collection; what cannot be, fails alone."""
        guard.part("health", lambda: observe_health(meter, self.ledger, self.outbox))
        if self.keeper is not None and self.keeper.admission is not None:
            admission = self.keeper.admission
            guard.part("budget metrics", lambda: observe_admission(meter, admission))
        if self.keeper is not None:
            crossings = self.keeper.crossings
            guard.part("crossing metrics", lambda: observe_crossings(meter, crossings))
        if self.keeper is not None and self.keeper.watch is not None:
            watch = self.keeper.watch
            guard.part("anomaly metrics", lambda: observe_anomalies(meter, watch, label_limit))
        self.estimates = guard.part("estimates", lambda: EstimateErrors(meter, label_limit))
        guard.part("rate limits", lambda: observe_rate_limits(meter, self.rate_limits))
        self.durations = guard.part("durations", lambda: Durations(meter, self.totals, self.readers.may_ride))
        self.readers.durations = self.durations
        guard.part("metrics", lambda: observe_totals(meter, self.totals, periods, self.readers.leave_by_themselves))

    def _at_once(self, spans: Spans | None, periods: Periods) -> Iterator[Output]:
        """The outputs that hear of a call in the caller's thread."""
        dispatcher, totals, sessions, limits = self.dispatcher, self.totals, self.sessions, self.rate_limits
        if spans is not None:
            yield Output("emit.spans", FINISHED, spans.ended)
        if self.keeper is not None and self.keeper.admission is not None:
            yield Output("budgets.settle", FINISHED, self.keeper.admission.settle)
        yield Output("emit.ratelimits", FINISHED, into_rate_limits(limits), after_fork=limits.forget)
        # Before the queue, so that a call that is kept knows its place in the sums.
        yield Output("emit.totals", BOOKED, into_totals(totals, periods), after_fork=totals.clear)
        if sessions is not None:
            yield Output("metrics.sessions", BOOKED, sessions.add, after_fork=sessions.clear)
        for name, kept in (("outbox.journal", self.outbox), ("ledger.journal", self.ledger)):
            if kept is not None:  # before the queue, which may be lost with the process
                yield Output(name, BOOKED, kept.hold)
        yield Output(
            "emit.dispatcher", BOOKED, dispatcher.put, dispatcher.drain, dispatcher.close,
            dispatcher.forget, dispatcher.before_fork, dispatcher.after_fork_in_parent,
        )  # fmt: skip

    def _queued(self, settings: Settings, logger_provider: Any) -> Iterator[Output]:
        """The outputs that hear of calls on the dispatcher's thread."""
        ledger, durations, kept = self.ledger, self.durations, self.outbox
        if kept is not None:  # before all others: what it keeps they may tell
            yield Output(
                "emit.outbox", QUEUED, kept.keep, close=kept.close, after_fork=kept.forget,
                before_fork=kept.before_fork, after_fork_in_parent=kept.after_fork_in_parent,
            )  # fmt: skip
        if self.keeper is not None:  # before the ledger, whose rows are read again for budgets
            keeper = self.keeper
            yield Output(
                "budgets.keeper", QUEUED, keeper.take, close=keeper.close, after_fork=keeper.forget,
                before_fork=keeper.before_fork, after_fork_in_parent=keeper.after_fork_in_parent,
            )  # fmt: skip
        if ledger is not None:  # before telemetry: it is the book
            yield Output(
                "ledger", QUEUED, ledger.take, ledger.flush, ledger.close,
                ledger.forget, ledger.before_fork, ledger.after_fork_in_parent,
            )  # fmt: skip
        yield Output("sdk.readers", QUEUED, self.readers.take, after_fork=self.readers.forget)
        if durations is not None:
            yield Output("metrics.durations", QUEUED, durations.take, after_fork=durations.forget)
        yield Output("emit.overflow", QUEUED, Overflow(self.totals).take)
        if self.estimates is not None:
            yield Output("emit.estimates", QUEUED, self.estimates.take, after_fork=self.estimates.forget)
        if settings.events:
            events = guard.part("events", lambda: Events(logger_provider or get_logger_provider()))
            if events is not None:
                yield Output("emit.events", QUEUED, events.take)

    def _outbox(self, directory: Path, settings: Settings) -> Outbox:
        return Outbox(
            directory, settings, self.totals, self.sessions,
            providers=lambda: (self._own_providers()[0], self._own_providers()[2]),
        )  # fmt: skip

    def _meters(self) -> Any:
        return self._providers[1] or otel_metrics.get_meter_provider()

    def flush(self) -> None:
        """Pass on everything that has finished. Returns when ledger and SDK have it."""
        finishing.finish_all()
        for output in self.outputs:
            if output.flush is not None:
                output.flush()

    def close(self) -> None:
        """Finish what is open and pass on everything."""
        observed_stream.finish_live()
        self.recorder.book_pending()
        for output in self.outputs:
            if output.close is not None:
                output.close()

    def deliver(self) -> None:
        """Close, and have the SDK's providers deliver: counters first, and those only where there was a call."""
        self.close()
        self.send()

    def send(self) -> None:
        """Have the SDK's providers send what they hold: counters first, and those only where there was a call."""
        meters, tracers, loggers = self._own_providers()
        for provider in (meters if self.totals.by_labels else None, tracers, loggers):
            flush = getattr(provider, "force_flush", None)
            # Python 3.13 runs the exit handlers that were registered in a child of multiprocessing: the SDK's go first.
            if flush is not None and not getattr(provider, "_shutdown", False):
                guard.guarded("exit.flush")(flush)(_PATIENCE_MS)

    def participants(self) -> list[Participant]:
        """What is told of a fork: in the child each begins anew, as calls, queue, sums and file are the parent's."""
        claims, sending = self.recorder.claims, self.recorder.sending
        return [
            Participant("fork.guard", guard.forget),
            Participant("fork.calls", observed_stream.forget_all),
            *forking(self.outputs),
            *([] if claims is None else [Participant("fork.claims", claims.forget)]),
            *([] if sending is None else [Participant("fork.sending", sending.forget)]),
            Participant("fork.runs", scope.begin_anew, scope.before_fork),
            Participant("fork.pending", self.recorder.pending.clear),
            Participant("fork.prices", self.recorder.prices.forget),
            Participant("fork.sdk", lambda: disown(*self._own_providers())),
        ]

    def _own_providers(self) -> tuple[Any, Any, Any]:
        tracers, meters, loggers = self._providers
        return (
            meters or otel_metrics.get_meter_provider(),
            tracers or trace.get_tracer_provider(),
            loggers or get_logger_provider(),
        )


def _sessions(settings: Settings) -> Sessions | None:
    return Sessions(settings.session_limit, settings.label_limit) if settings.session_metrics else None


def _spans(settings: Settings, provider: trace.TracerProvider | None) -> Spans | None:
    return Spans(trace.get_tracer(names.SCOPE, tracer_provider=provider)) if settings.spans else None
