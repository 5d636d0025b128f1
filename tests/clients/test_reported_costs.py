"""The cost that an answer states in its body: under which names, and when it is only a part of what is billed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import ways
from answers import chat_chunks, completion, events, whole
from caller import KINDS, Caller
from costspan.facts.money import Cost
from provider import Provider
from watching import Watched

USAGE = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
LISTED = 210_000  # nano-USD: the same tokens at the list price of gpt-4o-mini
OWN_KEY = {"cost": 0.00001, "is_byok": True}
UPSTREAM = "cost_details.upstream_inference_cost"
SAID: list[tuple[dict[str, Any], dict[str, Any], int | None, str | None, tuple[str, ...]]] = [
    # in the usage                                                  beside it                           nano-USD, quality, unread
    # With a key of the user's own: the fee of the gateway, and what the provider bills.
    ({**OWN_KEY, "cost_details": {"upstream_inference_cost": 0.0002}}, {},                              210_000, "reported",   ()),
    ({**OWN_KEY, "cost_details": {"upstream_inference_cost": 0}},   {},                                 10_000,  "reported",   ()),
    ({**OWN_KEY, "cost_details": {"upstream_inference_cost": None, "upstream_inference_prompt_cost": 0.0001,
                                  "upstream_inference_completions_cost": 0.0002}}, {},                  310_000, "reported",   ()),
    ({**OWN_KEY, "cost_details": {"upstream_inference_input_cost": 0.0001, "upstream_inference_output_cost": "0.0002"}}, {},
                                                                                                        310_000, "reported",   ()),
    ({**OWN_KEY, "cost_details": {"upstream_inference_cost": None}}, {},                                LISTED,  "incomplete", (UPSTREAM,)),
    ({**OWN_KEY, "cost_details": {"upstream_inference_cost": None, "upstream_inference_prompt_cost": 0}}, {},
                                                                                                        LISTED,  "incomplete", (UPSTREAM,)),
    ({**OWN_KEY, "cost": 0},                                        {},                                 LISTED,  "incomplete", (UPSTREAM,)),
    ({**OWN_KEY, "cost_details": []},                               {},                                 LISTED,  "incomplete", (UPSTREAM,)),
    ({"cost": 0.00001, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}, {},        10_000,  "reported",   ()),
    # DeepInfra's name for it.
    ({"estimated_cost": 0.0000268},                                 {},                                 26_800,  "reported",   ()),
    ({"cost": None, "estimated_cost": 0.0000268},                   {},                                 26_800,  "reported",   ()),
    ({"cost": 0.1, "estimated_cost": 0.0000268},                    {},                                 100_000_000, "reported", ()),
    ({"estimated_cost": -1},                                        {},                                 LISTED,  "incomplete", ("estimated_cost",)),
    # Bifrost's word for an answer that it had kept.
    ({},                                                            {"extra_fields": {"cache_debug": {"cache_hit": True, "hit_type": "direct"}}}, 0, "reported", ()),
    ({"cost": 0.1},                                                 {"extra_fields": {"cache_debug": {"cache_hit": True}}}, 0, "reported", ()),
    ({},                                                            {"extra_fields": {"cache_debug": {"cache_hit": False}}}, LISTED, "exact", ()),
    ({},                                                            {"extra_fields": {"cache_debug": {"cache_hit": "yes"}}}, LISTED, "exact", ()),
    ({},                                                            {"extra_fields": {"latency": 3}},   LISTED,  "exact",      ()),
    # Venice's place for it, and its other balance.
    ({},                                                            {"cost": {"usd": 0.0005834, "diem": 0}}, 583_400, "reported", ()),
    ({},                                                            {"cost": {"usd": 0, "diem": 0.0005834}}, LISTED,  "exact", ()),
    ({"cost": 0.1},                                                 {"cost": {"usd": 0.5}},             100_000_000, "reported", ()),
    ({},                                                            {"cost": 0.5},                      LISTED,  "exact",      ()),  # of what currency?
    ({},                                                            {"cost": {"usd": "much"}},          LISTED,  "exact",      ()),
]  # fmt: skip
IDS = [str(number) for number in range(len(SAID))]


@pytest.mark.parametrize(("within", "beside", "nano_usd", "quality", "unread"), SAID, ids=IDS)
def test_a_cost_that_the_answer_states_is_the_cost_where_it_is_all_that_is_billed(
    within: dict[str, Any],
    beside: dict[str, Any],
    nano_usd: int,
    quality: str,
    unread: tuple[str, ...],
    provider: Provider,
) -> None:
    """A fee without what it is the fee on is no cost: the list price stands, and it is told what lacks."""
    provider.replies.append(whole(completion(usage={**USAGE, **within}, **beside)))
    assert _priced(provider, ways.whole) == (nano_usd, quality, unread)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("way", [ways.to_the_end, ways.raw], ids=["stream", "raw"])
def test_a_cost_beside_the_usage_is_found_however_the_call_is_made(
    way: Callable[[Caller], Any], mode: str, provider: Provider
) -> None:
    """In a stream it stands in the event that carries the usage."""
    cost = {"usd": 0.0005834, "diem": 0}
    *chunks, last, done = chat_chunks(usage=USAGE)
    provider.replies.append(
        events([*chunks, {**last, "cost": cost}, done])
        if way is ways.to_the_end
        else whole(completion(usage=USAGE, cost=cost))
    )
    assert _priced(provider, way, mode) == (583_400, "reported", ())


def _priced(provider: Provider, way: Callable[[Caller], Any], mode: str = "sync") -> tuple[int, str, tuple[str, ...]]:
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, mode).run(way)
        call = watched.call()
    assert isinstance(call.price, Cost)
    return call.price.nano_usd, call.price.quality, call.answer.unread
