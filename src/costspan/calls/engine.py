"""One watched call: it begins, the answer is looked at for what it is, and it finishes exactly once.

Nothing here knows a provider, a price or a metric: a client file says how to read an answer, and one recorder is
told when a call begins, answers and has finished.
"""

from __future__ import annotations

import dataclasses
import inspect
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from costspan import guard
from costspan.calls import finishing
from costspan.calls.messages import NOTHING
from costspan.calls.recorder import Recorder
from costspan.facts import call as outcomes
from costspan.facts import foreign, gateways, lost_answers
from costspan.facts.attribution import NOBODY, Attribution
from costspan.facts.call import NO_ANSWER, Answer, Call
from costspan.facts.usage import Usage, bounded_names

if TYPE_CHECKING:
    from costspan.calls.description import Endpoint

NS_PER_S: Final = 1e9
_STATUSES: Final = range(100, 600)


def new_id(started_ns: int) -> str:
    """A unique id that sorts by time."""
    return f"{started_ns:016x}{random.getrandbits(64):016x}"


def ended_by(error: BaseException) -> str:
    """The outcome of a call that ended so. What is no `Exception` is no error of the call: somebody gave it up.

    asyncio and trio cancel, gevent kills and times out, a generator is closed, an interpreter is interrupted that way.
    """
    return outcomes.ERROR if isinstance(error, Exception) else outcomes.ABANDONED


class Seller(Protocol):
    """Who answers, and where."""

    @property
    def provider(self) -> str: ...
    @property
    def host(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...


class ObservedCall:
    """One call under way. A dialect derives from it where its shape of library needs more."""

    __slots__ = (
        "_open",
        "body",
        "borrowed",
        "call",
        "endpoint",
        "headers",
        "is_direct",
        "is_lost",
        "native",
        "recorder",
        "span",
        "start",
        "token",
    )  # fmt: skip
    #: What a stream takes over from the call that turned out to be one.
    CARRIED: ClassVar[tuple[str, ...]] = (
        "native", "borrowed", "headers", "is_direct", "span", "token", "start", "_open",
    )  # fmt: skip

    def __init__(self, recorder: Recorder, call: Call, endpoint: Endpoint, body: Mapping[str, Any]) -> None:
        self.recorder = recorder
        self.call = call
        self.endpoint = endpoint
        self.body = body
        self.native = False  # the library emits a span of its own for this call: the recorder must not add one
        self.borrowed = False  # `span` is somebody else's: to be annotated, not to be ended
        self.headers: Any = None
        self.is_direct = True  # no gateway stands between us and the seller, as far as is known
        self.is_lost = False  # it failed, and may have been billed: the request had gone out, no answer came
        self.span: Any = None
        self.token: Any = None
        self.start = perf_counter_ns()
        self._open = [True]

    @property
    def is_open(self) -> bool:
        """Whether the call has not been finished."""
        return bool(self._open)

    @property
    def sign(self) -> Sequence[bool]:
        """The same as a value of its own, for threads that outlive the call: it keeps nothing else of the call alive."""
        return self._open

    def claim(self) -> bool:
        """True for the first who asks, and never again: whoever got it finishes the call."""
        try:
            return self._open.pop()
        except IndexError:
            return False

    def within(self, observed: ObservedCall) -> None:
        """Another call begins while this one is made. For dialects of layers to know, which ask through other libraries."""

    @guard.guarded_positional("calls.finish")
    def answered(self, answer: Answer | None, outcome: str = outcomes.OK) -> None:
        """The call is over; `answer` is what was read of it."""
        if self.claim():
            self.finish(answer, outcome)

    @finishing.marking
    def finish(self, answer: Answer | None, outcome: str, ended: int | None = None) -> None:
        """Complete the record and hand it over. Only for whom `claim` let through."""
        call = self.call
        call.duration_s = ((ended or perf_counter_ns()) - self.start) / NS_PER_S
        call.outcome = outcome
        if answer is not None:
            call.answer = answer
            if answer.error is not None and outcome in {outcomes.OK, outcomes.ABANDONED}:
                call.outcome, call.error_type = outcomes.ERROR, answer.error
        if self.endpoint.request_usage is not None:
            self._take_request_usage(self.endpoint.request_usage)
        if self.endpoint.extras is not None and self.call.answer.usage is not None:
            self._take_extras(self.endpoint.extras)
        if not self.is_direct and self.headers is not None and (answer is not None or outcome != outcomes.ERROR):
            self._take_money()
        self.body = NOTHING
        me = threading.get_ident()
        if me in finishing.threads and finishing.is_busy(me):
            self.recorder.finished(self)
            return
        try:
            finishing.threads.add(me)
            self.recorder.finished(self)
        finally:
            finishing.threads.discard(me)
        if finishing.late:
            finishing.finish_late()

    @guard.guarded("calls.money")
    def _take_money(self) -> None:
        self.call.answer = gateways.told(self.call.answer, self.headers, is_stream=self.call.is_stream)

    @guard.guarded("calls.read_request")
    def _take_request_usage(self, read: Callable[[Mapping[str, Any]], Usage | None]) -> None:
        call = self.call
        if call.answer.usage is None and call.outcome == outcomes.OK:
            call.answer = dataclasses.replace(call.answer, usage=read(self.body))

    @guard.guarded("calls.read_request")
    def _take_extras(self, read: Callable[[Mapping[str, Any]], Iterable[str]]) -> None:
        answer, names = self.call.answer, tuple(read(self.body))
        if names:
            self.call.answer = dataclasses.replace(answer, unread=bounded_names((*answer.unread, *names)))

    @guard.guarded("calls.finish")
    def failed(self, error: BaseException) -> None:
        """The library's method raised. What had been answered by then is billed, and booked."""
        if self.claim():
            self.note_error(error)
            self.finish(self.withheld(), ended_by(error))

    @guard.guarded("calls.finish")
    def refused(self, error: BaseException) -> None:
        """A hard budget refused the call: it is not made."""
        if self.claim():
            self.call.error_type = type(error).__name__
            self.finish(None, outcomes.REFUSED)

    def withheld(self) -> Answer | None:
        """What was answered that the library could not make an object of, or refused to hand on. For dialects to know."""
        return None

    @guard.guarded("calls.error")
    def note_error(self, error: BaseException) -> None:
        """What an exception of the library says: its class, the HTTP status, the response's headers."""
        call = self.call
        call.error_type = call.error_type or foreign.text(type(error).__qualname__)
        for name in ("status_code", "status", "code"):  # `code` is text with some libraries, a method with others
            status = inspect.getattr_static(error, name, None)  # no property: those of some libraries warn or raise
            if type(status) is int and status in _STATUSES:  # others have -1 or 0 where there was none
                call.http_status = status
                break
        response = getattr(error, "response", None)
        if response is not None:
            self.headers = getattr(response, "headers", None)
        self.is_lost = call.http_status is None and lost_answers.may_be_billed(error, call.error_type)


def begin(
    recorder: Recorder, endpoint: Endpoint, client: str, seller: Seller, body: Mapping[str, Any],
    kind: type[ObservedCall] = ObservedCall, model: str | None = None, attribution: Attribution = NOBODY,
) -> ObservedCall:  # fmt: skip
    """An observed call: the one place where a call is made, however it came about.

    `attribution` is who it is for where the scope that it begins in does not say (`Recorder.began`).
    """
    call = Call(
        "", client, seller.provider, endpoint.operation, time_ns(), model, seller.host, seller.port, attribution,
        answer=NO_ANSWER,
    )  # fmt: skip
    is_later = endpoint.is_later
    call.is_fetchable = endpoint.fetches or endpoint.each or (is_later is not None and is_later(body))
    return kind(recorder, call, endpoint, body)
