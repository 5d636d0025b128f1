"""OpenAI's live socket: a session is a call of so many seconds, and what it hands to other models is told beside it."""

from __future__ import annotations

from typing import Any

import pytest
from test_sockets import Talker, talked

from answers import RESPONSE_USAGE
from costspan import attribution
from costspan.clients import openai_live
from costspan.facts.call import ABANDONED, ERROR, OK
from costspan.facts.money import Cost, Unpriced

pytest.importorskip("openai.resources.live")
from socket_server import CLOSE, CUT  # it needs websockets

pytestmark = pytest.mark.filterwarnings("ignore:.*websockets:DeprecationWarning")

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
_START = {"type": "session.start", "session": {"model": "gpt-live-1"}}
_MADE = {"id": "live_1", "model": "gpt-live-1", "expires_at": 1, "status": "active"}
STARTED = {"type": "session.started", "event_id": "e1", "session": _MADE}


def used(seconds: Any, **more: Any) -> dict[str, Any]:
    """What a session came to so far."""
    return {"type": "session.usage.updated", "event_id": "e2", "usage": {"seconds": seconds, **more}}


def closed(seconds: Any, reason: str = "close_requested") -> dict[str, Any]:
    """The last word on a session."""
    said = {"type": "session.closed", "event_id": "e3", "reason": reason, "session": _MADE}
    return {**said, "usage": {"seconds": seconds}}


def of_response(kind: str, **more: Any) -> dict[str, Any]:
    """An event of a response that another model makes."""
    return {
        "type": "response.event", "event_id": "e4", "delegation_id": "d1", "event": {"type": f"response.{kind}", **more},
    }  # fmt: skip


async def hold(t: Talker) -> None:
    """A session that is begun by one team, and read by nobody in particular; it is asked to end after its third message."""
    async with t.within(t.connect()) as connection:
        with attribution(team="voice"):
            await t.get(connection.send(_START))
        number = 0
        async for event in t.each(connection):
            t.look(event)
            number += 1
            if number == 3:
                await t.get(connection.session.close())


@_MODES
def test_a_session_is_a_call(mode: str) -> None:
    """Booked when it ends, with the seconds that it told last, for who began it; a refusal of a command does not end it."""
    refused = {"type": "error", "event_id": "e", "error": {"type": "invalid_request_error", "message": "no"}}
    (call,) = talked(hold, mode, (STARTED, used(30.0), used(60.5)), (refused, closed(90.0), CLOSE), path="live")
    assert (call.operation, call.outcome, call.attribution.team) == ("realtime", OK, "voice")
    assert (call.request_model, call.model, call.answer.id) == ("gpt-live-1", "gpt-live-1", "live_1")
    assert call.answer.finish_reasons == ("close_requested",)
    assert call.usage is not None
    assert (call.usage.counts, call.usage.complete) == ({"session_ms": 90_000}, True)
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == (75_000_000, "exact")


async def listen(t: Talker) -> None:
    """To the end of the connection, which is not made again."""
    async with t.within(t.connect(max_retries=0)) as connection:
        await t.get(connection.send(_START))
        async for event in t.each(connection):
            t.look(event)


ENDS = [
    ("cut", (STARTED, used(30.0), used(60.0), CUT), ERROR),
    ("left", (STARTED, used(30.0), used(60.0), CLOSE), ERROR),
]


@_MODES
@pytest.mark.parametrize(("end", "turn", "outcome"), ENDS, ids=[row[0] for row in ENDS])
def test_a_session_without_an_end_has_the_seconds_that_it_told(end: str, turn: Any, outcome: str, mode: str) -> None:
    """A lower bound, marked as an estimate."""
    (call,) = talked(listen, mode, turn, path="live")
    assert call.outcome == outcome, end
    assert call.usage is not None
    assert (call.usage.get("session_ms"), call.usage.complete) == (60_000, False)
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == (50_000_000, "estimated")


@_MODES
@pytest.mark.parametrize(("messages", "ms"), [(2, 30_000), (1, None)])
def test_a_session_that_the_program_leaves_is_told_by_its_last_report(messages: int, ms: int, mode: str) -> None:
    """And one that had told nothing yet is unpriced."""

    async def way(t: Talker) -> None:
        async with t.within(t.connect()) as connection:
            await t.get(connection.send(_START))
            for _ in range(messages):
                t.look(await t.get(connection.recv()))

    (call,) = talked(way, mode, (STARTED, used(30.0), 0.2), path="live")
    assert call.outcome == ABANDONED
    assert (call.usage and call.usage.get("session_ms")) == ms
    assert isinstance(call.price, Cost if ms else Unpriced)


@_MODES
def test_what_other_models_do_for_a_session_is_a_call_each(mode: str) -> None:
    """A response with its own usage, one whose tool is charged beside that, and a decision."""
    made = {"id": "resp_1", "model": "gpt-4o-mini", "object": "response", "status": "completed"}
    searched = {"type": "web_search_call", "id": "w", "status": "completed"}
    decision = {"id": "dec_1", "model": "gpt-6-luna", "object": "decision", "usage": RESPONSE_USAGE}
    turn = (
        STARTED,
        of_response("created", response={**made, "status": "in_progress"}),
        of_response("output_item.done", item={"type": "message"}),
        of_response("completed", response={**made, "usage": RESPONSE_USAGE}),
        of_response("created", response={**made, "id": "resp_2"}),
        of_response("output_item.done", item=searched),
        of_response("completed", response={**made, "id": "resp_2", "usage": RESPONSE_USAGE}),
        {"type": "decision.event", "event_id": "e9", "event": {"type": "decision.completed", "decision": decision}},
        closed(12.0),
        CLOSE,
    )
    first, second, third, whole = talked(listen, mode, turn, path="live")
    assert [call.operation for call in (first, second, third, whole)] == ["chat", "chat", "classification", "realtime"]
    assert [call.answer.id for call in (first, second, third)] == ["resp_1", "resp_2", "dec_1"]
    assert [call.usage and call.usage.get("input") for call in (first, second, third)] == [11] * 3
    assert [call.answer.unread for call in (first, second)] == [(), ("web_search_call",)]
    assert [isinstance(call.price, Cost) and call.price.quality for call in (first, second)] == ["exact", "incomplete"]
    assert whole.usage is not None
    assert whole.usage.counts == {"session_ms": 12_000}


@_MODES
def test_a_session_that_is_refused_costs_nothing(mode: str) -> None:
    """It never began."""
    refused = {"type": "error", "event_id": "e", "error": {"type": "invalid_request_error", "message": "no"}}
    assert talked(listen, mode, (refused, CLOSE), path="live") == []


@pytest.mark.parametrize(
    ("usage", "counts", "unread"),
    [
        ({"seconds": 90, "active_seconds": 90, "paused_seconds": 0}, {"session_ms": 90_000}, ()),
        ({"seconds": 90, "active_seconds": 60, "paused_seconds": 30}, {"session_ms": 60_000}, ("paused_seconds",)),
        ({"seconds": 90, "paused_seconds": "x"}, {"session_ms": 90_000}, ("paused_seconds",)),
        ({"seconds": "x"}, None, ("seconds",)),
        ({"seconds": -1}, None, ("seconds",)),
        ({}, None, ()),
        (5, None, ()),
    ],
    ids=str,
)
def test_seconds_are_read_as_far_as_they_are_understood(
    usage: Any, counts: dict[str, int] | None, unread: tuple[str, ...]
) -> None:
    """Time in which the model was paused has another rate, and is named."""
    answer = openai_live.session({**used(0), "usage": usage})
    assert answer is not None
    assert (answer.usage and answer.usage.counts, answer.unread) == (counts, unread)
    conversation = openai_live.Live()
    messages: tuple[Any, ...] = (
        None, 5, [], {"type": []}, {"type": "response.event", "event": 5}, {"type": "decision.event"},
    )  # fmt: skip
    for message in messages:
        conversation.received(message)
        openai_live.session(message)
        openai_live.delegated(message)
        openai_live.decided(message)
