"""The cost that an answer states in its body, in the words of whoever sends it. It goes before any price list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.messages import fields
from costspan.facts.money import MOST_USD, nano_from_pico, nano_from_usd
from costspan.facts.usage import count

_TICK_PICO_USD: Final = 100  # xAI: one tick is 1e-10 USD
_TICKS_PER_USD: Final = 10**10

#: Of xAI's live search, at 25 USD per 1,000 until it ended; answers with a cost have it in there.
#: https://docs.x.ai/docs/guides/live-search (2025-12)
_SOURCES: Final = "num_sources_used"
#: What took its place is charged by the call, whatever it finds: https://docs.x.ai/docs/models#tools-pricing (2026-11)
_TOOLS: Final = "server_side_tool_usage_details"
#: The fields of a usage that speak of its cost: where there are none, there is nothing to read.
WORDS: Final = frozenset({"cost", "estimated_cost", "cost_in_usd_ticks", _SOURCES})
_UPSTREAM: Final = "upstream_inference_cost"
#: As chats and as responses say it.
_UPSTREAM_PARTS: Final = (
    "upstream_inference_prompt_cost", "upstream_inference_completions_cost",
    "upstream_inference_input_cost", "upstream_inference_output_cost",
)  # fmt: skip


def within_usage(said: Mapping[str, Any], unread: list[str]) -> int | None:
    """The cost in the usage itself: OpenRouter and gateways (USD), Perplexity (an object), xAI (ticks of 1e-10 USD).

    DeepInfra's word for it is `estimated_cost`: https://deepinfra.com/docs/openai_api (2026-11).
    """
    ticks = said.get("cost_in_usd_ticks")
    if ticks is not None:
        number = count(ticks, MOST_USD * _TICKS_PER_USD)
        if number is not None:
            return nano_from_pico(number * _TICK_PICO_USD)
        unread.append("cost_in_usd_ticks")
    name = "estimated_cost" if said.get("cost") is None else "cost"
    cost = said.get(name)
    if cost is None:
        if ticks is None and said.get(_SOURCES) and not any(fields(said.get(_TOOLS)).values()):
            unread.append(_SOURCES)
        return None
    amount = _nano_usd(cost)
    if amount is None and cost is not False:
        unread.append(name)
    return amount if amount is None or said.get("is_byok") is not True else _with_upstream(amount, said, unread)


def beside_usage(cost: Any) -> int | None:
    """The cost beside the usage, where its currency is stated: Venice's `{"usd": ..., "diem": ...}`.

    Who pays by Diem, a balance of its own, is billed no dollars, and what that is worth is not said.
    """
    said = fields(cost)
    amount = nano_from_usd(said.get("usd"))
    return None if not amount and said.get("diem") else amount


def is_replayed(beside: Any) -> bool:
    """Whether a gateway gave an answer that it had kept, and asked no model: Bifrost says so in the body.

    https://docs.getbifrost.ai/features/semantic-caching (2026-11)
    """
    return fields(fields(beside).get("cache_debug")).get("cache_hit") is True


def _nano_usd(cost: Any) -> int | None:
    return nano_from_usd(cost if isinstance(cost, int | float | str) else fields(cost).get("total_cost"))


def _with_upstream(fee: int, said: Mapping[str, Any], unread: list[str]) -> int | None:
    """With the user's own key the cost is the gateway's fee alone, and the provider bills the rest: told as a sum or by parts.

    Where it is not told, the fee is no cost of the call. https://openrouter.ai/docs/use-cases/usage-accounting (2026-11)
    """
    details = fields(said.get("cost_details"))
    whole = nano_from_usd(details.get(_UPSTREAM))
    if whole is None:
        whole = sum(filter(None, (nano_from_usd(details.get(name)) for name in _UPSTREAM_PARTS))) or None
    if whole is None:
        unread.append(f"cost_details.{_UPSTREAM}")
        return None
    return fee + whole
