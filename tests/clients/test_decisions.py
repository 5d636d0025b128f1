"""OpenAI's decisions: questions about an input, at a price of their own."""

from __future__ import annotations

from typing import Any

import pytest

import ways
from answers import whole
from caller import KINDS, Caller
from costspan.facts.call import Answer
from costspan.facts.money import Cost
from costspan.facts.usage import Usage
from costspan.pricing import Prices
from provider import Provider
from watching import Watched

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
LUNA = "gpt-6-luna"
AT_S = 1_795_310_400.0
QUESTIONS = [{"type": "predicate", "instructions": "Is it a bill?"}]


@_MODES
def test_a_decision_is_charged_by_its_input(mode: str, provider: Provider) -> None:
    """Neither its output nor what was cached has a price."""
    usage = {
        "input_tokens": 1_000, "input_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100},
        "output_tokens": 12, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 1_012,
    }  # fmt: skip
    said: dict[str, Any] = {
        "answers": [{"type": "predicate", "name": None, "probability": 0.9}],
        "model": LUNA,
        "usage": usage,
    }
    provider.replies.append(whole(said))
    way = ways.method("decisions.create", model=LUNA, input="x", questions=QUESTIONS)
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, mode).run(way)
        call = watched.call()
    assert call.operation == "classification"
    assert call.usage is not None
    assert (call.usage.get("input"), call.usage.get("output")) == (1_000, 12)
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == (100_000, "exact")


@pytest.mark.parametrize(
    ("model", "counts", "nano_usd", "quality"),
    [
        (LUNA, {"input": 1_000, "output": 100}, 100_000, "exact"),
        (LUNA, {"input": 300_000, "output": 100, "cache_read": 299_000}, 60_000_000, "exact"),
        ("gpt-6-sol", {"input": 1_000, "output": 100}, 3_000_000, "incomplete"),
    ],
)
def test_decisions_have_prices_of_their_own(model: str, counts: dict[str, int], nano_usd: int, quality: str) -> None:
    """Twice as much above 272,000 tokens; of a model without such a price nobody says."""
    price = Prices.load().price("openai", None, model, Answer(Usage(counts), model, processing="decisions"), AT_S)
    assert isinstance(price, Cost)
    assert (price.nano_usd, price.quality) == (nano_usd, quality)
