"""Azure's inference library: chat, whole and streamed, and embeddings, by the sync and the async clients; recorded traffic."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import asker
import replaying
from answers import CUT, Reply, chat_chunks, completion, events, whole
from asker import Replies
from azure_caller import Asker
from costspan import attribution
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import Cost
from provider import Provider
from watching import Watched

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

COUNTS = {"input": 11, "output": 7, "cache_read": 3, "reasoning": 2}
MODEL = "gpt-4o-mini"
_MESSAGES = [{"role": "user", "content": "Will it rain?"}]
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
Way = Callable[[Asker], Coroutine[Any, Any, None]]


def asked(way: Way, replies: Callable[[], Replies], provider: Provider, mode: str, **options: Any) -> list[Call]:
    """The calls that costspan booked, where the caller saw the same with and without it."""
    return asker.asked(lambda: Asker(provider.url, mode, **options), way, replies, provider)


def ask(**more: Any) -> dict[str, Any]:
    """What a chat is asked, as the body that releases of every age take."""
    return {"model": MODEL, "messages": _MESSAGES, **more}


async def opened(a: Asker) -> Any:
    """A stream that has been asked for."""
    value = a.of.complete(ask(stream=True, stream_options={"include_usage": True}))
    return await value if a.is_async else value


async def chat(a: Asker) -> None:
    """The plain call."""
    await a.get(a.of.complete(ask()))


async def chat_stream(a: Asker) -> None:
    """A stream that is asked for its usage."""
    await a.stream(await opened(a))


@_MODES
@pytest.mark.parametrize("way", [chat, chat_stream])
def test_a_chat_is_booked_as_it_is_reported(way: Way, provider: Provider, mode: str) -> None:
    """The scope that asks is the one that pays."""

    async def scoped(a: Asker) -> None:
        with attribution(team="weather"):
            await way(a)

    is_stream = way is chat_stream
    reply = events(chat_chunks()) if is_stream else whole(completion())
    (call,) = asked(scoped, lambda: [reply], provider, mode)
    assert call.usage is not None
    assert (call.usage.counts, call.usage.complete, call.answer.unread) == (COUNTS, True, ())
    assert (call.outcome, call.operation, call.is_stream) == (OK, "chat", is_stream)
    assert (call.client, call.provider, call.attribution.team) == ("azure_inference", "azure.ai.inference", "weather")
    assert (call.request_model, call.answer.model) == (MODEL, "gpt-4o-mini-2024-07-18")
    assert (call.host, call.port, call.http_status) == ("127.0.0.1", provider.port, 200)
    assert (call.first_chunk_s is not None) == is_stream


@_MODES
@pytest.mark.parametrize("kind", ["EmbeddingsClient", "ImageEmbeddingsClient"])
def test_embeddings_are_input(kind: str, provider: Provider, mode: str) -> None:
    """Of texts and of pictures."""

    async def way(a: Asker) -> None:
        await a.get(a.of.embed({"input": ["rain"] if kind == "EmbeddingsClient" else [{"image": "AAAA"}]}))

    usage = {"prompt_tokens": 11, "total_tokens": 11}
    body: dict[str, Any] = {"id": "1", "object": "list", "data": [], "model": "text-embedding-3-small", "usage": usage}
    (call,) = asked(way, lambda: [whole(body)], provider, mode, kind=kind)
    assert (call.operation, call.usage and call.usage.counts) == ("embeddings", {"input": 11, "output": 0})


@_MODES
def test_what_is_no_model_call_is_not_counted(provider: Provider, mode: str) -> None:
    """What a model is."""

    async def way(a: Asker) -> None:
        await a.get(a.of.get_model_info())

    body = {"model_name": "m", "model_type": "chat-completion", "model_provider_name": "x"}
    assert asked(way, lambda: [whole(body)], provider, mode) == []


@_MODES
@pytest.mark.parametrize("is_closed", [True, False])
def test_a_stream_that_is_left_early_is_estimated(provider: Provider, mode: str, *, is_closed: bool) -> None:
    """Closed, or let go of: nothing is reported before its end."""

    async def way(a: Asker) -> None:
        stream = await opened(a)
        await a.stream(stream, 3)
        if is_closed:
            await stream.aclose() if a.is_async else stream.close()

    pieces = [part for chunk in chat_chunks(usage=None) for part in (events([chunk]).pieces or ())]
    (call,) = asked(way, lambda: [Reply(kind="text/event-stream", pieces=[*pieces[:4], CUT])], provider, mode)
    assert call.outcome in {ABANDONED, ERROR} if not is_closed else call.outcome == ABANDONED
    assert call.usage is not None
    assert call.usage.get("input") in range(8, 16)
    assert call.usage.get("output") in range(2, 6)
    assert not call.usage.complete


@_MODES
def test_a_stream_that_nobody_reads_was_asked_for(provider: Provider, mode: str) -> None:
    """The prompt is charged."""

    async def way(a: Asker) -> None:
        await opened(a)

    (call,) = asked(way, lambda: [events(chat_chunks())], provider, mode)
    assert (call.outcome, call.usage and call.usage.complete) == (ABANDONED, False)


@_MODES
def test_a_stream_that_ends_without_its_mark_is_whole(provider: Provider, mode: str) -> None:
    """The library closes the response itself before it says that there is no more."""
    (call,) = asked(chat_stream, lambda: [events(chat_chunks(usage=None)[:-1])], provider, mode)
    assert (call.outcome, call.usage and call.usage.complete) == (OK, False)


@_MODES
def test_a_stream_that_breaks_is_an_error_and_an_estimate(provider: Provider, mode: str) -> None:
    """What came by then was made."""
    (call,) = asked(chat_stream, lambda: [events([*chat_chunks()[:5], CUT])], provider, mode)
    assert (call.outcome, call.usage and call.usage.complete) == (ERROR, False)


@_MODES
@pytest.mark.parametrize("status", [400, 401, 429, 500])
@pytest.mark.parametrize("way", [chat, chat_stream])
def test_a_refused_call_is_an_error_without_usage(way: Way, status: int, provider: Provider, mode: str) -> None:
    """The library's exception comes through."""
    (call,) = asked(way, lambda: [Reply(json.dumps({"error": {"code": "no"}}).encode(), status)], provider, mode)
    assert (call.outcome, call.http_status, call.usage, call.price) == (ERROR, status, None, None)


@_MODES
@pytest.mark.parametrize(
    "usage", [{"prompt_tokens": "many"}, [], 7, {"prompt_tokens": -1, "completion_tokens": 10**30}]
)
def test_usage_that_makes_no_sense_is_named(usage: Any, provider: Provider, mode: str) -> None:
    """Whatever the library does with it; an empty list says nothing."""
    (call,) = asked(chat, lambda: [whole(completion(usage=usage))], provider, mode)
    assert (call.outcome, call.usage, bool(call.answer.unread)) == (OK, None, usage != [])


@_MODES
def test_an_answer_that_the_library_cannot_read_is_booked(provider: Provider, mode: str) -> None:
    """It was made all the same: it is looked at before."""
    (call,) = asked(chat, lambda: [whole(completion(created={"no": "number"}, choices=[7]))], provider, mode)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


@_MODES
def test_who_answers_is_told_by_the_address(provider: Provider, mode: str) -> None:
    """The same library asks models of GitHub, and OpenAI's on Azure."""
    provider.replies.append(whole(completion()))
    with Watched(hosts=f"127.0.0.1:{provider.port}=azure.ai.openai") as watched:
        Asker(provider.url, mode).run(chat)
        call = watched.call()
    assert call.provider == "azure.ai.openai"
    assert isinstance(call.price, Cost)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The recordings, served."""
    with replaying.server() as running:
        yield running


@replaying.needs_recordings
@_MODES
def test_what_azure_reported_is_what_is_counted(mode: str, server: Any) -> None:
    """Tokens, model and outcome of every recorded exchange."""

    async def replay(a: Asker, exchange: dict[str, Any]) -> None:
        given = ask(model=exchange["expected"]["request_model"] or "some-model")
        if exchange["response"]["stream"] is None:
            await a.get(a.of.complete(given))
        else:
            value = a.of.complete({**given, "stream": True})
            await a.stream(await value if a.is_async else value)

    def again(exchange: dict[str, Any]) -> list[Any]:
        return Asker(server.client_url(exchange["id"]), mode).run(lambda a: replay(a, exchange))

    found = [each for each in replaying.all_recordings() if each["api"] == "azure.inference_chat"]
    differences = replaying.mismatches(found, again)
    assert not differences, "\n".join(differences)
