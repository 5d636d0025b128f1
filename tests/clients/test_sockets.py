"""OpenAI's sockets, realtime and responses: every answer of a connection is a call, however its messages are read."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import itertools
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import wrapt

import costspan
from budgeted import NOTHING_LEFT, budgeted, reserved_in
from caller import flavour
from costspan import BudgetExceeded, attribution, guard, names
from costspan.calls import observed_stream, patching
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import Cost, Unpriced, usd
from faults import Fault, Site, look_for_functions, sites
from socket_answers import (
    ASKED,
    ASKED_OF_RESPONSES,
    COUNTS,
    MODEL,
    RESPONSE_COUNTS,
    RESPONSE_TURN,
    RESPONSE_USAGE,
    TURN,
    created,
    delta,
    done,
    piece,
    responses,
    session,
    sound,
    transcription,
)  # fmt: skip
from watching import Watched

openai: Any = pytest.importorskip("openai")
pytest.importorskip("websockets")
from socket_server import CLOSE, CUT, SocketServer  # noqa: E402  # it needs websockets

# websockets 17 says so to openai's way of using it.
pytestmark = pytest.mark.filterwarnings("ignore:.*websockets:DeprecationWarning")

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


# --- who talks ----------------------------------------------------------------------------------------------------------


class Talker:
    """A program that holds one connection and notes what it sees. Its ways are written once, in asynchronous form."""

    def __init__(self, url: str, mode: str, path: str | None = None, **options: Any) -> None:
        self.is_async = mode == "async"
        self.seen: list[Any] = []
        self.path = path
        self.url, self.options = url, options
        self.client: Any = None

    def open(self) -> None:
        """Make the client, within the event loop that it will run in."""
        name = self.options.pop("client", "OpenAI")
        # Older versions take it that a socket is encrypted, where its own address is not given.
        given: dict[str, Any] = {"base_url": f"{self.url}/v1", "websocket_base_url": f"ws{self.url[4:]}/v1"}
        if name != "OpenAI":
            given = {"azure_endpoint": self.url, "api_version": "2025-04-01-preview", **given}
            del given["base_url"]
        http = flavour("openai")  # a context of encryption takes longer to make than all the rest
        given["http_client"] = http.AsyncClient(verify=False) if self.is_async else http.Client(verify=False)
        given = {"api_key": "local", **given, **self.options}
        given = {key: value for key, value in given.items() if value is not None}
        self.client = getattr(openai, f"Async{name}" if self.is_async else name)(**given)

    def connect(self, **more: Any) -> Any:
        """What opens a connection; the test is skipped where this version of the library has no such socket."""
        for path in (self.path,) if self.path else ("realtime", "beta.realtime"):
            found: Any = self.client
            for name in path.split("."):
                found = getattr(found, name, None)
            if hasattr(found, "connect"):
                given = {"model": MODEL} if path.endswith("realtime") else {}
                return found.connect(**{**given, **more})
        return pytest.skip(f"this version of openai has no {self.path or 'realtime'}.connect")

    async def get(self, value: Any) -> Any:
        """The value, awaited if it is to be."""
        return await value if hasattr(value, "__await__") else value

    @asynccontextmanager
    async def within(self, opened: Any) -> AsyncGenerator[Any]:
        """A `with` block of either sort."""
        if self.is_async:
            async with opened as value:
                yield value
        else:
            with opened as value:
                yield value

    async def each(self, connection: Any) -> AsyncIterator[Any]:
        """A loop over a connection."""
        if self.is_async:
            async for event in connection:
                yield event
        else:
            for event in connection:
                yield event

    def look(self, value: Any) -> None:
        """Note the type and the content of what came."""
        dump = getattr(value, "model_dump", None)
        self.seen.append((type(value).__qualname__, repr(value) if dump is None else dump(warnings=False)))

    def run(self, way: Callable[[Talker], Coroutine[Any, Any, None]]) -> list[Any]:
        """Talk in one of the ways; what was seen, the exception included."""
        if self.is_async:
            asyncio.run(self._noted(way))
            return self.seen
        with pytest.raises(StopIteration):
            self._noted(way).send(None)
        return self.seen

    async def _noted(self, way: Callable[[Talker], Coroutine[Any, Any, None]]) -> None:
        self.open()
        try:
            await way(self)
        except Exception as error:  # noqa: BLE001  # whatever the caller would see
            self.seen.append((type(error).__qualname__, str(error)))
        finally:
            await self.get(self.client.close())


Way = Callable[[Talker], Coroutine[Any, Any, None]]


def asking(*asked: dict[str, Any], reads: int = 10_000, **more: Any) -> Way:
    """A connection on which these are sent at once, then read in a loop to its end, or so many messages."""

    async def way(t: Talker) -> None:
        async with t.within(t.connect(**more)) as connection:
            for message in asked:
                await t.get(connection.send(message))
            number = 0
            async for event in t.each(connection):
                t.look(event)
                number += 1
                if number == reads:
                    break

    return way


def talked(
    way: Way, mode: str, *turns: Iterable[Any], greeting: Iterable[Any] = (), **options: Any
) -> list[Call]:  # fmt: skip
    """The calls that costspan booked, where the caller saw the same with and without it, and so did the provider."""
    found: list[Any] = []
    for is_watched in (False, True):
        with SocketServer(*turns, greeting=greeting) as server:
            talker = Talker(server.url, mode, **options)
            if not is_watched:
                found.append((talker.run(way), server.asked))
                continue
            with Watched() as watched:
                found.append((talker.run(way), server.asked))
                del talker
                calls = list(watched.calls())
                assert len(watched.spans()) == len(watched.events()) == len(calls)
                assert watched.total(names.REQUESTS) == len(calls)
    assert found[0] == found[1]
    assert found[0][0]
    return calls


REALTIME = pytest.mark.parametrize("path", ["realtime", "beta.realtime"])
RESPONSES = pytest.mark.parametrize("path", ["responses", "beta.responses"])


# --- realtime -------------------------------------------------------------------------------------------------------------


@REALTIME
@_MODES
def test_every_response_of_a_connection_is_a_call(path: str, mode: str) -> None:
    """Each with its own usage: the conversation is billed anew with every turn."""
    small = {"total_tokens": 3, "input_tokens": 2, "output_tokens": 1}
    turns = TURN, (created("resp_2"), done("resp_2", small), CLOSE)
    first, second = talked(asking(ASKED, ASKED), mode, *turns, greeting=[session()], path=path)
    assert first.usage is not None
    assert second.usage is not None
    assert (first.usage.counts, second.usage.counts) == (COUNTS, {"input": 2, "output": 1})
    assert first.usage.complete
    assert (first.answer.id, second.answer.id) == ("resp_1", "resp_2")
    assert {call.operation for call in (first, second)} == {"realtime"}
    assert (first.provider, first.host, first.request_model, first.model) == ("openai", "127.0.0.1", MODEL, MODEL)
    assert (first.outcome, first.answer.finish_reasons, first.is_stream) == (OK, ("completed",), True)


@_MODES
def test_a_response_costs_what_its_parts_cost(mode: str) -> None:
    """By hand, in millionths of a dollar: 59 x 4 text, 9 x 32 sound, 60 x 0.40 and 4 x 0.40 cached, 30 x 16, 91 x 64."""
    (call,) = talked(asking(ASKED), mode, (*TURN, CLOSE), greeting=[session()])
    assert isinstance(call.price, Cost)
    assert (
        call.price.nano_usd == (59 * 4_000 + 9 * 32_000 + 60 * 400 + 4 * 400 + 30 * 16_000 + 91 * 64_000) == 6_853_600
    )
    assert call.price.quality == "exact"


@_MODES
def test_images_are_counted_apart(mode: str) -> None:
    """10 tokens of pictures, 4 of them cached, at 5 and 0.50 a million, beside 20 of text at 4; 2 of text at 16."""
    details = {"text_tokens": 20, "image_tokens": 10, "cached_tokens": 4, "cached_tokens_details": {"image_tokens": 4}}
    usage = {"total_tokens": 32, "input_tokens": 30, "output_tokens": 2, "input_token_details": details}
    (call,) = talked(asking(ASKED), mode, (created(), done(usage=usage), CLOSE), greeting=[session()])
    assert isinstance(call.price, Cost)
    assert call.price.nano_usd == 20 * 4_000 + 6 * 5_000 + 4 * 500 + 2 * 16_000


async def received(t: Talker) -> None:
    """`recv`, one message after another."""
    async with t.within(t.connect()) as connection:
        await t.get(connection.send(ASKED))
        while True:
            t.look(await t.get(connection.recv()))


async def received_as_bytes(t: Talker) -> None:
    """`recv_bytes`: the program reads the messages by itself."""
    async with t.within(t.connect()) as connection:
        await t.get(connection.send(ASKED))
        while True:
            t.look(await t.get(connection.recv_bytes()))


async def parsed(t: Talker) -> None:
    """`recv_bytes` and `parse_event`: twice, since it costs nothing."""
    async with t.within(t.connect()) as connection:
        await t.get(connection.send(ASKED))
        while True:
            message = await t.get(connection.recv_bytes())
            t.look(connection.parse_event(message))
            t.look(connection.parse_event(message.decode()))


async def entered(t: Talker) -> None:
    """`enter`, and `close` by hand."""
    connection = await t.get(t.connect().enter())
    await t.get(connection.response.create())
    async for event in t.each(connection):
        t.look(event)
        if event.type == "response.done":
            break
    await t.get(connection.close())


async def dispatched(t: Talker) -> None:
    """Handlers of events, and messages that were put in line before there was a connection."""
    opener = t.connect()
    if not hasattr(opener, "on"):
        pytest.skip("this version of openai has no handlers of events")
    opener.on("response.done", t.look)
    opener.send(ASKED)
    async with t.within(opener) as connection:
        await t.get(connection.dispatch_events())


@REALTIME
@_MODES
@pytest.mark.parametrize("way", [received, received_as_bytes, parsed, entered, dispatched])
def test_it_does_not_matter_how_messages_are_read(way: Way, path: str, mode: str) -> None:
    """Each is counted once, and the caller gets it as it came: his types, his exceptions."""
    (call,) = talked(way, mode, (*TURN, CLOSE), greeting=[session()], path=path)
    assert call.usage is not None
    assert call.usage.counts == COUNTS
    assert call.outcome == OK


@_MODES
def test_how_long_a_response_takes_is_told_from_its_beginning(mode: str) -> None:
    """From `response.created` to its end: what passes before that, the user is speaking."""
    (call,) = talked(asking(ASKED), mode, (0.8, created(), 0.1, delta(), 0.1, done(), CLOSE), greeting=[session()])
    assert 0.15 <= call.duration_s < 0.75
    assert call.first_chunk_s is not None
    assert 0.05 <= call.first_chunk_s <= call.duration_s - 0.05


ENDS = [
    ("cancelled", {"type": "cancelled", "reason": "turn_detected"}, ABANDONED, None),
    ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, OK, None),
    ("failed", {"type": "failed", "error": {"type": "server_error", "code": "overloaded"}}, ERROR, "overloaded"),
]


@_MODES
@pytest.mark.parametrize(("status", "details", "outcome", "error"), ENDS, ids=[row[0] for row in ENDS])
def test_a_response_that_ends_otherwise_is_billed(
    status: str, details: dict[str, Any], outcome: str, error: str | None, mode: str
) -> None:
    """It carries its usage, too: exactly that, with what became of it."""
    end = done(status=status, status_details=details)
    (call,) = talked(asking(ASKED), mode, (created(), delta(), end, CLOSE), greeting=[session()])
    assert call.usage is not None
    assert call.usage.counts == COUNTS
    assert call.usage.complete
    assert (call.outcome, call.error_type, call.answer.finish_reasons) == (outcome, error, (status,))
    assert isinstance(call.price, Cost)
    assert call.price.quality == "exact"


TRANSCRIPTIONS = [
    ("gpt-4o-mini-transcribe",
     {"type": "tokens", "total_tokens": 22, "input_tokens": 13, "output_tokens": 9,
      "input_token_details": {"text_tokens": 0, "audio_tokens": 13}},
     {"input": 13, "output": 9, "input_audio": 13}, 13 * 3_000 + 9 * 5_000),
    ("whisper-1", {"type": "duration", "seconds": 3.5}, {"input_audio_ms": 3500}, 3_500 * 100),
]  # fmt: skip


@_MODES
@pytest.mark.parametrize("is_of_old", [False, True], ids=["audio", "input_audio_transcription"])
@pytest.mark.parametrize(("model", "usage", "counts", "nano_usd"), TRANSCRIPTIONS, ids=["tokens", "duration"])
def test_what_the_user_said_is_a_call_of_the_transcribing_model(
    model: str, usage: Any, counts: dict[str, int], nano_usd: int, mode: str, *, is_of_old: bool
) -> None:
    """It is billed beside the response, at that model's price."""
    named = {"model": model}
    said: dict[str, Any] = {"audio": {"input": {"transcription": named}}}
    if is_of_old:
        said = {"input_audio_transcription": named, "audio": None}
    heard = [
        transcription("delta", delta="Will it "),
        transcription("completed", transcript="Will it rain?", usage=usage),
    ]
    turn = (created(), *heard, delta(), done(), CLOSE)
    calls = talked(asking({"type": "input_audio_buffer.commit"}), mode, turn, greeting=[session(), session(**said)])
    call, response = calls
    assert (call.operation, response.operation) == ("transcription", "realtime")
    assert (call.request_model, call.model) == (model, model)
    assert call.usage is not None
    assert call.usage.counts == counts
    assert isinstance(call.price, Cost)
    assert call.price.nano_usd == nano_usd


@_MODES
def test_a_failed_transcription_is_an_error_without_a_cost(mode: str) -> None:
    """The provider says that there was none."""
    failed = transcription("failed", error={"type": "invalid_request_error", "code": "audio_unintelligible"})
    commit = {"type": "input_audio_buffer.commit"}
    (call,) = talked(asking(commit), mode, (failed, CLOSE), greeting=[session()])
    assert (call.operation, call.outcome, call.error_type) == ("transcription", ERROR, "audio_unintelligible")


# --- what does not come to its end ------------------------------------------------------------------------------------------


@REALTIME
@_MODES
def test_a_response_that_is_cut_off_is_an_estimate(path: str, mode: str) -> None:
    """The line breaks in mid-response: what was said by then, sound apart, and the conversation it was about."""
    pieces = [piece for _ in range(20) for piece in (delta("resp_2"), sound("resp_2"))]
    turns = TURN, (created("resp_2"), *pieces, CUT)
    first, call = talked(asking(ASKED, ASKED), mode, *turns, greeting=[session()], path=path)
    assert first.outcome == OK
    assert (call.outcome, call.error_type, call.http_status) == (ERROR, "ConnectionClosedError", None)
    assert (call.answer.id, call.model) == ("resp_2", MODEL)
    assert call.usage is not None
    assert not call.usage.complete
    assert isinstance(call.price, Cost)
    assert call.price.quality == "estimated"
    assert call.usage.get("input_audio") == 13 + 91
    assert 132 + 121 <= call.usage.get("input") <= 132 + 121 + 8
    assert call.usage.get("output_audio") == 20 * 4  # of 50 ms each
    assert 20 * 5 <= call.usage.get("output") - call.usage.get("output_audio") <= 20 * 6


@_MODES
def test_sound_that_was_heard_is_in_an_estimate(mode: str) -> None:
    """Two seconds, of which the last is what was spoken, and a sentence: ten tokens a second, four bytes of text a token."""
    second = b64encode(b"\1" * 48_000).decode()
    append = {"type": "input_audio_buffer.append", "audio": second}
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Sixteen bytes ok"}]}
    asked = append, append, {"type": "conversation.item.create", "item": item}, {"type": "input_audio_buffer.commit"}
    turn = {"type": "input_audio_buffer.committed", "event_id": "e", "item_id": "item_0"}, created(), delta(), CUT
    (call,) = talked(asking(*asked), mode, turn, greeting=[session(instructions="Eight by")])
    assert call.usage is not None
    assert (call.usage.get("input_audio"), call.usage.complete) == (20, False)
    assert 20 + 4 + 2 <= call.usage.get("input") <= 20 + 4 + 2 + 8


@_MODES
def test_what_was_spent_is_not_estimated_once_more(mode: str) -> None:
    """What was said before a response ended is in what that reports."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "twenty" * 100}]}
    asked = {"type": "conversation.item.create", "item": item}, ASKED, ASKED
    _, call = talked(asking(*asked), mode, TURN, (created("resp_2"), CUT), greeting=[session(instructions="x" * 900)])
    assert call.usage is not None
    assert 132 + 121 <= call.usage.get("input") <= 132 + 121 + 8


@_MODES
def test_sound_before_anybody_spoke_is_in_no_estimate(mode: str) -> None:
    """The provider says when the user begins to speak: what came before that is silence."""

    async def way(t: Talker) -> None:
        async with t.within(t.connect()) as connection:
            await t.get(connection.send(append))
            for _ in range(2):
                t.look(await t.get(connection.recv()))
            await t.get(connection.send(append))
            await t.get(connection.send({"type": "input_audio_buffer.commit"}))
            async for event in t.each(connection):
                t.look(event)

    append = {"type": "input_audio_buffer.append", "audio": b64encode(b"\1" * 48_000).decode()}
    began = {"type": "input_audio_buffer.speech_started", "event_id": "e", "item_id": "item_0", "audio_start_ms": 1000}
    turn = {"type": "input_audio_buffer.committed", "event_id": "e", "item_id": "item_0"}, created(), CUT
    (call,) = talked(way, mode, turn, greeting=[session(), began])
    assert call.usage is not None
    assert call.usage.get("input_audio") == 10


FORMS = [{"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, {"output_audio_format": "g711_alaw"}]


@_MODES
@pytest.mark.parametrize("form", FORMS, ids=["audio", "output_audio_format"])
def test_sound_of_a_telephone_is_as_long_as_it_lasts(form: dict[str, Any], mode: str) -> None:
    """Eight bytes a millisecond: what is six times as long otherwise. And it is what came first."""
    telephone = {**sound(), "delta": b64encode(b"\1" * 8 * 200).decode()}
    turn = created(), 0.2, *([telephone] * 10), 0.4, CUT
    (call,) = talked(asking(ASKED), mode, turn, greeting=[session(**form)])
    assert call.usage is not None
    assert call.usage.get("output_audio") == 10 * 4
    assert call.first_chunk_s is not None
    assert 0.15 <= call.first_chunk_s < 0.5


@_MODES
@pytest.mark.parametrize("reads", [2, 3])
def test_a_connection_that_is_left_ends_what_was_under_way(reads: int, mode: str) -> None:
    """The caller closes it in mid-response, or before the first word."""
    (call,) = talked(asking(ASKED, reads=reads), mode, TURN, greeting=[session()])
    assert call.usage is not None
    assert (call.outcome, call.usage.complete, call.answer.id) == (ABANDONED, False, "resp_1")
    assert (call.first_chunk_s is None) == (reads == 2)


@_MODES
def test_a_connection_that_is_let_go_of_ends_what_was_under_way(mode: str) -> None:
    """Nobody closes it."""

    async def way(t: Talker) -> None:
        connection = await t.get(t.connect().enter())
        await t.get(connection.send(ASKED))
        for _ in range(3):
            t.look(await t.get(connection.recv()))
        line = connection._connection
        del connection
        gc.collect()
        await t.get(line.close())

    (call,) = talked(way, mode, TURN, greeting=[session()])
    assert call.usage is not None
    assert (call.outcome, call.usage.complete) == (ABANDONED, False)


@_MODES
def test_a_process_that_ends_ends_what_was_under_way(mode: str) -> None:
    """Nobody reads on, and nothing closes the connection before costspan is done."""

    async def way(t: Talker) -> None:
        async with t.within(t.connect()) as connection:
            await t.get(connection.send(ASKED))
            for _ in range(3):
                t.look(await t.get(connection.recv()))
            observed_stream.finish_live()

    (call,) = talked(way, mode, TURN, greeting=[session()])
    assert call.usage is not None
    assert (call.outcome, call.usage.complete, call.answer.id) == (ABANDONED, False, "resp_1")


async def received_first(t: Talker) -> None:
    """The greeting is read before anything is asked."""
    async with t.within(t.connect()) as connection:
        t.look(await t.get(connection.recv()))
        with attribution(session="asked"):
            await t.get(connection.send(ASKED))
        t.look(await t.get(connection.recv()))


@_MODES
def test_a_request_that_is_never_answered_is_an_estimate(mode: str) -> None:
    """The line breaks before the response begins: the provider may have been at it."""
    (call,) = talked(received_first, mode, (CUT,), greeting=[session(instructions="Be kind. " * 40)])
    assert call.usage is not None
    assert (call.outcome, call.usage.complete) == (ERROR, False)
    assert call.attribution.session == "asked"
    assert call.usage.get("input") >= 90
    assert call.usage.get("output") == 0


@_MODES
def test_a_request_that_could_not_be_sent_is_no_call(mode: str) -> None:
    """The line was closed before: the caller learns of it, and nothing was asked."""

    async def way(t: Talker) -> None:
        async with t.within(t.connect()) as connection:
            await t.get(connection.send(ASKED))
            async for event in t.each(connection):
                t.look(event)
            await t.get(connection.send(ASKED))

    (call,) = talked(way, mode, (*TURN, CLOSE), greeting=[session()])
    assert call.outcome == OK


@_MODES
def test_a_request_that_is_refused_is_waited_for_no_more(mode: str) -> None:
    """The error tells that there will be no answer to it."""
    refused = {
        "type": "error",
        "event_id": "e",
        "error": {"type": "invalid_request_error", "code": "no", "message": "no"},
    }
    (call,) = talked(asking(ASKED, ASKED), mode, (refused,), (*TURN, CLOSE), greeting=[session()])
    assert call.outcome == OK


@_MODES
def test_a_response_is_counted_once(mode: str) -> None:
    """However often its messages come."""
    (call,) = talked(asking(ASKED), mode, (*TURN, done(), created(), delta(), done(), CLOSE), greeting=[session()])
    assert call.usage is not None
    assert call.usage.counts == COUNTS


@_MODES
def test_each_connection_counts_its_own_responses(mode: str) -> None:
    """Servers of other makers number them from 1 on each, also where one opener opens several."""

    async def way(t: Talker) -> None:
        opener = t.connect()
        for _ in range(2):
            async with t.within(opener) as connection:
                await t.get(connection.send(ASKED))
                async for event in t.each(connection):
                    t.look(event)

    calls = talked(way, mode, (*TURN, CLOSE), (*TURN, CLOSE), greeting=[session()])
    assert [call.answer.id for call in calls] == ["resp_1", "resp_1"]


@_MODES
def test_a_response_whose_beginning_was_missed_is_counted(mode: str) -> None:
    """Its last message says all there is to say."""
    (call,) = talked(asking(ASKED), mode, (delta(), done(), CLOSE), greeting=[session()])
    assert call.usage is not None
    assert call.usage.counts == COUNTS


@_MODES
def test_a_receipt_that_is_given_up_loses_nothing(mode: str) -> None:
    """To cancel `recv` is safe: the response goes on."""
    if mode == "sync":
        pytest.skip("only a coroutine can be cancelled")

    async def way(t: Talker) -> None:
        async with t.within(t.connect()) as connection:
            await connection.send(ASKED)
            while len(t.seen) < 5:
                with contextlib.suppress(asyncio.TimeoutError):
                    t.look(await asyncio.wait_for(connection.recv(), 0.1))

    (call,) = talked(way, mode, (created(), 0.3, delta(), sound(), done()), greeting=[session()])
    assert (call.outcome, call.answer.id) == (OK, "resp_1")


ODD = [b"\xff\xfe", "no JSON", "[]", "null", '{"type": 7}', '{"type": "response.done"}', '{"type": "response.done", "response": 7}',
       '{"type": "response.created", "response": {"id": ["x"]}}', '{"type": "session.created", "session": "x"}',
       '{"type": "input_audio_buffer.committed"}', '{"type": "conversation.item.input_audio_transcription.completed"}']  # fmt: skip


@_MODES
def test_messages_of_no_known_form_are_passed_on(mode: str) -> None:
    """As the bytes that they are, and the next one is counted."""
    (call,) = talked(received_as_bytes, mode, (*ODD, *TURN, *ODD, CLOSE))
    assert call.usage is not None
    assert call.usage.counts == COUNTS


# --- for whom -----------------------------------------------------------------------------------------------------------------


@_MODES
def test_a_response_belongs_to_who_asked_for_it(mode: str) -> None:
    """Not to who reads it; and where the provider began it by itself, to who reads it."""

    async def way(t: Talker) -> None:
        async with t.within(t.connect()) as connection:
            with attribution(session="asked", team="search", task_type="talk"):
                await t.get(connection.response.create())
            with attribution(session="read", team="reader"):
                async for event in t.each(connection):
                    t.look(event)

    turn = (*TURN, created("resp_2"), done("resp_2"), CLOSE)
    asked, own = talked(way, mode, turn, greeting=[session()])
    assert (asked.attribution.session, asked.attribution.team, asked.attribution.task_type) == (
        "asked",
        "search",
        "talk",
    )
    assert (own.attribution.session, own.attribution.team) == ("read", "reader")


@_MODES
def test_a_response_stands_in_the_trace_of_who_asked_for_it(mode: str) -> None:
    """Its span is below the one that was current then."""

    async def way(t: Talker) -> None:
        async with t.within(t.connect()) as connection:
            with tracer.start_as_current_span("asks") as span:
                asking.append(span.get_span_context().trace_id)
                await t.get(connection.send(ASKED))
            async for event in t.each(connection):
                t.look(event)

    asking: list[int] = []
    with SocketServer((*TURN, CLOSE), greeting=[session()]) as server, Watched() as watched:
        tracer = watched.tracer_provider.get_tracer("of the program")
        Talker(server.url, mode).run(way)
        assert [watched.call().trace_id] == asking


# --- who answers --------------------------------------------------------------------------------------------------------------


@_MODES
def test_a_deployment_of_azure_is_azures(mode: str) -> None:
    """By the class of the client; the session says which model it is."""
    azure = {"client": "AzureOpenAI", "websocket_base_url": None}
    with SocketServer((*TURN, CLOSE), greeting=[session("gpt-4o-realtime-preview-2024-12-17")]) as server:
        azure["websocket_base_url"] = f"ws{server.url[4:]}/openai"
        with Watched() as watched:
            Talker(server.url, mode, **azure).run(asking(ASKED, model="our-deployment"))
            call = watched.call()
        assert "=our-deployment" in server.paths[0]
    assert (call.provider, call.request_model, call.model) == (
        "azure.ai.openai", "our-deployment", "gpt-4o-realtime-preview-2024-12-17",
    )  # fmt: skip


@_MODES
def test_who_answers_is_told_by_the_host(mode: str) -> None:
    """As by HTTP: the client is the library's ordinary one, the host is Azure's."""
    with SocketServer((*TURN, CLOSE), greeting=[session("gpt-4o-realtime-preview")]) as server:
        with Watched(hosts=f"127.0.0.1:{server.port}=azure.ai.openai") as watched:
            Talker(server.url, mode).run(asking(ASKED, model="our-deployment"))
            call = watched.call()
        assert "model=our-deployment" in server.paths[0]
        assert (call.provider, call.port, call.request_model) == ("azure.ai.openai", server.port, "our-deployment")


# --- responses ----------------------------------------------------------------------------------------------------------------


@RESPONSES
@_MODES
def test_every_response_of_the_responses_socket_is_a_call(path: str, mode: str) -> None:
    """One after another, each with its model and its usage."""
    second = (responses("created", "resp_2"), piece(), responses("incomplete", "resp_2", usage=RESPONSE_USAGE), CLOSE)
    calls = talked(asking(ASKED_OF_RESPONSES, ASKED_OF_RESPONSES), mode, RESPONSE_TURN, second, path=path)
    assert [call.answer.id for call in calls] == ["resp_1", "resp_2"]
    for call in calls:
        assert call.usage is not None
        assert call.usage.counts == RESPONSE_COUNTS
        assert call.usage.complete
        assert (call.outcome, call.operation) == (OK, "chat")
        assert (call.request_model, call.model) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
        assert isinstance(call.price, Cost)
        assert call.price.nano_usd == 8 * 150 + 3 * 75 + 7 * 600


@RESPONSES
@_MODES
def test_lanes_are_told_apart(path: str, mode: str) -> None:
    """Their messages come in turns, and name no response."""
    turn = (
        responses("created", "resp_2", "b"), responses("created", "resp_1", "a"), piece("a", "a"), piece("b" * 80, "b"),
        responses("completed", "resp_2", "b", usage=RESPONSE_USAGE), piece("a" * 40, "a"), CUT,
    )  # fmt: skip
    asked = [{**ASKED_OF_RESPONSES, "stream_id": lane, "model": f"model-{lane}"} for lane in ("a", "b")]
    whole, cut = talked(asking(*asked), mode, (), turn, path=path)
    assert (whole.answer.id, whole.request_model, whole.outcome) == ("resp_2", "model-b", OK)
    assert (cut.answer.id, cut.request_model, cut.outcome) == ("resp_1", "model-a", ERROR)
    assert cut.usage is not None
    assert (cut.usage.get("output"), cut.usage.complete) == (10, False)


@_MODES
def test_a_response_whose_end_is_missing_ends_with_the_next(mode: str) -> None:
    """In a lane one follows another; what comes too late of it is not booked again."""
    late = responses("completed", "resp_1", usage=RESPONSE_USAGE)
    turn = responses("created"), piece(), responses("created", "resp_2"), piece(), late, CLOSE
    first, second = talked(asking(ASKED_OF_RESPONSES), mode, turn, path="responses")
    assert (first.answer.id, first.outcome, second.answer.id, second.outcome) == ("resp_1", ABANDONED, "resp_2", ERROR)
    assert first.usage is not None
    assert not first.usage.complete


@RESPONSES
@_MODES
def test_a_request_that_the_responses_socket_refuses_is_an_error(path: str, mode: str) -> None:
    """As it is by HTTP: a call without a cost."""
    error = {
        "type": "error",
        "status": 400,
        "error": {"type": "invalid_request_error", "code": "previous_response_not_found"},
    }
    call, good = talked(
        asking(ASKED_OF_RESPONSES, ASKED_OF_RESPONSES), mode, (error,), (*RESPONSE_TURN, CLOSE), path=path
    )
    assert (call.outcome, call.error_type) == (ERROR, "previous_response_not_found")
    assert call.usage is None
    assert call.price is None
    assert good.outcome == OK


@_MODES
def test_lanes_that_the_library_shares_out_belong_to_who_sends(mode: str) -> None:
    """Its session reads in a thread or task of its own, and sends past the connection's method."""
    sockets = pytest.importorskip("openai.lib.responses_websocket")

    async def way(t: Talker) -> None:
        async with t.within(t.connect()) as connection:
            limits = sockets.ResponsesWebSocketLimits(
                max_lanes=8, max_events_per_lane=128, max_events=512, max_bytes_per_lane=2**20, max_bytes=2**22
            )
            kind = sockets.AsyncResponsesWebSocketSession if t.is_async else sockets.ResponsesWebSocketSession
            async with t.within(kind(connection, limits=limits)) as routed:
                for lane in (routed.lane("a"), routed.default):
                    with attribution(session=f"lane {lane._state.stream_id}"):
                        await t.get(lane.send(ASKED_OF_RESPONSES))
                        t.look(await t.get(lane.get_final_response()))

    lane = (responses("created", "resp_2", "a"), responses("completed", "resp_2", "a", usage=RESPONSE_USAGE, tools=[],
            parallel_tool_calls=True, tool_choice="auto", created_at=1))  # fmt: skip
    plain = (
        responses("created"),
        responses(
            "completed", usage=RESPONSE_USAGE, tools=[], parallel_tool_calls=True, tool_choice="auto", created_at=1
        ),
    )
    calls = talked(way, mode, lane, plain, path="responses")
    assert [(call.answer.id, call.attribution.session) for call in calls] == [
        ("resp_2", "lane a"),
        ("resp_1", "lane None"),
    ]


# --- faults, and being removed ------------------------------------------------------------------------------------------------


class Injected(Exception):  # noqa: N818  # a fault of no kind that anybody could expect
    """The fault that is put in."""


async def much(t: Talker) -> None:
    """Two turns of a conversation, of which the second is cut off, and something sent and heard."""
    async with t.within(t.connect()) as connection:
        await t.get(connection.send({"type": "input_audio_buffer.append", "audio": "AAAA"}))
        await t.get(connection.send({"type": "conversation.item.create", "item": {"type": "message", "content": []}}))
        for _ in range(2):
            await t.get(connection.response.create())
        async for event in t.each(connection):
            t.look(event)


HEARD = (
    transcription("delta", delta="Will"),
    transcription("completed", transcript="Will", usage={"type": "duration", "seconds": 1}),
)
REFUSED = {"type": "error", "status": 400, "error": {"type": "invalid_request_error", "code": "no", "message": "no"}}
SCENARIOS = {
    "realtime": (much, "realtime", ((*TURN, *HEARD), (created("resp_2"), delta("resp_2"), sound("resp_2"), CUT)), (session(),)),
    "left": (asking(ASKED, reads=3), "realtime", (TURN,), (session(),)),
    "responses": (asking(ASKED_OF_RESPONSES, ASKED_OF_RESPONSES), "responses", ((REFUSED,), (*RESPONSE_TURN, CLOSE)), ()),
}  # fmt: skip
#: Faults in the lines of other files are tried in test_faults.py.
LINES_OF = ("calls/connections.py", "clients/openai_socket.py", "dialects/stainless_sockets.py")


def _run(scenario: str, mode: str) -> list[Any]:
    way, path, turns, greeting = SCENARIOS[scenario]
    with SocketServer(*turns, greeting=greeting) as server:
        # In a context of its own: a fault may leave a span current.
        return contextvars.copy_context().run(Talker(server.url, mode, path=path).run, way)


@pytest.fixture(scope="module")
def lines() -> dict[tuple[str, str], list[Site]]:
    """Every line that runs while a program talks, in each mode by the first scenario that comes by it."""
    plan: dict[tuple[str, str], list[Site]] = {}
    seen: set[Any] = set()
    for scenario, mode in itertools.product(SCENARIOS, ("sync", "async")):
        run = functools.partial(_run, scenario, mode)
        run()  # the libraries fill their caches first
        with Watched():
            found = {(mode, key): site for key, site in sites(run, lines=True).items()}
        plan[scenario, mode] = [
            site for key, site in found.items() if site.code.co_filename.endswith(LINES_OF) and key not in seen
        ]
        seen.update(found)
    return plan


@_MODES
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_caller_sees_no_fault(
    scenario: str, mode: str, lines: dict[tuple[str, str], list[Site]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every line that runs while a program talks fails in turn, in the first scenario that comes by it."""
    monkeypatch.setattr(guard, "raise_again", False)
    expected = _run(scenario, mode)
    with Watched():
        assert _run(scenario, mode) == expected
    look_for_functions()
    problems: list[str] = []
    for site in lines[scenario, mode]:
        guard.faults.clear()
        with Watched(), Fault(site, Injected) as fault:
            seen = _run(scenario, mode)
        if seen != expected or (fault.times and not guard.faults):
            problems.append(f"{site}: the caller saw {seen}, faults {guard.faults}")
    assert not problems, "\n".join(problems)


def test_faults_are_put_in_everywhere(lines: dict[tuple[str, str], list[Site]]) -> None:
    """The test above tries something, in both modes and with what both sockets have of their own."""
    assert all(len(lines["realtime", mode]) > 100 and lines["responses", mode] for mode in ("sync", "async"))


CLASSES = [("realtime.realtime", "Realtime"), ("beta.realtime.realtime", "Realtime"),
           ("responses.responses", "Responses"), ("beta.responses.responses", "Responses")]  # fmt: skip


@pytest.mark.parametrize(("module", "kind"), CLASSES)
def test_every_socket_is_where_it_is_expected(module: str, kind: str) -> None:
    """The canary: what this version of the library has of sockets is watched, sync and async; afterwards it is as before."""
    holder = pytest.importorskip(f"openai.resources.{module}")
    if not hasattr(holder, f"{kind}Connection"):
        pytest.skip(f"this version of openai has no {kind}Connection in {module}")
    with Watched():
        found = {(at, name) for place, at, name in patching.patched["openai"] if place == holder.__name__}
    expected = {
        (f"{prefix}{kind}{of}", name)
        for prefix, enter in (("", "__enter__"), ("Async", "__aenter__"))
        for of, names_ in (("Connection", ("recv_bytes", "send", "close")), ("ConnectionManager", (enter, "enter")))
        for name in names_
    }
    assert expected <= found
    assert not isinstance(vars(getattr(holder, f"{kind}Connection"))["recv_bytes"], wrapt.FunctionWrapper)


def test_a_socket_is_watched_that_was_opened_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costspan came later: who is at the other end is not known, so its answers are counted without a price."""
    monkeypatch.setenv("OTEL_COSTSPAN_HOSTS", "")
    with SocketServer((*TURN, CLOSE), greeting=[session()]) as server:
        talker = Talker(server.url, "sync")
        talker.open()
        with talker.connect() as connection, Watched() as watched:
            connection.send(ASKED)
            assert [event.type for event in connection][-1] == "response.done"
            call = watched.call()
        talker.client.close()
    assert call.usage is not None
    assert call.usage.counts == COUNTS
    assert call.provider == "unknown"
    assert isinstance(call.price, Unpriced)


# --- hard budgets ---------------------------------------------------------------------------------------------------------


@_MODES
def test_a_request_that_a_hard_budget_refuses_is_not_sent(mode: str, tmp_path: Path) -> None:
    """The connection is there, and goes on."""

    async def way(t: Talker) -> None:
        async with t.within(t.connect()) as connection:
            with pytest.raises(BudgetExceeded) as refused:
                await t.get(connection.send(ASKED))
            assert refused.value.reason == "limit"
            assert "max_tokens" not in str(refused.value)  # what is reserved is what a session holds

    with SocketServer(*TURN, greeting=[session()]) as server, budgeted(tmp_path, NOTHING_LEFT) as watched:
        assert Talker(server.url, mode).run(way) == []
        assert server.asked == []
        assert watched.call().outcome == "refused"


@_MODES
def test_a_response_settles_what_its_request_reserved(mode: str, tmp_path: Path) -> None:
    """Under the id that it was reserved with; what the limit leaves is the limit less its cost."""
    text = NOTHING_LEFT.replace("limit_usd: 0", "limit_usd: 10")
    with SocketServer((*TURN, CLOSE), greeting=[session()]) as server, budgeted(tmp_path, text) as watched:
        Talker(server.url, mode).run(asking(ASKED))
        price = watched.call().price
        assert isinstance(price, Cost)
        assert price.nano_usd > 0
        assert reserved_in(tmp_path) == []
        refused = _refused(10)
        assert (refused.spent, refused.reserved) == (usd(price.nano_usd), 0)


@_MODES
def test_a_request_that_is_never_answered_holds_nothing_for_ever(mode: str, tmp_path: Path) -> None:
    """It is settled as the estimate that it ends as."""
    text = NOTHING_LEFT.replace("limit_usd: 0", "limit_usd: 10")
    with SocketServer((CUT,), greeting=[session()]) as server, budgeted(tmp_path, text) as watched:
        Talker(server.url, mode).run(received_first)
        assert len(watched.calls()) == 1
        assert reserved_in(tmp_path) == []


def _refused(amount_usd: int) -> BudgetExceeded:
    with pytest.raises(BudgetExceeded) as refused:
        costspan.reserve(amount_usd=amount_usd)
    return refused.value
