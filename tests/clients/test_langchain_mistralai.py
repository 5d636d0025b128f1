"""LangChain's package for Mistral, which sends by httpx itself: whole answers, streams, errors, and what it does not tell."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import pytest

import asker
from answers import Reply, chat_chunks, completion, error, events, whole
from comparing import OPENAI_USAGE
from costspan import attribution
from costspan.calls import patching
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import Cost
from provider import Provider
from watching import Watched

library: Any = pytest.importorskip("langchain_mistralai")
_EACH = pytest.mark.parametrize("mode", ["sync", "async"])
_MODEL = "mistral-small-2506"


class Chatting(asker.Asker):
    """A program that asks a model through LangChain."""

    def __init__(self, url: str, mode: str) -> None:
        super().__init__(mode)
        self.model = library.ChatMistralAI(model=_MODEL, api_key="local", endpoint=f"{url}/v1", max_retries=1)

    def look(self, value: Any) -> None:
        """Ids of LangChain's own are different each time."""
        self.seen.append((type(value), getattr(value, "content", value)))

    def told(self, error: Exception) -> str:
        return type(error).__name__

    async def close(self) -> None:
        """Both HTTP clients are there, whichever is used."""
        self.model.client.close()
        if self.is_async:
            await self.model.async_client.aclose()

    async def invoke(self) -> None:
        await self.get(self.model.ainvoke("Will it rain?") if self.is_async else self.model.invoke("Will it rain?"))

    async def chunks(self, most: int = -1) -> None:
        source = self.model.astream("Will it rain?") if self.is_async else self.model.stream("Will it rain?")
        await self.stream(source, most)


def asked(mode: str, provider: Provider, reply: Reply, way: Any) -> list[Call]:
    """The calls that are booked of a program, which sees the same with costspan and without."""
    return asker.asked(lambda: Chatting(provider.url, mode), way, lambda: [reply], provider)


@_EACH
def test_a_whole_answer_is_counted(provider: Provider, mode: str) -> None:
    """At the price of Mistral, whose the address is said to be."""
    [call] = asked(mode, provider, whole(completion(model=_MODEL)), Chatting.invoke)
    assert (call.client, call.outcome, call.request_model) == ("langchain_mistralai", OK, _MODEL)
    assert (call.provider, call.usage and call.usage.counts) == ("mistral_ai", OPENAI_USAGE)
    assert isinstance(call.price, Cost)


@_EACH
def test_a_stream_is_counted_by_what_it_reports(provider: Provider, mode: str) -> None:
    [call] = asked(mode, provider, events(chat_chunks()), Chatting.chunks)
    assert (call.outcome, call.is_stream, call.usage and call.usage.counts) == (OK, True, OPENAI_USAGE)
    assert call.usage is not None
    assert call.usage.complete


@_EACH
def test_a_stream_that_is_left_is_an_estimate(provider: Provider, mode: str) -> None:
    async def way(a: Chatting) -> None:
        await a.chunks(2)

    [call] = asked(mode, provider, events(chat_chunks()), way)
    assert (call.outcome, call.usage and call.usage.complete) == (ABANDONED, False)


@_EACH
@pytest.mark.parametrize("way", [Chatting.invoke, Chatting.chunks], ids=["whole", "stream"])
def test_a_refusal_costs_nothing(provider: Provider, mode: str, way: Any) -> None:
    [call] = asked(mode, provider, error(429), way)
    assert (call.outcome, call.http_status, call.price) == (ERROR, 429, None)


def test_it_is_counted_once_beside_the_http_library(provider: Provider) -> None:
    """And knows for whom it is."""
    provider.replies.append(whole(completion(model=_MODEL)))
    with Watched(http_clients=True) as watched, attribution(task_type="write"):
        Chatting(provider.url, "sync").run(Chatting.invoke)
        [call] = watched.calls()
    assert (call.client, call.attribution.task_type) == ("langchain_mistralai", "write")


async def embedded_and_closed(embeddings: Any) -> Any:
    found = await embeddings.aembed_documents(["rain"])
    await embeddings.async_client.aclose()
    return found


@_EACH
def test_embeddings_are_named_and_not_counted(provider: Provider, mode: str) -> None:
    """Their usage is read by nobody."""
    found = {"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    provider.replies.append(whole(found))
    with Watched() as watched:
        tokenizers: Any = importlib.import_module("tokenizers")  # without one of the caller's, one is fetched
        counting = tokenizers.Tokenizer(tokenizers.models.WordLevel({"rain": 0}, unk_token="rain"))
        embeddings = library.MistralAIEmbeddings(api_key="local", endpoint=f"{provider.url}/v1/", tokenizer=counting)
        if mode == "sync":
            assert embeddings.embed_documents(["rain"]) == [[0.5]]
        else:
            assert asyncio.run(embedded_and_closed(embeddings)) == [[0.5]]
        embeddings.client.close()
        assert not watched.calls()
        name = "embed_documents" if mode == "sync" else "aembed_documents"
        assert patching.unwatched == {f"langchain_mistralai {name}": ""}
