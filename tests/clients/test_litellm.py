"""LiteLLM: what it asks for by its own handlers is counted there, all else where it goes through; nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from stack.processes import until

import asker
from answers import CHAT_USAGE, CUT, MESSAGE_USAGE, WORDS, chat_chunks, completion, error, events, message_events, whole
from answers import message as message_of
from asker import Replies
from costspan import attribution
from costspan.calls import inmost, patching
from costspan.clients import litellm_body
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import Cost, Unpriced
from litellm_caller import WARNINGS, Asker, litellm
from provider import Provider
from watching import Watched

pytestmark = WARNINGS

#: What MESSAGE_USAGE comes to.
COUNTS = {"input": 11, "output": 7, "cache_read": 3, "cache_write": 2}
_MESSAGES = [{"role": "user", "content": "Will it rain?"}]
_CLAUDE = "anthropic/claude-haiku-4-5"
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
Way = Callable[[Asker], Coroutine[Any, Any, None]]


def asking(model: str = _CLAUDE, **more: Any) -> Way:
    """One call, streamed or not."""

    async def way(a: Asker) -> None:
        asked = a.ask(model=model, messages=_MESSAGES, **more)
        await (a.stream(asked) if more.get("stream") else a.get(asked))

    return way


async def left_early(a: Asker) -> None:
    await a.stream(a.ask(model=_CLAUDE, messages=_MESSAGES, stream=True), 3)


def asked(way: Way, replies: Callable[[], Replies], provider: Provider, mode: str) -> list[Call]:
    """The calls that costspan booked, where the caller saw the same with and without it."""
    return asker.asked(lambda: Asker(provider.url, mode), way, replies, provider)


def counts(call: Call) -> dict[str, int]:
    """What was counted, other than zeros."""
    assert call.usage is not None
    return {unit: number for unit, number in call.usage if number}


@_MODES
def test_a_call_by_an_own_handler_is_counted_here(provider: Provider, mode: str) -> None:
    """As the provider's own body reports it; LiteLLM makes an id of its own."""
    (call,) = asked(asking(), lambda: [whole(message_of())], provider, mode)
    assert counts(call) == COUNTS
    assert (call.client, call.operation, call.outcome) == ("litellm", "chat", OK)
    assert (call.request_model, call.answer.model) == ("claude-haiku-4-5", "claude-haiku-4-5-20251001")
    assert (call.host, call.port, call.provider) == ("127.0.0.1", provider.port, "anthropic")
    assert call.answer.tier == "standard"


@_MODES
def test_a_stream_by_an_own_handler_is_counted_here(provider: Provider, mode: str) -> None:
    """By what its events report, though the caller gets none of it; a cost that LiteLLM works out is not the provider's."""
    provider.replies.append(events(message_events(), named=True))
    with Watched(hosts=f"127.0.0.1:{provider.port}=anthropic") as watched:
        Asker(provider.url, mode).run(asking(stream=True))
        call = watched.call()
    assert (counts(call), call.usage and call.usage.complete) == (COUNTS, True)
    assert (call.outcome, call.is_stream) == (OK, True)
    assert str(call.answer.model).startswith("claude-haiku-4-5")  # older releases keep the name that was asked for
    assert isinstance(call.price, Cost)
    assert (call.price.quality, call.price.source) == ("exact", "local")
    assert call.first_chunk_s is not None


@_MODES
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_call_through_another_watched_library_is_counted_there(
    provider: Provider, mode: str, *, is_stream: bool
) -> None:
    """OpenAI's route goes through OpenAI's library; one span, too (`asked`)."""
    way = asking("openai/gpt-4o-mini", stream=is_stream)

    def replies() -> Replies:
        return [events(chat_chunks()) if is_stream else whole(completion())]

    (call,) = asked(way, replies, provider, mode)
    assert (call.client, counts(call)["input"], counts(call)["output"]) == ("openai", 11, 7)


@_MODES
def test_a_route_that_moves_is_counted_where_it_goes(
    provider: Provider, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A switch has the same call go by an own handler: no table is asked, but what happens."""
    monkeypatch.setenv("EXPERIMENTAL_OPENAI_BASE_LLM_HTTP_HANDLER", "true")
    (call,) = asked(asking("openai/gpt-4o-mini"), lambda: [whole(completion())], provider, mode)
    assert (call.client, counts(call)["input"], counts(call)["output"]) == ("litellm", 11, 7)


@_MODES
def test_a_function_that_asks_by_another_is_one_call(provider: Provider, mode: str) -> None:
    """Text completions are asked for as chats."""

    async def way(a: Asker) -> None:
        await a.get(a.ask("text_completion", model=_CLAUDE, prompt="Will it rain?"))

    (call,) = asked(way, lambda: [whole(message_of())], provider, mode)
    assert counts(call) == COUNTS


@_MODES
def test_embeddings_are_counted(provider: Provider, mode: str) -> None:
    """By an own handler."""

    async def way(a: Asker) -> None:
        await a.get(a.ask("embedding", model="voyage/voyage-3", input=["a", "b"]))

    rows = [{"object": "embedding", "index": at, "embedding": [0.5] * 8} for at in range(2)]
    body = {"object": "list", "data": rows, "model": "voyage-3", "usage": {"total_tokens": 11}}
    (call,) = asked(way, lambda: [whole(body)], provider, mode)
    assert (call.operation, counts(call)) == ("embeddings", {"input": 11})


@_MODES
def test_a_stream_that_is_left_early_is_estimated(provider: Provider, mode: str) -> None:
    """What its first event reports stays; LiteLLM calls no callback for it."""
    (call,) = asked(left_early, lambda: [events(message_events(), named=True)], provider, mode)
    assert (call.outcome, call.usage and call.usage.complete) == (ABANDONED, False)
    assert counts(call)["input"] == 11
    assert counts(call)["output"] in range(3, 8)


@_MODES
def test_a_stream_that_is_closed_is_estimated(provider: Provider, mode: str) -> None:
    """At once, not when it is let go of."""

    async def way(a: Asker) -> None:
        stream = a.ask(model=_CLAUDE, messages=_MESSAGES, stream=True)
        stream = await stream if a.is_async else stream
        if a.is_async:
            await anext(stream)
            await stream.aclose()
        else:
            next(stream)
            stream.close()

    (call,) = asked(way, lambda: [events(message_events(), named=True)], provider, mode)
    assert (call.outcome, call.usage and call.usage.complete) == (ABANDONED, False)


@_MODES
def test_a_stream_that_breaks_is_an_error_and_an_estimate(provider: Provider, mode: str) -> None:
    """By the connection."""
    (call,) = asked(asking(stream=True), lambda: [events([*message_events()[:6], CUT], named=True)], provider, mode)
    assert (call.outcome, call.usage and call.usage.complete) == (ERROR, False)
    assert counts(call)["input"] == 11


@_MODES
def test_what_litellm_guesses_is_marked_as_an_estimate(provider: Provider, mode: str) -> None:
    """Where a stream reports no usage it counts by a tokenizer of its own, and does not say so."""
    (call,) = asked(
        asking("deepseek/deepseek-chat", stream=True), lambda: [events(chat_chunks(usage=None))], provider, mode
    )
    assert (call.outcome, call.client) == (OK, "litellm")
    assert call.usage is not None
    assert not call.usage.complete
    assert call.usage.get("output") in range(7, 15)


@_MODES
def test_an_answer_from_a_cache_is_no_call(provider: Provider, mode: str) -> None:
    """Nobody is asked, and nothing is billed."""
    pytest.importorskip("fastapi")  # its cache needs that
    pytest.importorskip("orjson")
    caching: Any = pytest.importorskip("litellm.caching.caching")

    hits: list[bool] = []

    async def way(a: Asker) -> None:
        for _ in range(6):
            answer = await a.get(a.ask(model=_CLAUDE, messages=_MESSAGES, caching=True))
            hits.append(bool(answer._hidden_params.get("cache_hit")))

    provider.replies.extend([whole(message_of())] * 6)
    litellm.cache = caching.Cache()
    try:
        with Watched() as watched:
            seen = Asker(provider.url, mode).run(way)
            calls = list(watched.calls())
    finally:
        litellm.cache = None
    assert {kind.__name__ for kind, _ in seen} == {"ModelResponse"}
    # Not as many as the provider was asked: on a new event loop LiteLLM may send a request again, which is one call.
    assert len(calls) == hits.count(False) < len(seen)  # an asynchronous cache is filled after the answer was given
    assert {str(counts(call)) for call in calls} == {str(counts(calls[0]))}


@_MODES
def test_an_invented_answer_is_no_call(provider: Provider, mode: str) -> None:
    """Nobody is asked for it."""
    assert asked(asking(mock_response="yes"), list, provider, mode) == []


@_MODES
def test_what_fails_before_anybody_is_asked_is_no_call(provider: Provider, mode: str) -> None:
    """Such as a model of a provider that LiteLLM does not know."""
    assert asked(asking("nobody-knows-this"), list, provider, mode) == []


@_MODES
@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_refused_call_is_an_error_without_usage(status: int, provider: Provider, mode: str) -> None:
    """LiteLLM's exception comes through."""
    (call,) = asked(asking(max_retries=0), lambda: [error(status)], provider, mode)
    assert (call.outcome, call.http_status, call.usage, call.price) == (ERROR, status, None, None)


@_MODES
def test_each_attempt_is_a_call(provider: Provider, mode: str) -> None:
    """Retries of LiteLLM ask anew."""
    pytest.importorskip("tenacity")  # they need that
    way = asking(num_retries=1, max_retries=0, retry_strategy="constant_retry")
    calls = asked(way, lambda: [error(500), whole(message_of())], provider, mode)
    assert [call.outcome for call in calls] == [ERROR, OK]
    assert counts(calls[1]) == COUNTS


@_MODES
def test_an_answer_that_litellm_cannot_read_keeps_its_tokens(provider: Provider, mode: str) -> None:
    """It was billed: LiteLLM fails on an answer of Groq without a tier."""
    (call,) = asked(asking("groq/llama-3.3-70b-versatile"), lambda: [whole(completion())], provider, mode)
    assert call.outcome in {ERROR, OK}  # as the release has it
    assert (counts(call)["input"], counts(call)["output"]) == (11, 7)


def test_what_the_rust_core_asks_for_is_counted(provider: Provider) -> None:
    """It passes no function of Python but the one that tells callbacks of a success."""
    if not hasattr(litellm, "ocr"):
        pytest.skip("this release has no OCR")
    body = {
        "pages": [{"index": 0, "markdown": "a"}],
        "model": "mistral-ocr-latest",
        "usage_info": {"pages_processed": 1},
    }
    provider.replies.append(whole(body))
    document = {"type": "document_url", "document_url": "https://example.com/a.pdf"}
    with Watched() as watched:
        given = {"api_base": provider.url, "api_key": "local"}
        answer = litellm.ocr(model="mistral/mistral-ocr-latest", document=document, **given)
        until(watched.calls, "callbacks are told")  # by a thread of LiteLLM's
        call = watched.call()
    assert answer.usage_info.pages_processed == 1
    assert (call.client, call.operation, counts(call)) == ("litellm", "ocr", {"pages": 1})


def test_a_function_that_is_not_counted_is_named(provider: Provider) -> None:
    """Videos are charged for."""
    video = {"id": "video_1", "object": "video", "status": "queued", "model": "sora-2", "created_at": 1, "progress": 0}
    provider.replies.append(whole(video))
    with Watched() as watched:
        litellm.video_generation(model="openai/sora-2", prompt="rain", api_base=provider.url, api_key="local")
        until(lambda: patching.unwatched, "callbacks are told")
        assert not watched.calls()
    assert patching.unwatched == {"litellm create_video": ""}


@_MODES
def test_a_model_of_ones_own_has_no_price(provider: Provider, mode: str) -> None:
    """Ollama is Ollama wherever it runs."""
    body = {
        "model": "qwen3", "message": {"role": "assistant", "content": "yes"}, "done": True, "done_reason": "stop",
        "prompt_eval_count": 11, "eval_count": 7, "created_at": "2026-11-29T12:00:00Z",
    }  # fmt: skip
    provider.replies.extend([whole(body)] * 4)  # LiteLLM also asks what the model is like
    with Watched() as watched:
        Asker(provider.url, mode).run(asking("ollama_chat/qwen3"))
        call = watched.call()
    assert (call.provider, counts(call)) == ("ollama", {"input": 11, "output": 7})
    assert isinstance(call.price, Unpriced)


def test_what_a_router_sends_elsewhere_is_counted_by_attempt(provider: Provider) -> None:
    """The first deployment refuses, the second answers."""
    given = {"api_base": provider.url, "api_key": "local", "max_retries": 0}
    router = litellm.Router(
        model_list=[
            {"model_name": "one", "litellm_params": {"model": _CLAUDE, **given}},
            {"model_name": "two", "litellm_params": {"model": "openai/gpt-4o-mini", **given}},
        ],
        fallbacks=[{"one": ["two"]}],
        num_retries=0,
    )
    provider.replies.extend([error(500), whole(completion())])
    with Watched() as watched:
        assert router.completion(model="one", messages=_MESSAGES).usage.prompt_tokens == 11
        calls = list(watched.calls())
    assert [(call.client, call.outcome) for call in calls] == [("litellm", ERROR), ("openai", OK)]


def test_a_call_is_for_who_makes_it(provider: Provider) -> None:
    """Also where the stream is read elsewhere."""
    provider.replies.append(events(message_events(), named=True))
    a = Asker(provider.url, "sync")
    with Watched() as watched:
        with attribution(team="search"):
            stream = a.ask(model=_CLAUDE, messages=_MESSAGES, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "".join(WORDS)
        call = watched.call()
        (span,) = watched.spans()
    assert call.attribution.team == "search"
    assert span.start_time is not None
    assert span.start_time == call.started_ns


def test_its_functions_are_given_back(provider: Provider) -> None:
    """Whoever imported one before has the same, watched and not."""
    imported: Any = litellm.completion  # as `from litellm import completion` gives it
    cell: Any = inmost.cell(litellm.main.completion, "original_function")
    assert cell is not None
    before = cell.cell_contents
    provider.replies.append(whole(message_of()))
    with Watched() as watched:
        assert cell.cell_contents is not before
        imported(model=_CLAUDE, messages=_MESSAGES, api_base=provider.url, api_key="local")
        assert watched.call().client == "litellm"
    assert cell.cell_contents is before


FORMS: list[tuple[Any, dict[str, int] | None]] = [
    (
        {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}},
        {"input": 3, "output": 2},
    ),
    ({"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}}, {"input": 3, "output": 2}),
    ({"type": "message", "usage": MESSAGE_USAGE}, COUNTS),
    ({"done": True, "prompt_eval_count": 3, "eval_count": 2}, {"input": 3, "output": 2}),
    ({"choices": [], "usage": {**CHAT_USAGE}}, {"input": 11, "output": 7, "cache_read": 3, "reasoning": 2}),
    ({"text": "of some other form"}, None),
    ("no JSON", None),
    (None, None),
    ("[" * 99_999, None),
]


@pytest.mark.parametrize(("body", "expected"), FORMS, ids=[str(number) for number, _ in enumerate(FORMS)])
def test_a_body_is_read_as_its_api_means_it(body: Any, expected: dict[str, int] | None) -> None:
    """Told by its form."""
    answer = litellm_body.own(body)
    assert (answer and answer.usage and answer.usage.counts) == expected


def test_what_is_told_at_the_end_of_the_process_is_for_its_own_caller(provider: Provider) -> None:
    """A success that the loop ended too early to tell is told at exit, in no context of a caller's."""
    worker: Any = pytest.importorskip("litellm.litellm_core_utils.logging_worker").GLOBAL_LOGGING_WORKER
    if not hasattr(litellm, "anthropic_messages") or not hasattr(worker, "_flush_on_exit"):
        pytest.skip("this release has no messages, or tells nothing at exit")
    provider.replies.append(whole(message_of()))

    async def ask() -> None:
        given: dict[str, Any] = {"api_base": provider.url, "api_key": "local", "model": _CLAUDE, "max_tokens": 9}
        with attribution(task_type="letters"):
            await litellm.anthropic_messages(messages=_MESSAGES, **given)

    litellm.in_memory_llm_clients_cache.flush_cache()
    with Watched() as watched:
        asyncio.run(ask())
        worker._flush_on_exit()
        assert watched.call().attribution.task_type == "letters"
