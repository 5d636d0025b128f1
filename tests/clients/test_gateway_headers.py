"""What gateways say of money in headers: a hit of their cache costs nothing, a cost that they report is reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

import ways
from answers import Asked, Reply, completion, whole
from caller import KINDS, Caller, flavour
from comparing import compared
from costspan.facts import gateways
from costspan.facts.call import Answer
from costspan.facts.money import Cost
from costspan.facts.sellers import seller_at
from provider import Provider
from watching import Watched

LISTED = (5_625, "exact")  # 8 tokens, 3 cached ones and 7 of output at the list price of gpt-4o-mini
FREE = (0, "reported")
KONG = {"x-kong-response-latency": "12"}
WORDS: list[tuple[dict[str, str], tuple[int, str]]] = [
    # headers of the answer                                                       nano-USD, quality
    ({},                                                                          LISTED),
    ({"x-litellm-cache-key": "0b2d"},                                             FREE),
    ({"x-litellm-cache-key": "0b2d", "x-litellm-response-cost": "0.5"},           FREE),
    ({"X-LiteLLM-Cache-Key": "0b2d"},                                             FREE),
    ({"x-litellm-cache-key": ""},                                                 LISTED),
    ({"cf-aig-cache-status": "HIT"},                                              FREE),
    ({"cf-aig-cache-status": "MISS"},                                             LISTED),
    ({"cf-cache-status": "HIT"},                                                  LISTED),
    ({"Helicone-Cache": "HIT"},                                                   FREE),
    ({"Helicone-Cache": "MISS"},                                                  LISTED),
    ({"x-portkey-cache-status": "HIT"},                                           FREE),
    ({"x-portkey-cache-status": "SEMANTIC HIT"},                                  FREE),
    ({"x-portkey-cache-status": "SEMANTIC MISS"},                                 LISTED),
    ({"x-portkey-cache-status": "REFRESH"},                                       LISTED),
    ({"x-portkey-cache-status": "DISABLED"},                                      LISTED),
    ({"X-OpenRouter-Cache-Status": "HIT"},                                        FREE),
    ({"x-gloo-semantic-cache": "hit"},                                            FREE),
    ({"x-gloo-semantic-cache": "miss"},                                           LISTED),
    ({"X-Cache-Status": "Hit", "X-Cache-Distance": "0.02"},                       FREE),
    ({"X-Cache-Status": "Miss", "X-Cache-Distance": "0.4"},                       LISTED),
    ({"x-bt-cached": "HIT"},                                                      FREE),
    ({"x-bt-cached": "MISS"},                                                     LISTED),
    ({"x-cached": "HIT"},                                                         LISTED),
    ({"X-Cache-Status": "Hit", **KONG},                                           FREE),
    ({"X-Cache-Status": "Hit", "X-Cache-Key": "kong_semantic_cache:1:2"},         FREE),
    ({"X-Cache-Status": "Refresh", **KONG},                                       LISTED),
    ({"X-Cache-Status": "Bypass", **KONG},                                        LISTED),
    ({"X-Cache-Status": "HIT"},                                                   LISTED),
    ({"x-vercel-cache": "HIT"},                                                   LISTED),
    ({"x-litellm-response-cost": "0.000456"},                                     (456_000, "reported")),
    ({"x-litellm-response-cost": "4.56e-04", "cf-aig-cache-status": "MISS"},      (456_000, "reported")),
    ({"x-litellm-response-cost": "0.0"},                                          LISTED),
    ({"x-litellm-response-cost": "None"},                                         LISTED),
    ({"x-litellm-response-cost": "-1"},                                           LISTED),
    ({"x-litellm-response-cost": "nan"},                                          LISTED),
    ({"x-litellm-response-cost": "inf"},                                          LISTED),
    ({"x-litellm-response-cost": "9" * 4_000},                                    LISTED),
    ({"x-litellm-response-cost-original": "0.5", "x-litellm-key-spend": "12.5"},  LISTED),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "expected"), WORDS)
def test_a_header_is_taken_for_what_its_gateway_means_by_it(
    headers: dict[str, str], expected: tuple[int, str], provider: Provider
) -> None:
    """Hits cost 0, a positive cost is what the call cost; words of other meaning change nothing."""
    provider.replies.append(whole(completion(), **headers))
    assert _price(provider, "chat", ways.whole) == expected


def _price(provider: Provider, kind: str, way: Callable[[Caller], Any], mode: str = "sync") -> tuple[int, str]:
    with Watched() as watched:
        Caller(KINDS[kind], provider.url, mode).run(way)
        price = watched.call().price
    assert isinstance(price, Cost)
    return price.nano_usd, price.quality


WAYS: dict[str, Callable[[Caller], Any]] = {
    "whole": ways.whole,
    "raw": ways.raw,
    "read along": ways.read_along("iter_bytes"),
    "stream": ways.to_the_end,
    "break": ways.with_left,
}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["chat", "responses", "messages", "azure"])
def test_a_hit_costs_nothing_however_the_call_was_made(kind: str, way: str, mode: str, provider: Provider) -> None:
    """Its tokens are counted as they are reported; nobody is billed for them, even where the stream is left early."""

    def prepare(provider: Provider) -> None:
        provider.replies.append(lambda asked: _with(provider.usual(asked), {"cf-aig-cache-status": "HIT"}))

    call = compared(WAYS[way], kind, provider, mode, prepare=prepare)
    assert call.usage is not None
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == FREE
    assert call.price.computed_nano_usd


def _with(reply: Reply, headers: dict[str, str]) -> Reply:
    return dataclasses.replace(reply, headers=headers)


@pytest.mark.parametrize(("cost", "expected"), [("0.25", (250_000_000, "estimated")), ("0.000000001", None)])
def test_the_cost_in_the_headers_of_a_stream_is_a_part_of_it(
    cost: str, expected: tuple[int, str] | None, provider: Provider
) -> None:
    """They leave before the stream is written: the greater of it and the list price stands, and is no report."""

    def reply(asked: Asked) -> Reply:
        return _with(provider.usual(asked), {"x-litellm-response-cost": cost})

    listed = _price(provider, "chat", ways.to_the_end)
    provider.replies.append(reply)
    assert _price(provider, "chat", ways.to_the_end) == (expected or listed)


def test_a_refusal_reports_no_cost(provider: Provider) -> None:
    """The headers of an error are no word about a call that was answered."""
    provider.replies.append(Reply(b"{}", 500, headers={"x-litellm-response-cost": "0.25"}))
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        assert watched.call().price is None


SELLERS = [
    ("api.openai.com", "/v1/", False),
    ("api.anthropic.com", "/", False),
    ("res.openai.azure.com", "/openai/", False),
    ("llm.corp.example", "/v1/", True),
    ("127.0.0.1", "/v1/", True),
    ("openrouter.ai", "/api/v1/", True),
    ("gateway.ai.cloudflare.com", "/v1/a/g/openai", True),
    ("oai.helicone.ai", "/v1/", True),
]


@pytest.mark.parametrize(("host", "path", "expected"), SELLERS)
def test_a_vendors_own_host_says_nothing_of_a_gateways_money(host: str, path: str, *, expected: bool) -> None:
    """Nobody stands between us and the vendor there: its headers are not read for money."""
    assert gateways.may_speak(seller_at(host, None, path)) == expected


@pytest.mark.parametrize("library", ["openai", "groq"])
def test_headers_of_httpx_are_read_where_it_keeps_them(library: str) -> None:
    """The cheap way still works, in either flavour; where a release moves them, the public way takes its place."""
    headers = flavour(library).Headers({"Helicone-Cache": "HIT", "content-type": "text/plain"})
    assert gateways._listed(headers) is headers._list  # pyright: ignore[reportPrivateUsage]
    assert gateways.told(Answer(), headers, is_stream=False).from_cache


def test_headers_of_another_library_are_read_as_pairs() -> None:
    """Any mapping of text will do."""
    told = gateways.told(Answer(), {"Helicone-Cache": "hit"}, is_stream=False)
    assert told == Answer(reported_nano_usd=0, from_cache=True)
