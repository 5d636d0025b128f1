"""What gateways say of money in the headers of an answer: that it came from their cache, or what it cost."""

from __future__ import annotations

import dataclasses
from typing import Any, Final, cast

from costspan.facts.call import Answer
from costspan.facts.money import nano_from_usd
from costspan.facts.sellers import UNKNOWN, Seller

#: Who sends none of these words: a seller that is known and no gateway. OpenRouter sells, and caches answers as well.
_HEARD: Final = frozenset({UNKNOWN, "openrouter"})

#: Header, and the values by which it says that no model was asked, so that nothing is billed; any value, if none stands
#: here. A hit of a semantic cache is one: the embedding that found it is the gateway's own call.
CACHE_HITS: Final[dict[str, frozenset[str]]] = {
    # https://docs.litellm.ai/docs/proxy/caching: sent on cache hits only. The cost beside it is the first call's.
    "x-litellm-cache-key": frozenset(),
    # https://developers.cloudflare.com/ai-gateway/features/caching/
    "cf-aig-cache-status": frozenset({"hit"}),
    # https://docs.helicone.ai/features/advanced-usage/caching
    "helicone-cache": frozenset({"hit"}),
    # https://portkey.ai/docs/api-reference/inference-api/response-schema
    "x-portkey-cache-status": frozenset({"hit", "semantic hit"}),
    # https://openrouter.ai/docs/guides/features/response-caching
    "x-openrouter-cache-status": frozenset({"hit"}),
    # https://docs.solo.io/gloo-gateway/ (AI gateway, semantic caching)
    "x-gloo-semantic-cache": frozenset({"hit"}),
    # https://www.braintrust.dev/docs/guides/proxy
    "x-bt-cached": frozenset({"hit", "true"}),
    # https://developer.konghq.com/plugins/ai-semantic-cache/, https://doc.traefik.io/traefik-hub/ai-gateway/ (semantic cache)
    "x-cache-status": frozenset({"hit"}),
}
#: A word that others use too, of files and pages: it counts beside one of these only.
_BESIDE: Final[dict[str, tuple[str, ...]]] = {
    "x-cache-status": (
        "x-cache-key",
        "x-kong-request-id",
        "x-kong-response-latency",
        "x-kong-proxy-latency",
        "x-cache-distance",  # of Traefik
    ),
}
#: https://docs.litellm.ai/docs/proxy/response_headers: USD, after the proxy's own discount and margin. A zero says
#: nothing: models without a price there have it too (BerriAI/litellm issues 30725, 42161). Vercel and OpenRouter
#: report the cost in the body (`usage.cost`); the other gateways report none.
COST: Final = "x-litellm-response-cost"

_LONGEST_AMOUNT: Final = 40
_NAMES: Final = {
    name.encode(): name for name in (*CACHE_HITS, COST, *(name for names in _BESIDE.values() for name in names))
}


def may_speak(seller: Seller) -> bool:
    """Whether the answers of a seller may carry such headers. What a vendor's own host sends is not read."""
    return seller.is_gateway or seller.provider in _HEARD


def told(answer: Answer, headers: Any, *, is_stream: bool) -> Answer:
    """An answer, with what the headers that it came with say of its cost."""
    words = _words(headers)
    if not words:
        return answer
    if any(_is_hit(words, name) for name in CACHE_HITS.keys() & words.keys()):
        return dataclasses.replace(answer, from_cache=True, reported_nano_usd=0)
    cost = words.get(COST, "")
    amount = nano_from_usd(cost) if 0 < len(cost) <= _LONGEST_AMOUNT else None
    if not amount or (is_stream and answer.reported_nano_usd is not None):
        return answer
    # The headers of a stream leave before it is written: what they say is at most a part.
    return dataclasses.replace(answer, reported_nano_usd=amount, reported_in_part=is_stream)


def _words(headers: Any) -> dict[str, str]:
    """The headers that are in the tables, by their names in lower case."""
    names = _NAMES
    return {
        names[name]: value.decode("ascii", "replace").strip() for _, name, value in _listed(headers) if name in names
    }


def _listed(headers: Any) -> Any:
    """(name as sent, name in lower case, value) of each header: httpx keeps them so, and the public way takes 10 us more."""
    kept: Any = getattr(headers, "_list", None)
    if type(kept) is list:
        entries = cast("list[tuple[bytes, ...]]", kept)
        if entries and len(entries[0]) == 3:  # noqa: PLR2004
            return entries
    return [(name, name.lower().encode(), value.encode()) for name, value in headers.items()]


def _is_hit(words: dict[str, str], name: str) -> bool:
    beside = _BESIDE.get(name)
    if beside is not None and not any(other in words for other in beside):
        return False
    values = CACHE_HITS[name]
    return words[name].lower() in values if values else words[name] != ""
