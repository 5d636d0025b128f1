"""Connections: many answers over one line, each begun and ended by a message; each is a call of its own.

A client file says what a message means (`Meaning`), a dialect where messages come by; this file keeps the answers that are
under way, books each once, and ends those that a lost or closed connection leaves behind.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from costspan import guard
from costspan.calls.engine import ObservedCall, begin
from costspan.calls.messages import NOTHING, opened
from costspan.calls.observed_stream import ObservedStream
from costspan.facts import call as outcomes
from costspan.facts import foreign
from costspan.facts import usage as units
from costspan.facts.call import Answer, Call
from costspan.facts.recent import Recent
from costspan.facts.usage import Usage

if TYPE_CHECKING:
    from costspan.calls.description import Endpoint
    from costspan.calls.engine import Seller
    from costspan.calls.recorder import Recorder

#: Of one connection: requests that wait for their answers, answers under way, answers that have ended. Real ones have one
#: or two of the first two.
_MOST_ASKED: Final = 64
_MOST_LIVE: Final = 256
_MOST_ENDED: Final = 1_024


class Meaning(NamedTuple):
    """What a message that came says of an answer.

    `key` is what the messages of the answer are told by while it is under way, `id` what it is told by for good, if this
    message says so; `lane` is that of the request it answers. An answer that `ends` has an outcome. `asked_model` and `asks`
    are what is known of the request apart from what was sent: the other side may begin an answer by itself. `brings` are
    tokens of the output that are no text, by their unit. Where a request is `refused`, there will be no answer to it.
    """

    endpoint: Endpoint
    key: str
    id: str | None = None
    lane: str = ""
    begins: bool = False
    ends: bool = False
    outcome: str = outcomes.OK
    model: str | None = None
    asked_model: str | None = None
    asks: Mapping[str, Any] = NOTHING
    brings: Mapping[str, float] = NOTHING
    refused: bool = False


@dataclass(slots=True, eq=False)
class Asked:
    """A request that was sent, and the context of who sent it."""

    endpoint: Endpoint
    lane: str = ""
    model: str | None = None
    body: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    admitted: ObservedCall | None = None  # what hard budgets were asked with, before it was sent


class Conversation(Protocol):
    """How the messages of one connection are read. It may keep what they say of the session.

    `model` is the one that the address of the connection names.
    """

    model: str | None

    def received(self, message: Any) -> Meaning | None:
        """What a message that came says of an answer, if anything."""

    def sent(self, message: Any) -> Asked | None:
        """The request that a message asks, if it is one."""


class ConnectionAnswer(ObservedStream):
    """One answer of a connection."""

    __slots__ = ("brought", "id", "is_stopped", "model")

    def __init__(self, recorder: Recorder, call: Call, endpoint: Endpoint, body: Mapping[str, Any]) -> None:
        super().__init__(recorder, call, endpoint, body)
        self.id: str | None = None
        self.model: str | None = None
        self.brought: dict[str, float] = {}
        self.is_stopped = False  # it was told to stop, and its last message says what it came to by then

    def take(self, brings: Mapping[str, float]) -> None:
        """Tokens of the output that are no text have come. Of the message itself nothing need be kept: it is large."""
        self.first_ns = self.first_ns or perf_counter_ns()
        for unit, number in brings.items():
            self.brought[unit] = self.brought.get(unit, 0) + number

    def estimated(self, usage: Usage | None) -> Usage | None:
        """The same as of any stream, and what came besides text."""
        found = super().estimated(usage)
        for unit, number in self.brought.items():
            if found is not None and unit not in found.counts:
                found.counts[unit] = round(number)
                found.counts[units.OUTPUT] += round(number)
        return found

    def answer_so_far(self) -> Answer | None:
        """What its messages say, and what is known of it without them."""
        answer = super().answer_so_far() or Answer()
        answer.id = answer.id or self.id
        answer.model = answer.model or self.model
        return answer

    def note_error(self, error: BaseException) -> None:
        """The class alone: a code of a connection is no status of an answer."""
        self.call.error_type = foreign.text(type(error).__qualname__)

    @guard.guarded_positional("calls.finish")
    def concluded(self, outcome: str) -> None:
        """Its last message has come."""
        self.is_stopped = outcome == outcomes.ABANDONED
        if self.claim():
            self.settle(outcomes.OK)

    def finish(self, answer: Answer | None, outcome: str, ended: int | None = None) -> None:
        """Complete the record and hand it over: one that was stopped is no whole answer, though its usage is exact."""
        if self.is_stopped and outcome == outcomes.OK:
            outcome = outcomes.ABANDONED
        super().finish(answer, outcome, ended)


class Connection:
    """One connection: its requests, its answers under way, and those that have been booked."""

    def __init__(self, recorder: Recorder, client: str, conversation: Conversation, seller: Seller) -> None:
        self.recorder = recorder
        self.client = client
        self.conversation = conversation
        self.seller = seller
        self._asked: deque[Asked] = deque(maxlen=_MOST_ASKED)
        self._live: dict[str, ConnectionAnswer] = {}
        self._ended: Recent[str, str] = Recent(_MOST_ENDED)

    @guard.guarded_positional("calls.sent")
    def sent(self, message: Any) -> Asked | None:
        """A message is about to be sent: the request in it waits for its answer."""
        asked = self.conversation.sent(message)
        if asked is not None:
            if self.recorder.is_strict:
                self._admit(asked)
            self._asked.append(asked)
        return asked

    def _admit(self, asked: Asked) -> None:
        """Have hard budgets asked before the request is sent: its answer takes over what is held. Raises BudgetExceeded."""
        model = asked.model or self.conversation.model
        asked.admitted = begin(self.recorder, asked.endpoint, self.client, self.seller, asked.body, model=model)
        self.recorder.admit(asked.admitted)

    def _drop(self, asked: Asked | None) -> None:
        """There will be no answer to a request."""
        if asked is not None and asked.admitted is not None:
            self.recorder.dropped(asked.admitted)

    @guard.guarded_positional("calls.sent")
    def unsent(self, asked: Asked) -> None:
        """It could not be sent."""
        if asked in self._asked:
            self._asked.remove(asked)
        self._drop(asked)

    @guard.guarded_positional("calls.message")
    def received(self, data: Any) -> None:
        """A message has come, as it was sent or parsed already. Whoever reads it gets it untouched."""
        message = opened(data)
        meaning = self.conversation.received(message)
        if meaning is None:
            return
        if meaning.refused:
            self._drop(self._take_asked(meaning.lane))
            return
        answer = self._answer(meaning)
        if answer is None:
            return
        answer.model = meaning.model or answer.model
        if meaning.brings:
            answer.take(meaning.brings)
        elif not meaning.begins:
            answer.note(data)
        if meaning.ends:
            del self._live[meaning.key]
            self._note_end(answer)
            if answer.id is None:  # it never began: this is all there is
                answer.answered(answer.endpoint.read(message))
            else:
                answer.concluded(meaning.outcome)

    def _answer(self, meaning: Meaning) -> ConnectionAnswer | None:
        """The answer that a message belongs to: one under way, or one that begins with it; None for one that has ended."""
        answer = self._live.get(meaning.key)
        if answer is not None and meaning.id in {None, answer.id}:
            return answer
        if meaning.id is not None and self._ended.get(meaning.id):
            return None
        if answer is not None:  # another one takes its place, and its end did not come
            self._let_go(answer)
        asked = self._take_asked(meaning.lane)
        if meaning.id is None and (asked is None or not meaning.ends):
            return None
        return self._begin(meaning, asked)

    def _take_asked(self, lane: str) -> Asked | None:
        """The request that has waited longest in this lane."""
        asked = next((asked for asked in list(self._asked) if asked.lane == lane), None)
        if asked is not None:
            self._asked.remove(asked)
        return asked

    def _begin(self, meaning: Meaning, asked: Asked | None) -> ConnectionAnswer:
        """An answer begins: for whom its request was sent, or where nobody sent one, for whom it is read."""
        if len(self._live) >= _MOST_LIVE:
            self._let_go(self._live.pop(next(iter(self._live))))
        if asked is None:
            answer = self._began(meaning.endpoint, meaning.asked_model, meaning.asks)
        else:
            model, body = asked.model or meaning.asked_model, meaning.asks or asked.body
            answer = asked.context.run(self._began, meaning.endpoint, model, body)
            _take_over(answer.call, asked)
        answer.id = meaning.id
        self._live[meaning.key] = answer
        return answer

    def _began(self, endpoint: Endpoint, model: str | None, body: Mapping[str, Any]) -> ConnectionAnswer:
        answer: Any = begin(self.recorder, endpoint, self.client, self.seller, body, ConnectionAnswer, model)
        self.recorder.began(answer)
        self.recorder.left(answer)
        return answer

    @guard.guarded_positional("calls.lost")
    def lost(self, error: BaseException) -> None:
        """The connection broke: what was under way will not come to its end."""
        for answer in self._left():
            answer.broken(error)

    @guard.guarded_positional("calls.closed")
    def closed(self) -> None:
        """The caller closes the connection."""
        for answer in self._left():
            answer.closed()

    def _left(self) -> list[ConnectionAnswer]:
        """What is under way, and what was asked for and has not begun: the other side may have been at it."""
        left = list(self._live.values())
        self._live.clear()
        for answer in left:
            self._note_end(answer)
        while self._asked:
            asked = self._asked.popleft()
            answer = asked.context.run(self._began, asked.endpoint, asked.model, asked.body)
            _take_over(answer.call, asked)
            left.append(answer)
        return left

    def _let_go(self, answer: ConnectionAnswer) -> None:
        self._note_end(answer)
        answer.closed()

    def _note_end(self, answer: ConnectionAnswer) -> None:
        if answer.id is not None:
            self._ended.keep(answer.id, answer.id)


def _take_over(call: Call, asked: Asked) -> None:
    """What is held for a request is held for its answer."""
    if asked.admitted is not None:
        held = asked.admitted.call
        call.id, call.held, call.transaction = held.id, held.held, held.transaction
