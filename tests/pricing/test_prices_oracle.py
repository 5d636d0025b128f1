"""genai-prices as oracle: every model of the table, and every recorded answer, priced by both to the nano-dollar."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costspan.facts.call import Answer
from costspan.facts.money import Cost, Unpriced, nano_from_usd
from costspan.facts.usage import Usage
from costspan.pricing import Prices
from costspan.pricing.catalog import Catalog, Model
from places import CORPUS, TESTS

genai_prices = pytest.importorskip(
    "genai_prices",
    reason="genai-prices, the oracle, needs Python 3.11: prices are not compared here",
    exc_type=ImportError,
)

DIFFERENCES = TESTS / "golden" / "price_differences.json"
LISTED: dict[str, list[dict[str, str]]] = json.loads(DIFFERENCES.read_text(encoding="utf-8"))
PRICES = Prices.load()
CATALOG = Catalog.bundled()

MOMENTS = {
    "a Sunday noon": dt.datetime(2026, 11, 22, 12, tzinfo=dt.timezone.utc),
    "peak hours": dt.datetime(2026, 11, 23, 2, 30, tzinfo=dt.timezone.utc),
    "last year": dt.datetime(2025, 3, 1, 0, 0, tzinfo=dt.timezone.utc),
    "next year": dt.datetime(2027, 2, 1, 23, 59, 59, tzinfo=dt.timezone.utc),
}

#: Unit of costspan -> usage key of genai-prices.
KEYS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "input_audio": "input_audio_tokens",
    "input_image": "input_image_tokens",
    "input_video": "input_video_tokens",
    "input_tool": "input_tool_tokens",
    "cache_read_audio": "cache_audio_read_tokens",
    "cache_read_image": "cache_image_read_tokens",
    "cache_read_video": "cache_video_read_tokens",
    "reasoning": "output_reasoning_tokens",
    "output_audio": "output_audio_tokens",
    "output_image": "output_image_tokens",
    "output_citation": "output_citation_tokens",
    "web_searches": "web_searches",
    "file_searches": "storage_searches",
    "code_executions": "code_executions",
    "search_units": "rerank_searches",
    "pages": "input_document_pages",
    "characters": "input_characters",
}


def oracle(
    provider: str, model: str, counts: dict[str, int], moment: dt.datetime, context: dict[str, str]
) -> int | None:
    """The oracle's price in nano-USD, or None if it has no such model."""
    usd = oracle_usd(provider, model, counts, moment, context)
    return None if usd is None else rounded(usd)


def rounded(usd: Decimal) -> int:
    return int((usd * 10**9).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def oracle_usd(
    provider: str, model: str, counts: dict[str, int], moment: dt.datetime, context: dict[str, str]
) -> Decimal | None:
    usage: dict[str, int | Decimal] = {KEYS[unit]: count for unit, count in counts.items() if unit in KEYS}
    if sound_ms := counts.get("input_audio_ms"):
        usage |= {"audio_seconds": Decimal(sound_ms) / 1000, "input_audio_seconds": Decimal(sound_ms) / 1000}
    try:
        price = genai_prices.calc_price(
            genai_prices.Usage(**usage),
            model,
            provider_id=provider,
            genai_request_timestamp=moment,
            price_context=context or None,
        )
    except LookupError:
        return None
    return price.total_price


def ours(provider: str, model: str, counts: dict[str, int], moment: dt.datetime, context: dict[str, str]) -> int | None:
    answer = Answer(
        Usage(counts),
        model,
        tier=context.get("service_tier"),
        speed=context.get("speed"),
        processing=context.get("processing"),
    )
    price = PRICES.price(provider, None, None, answer, moment.timestamp())
    return price.nano_usd if isinstance(price, Cost) else None


SMALL = {
    "input": 1_234, "output": 77, "cache_read": 512, "cache_write": 301, "cache_write_5m": 201, "cache_write_1h": 100,
    "input_audio": 33, "input_image": 85, "input_video": 3, "cache_read_audio": 11, "cache_read_image": 7,
    "cache_read_video": 1, "reasoning": 19, "output_audio": 13, "output_image": 17, "output_citation": 5,
    "web_searches": 3, "file_searches": 2, "pages": 7, "characters": 997, "input_audio_ms": 61_500,
}  # fmt: skip
SHAPES = {
    "plain": {"input": 1_000, "output": 123},
    "everything it has a rate for": SMALL,
    "at 200,000": {"input": 200_000, "output": 1},
    "above 200,000": {"input": 200_001, "output": 1, "cache_read": 199_999},
    "above 272,000": {"input": 272_001, "output": 4_097, "reasoning": 4_096},
    "huge": {"input": 1_048_577, "output": 65_537, "cache_read": 1_000_003},
}


def names_of(model: Model) -> Iterator[str]:
    """Ids by which a call may name a model of the table."""
    yield model.id.lower()
    for word in model.words:
        if isinstance(word, str) and word[0] in "=^":
            yield word[1:]


#: Charges that scripts/price_facts.py adds to every model of a provider: the oracle knows nothing of them.
ADDED = {"moonshotai": {"web_searches"}}


def usage_for(model: Model, shape: dict[str, int], moment_s: float) -> dict[str, int]:
    """The units of a shape that the model has a rate for: the others are the business of `incomplete`."""
    rates = model.at(moment_s, {}).rates
    rated = {*rates, "reasoning"} if "output" in rates else {*rates} or {"input"}
    counts = {unit: count for unit, count in shape.items() if unit in rated - ADDED.get(model.provider, set())}
    if "cache_write" in counts:
        counts["cache_write"] = sum(counts.get(ttl, 0) for ttl in ("cache_write_5m", "cache_write_1h")) or 301
    return counts


def is_of_the_second(provider: str, name: str) -> bool:
    """Whether a name that fits a model of the oracle's has rates of its own from the second source."""
    found = CATALOG.providers[provider].find(name)
    return found is not None and found.model.origin != ""


def contexts_of(model: Model) -> list[dict[str, str]]:
    kinds = {"service_tier", "processing", "speed"}
    # Decisions are a provider of its own there.
    wanted = [
        {key: value}
        for key, value, *_ in model._variants
        if key in kinds and value != "decisions" and (key, value) not in model.added
    ]
    return [{}, *wanted]


def rows_of(
    model: Model, moment: dt.datetime
) -> Iterator[tuple[str, str, dict[str, int], dt.datetime, dict[str, str]]]:
    """Every name of a model with one usage, and its first name with every usage in every context."""
    first, *others = (name for name in dict.fromkeys(names_of(model)) if not is_of_the_second(model.provider, name))
    for shape in SHAPES.values():
        counts = usage_for(model, shape, moment.timestamp())
        for context in contexts_of(model) if counts else ():
            yield model.provider, first, counts, moment, context
    counts = usage_for(model, SMALL, moment.timestamp())
    for name in others:
        yield model.provider, name, counts, moment, {}


def differing(provider: str, moment: dt.datetime) -> Iterator[str]:
    """The models of a provider that cost something else here than at the oracle."""
    for model in of_the_oracle(provider):
        if any(ours(*row) != oracle(*row) for row in rows_of(model, moment)):
            yield model.id


def of_the_oracle(provider: str) -> list[Model]:
    """The models of a provider whose rates are the oracle's own, not those of the second source."""
    return [model for model in CATALOG.providers[provider].models if not model.origin]


KNOWN_THERE = [provider for provider in CATALOG.providers if of_the_oracle(provider)]


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
@pytest.mark.parametrize("provider", KNOWN_THERE)
def test_every_model_of_the_table_costs_what_the_oracle_says(provider: str, moment: dt.datetime) -> None:
    """All models, by all their names, at several times, tiers and sizes: equal to the nano-dollar, or explained."""
    explained = {row["model"] for row in LISTED["models"] if row["provider"] == provider}
    assert set(differing(provider, moment)) == explained


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_usage_of_any_model_costs_what_the_oracle_says(data: st.DataObject) -> None:
    """Usage that fits together, of any size, at any time of the table's history."""
    provider = data.draw(st.sampled_from([name for name in KNOWN_THERE if name != "openrouter"]))
    model = data.draw(st.sampled_from(of_the_oracle(provider)))
    if any(row["model"] == model.id and row["provider"] == provider for row in LISTED["models"]):
        return
    day_s = 86_400
    moment_s = data.draw(st.integers(19_358 * day_s, 21_184 * day_s))  # 2023 to 2027
    moment = dt.datetime.fromtimestamp(moment_s, tz=dt.timezone.utc)
    context = data.draw(st.sampled_from(contexts_of(model)))
    counts = usage_for(model, data.draw(fitting_usage()), moment.timestamp())
    name = next((name for name in names_of(model) if not is_of_the_second(provider, name)), None)
    if name is None:
        return
    row = (provider, name, counts, moment, context)
    assert ours(*row) == oracle(*row)


@st.composite
def fitting_usage(draw: st.DrawFn) -> dict[str, int]:
    """Counts whose parts fit into their totals, as disjoint shares."""
    share = st.integers(0, 400_000)
    counts = {unit: draw(share) for unit in (*SMALL,) if unit not in {"input", "output"}}
    for kind in ("audio", "image", "video"):
        counts[f"cache_read_{kind}"] = draw(st.integers(0, counts[f"input_{kind}"]))
    counts["cache_read"] += sum(counts[f"cache_read_{kind}"] for kind in ("audio", "image", "video"))
    counts["cache_write"] = counts["cache_write_5m"] + counts["cache_write_1h"] or 301
    parts = ("cache_read", "cache_write", "input_audio", "input_image", "input_video")
    counts["input"] = draw(share) + 301 + sum(counts[part] for part in parts)
    counts["output"] = draw(share) + sum(
        counts[part] for part in ("reasoning", "output_audio", "output_image", "output_citation")
    )
    return counts


# --- the corpus ---------------------------------------------------------------------------------------------

#: First word of a corpus API -> provider of the call, provider of the oracle.
PROVIDERS = {
    "openai": ("openai", "openai"),
    "azure": ("azure.ai.openai", "azure"),
    "anthropic": ("anthropic", "anthropic"),
    "groq": ("groq", "groq"),
    "together": ("together", "together"),
    "fireworks": ("fireworks", "fireworks"),
    "cerebras": ("cerebras", "cerebras"),
    "perplexity": ("perplexity", "perplexity"),
    "deepseek": ("deepseek", "deepseek"),
    "xai": ("x_ai", "x-ai"),
    "openrouter": ("openrouter", "openrouter"),
    "mistral": ("mistral_ai", "mistral"),
    "google": ("gcp.gemini", "google"),
}
NOW = MOMENTS["a Sunday noon"]


def recorded() -> list[dict[str, Any]]:
    """The exchanges that report usage, of the APIs above. Making a Google cache is storage, not a call of a model."""
    files = [path for path in sorted(CORPUS.glob("*.jsonl")) if path.name.split(".")[0] in PROVIDERS]
    files = [path for path in files if path.name != "google.cached_contents.jsonl"]
    exchanges = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    return [each for each in exchanges if each["expected"]["usage_present"] and not each["expected"]["is_error"]]


def answer_of(expected: dict[str, Any]) -> Answer:
    said, extra = expected["usage"], expected["extra"]
    counts = {
        "input": said["input_total"],
        "output": said["output_total"],
        "cache_read": said["cache_read"],
        "cache_write": said["cache_write"],
        "cache_write_5m": said["cache_write_5m"],
        "cache_write_1h": said["cache_write_1h"],
        "reasoning": said["reasoning"],
        "input_audio": said["audio_in"],
        "output_audio": said["audio_out"],
        "input_image": extra.get("image_in"),
        "input_video": extra.get("video_in"),
        "input_tool": extra.get("tool_use_in"),
        "output_image": extra.get("image_out"),
        "cache_read_audio": extra.get("cache_read_audio"),
        "web_searches": extra.get("web_searches"),
        "web_fetches": extra.get("web_fetches"),
        "input_audio_ms": extra.get("audio_seconds") and round(extra["audio_seconds"] * 1000),
    }
    iterations = extra.get("iterations") or ()
    others = any(each["model"] for each in iterations)
    reported: dict[str, Any] = extra.get("cost_reported") or {}
    usd = Decimal(str(reported["amount"])) * UNIT_OF_COST[reported["unit"]] if reported else None
    return Answer(
        Usage({unit: count for unit, count in counts.items() if count is not None}),
        expected["response_model"],
        tier=expected["service_tier"],
        geo=extra.get("inference_geo"),
        reported_nano_usd=None if usd is None else nano_from_usd(usd),
        parts=tuple((each["model"], iteration_usage(each)) for each in iterations if others),
    )


UNIT_OF_COST = {
    "USD": Decimal(1),
    "USD or gateway credits": Decimal(1),
    "USD, estimated by the gateway": Decimal(1),
    "1e-10 USD": Decimal("1e-10"),
}


def iteration_usage(each: dict[str, Any]) -> Usage:
    reads, writes = each["cache_read"], each["cache_write"]
    counts = {"input": each["input_tokens"] + reads + writes, "output": each["output_tokens"]}
    return Usage(counts, cache_read=reads, cache_write=writes)


def price_at_oracle(provider: str, expected: dict[str, Any], answer: Answer) -> int | str:
    """Each portion of the answer at the oracle, by the model of the answer, else by the one asked for; or its refusal."""
    context = {"service_tier": answer.tier} if answer.tier else {}
    portions = answer.parts or [(None, answer.usage or Usage())]
    for model in filter(None, (answer.model, expected["request_model"])):
        try:
            amounts = [oracle_usd(provider, each or model, usage.counts, NOW, context) for each, usage in portions]
        except ValueError:
            return "refused"
        if None not in amounts:
            return rounded(sum((amount for amount in amounts if amount is not None), Decimal(0)))
    return "unpriced"


def price_here(exchange: dict[str, Any], answer: Answer) -> int | str:
    provider, _ = PROVIDERS[exchange["provider"]]
    model = exchange["expected"]["request_model"]
    price = PRICES.price(provider, exchange["host"], model, answer, NOW.timestamp())
    if isinstance(price, Unpriced):
        return "unpriced"
    nano_usd = price.computed_nano_usd if price.source == "provider" else price.nano_usd
    return "unpriced" if nano_usd is None else nano_usd


def recorded_difference(exchange: dict[str, Any]) -> str | None:
    """Both amounts where they differ."""
    answer = answer_of(exchange["expected"])
    here = price_here(exchange, answer)
    there = price_at_oracle(PROVIDERS[exchange["provider"]][1], exchange["expected"], answer)
    if here == there or (there == "unpriced" and is_priced_by_the_second(exchange, answer)):
        return None
    return f"{here} here, {there} there"


def is_priced_by_the_second(exchange: dict[str, Any], answer: Answer) -> bool:
    """Whether the rates are those of the second source, which has models that the oracle does not know."""
    provider, _ = PROVIDERS[exchange["provider"]]
    model = exchange["expected"]["request_model"]
    explanation = PRICES.explain(provider, exchange["host"], model, answer, NOW.timestamp())
    return any(note.startswith("rates by LiteLLM") for note in explanation.notes)


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no recorded traffic at {CORPUS}: set COSTSPAN_CORPUS")
def test_every_recorded_answer_costs_what_the_oracle_says() -> None:
    """Recorded traffic: equal to the nano-dollar, or listed with its reason; a listed difference that is gone fails."""
    exchanges = recorded()
    assert len(exchanges) > 500
    found = {each["id"]: difference for each in exchanges if (difference := recorded_difference(each))}
    listed = {row["id"]: row["difference"] for row in LISTED["recorded"]}
    assert found == listed
