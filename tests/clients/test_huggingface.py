"""Hugging Face's inference clients: chat and texts, whole and streamed, and tasks that report no usage."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import asker
from answers import CHAT_USAGE, CUT, Reply, chat_chunks, completion, events, whole
from asker import Replies
from costspan import attribution
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import Cost
from huggingface_caller import Asker
from provider import Provider
from watching import Watched

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

COUNTS = {"input": 11, "output": 7, "cache_read": 3, "reasoning": 2}
_MESSAGES = [{"role": "user", "content": "Will it rain?"}]
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
Way = Callable[[Asker], Coroutine[Any, Any, None]]


def asked(way: Way, replies: Callable[[], Replies], provider: Provider, mode: str) -> list[Call]:
    """The calls that costspan booked, where the caller saw the same with and without it."""
    return asker.asked(lambda: Asker(provider.url, mode), way, replies, provider)


async def chat(a: Asker) -> None:
    """The plain call."""
    await a.get(a.of.chat_completion(_MESSAGES, model="Qwen/Qwen3-4B"))


async def chat_stream(a: Asker) -> None:
    """A stream that is asked for its usage."""
    await a.stream(
        a.of.chat.completions.create(messages=_MESSAGES, stream=True, stream_options={"include_usage": True})
    )


async def left_early(a: Asker) -> None:
    """A stream of which two words are read."""
    await a.stream(a.of.chat_completion(_MESSAGES, stream=True), 3)


async def text(a: Asker) -> None:
    """Of TGI, with what it counted."""
    await a.get(a.of.text_generation("Will it rain?", details=True, decoder_input_details=True))


async def text_stream(a: Asker) -> None:
    """The same, token by token."""
    await a.stream(a.of.text_generation("Will it rain?", details=True, stream=True))


_TOKEN = {"id": 1, "logprob": -0.5, "special": False, "text": " yes"}
_MADE = {"finish_reason": "eos_token", "generated_tokens": 7, "seed": None}


def tokens(**more: Any) -> list[Any]:
    """The events of a stream of TGI."""
    made = [{"index": at, "token": _TOKEN, "generated_text": None, "details": None} for at in range(7)]
    return [*made[:-1], {**made[-1], "generated_text": " yes" * 7, "details": {**_MADE, "input_length": 5}, **more}]


@_MODES
@pytest.mark.parametrize("way", [chat, chat_stream])
def test_a_chat_is_booked_as_it_is_reported(way: Way, provider: Provider, mode: str) -> None:
    """By whoever is behind the address; the scope that asks is the one that pays."""

    async def scoped(a: Asker) -> None:
        with attribution(team="weather"):
            await way(a)

    is_stream = way is chat_stream
    reply = events(chat_chunks()) if is_stream else whole(completion())
    (call,) = asked(scoped, lambda: [reply], provider, mode)
    assert call.usage is not None
    assert (call.usage.counts, call.usage.complete, call.answer.unread) == (COUNTS, True, ())
    assert (call.outcome, call.operation, call.is_stream) == (OK, "chat", is_stream)
    assert (call.client, call.provider, call.attribution.team) == ("huggingface", "huggingface", "weather")
    assert call.request_model == ("gpt-4o-mini-2024-07-18" if is_stream else "Qwen/Qwen3-4B")
    assert (call.host, call.port, call.answer.model) == ("127.0.0.1", provider.port, "gpt-4o-mini-2024-07-18")
    assert (call.first_chunk_s is not None) == is_stream


@_MODES
def test_a_text_is_booked_by_its_details(provider: Provider, mode: str) -> None:
    """The prompt is as long as the list of its tokens."""
    details = {**_MADE, "prefill": [{"id": 1, "logprob": 0, "text": "Will"}] * 5, "tokens": []}
    (call,) = asked(text, lambda: [whole([{"generated_text": "yes", "details": details}])], provider, mode)
    assert (call.operation, call.usage and call.usage.counts) == ("text_completion", {"input": 5, "output": 7})
    assert call.answer.finish_reasons == ("eos_token",)


@_MODES
def test_a_prompt_that_was_not_listed_is_unknown(provider: Provider, mode: str) -> None:
    """Not nothing; and of several texts, all that were made are counted."""
    details = {**_MADE, "prefill": [], "tokens": [], "best_of_sequences": [{**_MADE, "generated_text": "no"}]}
    (call,) = asked(text, lambda: [whole([{"generated_text": "yes", "details": details}])], provider, mode)
    assert (call.usage and call.usage.counts, call.answer.unread) == ({"output": 14}, ("input_length",))


@_MODES
def test_a_stream_of_text_is_booked_by_its_last_event(provider: Provider, mode: str) -> None:
    """The only one with details."""
    (call,) = asked(text_stream, lambda: [events(tokens())], provider, mode)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, {"input": 5, "output": 7})
    assert call.answer.unread == ()


@_MODES
@pytest.mark.parametrize("length", ["many", -1, None, {"a": 1}, 10**30])
def test_details_that_make_no_sense_are_named(length: Any, provider: Provider, mode: str) -> None:
    """What can be counted is."""
    odd = {**_MADE, "input_length": length}
    (call,) = asked(text_stream, lambda: [events(tokens(details=odd))], provider, mode)
    assert call.usage is not None
    assert call.usage.get("output") == 7
    assert call.answer.unread == ("input_length",)


@_MODES
def test_a_stream_that_is_left_early_is_estimated(provider: Provider, mode: str) -> None:
    """Nothing is reported before its end. The generator alone is let go of: the library keeps the response open."""
    (call,) = asked(left_early, lambda: [events(chat_chunks(usage=None))], provider, mode)
    assert call.outcome == ABANDONED
    assert call.usage is not None
    assert call.usage.get("input") in range(8, 16)
    assert call.usage.get("output") in range(2, 6)
    assert not call.usage.complete


@_MODES
def test_a_stream_that_reports_nothing_is_whole_and_estimated(provider: Provider, mode: str) -> None:
    """The library stops at the mark of the end, and so does the call."""

    async def way(a: Asker) -> None:
        await a.stream(a.of.chat_completion(_MESSAGES, stream=True))

    (call,) = asked(way, lambda: [events(chat_chunks(usage=None))], provider, mode)
    assert (call.outcome, call.usage and call.usage.complete) == (OK, False)


@_MODES
def test_a_stream_that_breaks_is_an_error_and_an_estimate(provider: Provider, mode: str) -> None:
    """What came by then was made."""
    (call,) = asked(chat_stream, lambda: [events([*chat_chunks()[:5], CUT])], provider, mode)
    assert (call.outcome, call.usage and call.usage.complete) == (ERROR, False)


@_MODES
def test_an_error_within_a_stream_is_an_error(provider: Provider, mode: str) -> None:
    """The library raises it as one of its own."""
    fault = {"error": "Input is too long", "error_type": "validation"}
    (call,) = asked(text_stream, lambda: [events([*tokens()[:3], fault])], provider, mode)
    assert (call.outcome, call.usage and call.usage.complete) == (ERROR, False)


@_MODES
@pytest.mark.parametrize("status", [400, 401, 429, 500])
@pytest.mark.parametrize("way", [chat, chat_stream])
def test_a_refused_call_is_an_error_without_usage(way: Way, status: int, provider: Provider, mode: str) -> None:
    """The library's exception comes through."""
    (call,) = asked(way, lambda: [Reply(json.dumps({"error": "no"}).encode(), status)], provider, mode)
    assert (call.outcome, call.http_status, call.usage, call.price) == (ERROR, status, None, None)


@_MODES
def test_a_body_that_the_library_cannot_read_is_booked(provider: Provider, mode: str) -> None:
    """It was answered; what it used is unknown."""
    (call,) = asked(chat, lambda: [Reply(b"<html>")], provider, mode)
    assert (call.outcome, call.usage) == (OK, None)
    (call,) = asked(chat, lambda: [whole({"choices": [], "usage": CHAT_USAGE, "model": 7})], provider, mode)
    assert (call.usage and call.usage.counts) == COUNTS


@_MODES
@pytest.mark.parametrize(
    ("method", "given", "reply", "operation", "counts"),
    [
        ("sentence_similarity", {"sentence": "rain", "other_sentences": ["sun"]}, [0.5], "classification", None),
        ("summarization", {"text": "rain"}, [{"summary_text": "yes"}], "text_completion", None),
        ("text_classification", {"text": "rain"}, [[{"label": "wet", "score": 0.5}]], "classification", None),
        ("automatic_speech_recognition", {"audio": b"RIFF"}, {"text": "yes"}, "transcription", None),
        ("text_to_speech", {"text": "rain"}, {}, "speech", None),
    ],
)
def test_a_task_that_reports_nothing_is_a_call_without_usage(
    provider: Provider, mode: str, method: str, given: dict[str, Any], reply: Any, operation: str, counts: Any
) -> None:
    """It is named all the same: it may have been charged."""

    async def way(a: Asker) -> None:
        await a.get(getattr(a.of, method)(**given))

    (call,) = asked(way, lambda: [whole(reply)], provider, mode)
    assert (call.outcome, call.operation, call.usage) == (OK, operation, counts)


@_MODES
def test_a_picture_is_one_picture(provider: Provider, mode: str) -> None:
    """In whatever form it comes."""
    image = pytest.importorskip("PIL.Image")

    async def way(a: Asker) -> None:
        drawn = a.of.text_to_image("rain")
        a.look(type(await drawn if a.is_async else drawn))

    (call,) = asked(way, lambda: [Reply(_picture(image), kind="image/png")], provider, mode)
    assert (call.operation, call.usage and call.usage.counts) == ("image_generation", {"images": 1})


def _picture(image: Any) -> bytes:
    import io

    held = io.BytesIO()
    image.new("RGB", (1, 1)).save(held, "PNG")
    return held.getvalue()


def test_who_is_behind_the_router_is_told_by_the_path(provider: Provider) -> None:
    """Each of the providers has prices of its own; with a key of the provider's own its host is asked itself."""
    provider.replies.append(whole({**completion(), "model": "openai/gpt-oss-120b"}))
    with Watched(hosts=f"127.0.0.1:{provider.port}/groq=huggingface_groq") as watched:
        Asker(f"{provider.url}/groq/openai/v1/chat/completions", "sync").run(chat)
        call = watched.call()
    assert call.provider == "huggingface_groq"
    assert isinstance(call.price, Cost)
