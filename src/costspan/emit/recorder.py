"""One call, told to everybody: priced when it has finished, then summed, shown, queued. A failing part stops no other."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from costspan import guard, scope
from costspan.calls.engine import ObservedCall, new_id
from costspan.calls.items import ObservedItem
from costspan.emit.outputs import BOOKED, FINISHED, Output, taking
from costspan.emit.sending import Sending
from costspan.emit.spans import Spans
from costspan.facts.attribution import NOBODY, Attribution
from costspan.facts.call import ERROR, REFUSED, Call
from costspan.facts.money import FAULT, NO_USAGE, UNKNOWN_SELLER, Unpriced
from costspan.facts.periods import Periods
from costspan.metrics.ratelimits import RateLimits
from costspan.metrics.totals import Totals
from costspan.pricing.opener import LazyPrices
from costspan.scope import transaction
from costspan.scope.awaited import note_estimate
from costspan.scope.layer import CALL
from costspan.scope.run import RUNS, finish_in_runs

if TYPE_CHECKING:
    from costspan.budgets.admission import Admission
    from costspan.ledger.claims import Claims

_NO_USAGE: Final = Unpriced(NO_USAGE, "the answer did not say what it used")
_FAULT: Final = Unpriced(FAULT, "pricing failed: see the log of costspan")
_MOST_FETCHABLE: Final = 10_000
_NS_PER_S: Final = 1e9
_FIRST_REFUSAL: Final = 300


class CallRecorder:
    """The engine's recorder: knows the parts that want to hear of calls, and nothing of how they work."""

    def __init__(
        self, *, prices: LazyPrices, periods: Periods, spans: Spans | None, outputs: Sequence[Output],
        claims: Claims | None = None, admission: Admission | None = None,
    ) -> None:  # fmt: skip
        self.claims = claims
        self._admission = admission
        self.is_strict = admission is not None
        self.sending: Sending | None = None
        self.prices = prices
        self.periods = periods
        self.spans = spans
        self._at_finish = taking(outputs, FINISHED)
        self._at_booking = taking(outputs, BOOKED)
        #: Answers still being made, by id, with the call that began them; and answers that were booked already.
        self.pending: OrderedDict[tuple[str, str], Call] = OrderedDict()
        self._booked: OrderedDict[tuple[str, str], None] = OrderedDict()
        #: Who handed in a job whose answers are fetched later, by each id that it goes by.
        self._handed_in: OrderedDict[tuple[str, str], Attribution] = OrderedDict()

    def began(self, observed: ObservedCall) -> None:
        """Snapshot the attribution, open a span, let the library run within both."""
        if not self._begin(observed):
            self._begin_without(observed)

    @guard.guarded_positional("emit.began")
    def _begin(self, observed: ObservedCall) -> bool:
        context = otel_context.get_current()
        call = observed.call
        who = scope.current(context)
        call.attribution = who if call.attribution is NOBODY else who.over(call.attribution)
        if observed.endpoint.each and not isinstance(observed, ObservedItem):  # no call: its items are
            self._enter(observed, context)
            return True
        outer = context.get(CALL)
        if isinstance(outer, ObservedCall):
            outer.within(observed)
            if outer.call.held is not None:
                self._pass_holds(outer)
        if RUNS:
            scope.begin_in_runs(context, call)
        if self.spans is not None and not observed.native:
            observed.span = self.spans.began(observed, context) or observed.span
        self._enter(observed, context)
        return True

    @guard.guarded_positional("emit.began")
    def _begin_without(self, observed: ObservedCall) -> None:
        """Where attribution or span failed: the other of the two, and no baggage of ours leaves."""
        context = otel_context.get_current()
        if observed.span is None and self.spans is not None and not observed.native:
            observed.span = guard.guarded_positional("emit.spans")(self.spans.began)(observed, context)
        self._enter(observed, context)

    def _enter(self, observed: ObservedCall, context: Context) -> None:
        outer = scope.without_baggage(context)
        if observed.span is not None and not observed.borrowed:
            inner = Context({**outer, CALL: observed, _SPAN_KEY: observed.span})
        else:
            inner = Context({**outer, CALL: observed})
        if self.sending is not None:
            self.sending.began(observed)
        observed.token = otel_context.attach(inner)

    def admit(self, observed: ObservedCall) -> None:
        """Have the hard budgets asked. Raises BudgetExceeded."""
        if self._admission is not None:
            if observed.token is None:  # it is asked about ahead, and begins with its answer
                observed.call.attribution = scope.current()
            self._admission.admit(observed, transaction.current())

    def _pass_holds(self, outer: ObservedCall) -> None:
        """The call within another one holds for itself, where it is the one that counts."""
        if self._admission is not None and getattr(outer, "passed_on", False):
            self._admission.let_go(outer.call)

    def dropped(self, observed: ObservedCall) -> None:
        """What it holds is let go of."""
        if self._admission is not None:
            self._admission.let_go(observed.call)

    def left(self, observed: ObservedCall) -> None:
        """The caller's own context is back."""
        if self.sending is not None:
            self.sending.over(observed.sign)
        token, observed.token = observed.token, None
        var: Any = getattr(token, "var", None)
        if var is not None:
            try:  # noqa: SIM105  # `suppress` takes ten times as long: 1 % of a call
                var.reset(token)
            except ValueError:  # a coroutine that is closed from another context than it began in
                pass
        elif token is not None:
            otel_context.detach(token)

    def current(self) -> ObservedCall | None:
        """The call that is under way here."""
        observed = otel_context.get_value(CALL)
        return observed if isinstance(observed, ObservedCall) else None

    def told_apart(self) -> Sending:
        """What tells the requests of libraries that are watched as they send from the calls above them."""
        self.sending = self.sending or Sending()
        return self.sending

    def adopted(self, observed: ObservedCall) -> None:
        """The library's own span is current: it is the span of this call."""
        if observed.span is None and self.spans is not None:
            span = trace.get_current_span()
            if span.is_recording():
                observed.span, observed.borrowed = span, True

    def finished(self, observed: ObservedCall) -> None:
        """Price the call and tell everybody, once."""
        call = observed.call
        is_booked = self._value(observed)
        if is_booked is None:  # we failed: it was answered all the same
            is_booked, call.price = True, _FAULT
        if call.runs is not None and is_booked:
            note_estimate(call)
        guard.each(self._at_finish, observed)
        if is_booked:
            call.id = new_id(call.started_ns) if call.held is None else call.held.key
            guard.each(self._at_booking, call)
        if call.runs is not None:
            finish_in_runs(call, is_booked)

    @guard.guarded_positional("pricing")
    def _value(self, observed: ObservedCall) -> bool:
        """Month and price of a call; False for one that is not to be booked."""
        call, answer = observed.call, observed.call.answer
        if call.request_model is None:  # not every request names it at the top, and none that only fetches an answer
            call.request_model = answer.model
        if call.is_fetchable and not self._is_to_be_booked(observed):
            return False
        call.day = day = self.periods.day(call.started_ns)
        call.period = day[:6]
        if answer.unread:
            _note_unread(call, answer.unread)
        if answer.usage is None and answer.reported_nano_usd is None:
            call.price = _NO_USAGE if _may_be_charged(observed) else None
        else:
            address = call.host if call.port is None else call.address
            started_s = call.started_ns / _NS_PER_S
            call.price = price = self.prices.price(call.provider, address, call.request_model, answer, started_s)
            if isinstance(price, Unpriced) and price.reason == UNKNOWN_SELLER:
                guard.tell_once(f"seller:{address}", "costspan: calls are unpriced: %s", price.detail)
        return True

    def _is_to_be_booked(self, observed: ObservedCall) -> bool:
        """Whether an answer that may come again has not been booked yet, here or in another process."""
        call, answer = observed.call, observed.call.answer
        is_fetched = observed.endpoint.fetches or observed.endpoint.each
        if answer.id is None:
            return not is_fetched
        key = (call.provider, answer.id)
        if answer.pending:
            if not is_fetched:
                _keep(self.pending, key, call)
            return False
        is_item = isinstance(observed, ObservedItem)
        says_nothing = answer.usage is None and answer.error is None and not is_item
        if is_fetched and (says_nothing or key in self._booked):
            return False
        _keep(self._booked, key, None)
        begun = self.pending.pop(key, None)
        if self.claims is not None and not self.claims.claim(*key):  # another process has booked it
            return False
        if begun is not None:
            call.attribution = begun.attribution
            call.held = begun.held
            call.request_model = begun.request_model
            call.runs, begun.runs = begun.runs, None
        if is_item and observed.list_id is not None:
            call.attribution = self._handed_in.get((call.provider, observed.list_id), call.attribution)
        return True

    def is_booked(self, provider: str, answer_id: str) -> bool:
        """Whether an answer that may come again has been booked in this process: it needs no second span."""
        return (provider, answer_id) in self._booked

    def handed_in(self, fetching: ObservedCall, ids: Sequence[str]) -> None:
        """Keep who handed in a job, under each of its ids; they are told one after the other, while it runs."""
        keys = [(fetching.call.provider, each) for each in ids]
        who = next((found for key in keys if (found := self._handed_in.get(key)) is not None), None)
        if who is None and fetching.endpoint.method == "post":
            who = fetching.call.attribution
        for key in keys if who is not None else ():
            _keep(self._handed_in, key, who)

    def book_pending(self) -> None:
        """The process ends: what nobody fetched was asked for all the same, and what it used is unknown."""
        while self.pending:
            key, call = self.pending.popitem(last=False)
            if self.claims is not None and not self.claims.is_free(*key):  # another process has fetched it
                continue
            call.day = self.periods.day(call.started_ns)
            call.period = call.day[:6]
            call.price = _NO_USAGE
            call.id = new_id(call.started_ns) if call.held is None else call.held.key
            guard.each(self._at_booking, call)
            finish_in_runs(call, True)  # noqa: FBT003


def into_totals(totals: Totals, periods: Periods) -> Callable[[Call], None]:
    """What adds a booked call to its month and its day."""

    def add(call: Call) -> None:
        day = call.day or periods.day(call.started_ns)
        totals.add(call, call.period or day[:6], day)

    return add


def into_rate_limits(rate_limits: RateLimits) -> Callable[[ObservedCall], None]:
    """What keeps the quotas that the answer of a call tells."""

    def read_quota(observed: ObservedCall) -> None:
        if observed.headers is not None:
            rate_limits.take(observed.call.provider, observed.call.request_model, observed.headers)

    return read_quota


def _may_be_charged(observed: ObservedCall) -> bool:
    """Whether a call without usage may have cost something: a request that was refused has not, by status or by event."""
    call = observed.call
    if call.outcome == REFUSED or (call.is_stream and call.answer.error is not None):
        return False  # the error was all of the stream, or there would be an estimate
    was_answered = call.http_status is not None and call.http_status < _FIRST_REFUSAL
    return call.outcome != ERROR or observed.is_lost or was_answered


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
