"""Which price of the table a call gets: by provider, model, day, hour, tier and place."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from costspan.facts.call import Answer
from costspan.facts.money import Cost, Unpriced
from costspan.facts.usage import Usage
from costspan.pricing import Prices
from costspan.pricing.catalog import TABLE
from places import ROOT

PRICES = Prices.load()
MILLION = Usage(input=1_000_000)


def at(moment: str) -> float:
    return dt.datetime.fromisoformat(moment).replace(tzinfo=dt.timezone.utc).timestamp()


NOW_S = at("2026-11-22T12:00")


def input_usd(
    provider: str, model: str | None, moment_s: float = NOW_S, host: str | None = None, **said: str
) -> object:
    """USD per million tokens of a short prompt, and the quality; or the reason why there is no price."""
    answer = Answer(Usage(input=1_000), model, **said)  # pyright: ignore[reportArgumentType]
    price = PRICES.price(provider, host, None, answer, moment_s)
    return price.reason if isinstance(price, Unpriced) else (price.nano_usd / 1e6, price.quality)


MODELS = [
    # provider          model                                              USD per million, quality
    ("openai",          "gpt-4o",                                          (2.5, "exact")),
    ("openai",          "gpt-4o-2024-08-06",                               (2.5, "exact")),
    ("openai",          "GPT-4o",                                          (2.5, "exact")),
    ("openai",          "gpt-5.2-20251211",                                (1.75, "exact")),
    ("openai",          "gpt-3.5-turbo-instruct:20230824-v2",              (1.5, "exact")),
    ("openai",          "ft:gpt-4o-2024-08-06:acme::abc",                  (3.75, "alias")),
    ("openai",          "ft:gpt-4.1-mini-2025-04-14:acme::abc",            (0.8, "alias")),
    ("openai",          "ft:gpt-4-0613:acme::abc",                         (30.0, "incomplete")),
    ("openai",          "omni-moderation-latest",                          (0.0, "alias")),
    ("azure.ai.openai", "gpt-4o-2024-11-20",                               (2.5, "alias")),
    ("azure.ai.openai", "text-embedding-3-small",                          (0.02, "exact")),
    ("azure.ai.openai", "our-deployment",                                  "unknown_model"),
    ("anthropic",       "claude-sonnet-4-5-20250929",                      (3.0, "exact")),
    ("anthropic",       "claude-sonnet-4-5@20250929",                      (3.0, "exact")),
    ("gcp.vertex_ai",   "claude-sonnet-4-5@20250929",                      (3.0, "exact")),
    ("gcp.gemini",      "models/gemini-2.5-flash",                         (0.3, "exact")),
    ("gcp.vertex_ai",   "publishers/google/models/gemini-2.0-flash-001",   (0.1, "exact")),
    ("gcp.vertex_ai",   "projects/p/locations/l/publishers/google/models/gemini-2.5-flash", (0.3, "exact")),
    ("gcp.gemini",      "gemini-3.8-flash-cyber",                          (1.5, "exact")),
    ("gcp.gemini",      "gemini-3.8-flash-nobody",                         (0.75, "alias")),
    ("gcp.gemini",      "gemma-3-27b-it",                                  (0.0, "alias")),
    ("aws.bedrock",     "us.anthropic.claude-sonnet-4-5-20250929-v1:0",    (3.3, "alias")),
    ("aws.bedrock",     "global.anthropic.claude-sonnet-4-5-20250929-v1:0", (3.0, "exact")),
    ("aws.bedrock",     "arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
                                                                           (3.3, "alias")),
    ("aws.bedrock",     "arn:aws:bedrock:us-east-1:1:application-inference-profile/a1b2", "unknown_model"),
    ("aws.bedrock",     "arn:aws:bedrock:us-east-1:1:provisioned-model/a1b2",  "no_price"),
    ("aws.bedrock",     "arn:aws:bedrock:us-east-1:1:custom-model/amazon.titan-text-lite-v1:0:4k/a1b2", "no_price"),
    ("aws.bedrock",     "arn:aws:bedrock:us-east-1:1:custom-model-deployment/a1b2", "no_price"),
    ("aws.bedrock",     "arn:aws:bedrock:us-east-1:1:imported-model/a1b2",     "no_price"),
    ("groq",            "llama-3.3-70b-versatile",                         (0.59, "exact")),
    ("deepseek",        "deepseek-chat",                                   (0.27, "exact")),
    ("x_ai",            "grok-4",                                          (3.0, "exact")),
    ("mistral_ai",      "mistral-large-latest",                            (2.0, "exact")),
    ("moonshot_ai",     "kimi-k3",                                         (3.0, "exact")),
    ("perplexity",      "r1-1776",                                         (2.0, "exact")),
    ("openrouter",      "openai/gpt-4o:nitro",                             (2.5, "alias")),
    ("openrouter",      "deepseek/deepseek-r1:free",                       (0.0, "exact")),
    ("litellm",         "deepseek-chat",                                   (0.27, "alias")),
    ("unknown",         "grok-4",                                          (3.0, "alias")),
    ("unknown",         "claude-haiku-4-5",                                (1.0, "alias")),
    ("unknown",         "anthropic/claude-haiku-4-5",                      (1.0, "alias")),
    ("unknown",         "gpt-4o",                                          (2.5, "alias")),
    ("unknown",         "deepseek-chat",                                   "unknown_seller"),
    ("unknown",         "mistralai/mistral-large-latest",                  "unknown_seller"),
    ("unknown",         "ai21/jamba-large-1.7",                            "unknown_seller"),
    ("unknown",         "command-r",                                       "unknown_seller"),
    ("unknown",         "gpt-oss-120b",                                    "unknown_seller"),
    ("openai",          "claude-haiku-4-5",                                "unknown_model"),
    ("chatgpt",         "gpt-5",                                           "no_price"),
    ("zai_coding_plan", "glm-4.6",                                         "no_price"),
    ("zai",             "glm-4.6",                                         (0.6, "exact")),
    ("venice",          "claude-haiku-4-5",                                "unknown_model"),
    ("litellm",         "gemini/gemini-2.5-flash",                         (0.3, "alias")),
    ("gcp.vertex_ai",   "google/gemini-2.5-flash",                         (0.3, "exact")),
    ("openai",          "openai/gpt-4o",                                   (2.5, "exact")),
    ("openai",          "gemini/gemini-2.5-flash",                         (0.3, "alias")),
    ("anthropic",       "openai/gpt-4o",                                   (2.5, "alias")),
    ("openai",          "deepseek/deepseek-chat",                          "unknown_model"),
    ("groq",            "anthropic/claude-haiku-4-5",                      "unknown_model"),
    ("openai",          "meta-llama/Llama-3.3-70B-Instruct",               "unknown_model"),
    ("openai",          "llama3.2",                                        "unknown_model"),
    ("ollama",          "deepseek-r1",                                     "unknown_model"),
    ("anthropic",       "gpt-4o",                                          "unknown_model"),
    ("nobody",          "gpt-4o",                                          "unknown_model"),
    ("openai",          None,                                              "no_model"),
    ("cerebras",        "qwen-3-coder-480b",                               "no_price"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "model", "expected"), MODELS)
def test_a_model_is_found_by_its_name_or_not_at_all(provider: str, model: str | None, expected: object) -> None:
    """The quality says how: `exact` by the model's own or dated name, `alias` by any other way; nothing is guessed."""
    assert input_usd(provider, model) == expected


def test_the_model_of_the_answer_goes_before_the_model_asked_for() -> None:
    """A router or a deployment is priced as what answered."""
    price = PRICES.price("azure.ai.openai", None, "our-deployment", Answer(MILLION, "gpt-4o-mini-2024-07-18"), NOW_S)
    assert isinstance(price, Cost)
    assert price.nano_usd == 150_000_000


def test_without_a_priced_answer_model_the_model_asked_for_is_taken() -> None:
    price = PRICES.price("openai", None, "gpt-4o-mini", Answer(MILLION, "checkpoint-17"), NOW_S)
    assert isinstance(price, Cost)
    assert price.nano_usd == 150_000_000


def test_on_bedrock_the_id_asked_for_tells_the_region_and_goes_first() -> None:
    """Claude's body on Bedrock names the bare model, the id of the request the endpoint with its price."""
    answer = Answer(MILLION, "claude-sonnet-4-5-20250929")
    price = PRICES.price("aws.bedrock", None, "global.anthropic.claude-sonnet-4-5-20250929-v1:0", answer, NOW_S)
    assert isinstance(price, Cost)
    assert price.nano_usd == 3_000_000_000


ADDRESSES = [
    # provider   address                      model               expected
    ("unknown",  "llm.example.com",           "claude-haiku-4-5", (1.0, "alias")),
    ("unknown",  "8.8.8.8:8000",              "claude-haiku-4-5", (1.0, "alias")),
    ("unknown",  "127.0.0.1:8000",            "gpt-4o",           "unknown_seller"),
    ("unknown",  "[::1]:8000",                "gpt-4o",           "unknown_seller"),
    ("unknown",  "::ffff:10.1.2.3",           "gpt-4o",           "unknown_seller"),
    ("unknown",  "fe80::1%eth0",              "gpt-4o",           "unknown_seller"),
    ("unknown",  "10.0.0.7",                  "claude-haiku-4-5", "unknown_seller"),
    ("unknown",  "100.64.0.7",                "claude-haiku-4-5", "unknown_seller"),
    ("unknown",  "vllm:8000",                 "gpt-4o",           "unknown_seller"),
    ("unknown",  "vllm.llm.svc.cluster.local", "gpt-4o",          "unknown_seller"),
    ("unknown",  "host.docker.internal:8000", "gpt-4o",           "unknown_seller"),
    ("unknown",  "LOCALHOST.",                "gpt-4o",           "unknown_seller"),
    ("openai",   "127.0.0.1:8000",            "gpt-4o",           (2.5, "exact")),
    ("openai",   "gateway.ai.cloudflare.com", "gpt-4o",           (2.5, "alias")),
    ("openai",   "oai.helicone.ai",           "gpt-4o",           (2.5, "alias")),
    ("vercel",   "ai-gateway.vercel.sh",      "openai/gpt-4o",    (2.5, "alias")),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "address", "model", "expected"), ADDRESSES)
def test_whose_prices_count_is_told_by_the_seller_not_by_the_name_of_the_model(
    provider: str, address: str, model: str, expected: object
) -> None:
    """Nothing of an unknown seller is `exact`, nothing on machines of one's own is priced unless it is said by whom."""
    assert input_usd(provider, model, host=address) == expected


ROUTED = [
    # model of the answer                 model asked for                                 expected
    ("openai/gpt-oss-120b",              "openai/gpt-oss-120b:groq",                   (0.15, "exact")),
    ("gpt-oss-120b",                     "openai/gpt-oss-120b:Groq",                   (0.15, "exact")),
    ("meta-llama/llama-3.3-70b",         "meta-llama/Llama-3.3-70B-Instruct:fastest",  "unknown_model"),
]  # fmt: skip


@pytest.mark.parametrize(("answered", "asked", "expected"), ROUTED)
def test_the_seller_behind_a_router_is_told_by_the_model_asked_for(answered: str, asked: str, expected: object) -> None:
    price = PRICES.price("huggingface", "router.huggingface.co", asked, Answer(MILLION, answered), NOW_S)
    assert (price.reason if isinstance(price, Unpriced) else (price.nano_usd / 1e9, price.quality)) == expected


DATES = [
    ("openai", "o3", "2025-05-01T00:00", 10.0),
    ("openai", "o3", "2025-07-01T00:00", 2.0),
    ("gcp.gemini", "gemini-3.6-flash", "2026-12-31T23:59:59", 0.75),
    ("gcp.gemini", "gemini-3.6-flash", "2027-01-01T00:00", 1.5),
    ("deepseek", "deepseek-chat", "2026-11-22T00:29:59", 0.135),
    ("deepseek", "deepseek-chat", "2026-11-22T00:30", 0.27),
    ("deepseek", "deepseek-chat", "2026-11-22T16:29:59", 0.27),
    ("deepseek", "deepseek-chat", "2026-11-22T16:30", 0.135),
]


@pytest.mark.parametrize(("provider", "model", "moment", "usd"), DATES)
def test_the_price_is_that_of_the_moment_in_utc(provider: str, model: str, moment: str, usd: float) -> None:
    """Prices change at midnight UTC, and some by the hour of the day."""
    assert input_usd(provider, model, at(moment)) == (usd, "exact")


def test_prices_stay_right_when_calls_of_different_times_alternate() -> None:
    """A kept rate plan is used within its time only."""
    moments = [(at(moment), usd) for _, model, moment, usd in DATES if model == "deepseek-chat"] * 2
    assert [input_usd("deepseek", "deepseek-chat", moment) for moment, _ in moments] == [
        (usd, "exact") for _, usd in moments
    ]


SAID = [
    ("openai", "gpt-5", {"tier": "flex"}, (0.625, "exact")),
    ("openai", "gpt-5", {"tier": "Priority"}, (2.5, "exact")),
    ("openai", "gpt-5", {"tier": "default"}, (1.25, "exact")),
    ("openai", "gpt-5", {"tier": "scale"}, (1.25, "incomplete")),
    ("openai", "gpt-5", {"processing": "batch"}, (0.625, "exact")),
    ("openai", "gpt-4.5-preview", {"processing": "batch"}, (75.0, "incomplete")),
    ("groq", "llama-3.3-70b-versatile", {"tier": "on_demand"}, (0.59, "exact")),
    ("anthropic", "claude-sonnet-4-5", {"tier": "batch"}, (1.5, "exact")),
    ("anthropic", "claude-sonnet-4-5", {"tier": "priority"}, (3.0, "incomplete")),
    ("anthropic", "claude-opus-4-6", {"geo": "us"}, (5.5, "exact")),
    ("anthropic", "claude-opus-4-6", {"geo": "global"}, (5.0, "exact")),
    ("anthropic", "claude-opus-4-6", {"geo": "mars"}, (5.0, "incomplete")),
    ("anthropic", "claude-haiku-4-5", {"geo": "not_available"}, (1.0, "exact")),
    ("anthropic", "claude-opus-4-6", {"speed": "standard"}, (5.0, "exact")),
    ("openai", "gpt-5.4", {"host": "eu.api.openai.com"}, (2.75, "exact")),
    ("openai", "gpt-5.4", {"host": "api.openai.com"}, (2.5, "exact")),
    ("openai", "gpt-4o", {"host": "eu.api.openai.com"}, (2.5, "exact")),
    ("gcp.vertex_ai", "claude-sonnet-4-5", {"host": "us-east5-aiplatform.googleapis.com"}, (3.3, "exact")),
    ("gcp.vertex_ai", "claude-sonnet-4-5", {"host": "aiplatform.googleapis.com"}, (3.0, "exact")),
]


@pytest.mark.parametrize(("provider", "model", "said", "expected"), SAID)
def test_tier_batch_speed_and_place_change_the_rates(
    provider: str, model: str, said: dict[str, str], expected: object
) -> None:
    """What the answer says about itself is priced; what has no price of its own is marked, not passed over."""
    assert input_usd(provider, model, **said) == expected  # pyright: ignore[reportArgumentType]


def test_every_model_is_listed_with_its_rates_in_usual_quantities() -> None:
    listed = {(each.provider, each.model): each for each in PRICES.models()}
    sonnet = listed["anthropic", "claude-sonnet-4-5"]
    assert (float(sonnet.usd["input"]), float(sonnet.usd["web_searches"])) == (3.0, 0.01)
    assert [(start, float(usd["input"])) for start, usd in sonnet.long_prompts] == [(200_000, 6.0)]
    assert float(listed["openai", "whisper-1"].usd["input_audio_ms"]) == 0.36
    assert listed["openai", "moderation"].is_free
    assert len(listed) > 2_000


def test_the_version_names_source_day_and_digest_of_the_table() -> None:
    head, *lines = TABLE.read_text().splitlines()
    header = json.loads(head)
    digest = header.pop("sha256")
    body = "\n".join([json.dumps(header, separators=(",", ":")), *lines])
    assert hashlib.sha256(body.encode()).hexdigest() == digest
    assert PRICES.version == f"{header['source']} {header['date']} sha256:{digest[:8]}"


def compile_prices(*arguments: object) -> None:
    """Run the script that makes the table, in this process: what it reads takes a second to import."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        module: Any = importlib.import_module("compile_prices")
    finally:
        sys.path.pop(0)
    module.main([str(each) for each in arguments])


EDITS: dict[str, Callable[[str], str]] = {
    "a price": lambda text: text.replace('"input":2500000,', '"input":2400000,', 1),
    "the day": lambda text: text.replace('"date":"20', '"date":"21', 1),
    "the digest": lambda text: text.replace('"sha256":"', '"sha256":"0', 1),
    "a line": lambda text: text[: text.rstrip().rindex("\n") + 1],
}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="genai-prices, the table's source, needs Python 3.11")
class TestFreshness:
    def test_the_committed_table_is_what_the_installed_data_gives(self) -> None:
        compile_prices("--check")

    @pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
    def test_an_edited_table_is_refused(self, edit: Callable[[str], str], tmp_path: Path) -> None:
        """Nobody changes a price by hand: neither a rate, nor the day, nor the digest."""
        edited = tmp_path / "prices.jsonl"
        edited.write_text(edit(TABLE.read_text()))
        with pytest.raises(SystemExit, match="make generate"):
            compile_prices("--check", "--table", edited)
        compile_prices("--table", edited)
        compile_prices("--check", "--table", edited)
