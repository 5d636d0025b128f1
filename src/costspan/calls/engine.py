"""One watched call: it begins, the answer is looked at for what it is, and it finishes exactly once.

Nothing here knows a provider, a price or a metric: a client file says how to read an answer, and one recorder is
told when a call begins, answers and has finished.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import inspect
import random
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import monotonic, perf_counter_ns, sleep, time_ns
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from costspan import guard
from costspan.calls import estimating
from costspan.calls.merging import merged
from costspan.calls.messages import NOTHING, opened
from costspan.calls.recorder import Recorder
from costspan.facts import call as outcomes
from costspan.facts import foreign, gateways
from costspan.facts import usage as units
from costspan.facts.attribution import NOBODY, Attribution
from costspan.facts.call import NO_ANSWER, Answer, Call
from costspan.facts.usage import Usage, bounded_names

if TYPE_CHECKING:
    from costspan.calls.description import Endpoint

_NS_PER_S: Final = 1e9
_STATUSES: Final = range(100, 600)
_ABANDONING: Final = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)


#: Calls that ended in a finalizer. A finalizer may run within any line of code, ours included, so it only leaves
#: its call here; whoever comes by next finishes it (`finish_late`).
late: Final[deque[tuple[ObservedStream, str, int]]] = deque()
#: Threads that are finishing a call just now. What a finalizer ends in the middle of that is finished afterwards.
#: A mark may be stale (`_is_finishing`): it is looked at, never trusted.
_finishing: Final[set[int]] = set()
#: How long a flush waits for other threads that are finishing calls just now, and how often it looks.
_PATIENCE_S: Final = 1.0
_PAUSE_S: Final = 0.001
#: The functions that mark their thread.
_MARKING: Final = ("finish", "finish_late")
_live: Final[dict[int, weakref.ref[ObservedStream]]] = {}


#: Asked of an event of a stream before the caller gets it: True where he is not to get it.
Look = Callable[[Any], "bool | None"]


def new_id(started_ns: int) -> str:
    """A unique id that sorts by time."""
    return f"{started_ns:016x}{random.getrandbits(64):016x}"


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
        if self.endpoint.extras is not None and self.call.answer.usage is not None:
            self._take_extras(self.endpoint.extras)
        if not self.is_direct and self.headers is not None and (answer is not None or outcome != outcomes.ERROR):
            self._take_money()
        self.body = NOTHING
        me = threading.get_ident()
        if me in _finishing and _is_finishing(me, _caller()):
            self.recorder.finished(self)
            return
        try:
            _finishing.add(me)
            self.recorder.finished(self)
        finally:
            _finishing.discard(me)
        if late:
            finish_late()

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
            self._note_error(error)
            outcome = outcomes.ABANDONED if isinstance(error, _ABANDONING) else outcomes.ERROR
            self.finish(self.withheld(), outcome)

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
    def _note_error(self, error: BaseException) -> None:
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


class ObservedStream(ObservedCall):
    """A call whose answer comes in events. Of these it keeps what may be needed, and counts the others.

    Usage stands in the last event with most providers, in the first with others, and may be followed by any number
    of events: kept are the last few, the last of each kind, and those that say that they report it. A sample spread
    evenly over the stream tells how much text there was, should it be cut short.
    """

    __slots__ = (
        "__weakref__", "carriers", "count", "first_ns", "has_kinds", "has_last_word", "keeps", "kinds", "known",
        "passed_bytes", "reader", "recent", "sample", "stride", "told",
    )  # fmt: skip
    TAIL: Final = 8
    CARRIERS: Final = 4
    SAMPLE: Final = 32
    #: So many events are kept before they are looked at together, each at a third of the cost. Many more of them would set
    #: off the garbage collector: an event that is let go of at once never does.
    BATCH: Final = 48

    def __init__(self, recorder: Recorder, call: Call, endpoint: Endpoint, body: Mapping[str, Any]) -> None:
        super().__init__(recorder, call, endpoint, body)
        self.recent: list[Any] = []  # the last events
        self.known = 0  # how many of them have been looked at
        self.kinds: dict[type, Any] = {}
        self.carriers: deque[Any] = deque(maxlen=self.CARRIERS)
        self.keeps = None if endpoint.keeps is None else endpoint.keeps(body)
        self.told: deque[Any] = deque(maxlen=self.CARRIERS)
        self.sample: list[Any] = []
        self.stride = 1  # how far the events of the sample are apart
        self.count = 0
        self.passed_bytes = 0  # of events that were too large to be kept
        self.first_ns = 0
        self.has_last_word = False
        self.has_kinds = not endpoint.asks_usage  # its events differ by type
        self.reader: Callable[[], Any] | None = None  # a weak reference to the iterator that the caller reads
        call.is_stream = True
        _live[id(self)] = weakref.ref(self)

    def note(self, event: Any) -> None:
        """Take in one event. Who iterates appends to `recent` himself, and calls `digest` when it is time."""
        self.recent.append(event)
        if self.count == 0 or len(self.recent) >= self.BATCH:
            self.digest()

    @guard.guarded_positional("calls.event")
    def digest(self) -> None:
        """Keep what may be needed of the recent events."""
        recent, former = self.recent, self.count
        fresh = recent[self.known :]
        self.count = former + len(fresh)
        if former:
            del recent[: -self.TAIL]
        elif fresh and not self.first_ns:
            self.first_ns = perf_counter_ns()
        self.known = len(recent)
        if self.has_kinds:
            self.kinds.update(zip(map(type, fresh), fresh, strict=True))
        else:
            self.carriers += self.reporting(fresh)
        if self.keeps is not None:
            self.told += filter(self.keeps, fresh)
        self.sample += fresh[-former % self.stride :: self.stride]
        while len(self.sample) >= self.SAMPLE:
            del self.sample[1::2]
            self.stride *= 2

    def reporting(self, events: list[Any]) -> list[Any]:  # noqa: ARG002  # for dialects to know
        """Those of these events that report usage, where all events are of one type."""
        return []

    def look(self) -> Look | None:
        """What each event is asked before the caller gets it, if anything."""
        return self.meets if self.native else None

    def meets(self, event: Any) -> None:
        """Within a span of the library's own, a stream is over for us with its last usage: the span ends any moment."""
        kind: Any = event.__class__
        if kind not in self.kinds:
            self.kinds[kind] = event
            self._tell(event)

    @guard.guarded_positional("calls.event")
    def _tell(self, event: Any) -> None:
        if self.endpoint.ends is not None and self.endpoint.ends(event):
            self.ended()

    def pass_by(self, size: int) -> None:
        """Count an event that is too large to be kept."""
        self.count += 1
        self.passed_bytes += size

    def claim(self) -> bool:
        """True for the first who asks; the call is under way no longer."""
        _live.pop(id(self), None)
        return super().claim()

    @classmethod
    def following(cls, observed: ObservedCall) -> ObservedStream:
        """The same call, now that it turned out to be streamed."""
        if isinstance(observed, ObservedStream):
            return observed
        stream = cls(observed.recorder, observed.call, observed.endpoint, observed.body)
        for name in cls.CARRIED:
            setattr(stream, name, getattr(observed, name))
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
        event = self.raised(error)
        said = self.endpoint.read(event) if event is not None else None
        if said is None:
            return
        self.has_last_word = said.usage is not None
        if said.usage is not None or not (self.count or self.recent):
            self.recent.append(event)

    def raised(self, error: BaseException) -> Any:  # noqa: ARG002  # for dialects to know
        """The event that the library raised instead of handing it on, if any: it may be the one that carries the usage."""
        return None

    def completed(self, *, is_reported: bool) -> None:
        """The stream came whole and without an error; whether it reported its usage. For dialects that learn from it."""

    @guard.guarded_positional("calls.finish")
    def closed(self) -> None:
        """The caller closed the stream before its end."""
        if self.claim():
            self.settle(outcomes.ABANDONED)

    @guard.guarded_positional("calls.finish")
    def dropped(self) -> None:
        """The caller let go of the stream. Called by finalizers: finished later, see `late`."""
        if self.claim():
            late.append((self, outcomes.ABANDONED, perf_counter_ns()))

    __del__ = dropped

    def settle(self, outcome: str) -> None:
        """Read what was kept, estimate what is missing, finish. Only for whom `claim` let through.

        Later, where this thread is just finishing another call: then a finalizer has closed the stream.
        """
        me = threading.get_ident()
        if me in _finishing and _is_finishing(me, _caller()):
            late.append((self, outcome, perf_counter_ns()))
        else:
            self.settle_now(outcome)

    @guard.guarded("calls.finish")
    def settle_now(self, outcome: str, ended: int | None = None) -> None:
        """Settle a call that ended, it may be some time ago."""
        self.digest()
        answer = self._read(outcome)
        if outcome == outcomes.ABANDONED and answer is not None and answer.usage is not None and answer.usage.complete:
            outcome = outcomes.OK  # the caller stopped reading after the provider's last word
        if self.first_ns:
            self.call.first_chunk_s = (self.first_ns - self.start) / _NS_PER_S
        for kept in (self.recent, self.carriers, self.kinds, self.sample, self.told):
            kept.clear()
        self.finish(answer, outcome, ended)

    @guard.guarded_positional("calls.read_stream")
    def _read(self, outcome: str) -> Answer | None:
        answer = self.answer_so_far()
        usage = answer.usage if answer is not None else None
        if outcome == outcomes.OK and answer is not None and answer.error is None:
            self.completed(is_reported=usage is not None)
        is_over = outcome == outcomes.OK or self.has_last_word or bool(answer and answer.finish_reasons)
        is_final = usage is not None and usage.complete and is_over
        if is_final or self.endpoint.fetches or (usage is None and self.endpoint.request_usage is not None):
            return answer
        answer = answer or Answer()
        if answer.pending:  # the work goes on in the background, and will be fetched
            return answer
        if usage is None and answer.error is not None and self.count == 1:  # an error in place of a stream
            return answer
        answer.usage = self.estimated(usage)
        return answer

    def answer_so_far(self) -> Answer | None:
        """What the kept events say, joined from the last one back, until nothing is missing.

        A merge of the endpoint's own gets them all: that nothing is missing, it alone can tell.
        """
        read, merge = self.endpoint.read, self.endpoint.merge
        answer: Answer | None = None
        for event in self._kept():
            said = read(opened(event))
            if said is not None:
                answer = said if answer is None else merge(said, answer)
                if merge is merged and answer.model is not None and answer.finish_reasons and _is_whole(answer.usage):
                    break
        for event in reversed(self.told):  # what was read already says nothing new
            said = read(opened(event))
            if said is not None:
                answer = said if answer is None else merge(said, answer)
        return answer

    def _kept(self) -> Iterator[Any]:
        """The last events, those with usage before them, the last of each kind, the first: from the last one back."""
        given: set[int] = set()
        for kept in (self.recent, self.carriers, list(self.kinds.values()), self.sample[:2]):
            for event in reversed(kept):
                if id(event) not in given:
                    given.add(id(event))
                    yield event

    def estimated(self, usage: Usage | None) -> Usage | None:
        """What the provider reported so far, with estimates of what it did not get to report."""
        kept, endpoint = [opened(event) for event in self.sample], self.endpoint
        output = estimating.output_tokens(kept, self.count, endpoint.shown, self.passed_bytes)
        if not output:
            last = [opened(event) for event in self.recent]
            output = estimating.output_tokens(last, len(last), endpoint.shown)
        counts = dict(usage.counts) if usage is not None else {}
        if units.INPUT not in counts:
            counts[units.INPUT] = estimating.input_tokens(self.body, endpoint.prompt)
            counts.update(estimating.input_parts(self.body, endpoint.prompt))
        counts[units.OUTPUT] = max(counts.get(units.OUTPUT, 0), output)
        return Usage(counts, complete=False)


def _is_whole(usage: Usage | None) -> bool:
    return usage is not None and usage.get(units.INPUT) > 0 and units.OUTPUT in usage.counts


@guard.guarded("calls.finish_late")
def finish_late() -> None:
    """Finish the calls that ended in finalizers; not in the middle of finishing another, which goes on to do so.

    Outside of the context of whoever comes by: what that one wants not to be traced is not about them.
    """
    me = threading.get_ident()
    if me in _finishing and _is_finishing(me, _caller()):
        return
    try:
        _finishing.add(me)
        while late:
            observed, outcome, ended = late.popleft()
            contextvars.Context().run(observed.settle_now, outcome, ended)
    except IndexError:  # somebody else took the last one
        return
    finally:
        _finishing.discard(me)


@guard.guarded("calls.finish_all")
def finish_all() -> None:
    """The same, and wait for other threads that have calls in hand, at most a second: for a flush or an end.

    No lock: a fault or a signal between taking one and letting go of it would shut it for ever.
    """
    finish_late()
    me, give_up_s = threading.get_ident(), monotonic() + _PATIENCE_S
    while _others(me) and monotonic() < give_up_s:
        sleep(_PAUSE_S)


def _others(me: int) -> bool:
    """Whether a thread other than `me` is finishing a call."""
    others = _finishing - {me}
    if not others:
        return False
    frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return any([_is_finishing(thread, frames.get(thread)) for thread in others])  # noqa: C419  # each is looked at


def _caller() -> FrameType | None:
    """The frame that called the function which asks."""
    here = inspect.currentframe()
    asking = here.f_back if here is not None else None
    return asking.f_back if asking is not None else None


def _is_finishing(thread: int, frame: FrameType | None) -> bool:
    """Whether a marked thread is finishing a call, seen from one of its frames; a stale mark is removed.

    An exception that comes at any moment (a signal's, a lack of memory) may leave the mark behind. Believed, it would
    keep this thread from finishing a stream ever again, and each flush would wait for it.
    """
    while frame is not None:
        if frame.f_code.co_name in _MARKING and frame.f_globals is globals():
            return True
        frame = frame.f_back
    _finishing.discard(thread)
    return False


@guard.guarded("calls.finish_live")
def finish_live() -> None:
    """Finish the streams that are still open: the process ends."""
    for observed in _still_live():
        observed.closed()
    finish_all()


def _still_live() -> list[ObservedStream]:
    return [observed for reference in list(_live.values()) if (observed := reference()) is not None]


def forget_all() -> None:
    """In a forked child: the calls under way are the parent's."""
    late.clear()
    _finishing.clear()
    for observed in _still_live():
        observed.claim()
    _live.clear()


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
