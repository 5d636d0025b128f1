"""Recorded traffic of several APIs through LiteLLM's own handlers: what the provider reported is what is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

import replaying
from litellm_caller import WARNINGS, Asker

pytestmark = [replaying.needs_recordings, *WARNINGS]


class Way(NamedTuple):
    """LiteLLM's word for a provider, and what of the recorded address it adds by itself."""

    provider: str
    added: str = ""


WAYS = {
    "anthropic.messages": Way("anthropic", "/v1"),
    "google.generate_content": Way("gemini"),
    "ollama.chat": Way("ollama_chat", "/v1"),
    "mistral.chat": Way("mistral"),
    "deepseek.chat": Way("deepseek"),
    "groq.chat": Way("groq"),
    "xai.chat": Way("xai"),
    "openrouter.chat": Way("openrouter"),
    "together.chat": Way("together_ai"),
}


#: Where LiteLLM does not hand on what was reported, and so does not know it.
LEFT_OUT = {
    "groq.chat-43d6b0bdf7": "it drops the usage in `x_groq`: an estimate",
    "groq.chat-b4220feb3c": "the same",
    "groq.chat-bf0ee0a4d6": "the same",
    "groq.chat-2064b03cf4": "it raises on an answer without a service tier: an error, with its tokens",
    "openrouter.chat-8e73383088": "the event with the usage reports an error, and is raised: an estimate",
    "google.generate_content-538484c9ad": "in streams it takes the prompt that tools added for output",
    "google.generate_content-7c94a271b7": "the same",
    "google.generate_content-8f7d16b19a": "the same",
    "anthropic.messages-d95d124b37": "in streams it guesses the reasoning among the output",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The recordings, served."""
    with replaying.server() as running:
        yield running


def recordings(api: str) -> list[dict[str, Any]]:
    """Those of an API. The library asks for events, never for an array in pieces."""
    found = [each for each in replaying.all_recordings() if each["api"] == api]
    return [each for each in found if each["response"]["stream"] in {None, "sse", "ndjson"}]


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("api", WAYS)
def test_what_was_reported_is_what_is_counted(api: str, mode: str, server: Any) -> None:
    """Tokens, model and outcome of every recorded exchange."""
    way = WAYS[api]

    def again(exchange: dict[str, Any]) -> list[Any]:
        url = server.client_url(exchange["id"]).removesuffix(way.added)
        is_stream = exchange["response"]["stream"] is not None

        async def ask(a: Asker) -> None:
            asked = a.ask(
                model=f"{way.provider}/{exchange['expected']['request_model']}",
                messages=[{"role": "user", "content": "x"}],
                stream=is_stream,
            )
            await (a.stream(asked) if is_stream else a.get(asked))

        return Asker(url, mode).run(ask)

    left_out = tuple(LEFT_OUT)
    found = replaying.mismatches(recordings(api), again)
    differences = [difference for difference in found if not difference.startswith(left_out)]
    assert not differences, "\n".join(differences)
