"""One watched call: it begins, the answer is looked at for what it is, and it finishes exactly once.

Nothing here knows a provider, a price or a metric: a client file says how to read an answer, and one listener is
told when a call begins, answers and has finished.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, Final

from costspan import guard
from costspan.calls import estimating
from costspan.calls.listener import Listener
from costspan.calls.messages import NOTHING, opened
from costspan.facts import call as outcomes
from costspan.facts import usage as units
from costspan.facts.call import Answer, Call
from costspan.facts.usage import Usage

if TYPE_CHECKING:
    from costspan.calls.description import Endpoint

_NS_PER_S: Final = 1e9
_ABANDONING: Final = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)


#: Calls that ended in a finalizer. A finalizer may run within any line of code, ours included, so it only leaves
#: its watch here; whoever comes by next finishes it (`finish_late`).
late: Final[deque[tuple[StreamWatch, str, int]]] = deque()
_live: Final[dict[int, weakref.ref[StreamWatch]]] = {}


def new_id(started_ns: int) -> str:
    """A unique id that sorts by time."""
    return f"{started_ns:016x}{random.getrandbits(64):016x}"


class Watch:
    """One call under way."""

    __slots__ = (
        "_open", "asked", "body", "borrowed", "call", "endpoint", "headers", "listener", "native", "span", "start",
        "taken", "token",
    )  # fmt: skip

    def __init__(self, listener: Listener, call: Call, endpoint: Endpoint, body: Mapping[str, Any]) -> None:
        self.listener = listener
        self.call = call
        self.endpoint = endpoint
        self.body = body
        self.asked = False  # usage was asked for by us, so its event is ours to swallow
        self.native = False  # the library emits a span of its own for this call, which ends before `request` returns
        self.borrowed = False  # `span` is somebody else's: to be annotated, not to be ended
        self.taken = False  # what came back has been looked at
        self.headers: Any = None
        self.span: Any = None
        self.token: Any = None
        self.start = perf_counter_ns()
        self._open = [True]

    def claim(self) -> bool:
        """True for the first who asks, and never again: whoever got it finishes the call."""
        try:
            return self._open.pop()
        except IndexError:
            return False

    @guard.guarded_positional("calls.finish")
    def answered(self, answer: Answer | None, outcome: str = outcomes.OK) -> None:
        """The call is over; `answer` is what was read of it."""
        if self.claim():
            self.finish(answer, outcome)

    def finish(self, answer: Answer | None, outcome: str, ended: int | None = None) -> None:
        """Complete the record and hand it over. Only for whom `claim` let through."""
        call = self.call
        call.duration_s = ((ended or perf_counter_ns()) - self.start) / _NS_PER_S
        call.outcome = outcome
        if answer is not None:
            call.answer = answer
            if answer.error is not None and outcome in {outcomes.OK, outcomes.ABANDONED}:
                call.outcome, call.error_type = outcomes.ERROR, answer.error
        if self.endpoint.request_usage is not None:
            self._take_request_usage(self.endpoint.request_usage)
        self.body = NOTHING
        self.listener.finished(self)

    @guard.guarded("calls.read_request")
    def _take_request_usage(self, read: Callable[[Mapping[str, Any]], Usage | None]) -> None:
        call = self.call
        if call.answer.usage is None and call.outcome == outcomes.OK:
            call.answer = dataclasses.replace(call.answer, usage=read(self.body))

    @guard.guarded("calls.finish")
    def failed(self, error: BaseException) -> None:
        """The library's method raised."""
        if self.claim():
            self._note_error(error)
            self.finish(None, outcomes.ABANDONED if isinstance(error, _ABANDONING) else outcomes.ERROR)

    @guard.guarded("calls.error")
    def _note_error(self, error: BaseException) -> None:
        call = self.call
        call.error_type = type(error).__qualname__
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            call.http_status = status
        response = getattr(error, "response", None)
        if response is not None:
            self.headers = getattr(response, "headers", None)


class StreamWatch(Watch):
    """A call whose answer comes in events. Keeps the first two and the last few of them, and how many there were.

    That is where usage stands (first: Anthropic's `message_start`; last: everybody else), and enough to estimate
    what was streamed when the stream is cut short. Everything in between is passed on unread.
    """

    __slots__ = ("__weakref__", "count", "first_ns", "has_last_word", "head", "reader", "tail")
    HEAD: Final = 2
    TAIL: Final = 8

    def __init__(self, listener: Listener, call: Call, endpoint: Endpoint, body: Mapping[str, Any]) -> None:
        super().__init__(listener, call, endpoint, body)
        self.head: list[Any] = []
        self.tail: deque[Any] = deque(maxlen=self.TAIL)
        self.count = 0
        self.first_ns = 0
        self.has_last_word = False
        self.reader: Callable[[], Any] | None = None  # a weak reference to the generator that counts
        call.is_stream = True
        _live[id(self)] = weakref.ref(self)

    def claim(self) -> bool:
        """True for the first who asks; the call is under way no longer."""
        _live.pop(id(self), None)
        return super().claim()

    @classmethod
    def following(cls, watch: Watch) -> StreamWatch:
        """The same call, now that it turned out to be streamed."""
        if isinstance(watch, StreamWatch):
            return watch
        stream = cls(watch.listener, watch.call, watch.endpoint, watch.body)
        for name in ("asked", "native", "borrowed", "taken", "headers", "span", "token", "start", "_open"):
            setattr(stream, name, getattr(watch, name))
        return stream

    @guard.guarded_positional("calls.finish")
    def ended(self) -> None:
        """The stream came to its own end."""
        if self.claim():
            self.settle(outcomes.OK)

    @guard.guarded("calls.finish")
    def broken(self, error: BaseException) -> None:
        """Reading the stream raised."""
        if self.claim():
            self._note_error(error)
            self._take_raised(error)
            self.settle(outcomes.ABANDONED if isinstance(error, _ABANDONING) else outcomes.ERROR)

    @guard.guarded("calls.raised")
    def _take_raised(self, error: BaseException) -> None:
        """The event that the library raised instead of handing it on: it may be the one that carries the usage.

        Nowhere but in the frame of the library's own loop is it kept (`Stream.__stream__`, openai 1 to 3 and kin).
        """
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_name == "__stream__":
                event = trace.tb_frame.f_locals.get("data")
                said = self.endpoint.read(event) if isinstance(event, Mapping) else None
                self.has_last_word = said is not None and said.usage is not None
                if self.has_last_word:
                    self.tail.append(event)
            trace = trace.tb_next

    @guard.guarded_positional("calls.finish")
    def closed(self) -> None:
        """The caller closed the stream before its end."""
        if self.claim():
            self._take_count()
            self.settle(outcomes.ABANDONED)

    @guard.guarded_positional("calls.count")
    def _take_count(self) -> None:
        """What a suspended generator has in its variables (`streams._events`): that costs the least per event."""
        frame = getattr(self.reader() if self.reader is not None else None, "gi_frame", None)
        if frame is not None and "former" in frame.f_locals:
            found = frame.f_locals
            self.keep(len(found["pairs"]), found["before"], found["former"], found["last"])

    @guard.guarded_positional("calls.count")
    def keep(self, pairs: int, *last: Any) -> None:
        """Take over the last three events after the head, and how many there were: of the last pair one may lack."""
        self.count = len(self.head) + 2 * pairs - (pairs > 0 and last[-1] is None)
        self.tail.extend([event for event in last if event is not None])

    @guard.guarded_positional("calls.finish")
    def dropped(self) -> None:
        """The caller let go of the stream. Called by finalizers: finished later, see `late`."""
        if self.claim():
            late.append((self, outcomes.ABANDONED, perf_counter_ns()))

    __del__ = dropped

    @guard.guarded("calls.finish")
    def settle_late(self, outcome: str, ended: int) -> None:
        """Settle a call that ended in a finalizer, by now some time ago."""
        self.settle(outcome, ended)

    def settle(self, outcome: str, ended: int | None = None) -> None:
        """Read what was kept, estimate what is missing, finish. Only for whom `claim` let through."""
        answer = self._read(outcome)
        if outcome == outcomes.ABANDONED and answer is not None and answer.usage is not None and answer.usage.complete:
            outcome = outcomes.OK  # the caller stopped reading after the provider's last word
        if self.first_ns:
            self.call.first_chunk_s = (self.first_ns - self.start) / _NS_PER_S
        self.head.clear()
        self.tail.clear()
        self.finish(answer, outcome, ended)

    @guard.guarded_positional("calls.read_stream")
    def _read(self, outcome: str) -> Answer | None:
        answer = self.answer_so_far()
        usage = answer.usage if answer is not None else None
        is_over = outcome == outcomes.OK or self.has_last_word or bool(answer and answer.finish_reasons)
        is_final = usage is not None and is_over
        if is_final or self.endpoint.fetches:
            return answer
        answer = answer or Answer()
        if answer.pending:  # the work goes on in the background, and will be fetched
            return answer
        answer.usage = self._estimated(usage)
        return answer

    def answer_so_far(self) -> Answer | None:
        """What the kept events say, joined from the last one back, until nothing is missing."""
        read, merge = self.endpoint.read, self.endpoint.merge
        answer: Answer | None = None
        for event in (*reversed(self.tail), *reversed(self.head)):
            said = read(opened(event))
            if said is not None:
                answer = said if answer is None else merge(said, answer)
                if answer.model is not None and answer.finish_reasons and _is_whole(answer.usage):
                    break
        return answer

    def _kept(self) -> list[Any]:
        return [opened(event) for event in (*self.head, *self.tail)]

    def _estimated(self, usage: Usage | None) -> Usage:
        output = estimating.output_tokens(self._kept(), self.count)
        counts = dict(usage.counts) if usage is not None else {}
        counts.setdefault(units.INPUT, estimating.input_tokens(self.body))
        counts[units.OUTPUT] = max(counts.get(units.OUTPUT, 0), output)
        return Usage(counts, complete=False)


def _is_whole(usage: Usage | None) -> bool:
    return usage is not None and units.INPUT in usage.counts and units.OUTPUT in usage.counts


@guard.guarded("calls.finish_late")
def finish_late() -> None:
    """Finish the calls that ended in finalizers."""
    while late:
        try:
            watch, outcome, ended = late.popleft()
        except IndexError:  # somebody else took the last one
            return
        watch.settle_late(outcome, ended)


@guard.guarded("calls.finish_live")
def finish_live() -> None:
    """Finish the streams that are still open: the process ends."""
    for watch in _still_live():
        watch.closed()
    finish_late()


def _still_live() -> list[StreamWatch]:
    return [watch for reference in list(_live.values()) if (watch := reference()) is not None]


def open_streams() -> int:
    """How many streams have neither ended nor been let go of."""
    return len(_live)


def forget_all() -> None:
    """In a forked child: the calls under way are the parent's."""
    late.clear()
    for watch in _still_live():
        watch.claim()
    _live.clear()


def begin(
    listener: Listener, endpoint: Endpoint, client: str, provider: str, body: Mapping[str, Any], model: str | None,
    kind: type[Watch] = Watch,
) -> Watch:  # fmt: skip
    """A watch over a call that is about to be made."""
    started_ns = time_ns()
    call = Call("", client, provider, endpoint.operation, started_ns, model)
    call.is_fetchable = endpoint.fetches or endpoint.each or body.get("background") is True
    return kind(listener, call, endpoint, body)
