"""Models that are asked by an HTTP library, with no client library that is watched (OTEL_COSTSPAN_HTTP_CLIENTS)."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import gzip
import json
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import httpx
import pytest
import requests

import ways
from answers import CUT, Reply, chat_chunks, completion, error, events, whole
from asker import Replies, asked
from caller import KINDS as CLIENTS
from caller import Caller
from comparing import ANTHROPIC_USAGE, OPENAI_USAGE, compared, usage_of
from costspan import attribution
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import Cost
from http_caller import CHAT, KINDS, LIBRARIES, MESSAGE, STREAM, STREAM_WITH_USAGE, HttpAsker
from provider import Provider
from watching import Watched

Way = Callable[[HttpAsker], Coroutine[Any, Any, None]]
_EACH = pytest.mark.parametrize(("library", "mode"), LIBRARIES)
_READS = [(library, mode, read) for library, mode in LIBRARIES for read in KINDS[library].READS]
_EACH_READ = pytest.mark.parametrize(("library", "mode", "read"), _READS)
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


@pytest.fixture(autouse=True)
def http_clients_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the user says."""
    monkeypatch.setenv("OTEL_COSTSPAN_HTTP_CLIENTS", "true")


@pytest.fixture
def ask(provider: Provider, library: str, mode: str) -> Callable[..., list[Call]]:
    """Asks in a way by the library, with costspan and without, which must look the same; the calls that are booked."""
    pytest.importorskip(library)

    def asking(way: Way, *replies: Reply) -> list[Call]:
        def said() -> Replies:
            return list(replies)

        return asked(lambda: KINDS[library](library, provider.url, mode), way, said, provider)

    return asking


def posting(path: str, body: Any, **more: Any) -> Way:
    """An answer that the library reads whole."""

    async def way(a: HttpAsker) -> None:
        await a.post(path, body, **more)

    return way


def reading(path: str, body: Any, *how: Any, **more: Any) -> Way:
    """An answer that the program reads as it comes."""

    async def way(a: HttpAsker) -> None:
        await a.along(path, body, *how, **more)

    return way


def counts(call: Call) -> Any:
    """What a call used, as far as it is known to the last token."""
    assert call.usage is not None
    assert call.usage.complete
    return call.usage.counts


# --- whole answers ----------------------------------------------------------------------------------------------

_CHAT, _MESSAGES = "/v1/chat/completions", "/anthropic/v1/messages"
WHOLE = [
    (_CHAT, CHAT, "openai", "chat", OPENAI_USAGE),
    ("/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "x"}, "openai", "text_completion", OPENAI_USAGE),
    ("/openai/v1/responses", {"model": "gpt-4o-mini", "input": "x"}, "openai", "chat", OPENAI_USAGE),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["x"]}, "openai", "embeddings", {"input": 11, "output": 0}),
    (_MESSAGES, MESSAGE, "anthropic", "chat", ANTHROPIC_USAGE),
]  # fmt: skip


@_EACH
@pytest.mark.parametrize(("path", "body", "provider_name", "operation", "usage"), WHOLE)
def test_a_whole_answer_is_booked(
    ask: Callable[..., list[Call]],
    path: str,
    body: Any,
    provider_name: str,
    operation: str,
    usage: dict[str, int],
    library: str,
) -> None:
    """At each endpoint of the two protocols; of an address that passes calls on, the protocol's vendor counts."""
    (call,) = ask(posting(path, body))
    assert (call.client, call.provider, call.operation, call.outcome) == (library, provider_name, operation, OK)
    assert (call.request_model, call.http_status) == (body["model"], 200)
    assert counts(call) == usage
    assert isinstance(call.price, Cost)


@_EACH
def test_a_refusal_is_an_error_that_costs_nothing(ask: Callable[..., list[Call]]) -> None:
    """The library raises nothing: the status tells."""
    (call,) = ask(posting(_CHAT, CHAT), error(429))
    assert (call.outcome, call.http_status, call.error_type, call.usage, call.price) == (ERROR, 429, "429", None, None)


@_EACH
def test_an_answer_that_does_not_come_is_an_error(ask: Callable[..., list[Call]]) -> None:
    """The caller gets the library's own exception."""
    (call,) = ask(posting(_CHAT, CHAT), Reply(pieces=[CUT]))
    assert call.outcome == ERROR
    assert call.usage is None or not call.usage.complete


@_EACH
def test_a_background_answer_is_booked_when_it_is_fetched(provider: Provider, library: str, mode: str) -> None:
    """And fetched once more, it is not booked again."""
    pytest.importorskip(library)

    async def way(a: HttpAsker) -> None:
        await a.post("/v1/responses", {"model": "gpt-4o-mini", "input": "x", "background": True})
        await a.post("/v1/responses/resp_1", None, "GET")
        await a.post("/v1/responses/resp_1", None, "GET")

    with Watched() as watched:
        KINDS[library](library, provider.url, mode).run(way)
        call = watched.call()
    assert counts(call) == OPENAI_USAGE
    assert len(provider.asked) == 3


@_EACH
def test_what_is_no_call_to_a_model_is_not_booked(ask: Callable[..., list[Call]]) -> None:
    """Other paths at the same host, and messages that are posted to a thread of an assistant."""

    async def way(a: HttpAsker) -> None:
        await a.post("/v1/models", None, "GET")
        await a.post("/v1/threads/thread_1/messages", {"role": "user", "content": "x"})
        await a.post("/v1/messages/count_tokens", MESSAGE)
        await a.post("/v1/chat/completions", None, "GET")

    assert ask(way) == []


@_EACH
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b'{"model": 7, "stream": "x"}', b"\xff\x00", b"[" * 100_000], ids=range(6)
)
def test_a_request_that_says_nothing_is_booked_by_its_answer(ask: Callable[..., list[Call]], body: bytes) -> None:
    """The model is the one that answered."""
    (call,) = ask(posting(_CHAT, body), whole(completion()))
    assert call.request_model == "gpt-4o-mini-2024-07-18"
    assert counts(call) == OPENAI_USAGE


# --- answers that are read as they come ---------------------------------------------------------------------------

_STREAMS = [(_CHAT, STREAM_WITH_USAGE, OPENAI_USAGE), (_MESSAGES, {**MESSAGE, "stream": True}, ANTHROPIC_USAGE),
            ("/v1/responses", {"model": "gpt-4o-mini", "input": "x", "stream": True}, OPENAI_USAGE)]  # fmt: skip


@_EACH_READ
@pytest.mark.parametrize(("path", "body", "usage"), _STREAMS)
def test_a_stream_that_is_read_to_its_end_is_booked(
    ask: Callable[..., list[Call]], read: str, path: str, body: Any, usage: dict[str, int]
) -> None:
    """However it is read, by what its last events say."""
    (call,) = ask(reading(path, body, read))
    assert (call.outcome, call.is_stream) == (OK, True)
    assert counts(call) == usage
    assert call.first_chunk_s is not None


@_EACH_READ
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_whole_answer_that_is_read_as_it_comes_is_booked(
    ask: Callable[..., list[Call]], read: str, encoding: str
) -> None:
    """It is no stream, and it may be compressed; who takes it compressed leaves nothing but an estimate."""
    body = json.dumps(completion()).encode()
    reply = Reply(gzip.compress(body), headers={"content-encoding": "gzip"}) if encoding else Reply(body)
    (call,) = ask(reading(_CHAT, CHAT, read), reply)
    assert not call.is_stream
    assert call.usage is not None
    if encoding and read == "iter_raw":
        assert not call.usage.complete
    else:
        assert (call.outcome, counts(call)) == (OK, OPENAI_USAGE)


def test_a_body_is_read_on_where_it_was_left(provider: Provider) -> None:
    """With requests, a program may iterate over a response once more."""
    with Watched() as watched, requests.Session() as session:
        response = session.post(provider.url + _CHAT, json=CHAT, stream=True)
        first = next(response.iter_content(100))
        assert not watched.calls()
        assert json.loads(first + response.content) == completion()
        call = watched.call()
    assert (call.outcome, counts(call)) == (OK, OPENAI_USAGE)


def test_a_stream_of_which_the_last_line_is_left_has_its_usage(provider: Provider) -> None:
    """All of it came in one piece, of which aiohttp gives lines: what these say is known as soon as they are read."""
    said = events(chat_chunks())
    reply = Reply(b"".join(said.pieces or ()), kind=said.kind)

    async def way(a: HttpAsker) -> None:
        await a.along(_CHAT, STREAM, "lines", 2 * len(chat_chunks()) - 1)

    provider.replies.append(reply)
    with Watched() as watched:
        KINDS["aiohttp"]("aiohttp", provider.url, "async").run(way)
        call = watched.call()
    assert (call.outcome, counts(call)) == (OK, OPENAI_USAGE)


@pytest.mark.parametrize("end", ["release", "close", "drop"])
def test_a_stream_of_aiohttp_that_is_left_in_a_session_is_an_estimate(provider: Provider, end: str) -> None:
    """While its session lives on, which holds the connection."""

    async def program() -> None:
        async with aiohttp.ClientSession(base_url=provider.url) as session:
            response = await session.post(_CHAT, json=STREAM)
            await response.content.readline()
            if end != "drop":
                getattr(response, end)()
            here = weakref.ref(response)
            del response
            while end == "drop" and here() is not None:  # aiohttp's writer lets go of it when the loop has come by
                await asyncio.sleep(0)
                gc.collect()
            assert watched.call().outcome == ABANDONED

    with Watched() as watched:
        asyncio.run(program())


@_EACH
@pytest.mark.parametrize("is_closed", [True, False])
@pytest.mark.parametrize("most", [0, 3])
def test_a_stream_that_is_left_is_an_estimate(
    ask: Callable[..., list[Call]], library: str, most: int, *, is_closed: bool
) -> None:
    """Closed, or let go of; after some pieces, or unread."""
    (call,) = ask(reading(_CHAT, STREAM, KINDS[library].READS[0], most, is_closed=is_closed))
    assert call.outcome == ABANDONED
    assert call.usage is not None
    assert not call.usage.complete
    assert call.usage.counts["input"] > 0
    assert isinstance(call.price, Cost)
    assert call.price.quality == "estimated"


@_EACH_READ
def test_a_stream_that_breaks_is_an_error(ask: Callable[..., list[Call]], read: str) -> None:
    """The caller gets the library's own exception, we an estimate."""
    (call,) = ask(reading(_CHAT, STREAM, read), events([*chat_chunks(usage=None)[:5], CUT]))
    assert call.outcome == ERROR
    assert call.usage is not None
    assert not call.usage.complete


@_EACH
def test_the_request_is_sent_as_it_is(provider: Provider, ask: Callable[..., list[Call]], library: str) -> None:
    """No stream is asked for its usage here: its call is an estimate where the program did not ask."""
    (call,) = ask(reading(_CHAT, STREAM, KINDS[library].READS[0]))
    with_costspan, without = provider.asked[-1], provider.asked[0]
    assert with_costspan.body == without.body == STREAM
    assert with_costspan.headers == without.headers
    assert call.usage is not None
    assert not call.usage.complete


@pytest.mark.parametrize(("library", "mode", "read"), [row for row in _READS if row[2].startswith(("iter", "lines"))])
def test_a_body_is_read_no_further_than_the_program_reads_it(ask: Callable[..., list[Call]], read: str) -> None:
    """The provider waits before it says the rest: so does the program, which has what came before."""
    first, *rest = chat_chunks(usage=None)
    rest_is_due = threading.Event()

    async def way(a: HttpAsker) -> None:
        rest_is_due.clear()
        await a.along(_CHAT, STREAM, read, 1)
        rest_is_due.set()

    (call,) = ask(way, events([first, rest_is_due, *rest]))
    assert call.outcome == ABANDONED


# --- what is not counted --------------------------------------------------------------------------------------


@_EACH
def test_an_unknown_host_is_left_alone(provider: Provider, library: str, mode: str) -> None:
    """Nothing is counted, and the response is not touched."""
    pytest.importorskip(library)
    with Watched(hosts="llm.example=openai") as watched:
        seen = KINDS[library](library, provider.url, mode).run(
            reading(_CHAT, STREAM_WITH_USAGE, KINDS[library].READS[0])
        )
        assert seen
        assert not watched.calls()
        assert not watched.spans()


@_EACH
def test_a_host_is_counted_that_the_user_names(provider: Provider, library: str, mode: str) -> None:
    """For what is said of it."""
    pytest.importorskip(library)
    with Watched(hosts=f"127.0.0.1:{provider.port}/own=deepseek") as watched:
        asker = KINDS[library](library, provider.url, mode)

        async def way(a: HttpAsker) -> None:
            await a.post("/own/v1/chat/completions", CHAT)
            await a.post("/other/v1/chat/completions", CHAT)

        asker.run(way)
        assert watched.call().provider == "deepseek"


@_EACH
def test_nothing_is_watched_unless_it_is_asked_for(
    provider: Provider, library: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default."""
    pytest.importorskip(library)
    monkeypatch.delenv("OTEL_COSTSPAN_HTTP_CLIENTS")
    with Watched() as watched:
        KINDS[library](library, provider.url, mode).run(posting(_CHAT, CHAT))
        assert not watched.calls()


@_EACH
def test_a_call_belongs_to_who_makes_it(provider: Provider, library: str, mode: str) -> None:
    """Session and task type, as with every client."""
    pytest.importorskip(library)
    with Watched() as watched, attribution(session="s-1", task_type="night"):
        KINDS[library](library, provider.url, mode).run(posting(_CHAT, CHAT))
        who = watched.call().attribution
    assert (who.session, who.task_type) == ("s-1", "night")


# --- below a watched client -----------------------------------------------------------------------------------

_NESTED = {**ways.READ_TO_THE_END, **ways.CUT_SHORT, **ways.UNREAD}


@_MODES
@pytest.mark.parametrize("way", _NESTED)
@pytest.mark.parametrize("kind", ["chat", "responses", "messages"])
def test_a_watched_client_counts_alone(kind: str, way: str, provider: Provider, mode: str) -> None:
    """The library below it sends the same request, and reads the same answer."""
    call = compared(_NESTED[way], kind, provider, mode)
    assert call.client == CLIENTS[kind].module
    if way in ways.READ_TO_THE_END:
        assert counts(call) == usage_of(kind)


@_MODES
def test_a_retry_of_a_watched_client_is_not_counted(provider: Provider, mode: str) -> None:
    """It sends two requests for one call."""

    async def way(c: Caller) -> None:
        c.look(await c.create())

    def prepare(provider: Provider) -> None:
        provider.replies.append(error(500, **{"retry-after-ms": "1"}))

    call = compared(way, "chat", provider, mode, prepare=prepare, max_retries=1)
    assert (call.client, call.outcome) == ("openai", OK)
    assert len(provider.asked) == 2


@pytest.mark.parametrize(("library", "mode"), LIBRARIES)
def test_a_call_within_a_finished_one_is_counted(provider: Provider, library: str, mode: str) -> None:
    """A context that outlives the call which it was made for: of a task that was begun within it."""
    pytest.importorskip(library)
    kept: list[contextvars.Context] = []

    def keep(_: Any) -> None:
        kept.append(contextvars.copy_context())

    with Watched() as watched, httpx.Client(event_hooks={"request": [keep]}) as client:
        client.post(provider.url + _CHAT, json=CHAT)
        kept[0].run(KINDS[library](library, provider.url, mode).run, posting(_CHAT, CHAT))
        assert [call.client for call in watched.calls()] == ["httpx", library]


# --- answers that mean harm -------------------------------------------------------------------------------------

_HARM = [
    b"", b"null", b"[]", b"{", b"7", b"\xff\xfe\x00", b'"usage"', b"[" * 100_000, b'{"usage": 7}',
    b'{"usage": {"prompt_tokens": 1e400}}', b'{"usage": {"prompt_tokens": -5, "completion_tokens": [1]}}',
    b'{"model": {"a": 1}, "usage": {"prompt_tokens": "x"}}', b'{"usage": {"prompt_tokens": ' + b"9" * 5_000 + b"}}",
    b"data: {\n\ndata: 7\n\ndata: [DONE]\n\n", b"data: [DONE]\n\ndata: {}\n\n", b"event: x\n" * 1_000,
    b'data: {"usage": {"prompt_tokens": "x"}, "choices": 7}\n\n',
]  # fmt: skip


@_EACH
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "text/plain"])
@pytest.mark.parametrize("is_whole", [True, False])
def test_an_answer_that_means_harm_harms_nobody(
    ask: Callable[..., list[Call]], library: str, kind: str, *, is_whole: bool
) -> None:
    """The caller gets it as it came, and each is one call."""

    async def way(a: HttpAsker) -> None:
        for _ in _HARM:
            if is_whole:
                await a.post(_CHAT, CHAT)
            else:
                await a.along(_CHAT, STREAM, KINDS[library].READS[-1])

    calls = ask(way, *[Reply(body, kind=kind) for body in _HARM])
    assert len(calls) == len(_HARM)


@_EACH
@pytest.mark.parametrize("encoding", ["gzip", "br", "x-unheard-of"])
def test_an_encoding_that_is_none_harms_nobody(ask: Callable[..., list[Call]], library: str, encoding: str) -> None:
    """The library raises, or gives what came."""
    reply = Reply(b"no encoding at all", headers={"content-encoding": encoding})
    (call,) = ask(reading(_CHAT, STREAM, KINDS[library].READS[-1]), reply)
    assert call.client == library
