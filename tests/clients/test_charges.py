"""Charges that no count of the usage shows: by the call, by the kind of tool, by the router that was asked."""

from __future__ import annotations

from typing import Any

import pytest

import ways
from answers import chat_chunks, completion, events, response, whole
from caller import KINDS, Caller
from costspan.facts.call import Answer
from costspan.facts.money import Cost
from costspan.facts.usage import Usage
from costspan.pricing import Prices
from provider import Provider
from watching import Watched

AT_S = 1_795_310_400.0
PRICES = Prices.load()
ROWS: list[tuple[str, str, str, dict[str, int], int, str]] = [
    # provider          asked                          answered                          counts beside 1,000 and 100     nano-USD    quality
    ("openai",          "gpt-4o-search-preview",       "gpt-4o-search-preview-2025-03-11", {},                           28_500_000, "exact"),
    ("openai",          "gpt-4o-mini-search-preview",  "gpt-4o-mini-search-preview-2025-03-11", {},                      25_210_000, "exact"),
    ("openai",          "gpt-5-search-api",            "gpt-5-search-api-2025-10-14",    {},                             12_250_000, "exact"),
    ("openai",          "gpt-4o-mini",                 "gpt-4o-mini-2024-07-18",         {},                             210_000,    "exact"),
    ("openrouter",      "openai/gpt-4o-search-preview", "openai/gpt-4o-search-preview",  {},                             3_500_000,  "incomplete"),
    ("openai",          "gpt-4.1",                     "gpt-4.1-2025-04-14",             {"web_searches": 2},            22_800_000, "exact"),
    ("openai",          "gpt-4.1",                     "gpt-4.1-2025-04-14",             {"web_searches_preview": 2},    52_800_000, "exact"),
    ("openai",          "gpt-4o-mini",                 "gpt-4o-mini-2024-07-18",         {"web_searches": 1},            10_210_000, "incomplete"),
    ("openai",          "gpt-4.1-mini",                "gpt-4.1-mini-2025-04-14",        {"web_searches": 2},            20_560_000, "incomplete"),
    ("openai",          "gpt-4o-mini",                 "gpt-99-2027-01-01",              {},                             210_000,    "alias"),
    ("openrouter",      "openai/gpt-4o-mini",          "somebody/else",                  {},                             210_000,    "alias"),
    ("openai",          "gpt-4o-mini",                 "gpt-4o-mini-2024-07-18",         {"web_searches_preview": 1},    25_210_000, "exact"),
    ("openai",          "o4-mini",                     "o4-mini-2025-04-16",             {"web_searches_preview": 1},    11_540_000, "exact"),
    ("openai",          "gpt-5",                       "gpt-5-2025-08-07",               {"web_searches_preview": 1},    12_250_000, "exact"),
    ("groq",            "openai/gpt-oss-120b",         "openai/gpt-oss-120b",            {"web_searches_preview": 1},    210_000,    "incomplete"),
    ("azure.ai.openai", "model-router",                "gpt-5-nano-2025-08-07",          {},                             230_000,    "alias"),
    ("azure.ai.openai", "Model-Router-2025-11-18",     "gpt-5-nano-2025-08-07",          {"cache_read": 1_000},          185_000,    "alias"),
    ("azure.ai.openai", "gpt-5-nano",                  "gpt-5-nano-2025-08-07",          {},                             90_000,     "alias"),
    ("openai",          "model-router",                "gpt-5-nano-2025-08-07",          {},                             90_000,     "exact"),
    ("openai",          "gpt-image-1.5",               "gpt-image-1.5",                  {},                             6_000_000,  "incomplete"),
    ("openai",          "gpt-image-1.5",               "gpt-image-1.5",                  {"output_image": 100},          8_200_000,  "exact"),
    ("openai",          "gpt-image-1.5",               "gpt-image-1.5",                  {"output_image": 0},            6_000_000,  "exact"),
    ("gcp.gemini",      "gemini-2.5-flash-image",      "gemini-2.5-flash-image",         {},                             550_000,    "incomplete"),
    ("openai",          "gpt-audio",                   "gpt-audio-2025-08-28",           {},                             3_500_000,  "incomplete"),
    ("openai",          "gpt-audio",                   "gpt-audio-2025-08-28",           {"output_audio": 0},            3_500_000,  "exact"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "asked", "answered", "more", "nano_usd", "quality"), ROWS)
def test_a_charge_that_no_token_shows_is_in_the_price_or_the_price_is_incomplete(
    provider: str, asked: str, answered: str, more: dict[str, int], nano_usd: int, quality: str
) -> None:
    """By the model, the tool or the router; parts of the output that cost more must be told apart."""
    usage = Usage({"input": 1_000, "output": 100, **more})
    price = PRICES.price(provider, None, asked, Answer(usage, answered), AT_S)
    assert isinstance(price, Cost)
    assert (price.nano_usd, price.quality) == (nano_usd, quality)


def searching(tool: str, model: str = "gpt-4.1-2025-04-14") -> dict[str, Any]:
    """A response that searched once, by this tool."""
    searched = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "a"},
    }
    usage = {"input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}
    return response(model=model, output=[searched], tools=[{"type": tool}], usage=usage)


def _completed(body: dict[str, Any]) -> Any:
    return events([{"type": "response.completed", "sequence_number": 1, "response": body}], named=True)


CHAT_USAGE = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
PREVIEW = "gpt-4o-search-preview-2025-03-11"
NANO = "gpt-5-nano-2025-08-07"
CALLS = [
    # kind         asked                    way                 answer                                                     nano-USD
    ("responses", "gpt-4.1",               ways.whole,         whole(searching("web_search_preview")),                     27_800_000),
    ("responses", "gpt-4.1",               ways.to_the_end,    _completed(searching("web_search_preview_2025_03_11")),     27_800_000),
    ("responses", "gpt-4.1",               ways.raw,           whole(searching("web_search")),                             12_800_000),
    ("responses", "o4-mini",               ways.whole,         whole(searching("web_search_preview", "o4-mini-2025-04-16")), 11_540_000),
    ("chat",      "gpt-4o-search-preview", ways.whole,         whole(completion(model=PREVIEW, usage=CHAT_USAGE)),         28_500_000),
    ("chat",      "gpt-4o-search-preview", ways.to_the_end,    events(chat_chunks(PREVIEW, usage=CHAT_USAGE)),             28_500_000),
    ("azure",     "model-router",          ways.whole,         whole(completion(model=NANO, usage=CHAT_USAGE)),            230_000),
    ("azure",     "model-router",          ways.raw,           whole(completion(model=NANO, usage=CHAT_USAGE)),            230_000),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(
    ("kind", "asked", "way", "answer", "nano_usd"), CALLS, ids=[f"{row[0]} {row[1]} {row[2].__name__}" for row in CALLS]
)
def test_what_was_asked_for_reaches_the_price(
    kind: str, asked: str, way: Any, answer: Any, nano_usd: int, mode: str, provider: Provider
) -> None:
    """Through the real clients: the tool by which an answer searched, the model that was asked for."""
    provider.replies.append(answer)
    asking = KINDS[kind]._replace(arguments={**KINDS[kind].arguments, "model": asked})
    with Watched() as watched:
        Caller(asking, provider.url, mode).run(way)
        price = watched.call().price
    assert isinstance(price, Cost)
    assert price.nano_usd == nano_usd
