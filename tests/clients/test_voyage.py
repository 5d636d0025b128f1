"""Voyage's library: embeddings and rankings, by the sync and by the async client, and recorded traffic."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import asker
import replaying
from answers import Reply, whole
from asker import Replies
from costspan import attribution
from costspan.facts.call import ERROR, OK, Call
from costspan.facts.money import Cost
from provider import Provider
from voyage_caller import Asker

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

MODEL = "voyage-3.5"
Way = Callable[[Asker], Coroutine[Any, Any, None]]
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def asked(way: Way, replies: Callable[[], Replies], provider: Provider, mode: str, **options: Any) -> list[Call]:
    """The calls that costspan booked, where the caller saw the same with and without it."""
    return asker.asked(lambda: Asker(provider.url, mode, **options), way, replies, provider)


def vectors(**usage: int) -> dict[str, Any]:
    """Embeddings."""
    row = {"object": "embedding", "index": 0, "embedding": [0.5]}
    return {"object": "list", "data": [row], "model": MODEL, "usage": usage or {"total_tokens": 11}}


async def embed(a: Asker) -> None:
    """The plain call."""
    await a.get(a.of.embed(["rain"], model=MODEL))


@_MODES
def test_embeddings_are_input(provider: Provider, mode: str) -> None:
    """Only their total is told."""

    async def scoped(a: Asker) -> None:
        with attribution(team="weather"):
            await embed(a)

    (call,) = asked(scoped, lambda: [whole(vectors())], provider, mode)
    assert call.usage is not None
    assert (call.outcome, call.operation, call.usage.counts) == (OK, "embeddings", {"input": 11, "output": 0})
    assert (call.provider, call.request_model, call.answer.model) == ("voyage_ai", MODEL, MODEL)
    assert (call.host, call.port, call.attribution.team) == ("127.0.0.1", provider.port, "weather")
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == (660, "exact")


@_MODES
def test_rankings_are_input(provider: Provider, mode: str) -> None:
    """As embeddings are."""

    async def way(a: Asker) -> None:
        await a.get(a.of.rerank("rain", ["a"], model="rerank-2.5"))

    found = {"object": "list", "data": [{"index": 0, "relevance_score": 0.5}], "model": "rerank-2.5"}
    (call,) = asked(way, lambda: [whole({**found, "usage": {"total_tokens": 9}})], provider, mode)
    assert (call.operation, call.usage and call.usage.counts) == ("rerank", {"input": 9, "output": 0})
    assert isinstance(call.price, Cost)
    assert call.price.nano_usd == 450  # 0.05 USD for a million tokens


@_MODES
def test_pixels_are_named(provider: Provider, mode: str) -> None:
    """They are charged, and no unit counts them."""
    usage = {"total_tokens": 11, "text_tokens": 11, "image_pixels": 5_000}
    (call,) = asked(embed, lambda: [whole(vectors(**usage))], provider, mode)
    assert (call.usage and call.usage.counts, call.answer.unread) == ({"input": 11, "output": 0}, ("image_pixels",))
    assert isinstance(call.price, Cost)
    assert call.price.quality == "incomplete"


@_MODES
@pytest.mark.parametrize("status", [400, 401, 429])
def test_a_refused_call_is_an_error_without_usage(status: int, provider: Provider, mode: str) -> None:
    """The library's exception comes through."""
    refusal = Reply(json.dumps({"detail": "no"}).encode(), status)
    (call,) = asked(embed, lambda: [refusal], provider, mode, max_retries=0)
    assert (call.outcome, call.http_status, call.usage, call.price) == (ERROR, status, None, None)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The recordings, served."""
    with replaying.server() as running:
        yield running


@replaying.needs_recordings
@_MODES
@pytest.mark.parametrize("api", ["voyage.embeddings", "voyage.rerank"])
def test_what_voyage_reported_is_what_is_counted(api: str, mode: str, server: Any) -> None:
    """Tokens, model and outcome of every recorded exchange."""

    async def replay(a: Asker, exchange: dict[str, Any]) -> None:
        model = exchange["expected"]["request_model"]
        if api == "voyage.rerank":
            await a.get(a.of.rerank("x", ["x"], model=model))
        else:
            await a.get(a.of.embed(["x"], model=model))

    def again(exchange: dict[str, Any]) -> list[Any]:
        return Asker(server.client_url(exchange["id"]), mode).run(lambda a: replay(a, exchange))

    found = [each for each in replaying.all_recordings() if each["api"] == api]
    differences = replaying.mismatches(found, again)
    assert not differences, "\n".join(differences)
