"""Ollama's library: every way of asking, by the sync and the async client and by the functions of the module."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import asker
from answers import CUT, Reply, lines, whole
from asker import Replies
from costspan import names
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import Cost, Unpriced
from ollama_caller import Asker, ollama
from provider import Provider
from watching import Watched

MODEL = "qwen3:4b"
COUNTS = {"input": 11, "output": 7}
_COUNTED = {"prompt_eval_count": 11, "eval_count": 7, "total_duration": 9_000, "load_duration": 1_000}
_AT = {"model": MODEL, "created_at": "2026-11-29T12:00:00.000000Z"}
_WORDS = ("Well", ", this", " is", " a", " stream", " of", " eight", " pieces")
_MESSAGES = [{"role": "user", "content": "Will it rain?"}]
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])

Way = Callable[[Asker], Coroutine[Any, Any, None]]


def said(text: str = "yes", **more: Any) -> dict[str, Any]:
    """An object of chat and of generate alike: each reads its own field."""
    return {**_AT, "message": {"role": "assistant", "content": text}, "response": text, "done": False, **more}


def last(text: str = "", *, reason: str = "stop", **counts: int) -> dict[str, Any]:
    """A whole answer, or the last object of a stream."""
    return said(text, done=True, done_reason=reason, **(counts or _COUNTED))


def pieces() -> list[Any]:
    """The objects of a stream."""
    return [*map(said, _WORDS), last()]


async def chat(a: Asker) -> None:
    await a.get(a.of.chat(model=MODEL, messages=_MESSAGES))


async def generate(a: Asker) -> None:
    await a.get(a.of.generate(model=MODEL, prompt="Will it rain?"))


async def chat_stream(a: Asker) -> None:
    await a.stream(a.of.chat(model=MODEL, messages=_MESSAGES, stream=True))


async def generate_stream(a: Asker) -> None:
    await a.stream(a.of.generate(model=MODEL, prompt="Will it rain?", stream=True))


async def left_early(a: Asker) -> None:
    await a.stream(a.of.chat(model=MODEL, messages=_MESSAGES, stream=True), 3)


async def embed(a: Asker) -> None:
    await a.get(a.of.embed(model=MODEL, input=["a", "b"]))


def asked(way: Way, replies: Callable[[], Replies], provider: Provider, mode: str) -> list[Call]:
    """The calls that costspan booked, where the caller saw the same with and without it."""
    return asker.asked(lambda: Asker(provider.url, mode), way, replies, provider)


@_MODES
@pytest.mark.parametrize("way", [chat, generate])
def test_an_answer_is_booked_as_the_server_reports_it(way: Way, provider: Provider, mode: str) -> None:
    """And has no price, wherever the server is: a model of one's own is not free, its price is unknown."""
    (call,) = asked(way, lambda: [whole(last("yes"))], provider, mode)
    assert call.usage is not None
    assert (call.usage.counts, call.usage.complete) == (COUNTS, True)
    assert (call.provider, call.operation) == ("ollama", "chat" if way is chat else "text_completion")
    assert (call.request_model, call.answer.model, call.answer.finish_reasons) == (MODEL, MODEL, ("stop",))
    assert (call.host, call.port) == ("127.0.0.1", provider.port)
    assert isinstance(call.price, Unpriced)
    assert call.price.reason == "unknown_model"


@_MODES
@pytest.mark.parametrize("way", [chat_stream, generate_stream])
def test_a_stream_is_booked_by_its_last_object(way: Way, provider: Provider, mode: str) -> None:
    (call,) = asked(way, lambda: [lines(pieces())], provider, mode)
    assert call.usage is not None
    assert (call.usage.counts, call.usage.complete) == (COUNTS, True)
    assert (call.outcome, call.is_stream, call.answer.finish_reasons) == (OK, True, ("stop",))
    assert call.first_chunk_s is not None


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_functions_of_the_module_are_counted(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, *, is_stream: bool
) -> None:
    """They are methods of a client that the library makes when it is imported: before costspan may have been installed."""
    hidden = ollama.chat.__self__
    client = ollama.Client(host=provider.url)._client
    monkeypatch.setattr(hidden, "_client", client)
    provider.replies.append(lines(pieces()) if is_stream else whole(last("yes")))
    with Watched() as watched:
        answer = ollama.chat(model=MODEL, messages=_MESSAGES, stream=is_stream)
        if is_stream:
            assert "".join(item["message"]["content"] for item in answer) == "".join(_WORDS)
        call = watched.call()
    client.close()
    assert call.usage is not None
    assert call.usage.counts == COUNTS


@_MODES
def test_embeddings_are_input(provider: Provider, mode: str) -> None:
    """The older function for them reports nothing: its input is unknown."""
    body = {"model": MODEL, "embeddings": [[0.5] * 700] * 2, "prompt_eval_count": 11}
    (call,) = asked(embed, lambda: [whole(body)], provider, mode)
    assert call.usage is not None
    assert (call.operation, call.usage.counts) == ("embeddings", {"input": 11, "output": 0})

    async def older(a: Asker) -> None:
        await a.get(a.of.embeddings(model=MODEL, prompt="a"))

    (call,) = asked(older, lambda: [whole({"embedding": [0.5] * 700})], provider, mode)
    assert (call.operation, call.usage) == ("embeddings", None)
    assert isinstance(call.price, Unpriced)


@_MODES
def test_a_prompt_that_was_not_counted_is_unknown(provider: Provider, mode: str) -> None:
    """Servers leave the count out where they had evaluated the prompt before."""
    (call,) = asked(chat, lambda: [whole(last("yes", eval_count=7))], provider, mode)
    assert call.usage is not None
    assert call.usage.counts == {"output": 7}
    assert call.answer.unread == ("prompt_eval_count",)


@_MODES
def test_loading_a_model_uses_no_tokens(provider: Provider, mode: str) -> None:
    """A request without a prompt asks for that alone."""

    async def load(a: Asker) -> None:
        await a.get(a.of.generate(model=MODEL))

    body = {**_AT, "response": "", "done": True, "done_reason": "load"}
    (call,) = asked(load, lambda: [whole(body)], provider, mode)
    assert call.usage is not None
    assert call.usage.counts == {"input": 0, "output": 0}


@_MODES
def test_what_is_no_model_call_is_not_counted(provider: Provider, mode: str) -> None:
    """Lists, models pulled in pieces."""

    async def way(a: Asker) -> None:
        await a.get(a.of.list())
        await a.stream(a.of.pull(MODEL, stream=True))

    assert asked(way, lambda: [whole({"models": []}), lines([{"status": "success"}])], provider, mode) == []


@_MODES
def test_a_stream_that_is_left_early_is_estimated(provider: Provider, mode: str) -> None:
    """Nothing is reported before the last object."""
    (call,) = asked(left_early, lambda: [lines(pieces())], provider, mode)
    assert call.outcome == ABANDONED
    assert call.usage is not None
    assert call.usage.get("input") in range(8, 16)
    assert call.usage.get("output") in range(3, 6)
    assert not call.usage.complete


@_MODES
def test_thinking_and_calls_of_tools_are_in_an_estimate(provider: Provider, mode: str) -> None:
    """They are output as well."""
    call_of_tool = {"function": {"name": "rain", "arguments": {"city": "a city with a long name"}}}
    message = {"role": "assistant", "content": "", "thinking": "it may rain there", "tool_calls": [call_of_tool]}
    (call,) = asked(left_early, lambda: [lines([said(message=message)] * 9)], provider, mode)
    assert call.usage is not None
    knows_thinking = "thinking" in getattr(ollama.Message, "model_fields", {})  # the oldest release leaves it out
    assert call.usage.get("output") in (range(20, 45) if knows_thinking else range(13, 20))


@_MODES
def test_a_stream_that_nobody_reads_was_not_asked_for(provider: Provider, mode: str) -> None:
    """The library sends the request with the first item."""

    async def way(a: Asker) -> None:
        stream = a.of.chat(model=MODEL, messages=_MESSAGES, stream=True)
        if a.is_async:
            await stream

    assert asked(way, list, provider, mode) == []
    assert provider.asked == []


@_MODES
@pytest.mark.parametrize("status", [400, 401, 404, 500])
@pytest.mark.parametrize("way", [chat, chat_stream])
def test_a_refused_call_is_an_error_without_usage(way: Way, status: int, provider: Provider, mode: str) -> None:
    """The library's exception comes through."""
    (call,) = asked(way, lambda: [Reply(json.dumps({"error": "no"}).encode(), status)], provider, mode)
    assert (call.outcome, call.http_status, call.usage, call.price) == (ERROR, status, None, None)
    assert call.error_type == "ResponseError"


@_MODES
@pytest.mark.parametrize("end", ["error", "cut"])
def test_a_stream_that_breaks_is_an_error_and_an_estimate(end: str, provider: Provider, mode: str) -> None:
    """By an object that says so, or by the connection. The library says -1 where there is no status."""
    fault: Any = {"error": "an error was encountered while running the model"} if end == "error" else CUT
    (call,) = asked(chat_stream, lambda: [lines([*pieces()[:5], fault])], provider, mode)
    assert (call.outcome, call.http_status) == (ERROR, None)
    assert call.usage is not None
    assert (call.usage.get("output") >= 5, call.usage.complete) == (True, False)


@_MODES
def test_an_answer_that_the_library_cannot_read_is_booked(provider: Provider, mode: str) -> None:
    """It was made all the same: the counts are read before."""
    odd = {**last("yes"), "created_at": {"no": "text"}, "message": "no object"}
    (call,) = asked(chat, lambda: [whole(odd)], provider, mode)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


def test_who_says_whose_prices_count_gets_them(provider: Provider) -> None:
    """A server of one's own behind which a vendor's model is."""
    provider.replies.append(whole({**last("yes"), "model": "gpt-4o-mini"}))
    with Watched(hosts=f"127.0.0.1:{provider.port}=openai") as watched:
        Asker(provider.url, "sync").run(chat)
        call = watched.call()
        assert watched.total(names.UNPRICED_REQUESTS) == 0
    assert call.provider == "openai"
    assert isinstance(call.price, Cost)
    assert call.price.nano_usd == 11 * 150 + 7 * 600
