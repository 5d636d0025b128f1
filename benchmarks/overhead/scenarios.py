"""The calls that are measured, made by the real client libraries on a network that is not there.

With `stub`, the client's own request method is replaced by one that has the answer ready: the same wrappers run, and
the client's own work, some hundred times a watcher's, does not drown the difference.
"""

# ruff: noqa: SLF001  # the stub stands where the watchers stand: on private methods of the clients
from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any, Final, NamedTuple

from benchmarks.overhead.replies import EVENT_STREAM_HEADERS, EVENTS, SMALL_PROMPT, big_prompt
from benchmarks.overhead.transports import http_clients, http_library_of

MODEL: Final = "gpt-4o-mini"
CLAUDE: Final = "claude-sonnet-4-5"
_ASKED: Final = {"include_usage": True}
_BIG: Final = big_prompt()
_QUESTION: Final = "Summarise last week's token costs."


class Clients:
    """The clients of one library, sync and async."""

    def __init__(self, library: str) -> None:
        self.library = library
        self.base: Any = importlib.import_module(f"{library}._base_client")
        self.module: Any = importlib.import_module(library)
        kinds = ("OpenAI", "AsyncOpenAI") if library == "openai" else ("Anthropic", "AsyncAnthropic")
        http, async_http = http_clients(self.base)
        _, yielding_http = http_clients(self.base, yield_to_loop=True)
        self.sync = self._client(kinds[0], http)
        self.asynchronous = self._client(kinds[1], async_http)
        self.yielding = self._client(kinds[1], yielding_http)

    def _client(self, kind: str, http_client: Any) -> Any:
        return getattr(self.module, kind)(api_key="sk-stand-in", http_client=http_client, max_retries=0)


# --- the calls -------------------------------------------------------------------------------------------------


def _chat(clients: Clients) -> None:
    clients.sync.chat.completions.create(model=MODEL, messages=SMALL_PROMPT, temperature=0.2)


def _big(clients: Clients) -> None:
    clients.sync.chat.completions.create(model=MODEL, messages=_BIG)


async def _chat_async(clients: Clients) -> None:
    await clients.asynchronous.chat.completions.create(model=MODEL, messages=SMALL_PROMPT, temperature=0.2)


def _stream(clients: Clients) -> None:
    stream = clients.sync.chat.completions.create(
        model=MODEL, messages=SMALL_PROMPT, stream=True, stream_options=_ASKED
    )
    assert _length(stream) == EVENTS + 1


async def _stream_async(clients: Clients) -> None:
    stream = await clients.asynchronous.chat.completions.create(
        model=MODEL, messages=SMALL_PROMPT, stream=True, stream_options=_ASKED
    )
    events = 0
    async for _ in stream:
        events += 1
    assert events == EVENTS + 1


def _default_stream(clients: Clients) -> None:
    """As most programs stream: nobody asks for usage."""
    assert _length(clients.sync.chat.completions.create(model=MODEL, messages=SMALL_PROMPT, stream=True)) >= EVENTS


async def _default_stream_async(clients: Clients) -> None:
    stream = await clients.asynchronous.chat.completions.create(model=MODEL, messages=SMALL_PROMPT, stream=True)
    events = 0
    async for _ in stream:
        events += 1
    assert events >= EVENTS


_quota_calls = count()


def _quotas(clients: Clients) -> None:
    """Calls seconds apart: a tenth of them has its quota headers read by an export before the next call comes."""
    _chat(clients)
    if next(_quota_calls) % 10:
        return
    costspan = sys.modules.get("costspan.instrumentor")
    if costspan is not None and costspan.pipeline is not None:
        limits = costspan.pipeline.rate_limits
        limits.limit()
        limits.remaining()
        limits.seconds_to_reset()


_sessions = count()


def _new_session(clients: Clients) -> None:
    """A call of a session that was never seen before."""
    if "costspan" not in sys.modules:
        _chat(clients)
        return
    with sys.modules["costspan"].attribution(session=f"conversation-{next(_sessions):012}"):
        _chat(clients)


def _unknown_model(clients: Clients) -> None:
    """A model that no price table knows."""
    clients.sync.chat.completions.create(model="acme-large-9", messages=SMALL_PROMPT, temperature=0.2)


def _responses(clients: Clients) -> None:
    clients.sync.responses.create(model=MODEL, input=_QUESTION)


def _embeddings(clients: Clients) -> None:
    clients.sync.embeddings.create(model="text-embedding-3-small", input=_QUESTION, encoding_format="float")


def _claude(clients: Clients) -> None:
    clients.sync.messages.create(model=CLAUDE, max_tokens=200, messages=SMALL_PROMPT[1:])


def _claude_stream(clients: Clients) -> None:
    stream = clients.sync.messages.create(model=CLAUDE, max_tokens=200, messages=SMALL_PROMPT[1:], stream=True)
    assert _length(stream) == EVENTS


def _length(stream: Any) -> int:
    events = 0
    for _ in stream:
        events += 1
    return events


def _request(clients: Clients, prompt: Any = SMALL_PROMPT) -> None:
    """Straight to the request method, with nothing for the client to transform."""
    clients.sync.request(dict[str, object], _options(clients, prompt))


def _big_request(clients: Clients) -> None:
    _request(clients, _BIG)


def _options(clients: Clients, prompt: Any) -> Any:
    models = importlib.import_module(f"{clients.library}._models")
    body = {"model": MODEL, "messages": prompt}
    return models.FinalRequestOptions.construct(method="post", url="/chat/completions", json_data=body)


class Scenario(NamedTuple):
    """One kind of call. `counted` calls go into a count of instructions, `timed` into each timed block."""

    name: str
    library: str
    call: Callable[[Clients], Any]
    is_async: bool
    counted: int
    timed: int
    pairs: int


SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario("sync", "openai", _chat, is_async=False, counted=30, timed=10, pairs=24),
        Scenario("async", "openai", _chat_async, is_async=True, counted=30, timed=10, pairs=24),
        Scenario("stream", "openai", _stream, is_async=False, counted=4, timed=1, pairs=10),
        Scenario("async stream", "openai", _stream_async, is_async=True, counted=4, timed=1, pairs=10),
        Scenario("default stream", "openai", _default_stream, is_async=False, counted=4, timed=1, pairs=10),
        Scenario("async default stream", "openai", _default_stream_async, is_async=True, counted=4, timed=1, pairs=10),
        Scenario("seconds apart", "openai", _quotas, is_async=False, counted=30, timed=10, pairs=16),
        Scenario("new session", "openai", _new_session, is_async=False, counted=30, timed=10, pairs=16),
        Scenario("unknown model", "openai", _unknown_model, is_async=False, counted=30, timed=10, pairs=16),
        Scenario("200 kB prompt", "openai", _big, is_async=False, counted=1, timed=1, pairs=14),
        Scenario("responses", "openai", _responses, is_async=False, counted=30, timed=10, pairs=16),
        Scenario("embeddings", "openai", _embeddings, is_async=False, counted=30, timed=10, pairs=16),
        Scenario("anthropic", "anthropic", _claude, is_async=False, counted=30, timed=10, pairs=16),
        # The client's own work on 200 kB is 292 million instructions, give or take 300 thousand: too much noise for a gate.
        Scenario("request", "openai", _request, is_async=False, counted=30, timed=10, pairs=16),
        Scenario("200 kB request", "openai", _big_request, is_async=False, counted=30, timed=1, pairs=14),
        Scenario("anthropic stream", "anthropic", _claude_stream, is_async=False, counted=4, timed=1, pairs=10),
    )
}


# --- the answer is ready -----------------------------------------------------------------------------------------


_STREAMED: Final = {"openai": "chat/completions", "anthropic": "v1/messages"}


def stub(clients: Clients) -> None:
    """Let the library's request method answer at once, through its own `_process_response`."""
    answers = _answers(clients)
    events = _events(clients)
    httpx = http_library_of(clients.base)
    request = httpx.Request("POST", f"{clients.sync.base_url}{_STREAMED[clients.library]}", json={"stream": True})
    response = httpx.Response(200, headers=EVENT_STREAM_HEADERS, content=b"", request=request)
    _stub_whole(clients.base, answers, response)
    _stub_streams(clients.module, events)


def _answers(clients: Clients) -> dict[str, Any]:
    sync = clients.sync
    if clients.library == "anthropic":
        return {
            "/v1/messages": sync.messages.create(model=CLAUDE, max_tokens=200, messages=SMALL_PROMPT[1:]),
        }
    return {
        "/chat/completions": sync.chat.completions.create(model=MODEL, messages=SMALL_PROMPT),
        "/responses": sync.responses.create(model=MODEL, input=_QUESTION),
        "/embeddings": sync.embeddings.create(model=MODEL, input=_QUESTION, encoding_format="float"),
    }


def _events(clients: Clients) -> list[Any]:
    sync = clients.sync
    if clients.library == "anthropic":
        return list(sync.messages.create(model=CLAUDE, max_tokens=200, messages=SMALL_PROMPT[1:], stream=True))
    return list(sync.chat.completions.create(model=MODEL, messages=SMALL_PROMPT, stream=True, stream_options=_ASKED))


def _stub_whole(base: Any, answers: dict[str, Any], whole: Any) -> None:
    # A stream has a response of its own, from the real HTTP client: watchers take the place of what it reads from.
    def request(self: Any, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
        response = self._client.send(whole.request, stream=True) if stream else whole
        return self._process_response(
            cast_to=cast_to, options=options, response=response, stream=stream, stream_cls=stream_cls
        )

    def process(self: Any, *, cast_to: Any, options: Any, response: Any, stream: bool, stream_cls: Any) -> Any:
        if stream:
            return stream_cls(cast_to=cast_to, response=response, client=self)
        return answers[options.url]

    # Watchers look at the signatures: the async ones are written out.
    async def request_async(
        self: Any, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None
    ) -> Any:
        response = await self._client.send(whole.request, stream=True) if stream else whole
        return await self._process_response(
            cast_to=cast_to, options=options, response=response, stream=stream, stream_cls=stream_cls
        )

    async def process_async(
        self: Any, *, cast_to: Any, options: Any, response: Any, stream: bool, stream_cls: Any
    ) -> Any:
        return process(self, cast_to=cast_to, options=options, response=response, stream=stream, stream_cls=stream_cls)

    base.SyncAPIClient.request, base.SyncAPIClient._process_response = request, process
    base.AsyncAPIClient.request, base.AsyncAPIClient._process_response = request_async, process_async


def _stub_streams(module: Any, events: list[Any]) -> None:
    def stream(_: Any) -> Iterator[Any]:
        yield from events

    async def stream_async(_: Any) -> AsyncIterator[Any]:
        for event in events:
            yield event

    module.Stream.__stream__, module.AsyncStream.__stream__ = stream, stream_async
