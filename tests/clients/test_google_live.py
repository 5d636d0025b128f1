"""Google's live socket: each turn is a call, with the session so far as its prompt."""

from __future__ import annotations

import asyncio
import gc
import importlib
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import pytest

from costspan import attribution, names
from costspan.clients import google_live
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import Cost
from google_caller import Asker, genai
from watching import Watched

pytest.importorskip("websockets")
from websockets.asyncio.client import connect  # it may not be there

from socket_server import CLOSE, CUT, SocketServer  # it needs websockets

pytestmark = pytest.mark.filterwarnings("ignore:.*websockets:DeprecationWarning")

MODEL = "gemini-3.1-flash-live-preview"
_SETUP: dict[str, Any] = {"setupComplete": {}}
Way = Callable[[Asker, Any], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]  # by pytest
    """The library's sockets are encrypted, whatever the address says; the server's is not."""

    def plain(uri: str, **options: Any) -> Any:
        return connect(uri.replace("wss://", "ws://"), additional_headers=options["additional_headers"])

    monkeypatch.setattr(importlib.import_module("google.genai.live"), "ws_connect", plain)


def said(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A message of content."""
    return {"serverContent": {**({"modelTurn": {"parts": list(parts)}} if parts else {}), **more}}


def spent(prompt: int, response: int, **more: Any) -> dict[str, Any]:
    """What a turn used, with the last word on it. As recorded: the total leaves the thoughts out."""
    usage = {"promptTokenCount": prompt, "responseTokenCount": response, "totalTokenCount": prompt + response}
    return {"serverContent": {"turnComplete": True}, "usageMetadata": {**usage, **more}}


_SPOKEN = said({"inlineData": {"data": b64encode(b"\1" * 48 * 400).decode(), "mimeType": "audio/pcm"}})
_DETAILS = {
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 332}, {"modality": "AUDIO", "tokenCount": 165}],
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 42}],
    "thoughtsTokenCount": 136,
}
COUNTS = {"input": 522, "input_audio": 165, "output": 178, "output_audio": 42, "reasoning": 136}


async def ask(session: Any) -> None:
    """Say something that is a turn of its own."""
    content = genai.types.Content(role="user", parts=[genai.types.Part(text="Will it rain?")])
    await session.send_client_content(turns=content, turn_complete=True)


def talked(way: Way, *turns: Iterable[Any], **options: Any) -> list[Call]:
    """The calls that costspan booked, where the program saw the same with and without it, and so did the provider."""
    found: list[Any] = []
    for is_watched in (False, True):
        with SocketServer((_SETUP,), *turns) as server:

            async def whole(a: Asker, url: str = server.url) -> None:
                del url
                async with a.client.aio.live.connect(model=MODEL, config={"response_modalities": ["AUDIO"]}) as session:
                    await way(a, session)

            if not is_watched:
                found.append((Asker(server.url, "async", **options).run(whole), server.asked))
                continue
            with Watched(hosts=f"127.0.0.1:{server.port}=gcp.gemini") as watched:
                found.append((Asker(server.url, "async", **options).run(whole), server.asked))
                gc.collect()
                calls = list(watched.calls())
                assert len(watched.spans()) == len(watched.events()) == len(calls)
                assert watched.total(names.REQUESTS) == len(calls)
    assert found[0] == found[1]
    return calls


async def listen(a: Asker, session: Any, turns: int = 2) -> None:
    """So many turns, each asked for and read to its end."""
    for _ in range(turns):
        await ask(session)
        async for message in session.receive():
            a.look(message)


def test_each_turn_is_a_call() -> None:
    """With its own usage, in which all turns before it are once more: Google charges them so. For who reads it."""

    async def way(a: Asker, session: Any) -> None:
        with attribution(team="voice"):
            await listen(a, session)

    turns = (_SPOKEN, _SPOKEN, spent(522, 42, **_DETAILS)), (_SPOKEN, spent(600, 10))
    first, second = talked(way, *turns)
    assert (first.operation, first.outcome, first.attribution.team, first.request_model) == (
        "realtime",
        OK,
        "voice",
        MODEL,
    )
    assert (first.provider, first.host, first.answer.unread) == ("gcp.gemini", "127.0.0.1", ())
    assert first.usage is not None
    assert (first.usage.counts, first.usage.complete) == (COUNTS, True)
    assert isinstance(first.price, Cost)
    assert first.price.nano_usd == 357 * 750 + 165 * 3_000 + 136 * 4_500 + 42 * 12_000
    assert first.price.quality == "exact"
    assert second.usage is not None
    assert (second.usage.get("input"), second.usage.get("output")) == (600, 10)


def test_a_call_of_a_tool_is_reported_apart() -> None:
    """Within one turn: what was used up to it, and what was used for the rest."""
    call = {"toolCall": {"functionCalls": [{"id": "f1", "name": "rain", "args": {"where": "here"}}]}}

    async def way(a: Asker, session: Any) -> None:
        await ask(session)
        async for message in session.receive():
            a.look(message)
            if message.tool_call:
                answer = genai.types.FunctionResponse(id="f1", name="rain", response={"rain": False})
                await session.send_tool_response(function_responses=answer)

    usage = {"usageMetadata": {"promptTokenCount": 100, "responseTokenCount": 8, "totalTokenCount": 108}}
    calls = talked(way, ({**call, **usage},), (_SPOKEN, spent(120, 20)))
    assert [each.usage and (each.usage.get("input"), each.usage.get("output")) for each in calls] == [
        (100, 8),
        (120, 20),
    ]


def test_what_comes_after_the_report_belongs_to_its_turn() -> None:
    """Sound that is still on its way, and the word that the turn is over."""
    report = {"usageMetadata": spent(522, 42)["usageMetadata"]}
    turn = (_SPOKEN, report, _SPOKEN, said(turnComplete=True))
    first, second = talked(listen, turn, (_SPOKEN, spent(600, 10)))
    assert [call.usage and call.usage.get("input") for call in (first, second)] == [522, 600]
    assert {call.outcome for call in (first, second)} == {OK}
    conversation = google_live.Live()
    spoken: Any = {"server_content": {"model_turn": {"parts": []}}}
    over: Any = {"server_content": {"turn_complete": True}}
    messages: tuple[Any, ...] = (spoken, {"usage_metadata": {}}, spoken, over, spoken)
    read = [conversation.received(message) for message in messages]
    assert [meaning and meaning.ends for meaning in read] == [False, True, None, None, False]


def test_what_is_charged_beside_the_usage_is_named() -> None:
    """Searches, and texts of what was heard and said: no count of them is reported."""
    grounded = said({"text": "No."}, groundingMetadata={"webSearchQueries": ["rain"]})
    heard = said(outputTranscription={"text": "No."})

    async def way(a: Asker, session: Any) -> None:
        await listen(a, session, 1)

    written = [said({"text": "No"})] * 60
    (call,) = talked(way, (*written, grounded, heard, *written, spent(522, 42, **_DETAILS)))
    assert set(call.answer.unread) == {"groundingMetadata", "outputTranscription"}
    assert isinstance(call.price, Cost)
    assert call.price.quality == "incomplete"


@pytest.mark.parametrize(
    ("end", "outcome"), [(CUT, ERROR), (CLOSE, ERROR), (None, ABANDONED)], ids=["cut", "closed", "left"]
)
def test_a_turn_without_a_report_is_an_estimate(end: Any, outcome: str) -> None:
    """Of what was spoken, and of the session before it; the turn that was reported stays as it is."""

    async def way(a: Asker, session: Any) -> None:
        await listen(a, session, 1)
        await ask(session)
        for number in range(3):
            a.look(await session._receive())
            if end is None and number == 1:
                break

    _, call = talked(way, (_SPOKEN, spent(522, 42)), (_SPOKEN, _SPOKEN, end or 0.1))
    assert call.outcome == outcome
    assert call.usage is not None
    assert (call.usage.get("input"), call.usage.get("output_audio"), call.usage.complete) == (564, 20, False)


def test_a_turn_whose_report_never_came_is_over_with_the_next() -> None:
    """Older models report nothing."""
    silent = said(turnComplete=True)
    first, second = talked(listen, (_SPOKEN, silent), (_SPOKEN, spent(600, 10)))
    assert first.usage is not None
    assert second.usage is not None
    assert (first.usage.get("output_audio"), first.usage.complete) == (10, False)
    assert (second.usage.get("input"), second.usage.complete) == (600, True)


def test_who_stops_to_wait_has_lost_nothing() -> None:
    """The session goes on."""

    async def way(a: Asker, session: Any) -> None:
        await ask(session)
        a.look(await session._receive())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session._receive(), 0.01)  # the server says no more until it is asked
        await ask(session)
        async for message in session.receive():
            a.look(message)

    (call,) = talked(way, (_SPOKEN,), (spent(522, 42),))
    assert call.outcome == OK


@pytest.mark.parametrize(
    ("usage", "counts", "unread"),
    [
        ({"promptTokenCount": 5, "responseTokenCount": 3, "totalTokenCount": 8}, {"input": 5, "output": 3}, ()),
        (
            {"promptTokenCount": 5, "responseTokenCount": 3, "thoughtsTokenCount": 2, "totalTokenCount": 10},
            {"input": 5, "output": 5, "reasoning": 2},
            (),
        ),
        (
            {"promptTokenCount": 5, "responseTokenCount": -3, "totalTokenCount": 5},
            {"input": 5, "output": 0},
            ("candidatesTokenCount",),
        ),
        (5, None, ("usageMetadata",)),
    ],
    ids=str,
)
def test_a_report_is_read_as_far_as_it_is_understood(
    usage: Any, counts: dict[str, int] | None, unread: tuple[str, ...]
) -> None:
    """Thoughts are output, whether the total has them or not; a message may be of any form."""
    answer = google_live.turn({"usage_metadata": usage})
    assert answer is not None
    assert (answer.usage and answer.usage.counts, answer.unread) == (counts, unread)
    conversation = google_live.Live()
    messages: tuple[Any, ...] = (None, 5, [], {"server_content": 5}, {"usage_metadata": "x"}, {"tool_call": []})
    for message in messages:
        conversation.received(message)
        google_live.turn(message)
