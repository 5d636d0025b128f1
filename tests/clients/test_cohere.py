"""Cohere's library: both versions of its API, by the sync and by the async client."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import asker
from answers import CUT, Reply, error, events, whole
from asker import Replies
from cohere_caller import Asker
from costspan import attribution
from costspan.clients import cohere_body
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import EXACT, Cost
from provider import Provider

# The library's own: of connections, and in older releases of a newer pydantic.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

MODEL = "command-a-03-2025"
ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Will it rain?"}]}
ASKED_V1: dict[str, Any] = {"model": MODEL, "message": "Will it rain?"}
SPENT = {
    "billed_units": {"input_tokens": 11.0, "output_tokens": 7.0},
    "tokens": {"input_tokens": 92.0, "output_tokens": 9.0},
    "cached_tokens": 64.0,
}
COUNTS = {"input": 11, "output": 7}
Way = Callable[[Asker], Coroutine[Any, Any, None]]
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
_VERSIONS = pytest.mark.parametrize("is_v1", [False, True], ids=["v2", "v1"])


def asked(way: Way, replies: Callable[[], Replies], provider: Provider, mode: str, **options: Any) -> list[Call]:
    """The calls that costspan booked, where the caller saw the same with and without it."""
    return asker.asked(lambda: Asker(provider.url, mode, **options), way, replies, provider)


def chat(spent: Any = SPENT, *, is_v1: bool = False) -> dict[str, Any]:
    """A whole answer of a version."""
    if is_v1:
        return {"response_id": "r-1", "generation_id": "g-1", "text": "No.", "finish_reason": "COMPLETE", "meta": spent}
    message = {"role": "assistant", "content": [{"type": "text", "text": "No."}]}
    return {"id": "r-1", "message": message, "finish_reason": "COMPLETE", "usage": spent}


def chunks(*, is_v1: bool = False, last: Any = None) -> list[Any]:
    """The events of a stream."""
    if is_v1:
        begun = {"event_type": "stream-start", "is_finished": False, "generation_id": "g-1"}
        word = {"event_type": "text-generation", "is_finished": False, "text": "eight by"}
        ended = {
            "event_type": "stream-end",
            "is_finished": True,
            "finish_reason": "COMPLETE",
            "response": chat(is_v1=True),
        }
        return [begun, *[word] * 20, last or ended]
    piece = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "eight by"}}}}
    end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": SPENT}}
    start: dict[str, Any] = {
        "type": "message-start",
        "id": "r-1",
        "delta": {"message": {"role": "assistant", "content": []}},
    }
    return [start, *[piece] * 20, last or end]


def streamed(bodies: list[Any], *, is_v1: bool = False) -> Reply:
    """The same as it is sent: the first version has an object a line."""
    if not is_v1:
        return events(bodies, named=CUT not in bodies)
    pieces = [body if body is CUT else json.dumps(body).encode() + b"\n" for body in bodies]
    return Reply(kind="application/stream+json", pieces=pieces)


def ask(*, is_v1: bool) -> Way:
    """The plain call."""

    async def way(a: Asker) -> None:
        await a.get(a.of.chat(**(ASKED_V1 if is_v1 else ASKED)))

    return way


def stream(*, is_v1: bool, most: int = -1) -> Way:
    """A stream, read to its end or left after some items."""

    async def way(a: Asker) -> None:
        await a.stream(a.of.chat_stream(**(ASKED_V1 if is_v1 else ASKED)), most)

    return way


@_VERSIONS
@_MODES
def test_a_call_is_booked_as_it_is_billed(provider: Provider, mode: str, *, is_v1: bool) -> None:
    """Not by the tokens that the model saw."""
    (call,) = asked(ask(is_v1=is_v1), lambda: [whole(chat(is_v1=is_v1))], provider, mode, is_v1=is_v1)
    assert call.usage is not None
    assert (call.outcome, call.usage.counts, call.usage.complete) == (OK, COUNTS, True)
    assert (call.provider, call.operation, call.request_model, call.answer.id) == ("cohere", "chat", MODEL, "r-1")
    assert call.answer.unread == ()
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == (97_500, "exact")


@_MODES
def test_what_is_asked_beside_the_declared_arguments_is_read(provider: Provider, mode: str) -> None:
    """It is sent in the body, and wins: the model that is charged."""

    async def way(a: Asker) -> None:
        await a.get(a.of.chat(**{**ASKED, "model": "another"}, request_options=beside))

    beside = {"additional_body_parameters": {"model": MODEL}}
    (call,) = asked(way, lambda: [whole(chat())], provider, mode)
    assert provider.asked[-1].body["model"] == call.request_model == MODEL
    assert isinstance(call.price, Cost)
    assert call.price.nano_usd == 97_500


@_VERSIONS
@_MODES
def test_a_stream_is_booked_by_its_last_event(provider: Provider, mode: str, *, is_v1: bool) -> None:
    """Server-sent events, or objects by the line."""
    replies: Any = lambda: [streamed(chunks(is_v1=is_v1), is_v1=is_v1)]  # noqa: E731
    (call,) = asked(stream(is_v1=is_v1), replies, provider, mode, is_v1=is_v1)
    assert call.usage is not None
    assert (call.outcome, call.usage.counts, call.usage.complete, call.is_stream) == (OK, COUNTS, True, True)
    assert call.answer.finish_reasons == ("COMPLETE",)


@_VERSIONS
@_MODES
def test_a_stream_that_is_left_early_is_estimated(provider: Provider, mode: str, *, is_v1: bool) -> None:
    """Of what it had shown by then."""
    replies: Any = lambda: [streamed(chunks(is_v1=is_v1), is_v1=is_v1)]  # noqa: E731
    (call,) = asked(stream(is_v1=is_v1, most=11), replies, provider, mode, is_v1=is_v1)
    assert call.usage is not None
    assert (call.outcome, call.usage.complete) == (ABANDONED, False)
    assert call.usage.get("input") in range(3, 20)
    assert call.usage.get("output") in range(18, 43)
    assert isinstance(call.price, Cost)
    assert call.price.quality == "estimated"


@_VERSIONS
@_MODES
def test_a_stream_that_nobody_reads_was_not_asked_for(provider: Provider, mode: str, *, is_v1: bool) -> None:
    """The request is sent with the first item."""

    async def way(a: Asker) -> None:
        a.of.chat_stream(**(ASKED_V1 if is_v1 else ASKED))

    assert asked(way, list, provider, mode, is_v1=is_v1) == []
    assert provider.asked == []


@_VERSIONS
@_MODES
def test_a_stream_that_breaks_is_an_error_and_an_estimate(provider: Provider, mode: str, *, is_v1: bool) -> None:
    """The connection is cut."""
    replies: Any = lambda: [streamed([*chunks(is_v1=is_v1)[:9], CUT], is_v1=is_v1)]  # noqa: E731
    (call,) = asked(stream(is_v1=is_v1), replies, provider, mode, is_v1=is_v1)
    assert call.usage is not None
    assert (call.outcome, call.usage.complete) == (ERROR, False)
    assert call.usage.get("output") > 0


@_MODES
def test_a_stream_that_says_that_it_failed_is_an_error(provider: Provider, mode: str) -> None:
    """Its last event says so, and reports no usage."""
    failed: dict[str, Any] = {
        "finish_reason": "ERROR",
        "usage": {},
        "error": "no",
        "error_type": "INVALID_TOOL_GENERATION",
    }
    last: dict[str, Any] = {"type": "message-end", "delta": failed}
    (call,) = asked(stream(is_v1=False), lambda: [streamed(chunks(last=last))], provider, mode)
    assert (call.outcome, call.error_type) == (ERROR, "invalid_tool_generation")
    assert call.usage is not None
    assert not call.usage.complete


@_VERSIONS
@_MODES
@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_refused_call_is_an_error_without_usage(status: int, provider: Provider, mode: str, *, is_v1: bool) -> None:
    """Whole or streamed."""
    for way in (ask(is_v1=is_v1), stream(is_v1=is_v1)):
        (call,) = asked(way, lambda: [error(status)], provider, mode, is_v1=is_v1)
        assert (call.outcome, call.http_status, call.usage, call.price) == (ERROR, status, None, None)


@_MODES
def test_where_nobody_answers_is_an_error(mode: str, provider: Provider) -> None:
    """Of the HTTP library."""

    async def way(a: Asker) -> None:
        await a.get(a.of.chat(**ASKED, request_options={"max_retries": 0}))

    (call,) = asker.asked(lambda: Asker("http://127.0.0.1:9", mode), way, list, provider)
    assert (call.outcome, call.error_type, call.usage) == (ERROR, "ConnectError", None)


@_MODES
def test_retries_of_the_library_are_one_call(provider: Provider, mode: str) -> None:
    """They are calls of the function within itself."""

    async def way(a: Asker) -> None:
        await a.get(a.of.chat(**ASKED, request_options={"max_retries": 5}))

    soon = {"retry-after-ms": "1"}
    (call,) = asked(way, lambda: [error(503, **soon), error(429, **soon), whole(chat())], provider, mode)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


@_MODES
def test_an_answer_that_the_library_cannot_read_is_booked(provider: Provider, mode: str) -> None:
    """It was charged before it was looked at."""
    body = {**chat(), "message": "none that one could read"}
    (call,) = asked(ask(is_v1=False), lambda: [whole(body)], provider, mode)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


@_MODES
def test_raw_responses_are_counted(provider: Provider, mode: str) -> None:
    """The same request, with the headers handed on."""

    async def way(a: Asker) -> None:
        if not hasattr(a.of, "with_raw_response"):
            pytest.skip("this version of cohere hands on no raw responses")
        answer = a.of.with_raw_response.chat(**ASKED)
        answer = await answer if a.is_async else answer
        a.look(answer.data)

    (call,) = asked(way, lambda: [whole(chat())], provider, mode)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


@_MODES
def test_batches_of_embeddings_belong_to_the_scope_that_asked(provider: Provider, mode: str) -> None:
    """The client of the first version shares them out, to threads of a pool of its own where it is synchronous."""

    def answer(_: Any) -> Reply:
        vectors = {"id": "e", "texts": [], "embeddings": [[0.5]], "response_type": "embeddings_floats"}
        return whole({**vectors, "meta": {"billed_units": {"input_tokens": 5.0}}})

    async def way(a: Asker) -> None:
        with attribution(team="weather"):
            await a.get(a.of.embed(texts=["a"] * 200, model="embed-v4.0", input_type="classification"))

    calls = asked(way, lambda: [answer] * 3, provider, mode, is_v1=True)
    assert [call.attribution.team for call in calls] == ["weather"] * 3
    assert [call.usage and call.usage.counts for call in calls] == [{"input": 5, "output": 0}] * 3
    assert [isinstance(call.price, Cost) and call.price.nano_usd for call in calls] == [600] * 3


@_MODES
def test_rankings_are_charged_by_the_search(provider: Provider, mode: str) -> None:
    """Not by tokens."""

    async def way(a: Asker) -> None:
        await a.get(a.of.rerank(model="rerank-v3.5", query="rain", documents=["a"]))

    body: dict[str, Any] = {"id": "r", "results": [], "meta": {"billed_units": {"search_units": 2.0}}}
    (call,) = asked(way, lambda: [whole(body)], provider, mode)
    assert (call.operation, call.usage and call.usage.counts) == ("rerank", {"search_units": 2, "output": 0})
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == (4_000_000, EXACT)  # 2 USD for a thousand searches


def test_who_answered_is_told_by_where_the_request_went(provider: Provider) -> None:
    """The clients for AWS rewrite a request on its way."""

    def elsewhere(request: Any) -> None:
        request.url = request.url.copy_with(host="localhost")

    def make() -> Asker:
        a = Asker(provider.url, "sync")
        a.http.event_hooks = {"request": [elsewhere], "response": []}
        return a

    (call,) = asker.asked(make, ask(is_v1=False), lambda: [whole(chat())], provider)
    assert (call.host, call.port, call.provider) == ("localhost", provider.port, "unknown")
    assert call.usage is not None
    assert call.usage.counts == COUNTS


@_MODES
def test_what_costs_nothing_is_no_call(provider: Provider, mode: str) -> None:
    """Models."""

    async def way(a: Asker) -> None:
        await a.get(a.of.models.list())

    assert asked(way, lambda: [whole({"models": []})], provider, mode) == []


# --- what is reported -------------------------------------------------------------------------------------------


def _billed(**units: Any) -> dict[str, Any]:
    return {"meta": {"billed_units": units}}


@pytest.mark.parametrize(
    ("body", "counts", "unread"),
    [
        ({"usage": SPENT}, COUNTS, ()),
        ({"usage": {**SPENT, "tokens": {"reasoning_tokens": 5, "image_tokens": 8}}}, {**COUNTS, "reasoning": 5, "input_image": 8}, ()),
        ({"usage": {**SPENT, "tokens": {"image_tokens": 259, "input_tokens": 34}}}, COUNTS, ()),
        ({"usage": {"tokens": {"input_tokens": 9, "output_tokens": 3}}}, {"input": 9, "output": 3}, ("billed_units",)),
        (_billed(input_tokens=4.0, image_tokens=0.0), {"input": 4, "input_image": 0}, ()),
        (_billed(image_tokens=6.0), {"input": 6, "input_image": 6}, ()),
        (_billed(input_tokens=4.0, image_tokens=6.0), {"input": 10, "input_image": 6}, ()),
        (_billed(input_tokens=10.0, image_tokens=6.0, text_tokens=4.0), {"input": 10, "input_image": 6}, ()),
        (_billed(images=1.0), {"images": 1}, ()),
        (_billed(pages=3.0), {"pages": 3}, ()),
        (_billed(classifications=3.0), None, ("billed_units.classifications",)),
        (_billed(input_tokens=-1), None, ("billed_units.input_tokens",)),
        ({"usage": 5}, None, ("usage",)),
        ({"usage": {}}, None, ()),
        ({}, None, ()),
    ],
    ids=range(15),
)  # fmt: skip
def test_what_a_usage_comes_to(body: Any, counts: dict[str, int] | None, unread: tuple[str, ...]) -> None:
    """What the model saw says what the billed tokens are, where it can be part of them."""
    answer = cohere_body.said(body)
    assert answer is not None
    assert (answer.usage.counts if answer.usage is not None else None, answer.unread) == (counts, unread)
