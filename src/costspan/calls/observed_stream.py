"""One watched call whose answer comes in events: which of them are kept, how it ends, what is read of it then."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from costspan import guard
from costspan.calls import estimating, finishing
from costspan.calls.engine import NS_PER_S, ObservedCall, ended_by
from costspan.calls.merging import merged
from costspan.calls.messages import opened
from costspan.calls.recorder import Recorder
from costspan.facts import call as outcomes
from costspan.facts import usage as units
from costspan.facts.call import Answer, Call
from costspan.facts.usage import Usage

if TYPE_CHECKING:
    from costspan.calls.description import Endpoint

#: Asked of an event of a stream before the caller gets it: True where he is not to get it.
Look = Callable[[Any], "bool | None"]

_live: Final[dict[int, weakref.ref[ObservedStream]]] = {}


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
            self.note_error(error)
            self._take_raised(error)
            self.settle(ended_by(error))

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
        """The caller let go of the stream. Called by finalizers: finished later, see `finishing.late`."""
        if self.claim():
            finishing.late.append((self, outcomes.ABANDONED, perf_counter_ns()))

    __del__ = dropped

    def settle(self, outcome: str) -> None:
        """Read what was kept, estimate what is missing, finish. Only for whom `claim` let through.

        Later, where this thread is just finishing another call: then a finalizer has closed the stream.
        """
        me = threading.get_ident()
        if me in finishing.threads and finishing.is_busy(me):
            finishing.late.append((self, outcome, perf_counter_ns()))
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
            self.call.first_chunk_s = (self.first_ns - self.start) / NS_PER_S
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
        answer.pending = answer.pending or self._goes_on(answer)
        if answer.pending:  # in the background, and will be fetched
            return answer
        if usage is None and answer.error is not None and self.count == 1:  # an error in place of a stream
            return answer
        answer.usage = self.estimated(usage)
        return answer

    def _goes_on(self, answer: Answer) -> bool:
        """Whether the work goes on in the background though the stream has stopped: the answer can be fetched."""
        is_later = self.endpoint.is_later
        has_ended = answer.usage is not None or answer.error is not None or answer.finish_reasons
        return answer.id is not None and not has_ended and is_later is not None and is_later(self.body)

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


@guard.guarded("calls.finish_live")
def finish_live() -> None:
    """Finish the streams that are still open: the process ends."""
    for observed in _still_live():
        observed.closed()
    finishing.finish_all()


def _still_live() -> list[ObservedStream]:
    return [observed for reference in list(_live.values()) if (observed := reference()) is not None]


def forget_all() -> None:
    """In a forked child: the calls under way are the parent's."""
    finishing.forget()
    for observed in _still_live():
        observed.claim()
    _live.clear()
