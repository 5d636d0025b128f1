"""DSPy, by the copy of lm15 that it brings along, and lm15 itself: every protocol, read whole, streamed, left, refused."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import asker
from answers import CUT, Reply, chat_chunks, completion, error, events, message_events, whole
from answers import message as message_of
from comparing import ANTHROPIC_USAGE, OPENAI_USAGE
from costspan import attribution
from costspan.calls import patching
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import UNKNOWN_SELLER, Cost, Unpriced
from provider import Provider
from watching import Watched

dspy: Any = pytest.importorskip("dspy")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.skipif(not hasattr(dspy, "lm15"), reason="this release asks through LiteLLM alone"),
]
_EACH = pytest.mark.parametrize(
    ("package", "mode"), [("dspy._vendor.lm15", "sync"), ("dspy._vendor.lm15", "async"), ("lm15", "sync")]
)
_MESSAGES = [{"role": "user", "content": "Will it rain?"}]
_CHAT = {"model": "gpt-4o-mini", "messages": _MESSAGES}
_GENERATED = {
    "candidates": [{"content": {"parts": [{"text": "yes"}], "role": "model"}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18},
    "responseId": "one",
}
Way = Callable[["Sender"], Coroutine[Any, Any, None]]


class Sender(asker.Asker):
    """A program that sends by a transport of lm15, as its adapters do."""

    def __init__(self, url: str, mode: str, package: str) -> None:
        super().__init__(mode)
        self.url = url
        self.library: Any = importlib.import_module(f"{package}.transports")

    async def post(self, path: str, body: Any, most: int = -1) -> None:
        """Read what comes to its end, or so many lines of it."""
        sent = self.library.TransportRequest("POST", self.url + path, [], json.dumps(body).encode())
        if self.is_async:
            async with self.library.StdlibAsyncTransport() as transport, transport.stream(sent) as response:
                self.look((response.status, response.header("content-type")))
                await self.stream(response.aiter_lines(), most)
        else:
            with self.library.StdlibTransport() as transport, transport.stream(sent) as response:
                self.look((response.status, response.header("content-type")))
                await self.stream(response.iter_lines(), most)


def asked(package: str, mode: str, provider: Provider, reply: Reply, *args: Any) -> list[Call]:
    """The calls that are booked of a request, which looks the same with costspan and without."""

    async def way(a: Sender) -> None:
        await a.post(*args)

    return asker.asked(lambda: Sender(provider.url, mode, package), way, lambda: [reply], provider)


@_EACH
@pytest.mark.parametrize(
    ("path", "body", "reply", "counts", "model"),
    [
        ("/v1/chat/completions", _CHAT, whole(completion()), OPENAI_USAGE, "gpt-4o-mini"),
        (
            "/v1/messages",
            _CHAT | {"model": "claude-haiku-4-5"},
            whole(message_of()),
            ANTHROPIC_USAGE,
            "claude-haiku-4-5",
        ),
        (
            "/v1beta/models/gemini-2.5-flash:generateContent",
            {"contents": []},
            whole(_GENERATED),
            {"input": 11, "output": 7},
            "gemini-2.5-flash",
        ),
    ],
    ids=["chat", "messages", "generateContent"],
)
def test_each_protocol_is_counted(
    provider: Provider, package: str, mode: str, path: str, body: Any, reply: Reply, counts: Any, model: str
) -> None:
    """By its own bodies; Google's paths name the model."""
    [call] = asked(package, mode, provider, reply, path, body)
    assert (call.client, call.outcome, call.request_model) == ("dspy", OK, model)
    assert call.usage is not None
    assert call.usage.counts == counts
    assert isinstance(call.price, Cost)


@_EACH
@pytest.mark.parametrize(
    ("path", "reply", "counts"),
    [
        ("/v1/chat/completions", events(chat_chunks()), OPENAI_USAGE),
        ("/v1/messages", events(message_events(), named=True), ANTHROPIC_USAGE),
    ],
    ids=["chat", "messages"],
)
def test_a_stream_is_counted_by_what_it_reports(
    provider: Provider, package: str, mode: str, path: str, reply: Reply, counts: Any
) -> None:
    """It is read along with the caller."""
    [call] = asked(package, mode, provider, reply, path, _CHAT | {"stream": True})
    assert (call.outcome, call.is_stream) == (OK, True)
    assert call.usage is not None
    assert (call.usage.counts, call.usage.complete) == (counts, True)


@_EACH
def test_a_stream_that_is_left_or_breaks_is_an_estimate(provider: Provider, package: str, mode: str) -> None:
    """By its first event at least."""
    body = _CHAT | {"stream": True}
    [left] = asked(package, mode, provider, events(message_events(), named=True), "/v1/messages", body, 12)
    cut = events([*message_events()[:6], CUT], named=True)
    [broken] = asked(package, mode, provider, cut, "/v1/messages", body)
    assert (left.outcome, broken.outcome) == (ABANDONED, ERROR)
    assert [call.usage and (call.usage.complete, call.usage.get("input")) for call in (left, broken)] == [
        (False, 11)
    ] * 2


@_EACH
def test_a_call_at_an_address_that_nobody_knows_has_no_price(provider: Provider, package: str, mode: str) -> None:
    """It asks models and nothing else: so it is a call."""

    async def way(a: Sender) -> None:
        await a.post("/v1/chat/completions", _CHAT)

    provider.replies.append(whole(completion()))
    with Watched(hosts="") as watched:
        Sender(provider.url, mode, package).run(way)
        price = watched.call().price
    assert isinstance(price, Unpriced)
    assert price.reason == UNKNOWN_SELLER


@_EACH
def test_a_refusal_costs_nothing_and_what_is_not_counted_is_named(provider: Provider, package: str, mode: str) -> None:
    """Models are free; images are charged for."""
    [call] = asked(package, mode, provider, error(429), "/v1/chat/completions", _CHAT)
    assert (call.outcome, call.http_status, call.price) == (ERROR, 429, None)
    provider.replies.extend([whole({}), whole({})])
    with Watched() as watched:

        async def way(a: Sender) -> None:
            await a.post("/v1/models", {})
            await a.post("/v1/images/generations", {})

        Sender(provider.url, mode, package).run(way)
        assert not watched.calls()
        assert patching.unwatched == {"dspy images.generations": ""}


@pytest.mark.parametrize("engine", ["auto", "litellm"])
def test_a_program_of_dspy_is_counted_once(provider: Provider, engine: str) -> None:
    """Whichever way it goes: through LiteLLM it is counted there."""
    provider.replies.append(whole(completion()))
    with Watched() as watched, attribution(task_type="write"):
        model = dspy.LM(
            "openai/gpt-4o-mini",
            api_base=f"{provider.url}/v1",
            api_key="local",
            cache=False,
            engine=engine,
            num_retries=0,
        )
        assert model("Will it rain?")
        call = watched.call()
    assert (call.attribution.task_type, call.usage and call.usage.counts) == ("write", OPENAI_USAGE)
    assert (call.client == "dspy") == (engine == "auto")
