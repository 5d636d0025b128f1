"""The second source of prices: what it fills, what it never touches, and what of it is not taken."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from test_catalog import NOW_S

import second_prices
from costspan.facts.call import Answer
from costspan.facts.money import Cost, Unpriced
from costspan.facts.usage import Usage
from costspan.pricing import Prices

PRICES = Prices.load()
GOV = "bedrock-runtime.us-gov-west-1.amazonaws.com"
THOUSAND = Usage(input=1_000, output=1_000)


def usd(provider: str, model: str, host: str | None = None, usage: Usage = THOUSAND, **said: str) -> object:
    """USD for a thousand tokens each way, and the quality; or the reason why there is no price."""
    price = PRICES.price(provider, host, model, Answer(usage, model, **said), NOW_S)  # pyright: ignore[reportArgumentType]
    return price.reason if isinstance(price, Unpriced) else (price.nano_usd / 1e9, price.quality)


FILLED = [
    # provider           model                                host                                          USD, quality
    ("mistral_ai",       "ministral-3b-latest",               None,                                         (0.0002, "exact")),
    ("deepinfra",        "Qwen/Qwen3-32B",                    "api.deepinfra.com",                          (0.00036, "exact")),
    ("nebius",           "deepseek-ai/DeepSeek-R1",           "api.studio.nebius.ai",                       (0.0032, "exact")),
    # The seller's own price goes before the vendor's, and the model's own name before a shorter one.
    ("azure.ai.openai",  "gpt-oss-120b",                      None,                                         (0.00075, "exact")),
    ("gcp.vertex_ai",    "gemini-3.8-flash-cyber",            None,                                         (0.009, "exact")),
    ("aws.bedrock",      "eu.amazon.nova-pro-v1:0",           "bedrock-runtime.eu-west-1.amazonaws.com",    (0.00525, "exact")),
    # The first source has the model: its price stands, whatever the second says.
    ("mistral_ai",       "mistral-large-latest",              None,                                         (0.008, "exact")),
    ("azure.ai.openai",  "gpt-4-turbo",                       None,                                         (0.04, "alias")),
    ("aws.bedrock",      "anthropic.claude-opus-5",           "bedrock-runtime.eu-west-1.amazonaws.com",    (0.033, "exact")),
    # Regions of AWS, told by the host.
    ("aws.bedrock",      "meta.llama3-70b-instruct-v1:0",     "bedrock-runtime.us-east-1.amazonaws.com",    (0.00615, "exact")),
    ("aws.bedrock",      "meta.llama3-70b-instruct-v1:0",     "bedrock-runtime.sa-east-1.amazonaws.com",    (0.01033, "exact")),
    ("aws.bedrock",      "meta.llama3-70b-instruct-v1:0",     "vpce-1.bedrock-runtime.eu-west-2.vpce.amazonaws.com", (0.008, "exact")),
    ("aws.bedrock",      "meta.llama3-70b-instruct-v1:0",     None,                                         (0.00615, "exact")),
    ("aws.bedrock",      "anthropic.claude-opus-5",           GOV,                                          (0.036, "exact")),
    ("aws.bedrock",      "us-gov.anthropic.claude-opus-5",    GOV,                                          (0.036, "exact")),
    ("aws.bedrock",      "anthropic.claude-opus-5",           "bedrock-runtime-fips.us-gov-east-1.amazonaws.com", (0.036, "exact")),
    # Nobody states what these cost there: a lower bound, said to be one.
    ("aws.bedrock",      "mistral.mistral-large-2402-v1:0",   GOV,                                          (0.016, "incomplete")),
    ("aws.bedrock",      "amazon.nova-pro-v1:0",              "bedrock-runtime.cn-north-1.amazonaws.com.cn", (0.004, "incomplete")),
    # Free by the first source, with a price on another platform of the same seller.
    ("gcp.gemini",       "gemma-4-26b-a4b-it",                "generativelanguage.googleapis.com",          (0.0, "exact")),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "model", "host", "expected"), FILLED)
def test_the_second_source_fills_and_the_first_stands(
    provider: str, model: str, host: str | None, expected: object
) -> None:
    assert usd(provider, model, host) == expected


def test_other_units_than_tokens_are_filled() -> None:
    assert usd("cohere", "rerank-v4.0-pro", usage=Usage(search_units=4)) == (0.01, "exact")
    assert usd("azure.ai.inference", "mistral-ocr-2505", usage=Usage(pages=3)) == (0.003, "exact")
    assert usd("aws.bedrock", "amazon.nova-canvas-v1:0", usage=Usage(images=2)) == (0.12, "exact")


def test_a_tier_that_only_the_second_source_has_is_priced() -> None:
    """The two agree on the model, so that the rates of a tier are believed."""
    assert usd("aws.bedrock", "amazon.nova-pro-v1:0", tier="flex") == (0.002, "exact")
    assert usd("aws.bedrock", "amazon.nova-pro-v1:0", processing="batch") == (0.002, "exact")
    together = usd("aws.bedrock", "amazon.nova-pro-v1:0", GOV, tier="flex")
    assert together == (0.002, "incomplete"), "nobody states the rate of a tier in this region"


def test_facts_of_our_own_hold_for_its_models_too() -> None:
    """The fee of a search model (0.01 USD) is charged by the call, whoever has compiled its tokens."""
    assert usd("openai", "gpt-5-search-api-2025-10-14") == (0.02125, "exact")


@pytest.mark.parametrize(
    ("model", "said", "note"),
    [
        ("eu.amazon.nova-pro-v1:0", {}, r"rates by LiteLLM [\d.]+, read at https://aws\.amazon\.com/bedrock/pricing/"),
        ("amazon.nova-pro-v1:0", {"tier": "flex"}, r"rates for service_tier by LiteLLM [\d.]+"),
        ("amazon.nova-pro-v1:0", {}, None),
    ],
)
def test_explain_says_whose_rates_they_are(model: str, said: dict[str, Any], note: str | None) -> None:
    notes = PRICES.explain("aws.bedrock", None, model, Answer(THOUSAND, model, **said), NOW_S).notes
    found = [each for each in notes if "LiteLLM" in each]
    assert [bool(note and re.fullmatch(note, each)) for each in found] == [True] * (note is not None)


# --- reading the map ----------------------------------------------------------------------------------------


def row(name: str = "groq/some-model", **entry: object) -> list[Any] | None:
    """The line of one entry of the map, priced 1 and 2 USD per million tokens unless it says otherwise."""
    written = {"litellm_provider": "groq", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    text = json.dumps({**written, **entry})
    rows = second_prices.rows({name: json.loads(text, parse_float=Decimal)})
    return rows[0] if rows else None


def test_an_entry_becomes_a_line() -> None:
    found = row(
        source="https://groq.com/pricing",
        cache_read_input_token_cost=1.0000000000000002e-07,
        input_cost_per_token_above_200k_tokens=3e-6,
        input_cost_per_token_flex=5e-7,
        search_context_cost_per_query={"search_context_size_low": 0.01},
    )
    rates = {"input": ["0.000001", [200_000, "0.000003"]], "output": "0.000002", "cache_read": "0.0000001"}
    flex = [["service_tier", "flex", {"input": "0.0000005"}]]
    assert found == ["groq", "some-model", None, "https://groq.com/pricing", rates, flex]


@pytest.mark.parametrize(
    ("name", "entry", "why"),
    [
        ("groq/m", {"tiered_pricing": [{"input_cost_per_token": 1e-6}]}, "a price of a kind that is not understood"),
        ("groq/m", {"input_cost_per_pixel": 1e-8}, "so is one by pixel"),
        ("groq/m", {"input_cost_per_token": 0, "output_cost_per_token": 0.0}, "0 is what the map writes for unknown"),
        ("m", {"litellm_provider": "somebody"}, "a seller whom nobody tells by his address"),
        ("dashscope/m", {"litellm_provider": "dashscope"}, "a seller with two currencies"),
        ("groq/m", {"mode": "video_generation"}, "a mode that is priced by size"),
        (
            "groq/m",
            {"mode": "embedding", "input_cost_per_token": 1e-4},
            "100 USD for a million embedded tokens: a slip",
        ),
        ("groq/m", {"input_cost_per_token": 1.0}, "a million USD for a million tokens: a slip"),
        ("azure/eu/gpt-4o", {"litellm_provider": "azure"}, "a name that LiteLLM made up"),
        ("1024-x-1024/m", {"litellm_provider": "bedrock"}, "so is one with a size"),
        ("bedrock/us-east-1/1-month-commitment/m", {"litellm_provider": "bedrock"}, "and one with a commitment"),
    ],
)
def test_an_entry_that_is_not_sure_is_left_out(name: str, entry: dict[str, object], why: str) -> None:
    assert row("groq/some-model") is not None
    assert row(name, **entry) is None, why


def test_a_measure_beside_tokens_is_not_charged_too() -> None:
    """Characters or seconds measure what the tokens measure: both in one bill would double it."""
    found = row(mode="audio_transcription", input_cost_per_second=1e-4)
    assert found is not None
    assert found[4].keys() == {"input", "output"}
    alone = row(mode="audio_transcription", input_cost_per_second=1e-4, input_cost_per_token=0, output_cost_per_token=0)
    assert alone is not None
    assert alone[4] == {"input_audio_ms": "0.0000001"}
    pictures_too = row(
        mode="embedding", output_cost_per_token=0, input_cost_per_image=1e-4, input_cost_per_character=1e-8
    )
    assert pictures_too is not None
    assert pictures_too[4] == {"input": "0.000001", "images": "0.0001"}, "what is embedded is text or a picture"


def test_a_region_of_aws_is_told_apart() -> None:
    found = row("bedrock/us-gov-west-1/amazon.nova-pro-v1:0", litellm_provider="bedrock")
    assert found is not None
    assert found[:3] == ["aws", "amazon.nova-pro-v1:0", "us-gov-west-1"]
    through_mantle = row("bedrock_mantle/us-gov-east-1/openai.gpt-oss-20b", litellm_provider="bedrock_mantle")
    assert through_mantle is not None
    assert through_mantle[:3] == ["aws", "openai.gpt-oss-20b", "us-gov-east-1"]


# --- the two against each other -----------------------------------------------------------------------------


def test_each_difference_is_decided_and_each_decision_needed() -> None:
    pytest.importorskip("genai_prices", reason="the first source needs Python 3.11", exc_type=ImportError)
    import compile_prices
    import price_gaps

    date = compile_prices.committed_date(compile_prices.TABLE)
    assert date is not None
    used = {dispute.verdict for dispute in compile_prices.disputes(date)}
    assert used == {*price_gaps.VERDICTS, price_gaps.UNNAMED}


def test_a_difference_that_nobody_has_decided_stops_the_compilation() -> None:
    pytest.importorskip("genai_prices", reason="the first source needs Python 3.11", exc_type=ImportError)
    import price_gaps

    with pytest.raises(SystemExit, match=r"two prices of openai/gpt-4o, and nobody has said which is right"):
        price_gaps.verdict_on("openai", "gpt-4o", is_named=True)
    assert price_gaps.verdict_on("openai", "gpt-4o", is_named=False) is price_gaps.UNNAMED


def test_the_sellers_that_are_priced_by_it_alone_are_found_by_their_address() -> None:
    from costspan.facts.sellers import seller_at

    price = PRICES.price(
        seller_at("api.sambanova.ai").provider, "api.sambanova.ai", None, Answer(THOUSAND, "Meta-Llama-3.3-70B-Instruct"), NOW_S
    )  # fmt: skip
    assert isinstance(price, Cost)
