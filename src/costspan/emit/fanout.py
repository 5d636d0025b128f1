"""One call, told to everybody: priced when it has finished, then summed, shown, queued. A failing part stops no other."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from costspan import guard, scope
from costspan.calls.engine import Watch
from costspan.calls.ratelimits import RateLimits
from costspan.emit.cells import Cells
from costspan.emit.clerk import Clerk
from costspan.emit.pricer import Pricer
from costspan.emit.sessions import Sessions
from costspan.emit.spans import Spans
from costspan.facts.attribution import NOBODY
from costspan.facts.call import ERROR, Call
from costspan.facts.money import FAULT, NO_USAGE, Unpriced
from costspan.facts.periods import Periods

if TYPE_CHECKING:
    from costspan.ledger.claims import Claims

_WATCH: Final = otel_context.create_key("costspan-watch")
_NO_USAGE: Final = Unpriced(NO_USAGE, "the answer did not say what it used")
_FAULT: Final = Unpriced(FAULT, "pricing failed: see the log of costspan")
_MOST_FETCHABLE: Final = 10_000
_NS_PER_S: Final = 1e9
_FIRST_REFUSAL: Final = 300
_TIMEOUTS: Final = frozenset({"APITimeoutError", "ReadTimeout", "CancelledError"})


class Fanout:
    """The engine's listener: knows the parts that want to hear of calls, and nothing of how they work."""

    def __init__(
        self, *, prices: Pricer, periods: Periods, cells: Cells, sessions: Sessions | None, spans: Spans | None,
        clerk: Clerk, rate_limits: RateLimits, claims: Claims | None = None,
    ) -> None:  # fmt: skip
        self.claims = claims
        self.prices = prices
        self.periods = periods
        self.cells = cells
        self.sessions = sessions
        self.spans = spans
        self.clerk = clerk
        self.rate_limits = rate_limits
        #: Answers still being made, by id, with the call that began them; and answers that were booked already.
        self.pending: OrderedDict[tuple[str, str], Call] = OrderedDict()
        self._booked: OrderedDict[tuple[str, str], None] = OrderedDict()

    def began(self, watch: Watch) -> None:
        """Snapshot the attribution, open a span, let the library run within both."""
        if not self._begin(watch):
            self._begin_without(watch)

    @guard.guarded_positional("emit.began")
    def _begin(self, watch: Watch) -> bool:
        context = otel_context.get_current()
        call = watch.call
        who = scope.current(context)
        call.attribution = who if call.attribution is NOBODY else who.over(call.attribution)
        if self.spans is not None and not watch.native:
            watch.span = self.spans.began(watch, context) or watch.span
        self._enter(watch, context)
        return True

    @guard.guarded_positional("emit.began")
    def _begin_without(self, watch: Watch) -> None:
        """Where attribution or span failed: the other of the two, and no baggage of ours leaves."""
        context = otel_context.get_current()
        if watch.span is None and self.spans is not None and not watch.native:
            watch.span = guard.guarded_positional("emit.spans")(self.spans.began)(watch, context)
        self._enter(watch, context)

    def _enter(self, watch: Watch, context: Context) -> None:
        outer = scope.without_baggage(context)
        if watch.span is not None and not watch.borrowed:
            inner = Context({**outer, _WATCH: watch, _SPAN_KEY: watch.span})
        else:
            inner = Context({**outer, _WATCH: watch})
        watch.token = otel_context.attach(inner)

    def left(self, watch: Watch) -> None:
        """The caller's own context is back."""
        token, watch.token = watch.token, None
        var: Any = getattr(token, "var", None)
        if var is not None:
            try:  # noqa: SIM105  # `suppress` takes ten times as long: 1 % of a call
                var.reset(token)
            except ValueError:  # a coroutine that is closed from another context than it began in
                pass
        elif token is not None:
            otel_context.detach(token)

    def current(self) -> Watch | None:
        """The watch of the call that is under way here."""
        watch = otel_context.get_value(_WATCH)
        return watch if isinstance(watch, Watch) else None

    def adopted(self, watch: Watch) -> None:
        """The library's own span is current: it is the span of this call."""
        if watch.span is None and self.spans is not None:
            span = trace.get_current_span()
            if span.is_recording():
                watch.span, watch.borrowed = span, True

    def finished(self, watch: Watch) -> None:
        """Price the call and tell everybody, once."""
        call = watch.call
        is_booked = self._value(watch)
        if is_booked is None:  # we failed: it was answered all the same
            is_booked, call.price = True, _FAULT
        self._show(watch)
        if is_booked:
            self._put(call)
            self._add(call)
            if self.sessions is not None:
                self._add_to_session(call)
        if watch.headers is not None:
            self._read_quota(watch)

    @guard.guarded_positional("pricing")
    def _value(self, watch: Watch) -> bool:
        """Month and price of a call; False for one that is not to be booked."""
        call = watch.call
        if not self._is_to_be_booked(watch):
            return False
        if call.request_model is None:  # an answer that is only fetched names its model
            call.request_model = call.answer.model
        call.period = self.periods.month(call.started_ns)
        call.price = self._price(call)
        return True

    @guard.guarded_positional("emit.clerk")
    def _put(self, call: Call) -> None:
        self.clerk.put(call)

    @guard.guarded_positional("emit.cells")
    def _add(self, call: Call) -> None:
        self.cells.add(call, call.period, self.periods.day(call.started_ns))

    @guard.guarded_positional("emit.sessions")
    def _add_to_session(self, call: Call) -> None:
        if self.sessions is not None:
            self.sessions.add(call)

    @guard.guarded_positional("emit.spans")
    def _show(self, watch: Watch) -> None:
        span = watch.span
        if span is None or self.spans is None:
            return
        identity = span.get_span_context()
        watch.call.trace_id, watch.call.span_id = identity.trace_id, identity.span_id
        self.spans.ended(watch)

    @guard.guarded_positional("emit.ratelimits")
    def _read_quota(self, watch: Watch) -> None:
        self.rate_limits.take(watch.call.provider, watch.call.request_model, watch.headers)

    def _price(self, call: Call) -> Any:
        answer = call.answer
        if answer.unread:
            _note_unread(call, answer.unread)
        if answer.usage is None and answer.reported_nano_usd is None:
            was_answered = call.http_status is not None and call.http_status < _FIRST_REFUSAL
            may_be_charged = call.outcome != ERROR or call.error_type in _TIMEOUTS or was_answered
            return _NO_USAGE if may_be_charged else None
        return self.prices.price(call.provider, call.address, call.request_model, answer, call.started_ns / _NS_PER_S)

    def _is_to_be_booked(self, watch: Watch) -> bool:
        call, answer = watch.call, watch.call.answer
        if not call.is_fetchable:
            return True
        is_fetched = watch.endpoint.fetches or watch.endpoint.each
        if answer.id is None:
            return not is_fetched
        key = (call.provider, answer.id)
        if answer.pending:
            if not is_fetched:
                _keep(self.pending, key, call)
            return False
        if is_fetched and (answer.usage is None or key in self._booked):
            return False
        _keep(self._booked, key, None)
        begun = self.pending.pop(key, None)
        if self.claims is not None and not self.claims.claim(*key):  # another process has booked it
            return False
        if begun is not None:
            call.attribution = begun.attribution
            call.request_model = begun.request_model
        return True

    def book_pending(self) -> None:
        """The process ends: what nobody fetched was asked for all the same, and what it used is unknown."""
        while self.pending:
            key, call = self.pending.popitem(last=False)
            if self.claims is not None and not self.claims.is_free(*key):  # another process has fetched it
                continue
            call.period = self.periods.month(call.started_ns)
            call.price = _NO_USAGE
            self._put(call)
            self._add(call)
            self._add_to_session(call)


def _note_unread(call: Call, fields: tuple[str, ...]) -> None:
    """Count the call, and log each field of its usage that was not understood once."""
    guard.count("usage.unread")
    for name in fields:
        guard.tell_once(
            f"unread:{call.provider}:{name}",
            "costspan: usage field %s in an answer of %s (%s) is not understood or out of bounds: such calls are booked"
            " as incomplete, a lower bound of their cost",
            name, call.provider, call.client,
        )  # fmt: skip


def _keep(table: OrderedDict[tuple[str, str], Any], key: tuple[str, str], value: Any) -> None:
    table[key] = value
    if len(table) > _MOST_FETCHABLE:
        table.popitem(last=False)


# The key under which the API keeps the current span; taken from what it does, not from its private name.
_SPAN_KEY: Final = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))
