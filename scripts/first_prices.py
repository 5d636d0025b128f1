"""The first source of prices: genai-prices, its models as rows of the table, with the facts that it does not have.

A row is the model's id, the words by which it is matched, the prices by time, the rates of its own for tiers and the
like, and remarks. Rates are integer pico-USD per unit, or "n/d" where no integer is exact.
"""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal
from typing import Any

import genai_prices.types as gp
from genai_prices.data_snapshot import get_snapshot  # genai_prices.data: 30,000 lines that pyright infers in 40 s
from genai_prices.data_units import unit_data

import price_facts as facts
from price_rates import batches_of, facts_of, more_rates, rate

MILLION = 1_000_000
KNOWN_PROVIDERS = get_snapshot().providers

#: Price key of genai-prices -> unit of costspan. Units that costspan cannot count keep a name of their own: a
#: listing shows them, no call is charged by them.
UNITS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "input_image_mtok": "input_image",
    "input_video_mtok": "input_video",
    "input_tool_mtok": "input_tool",
    "cache_audio_read_mtok": "cache_read_audio",
    "cache_image_read_mtok": "cache_read_image",
    "cache_video_read_mtok": "cache_read_video",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
    "output_video_mtok": "output_video",
    "output_reasoning_mtok": "reasoning",
    "output_citation_mtok": "output_citation",
    "web_searches_kcount": "web_searches",
    "storage_searches_kcount": "file_searches",
    "code_executions_kcount": "code_executions",
    "rerank_searches_kcount": "search_units",
    "input_document_kpages": "pages",
    "input_annotated_document_kpages": "annotated_pages",
    "input_mchars": "characters",
    "input_text_messages_kcount": "messages",
    "requests_kcount": "requests",
    "audio_hours": "audio_ms",
    "input_audio_hours": "input_audio_ms",
    "output_audio_hours": "output_audio_ms",
}
PER = {unit["price_key"]: unit["per"] for unit in unit_data.values()}
HOURS = {"audio_hours", "input_audio_hours", "output_audio_hours"}


def tiered(price: Decimal | gp.TieredPrices, per: int) -> Any:
    if isinstance(price, gp.TieredPrices):
        return [rate(price.base, per), *([tier.start, rate(tier.price, per)] for tier in price.tiers)]
    return rate(price, per)


def rates(prices: gp.ModelPrice) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, price in prices.__dict__.items():
        if price is None:
            continue
        if key not in UNITS:
            sys.exit(f"compile_prices: genai-prices prices {key!r}, which has no unit here: add it to UNITS")
        found[UNITS[key]] = tiered(price, PER[key] * (1_000 if key in HOURS else 1))
    if "audio_ms" in found:  # the hour of sound that a direction has no rate of its own for
        both = found.pop("audio_ms")
        found.setdefault("input_audio_ms", both)
        found.setdefault("output_audio_ms", both)
    return found


def clause(match: Any) -> list[Any]:
    """A match as a list of alternatives: "=equals", "^starts", "$ends", "~contains", "/regex", [all of these]."""
    if isinstance(match, gp.ClauseOr):
        return [word for each in match.or_ for word in clause(each)]
    if isinstance(match, gp.ClauseAnd):
        return [[clause(each) for each in match.and_]]
    if isinstance(match, gp.ClauseRegex):
        return ["/" + match.regex]
    for sign, kind, name in (
        ("=", gp.ClauseEquals, "equals"),
        ("^", gp.ClauseStartsWith, "starts_with"),
        ("$", gp.ClauseEndsWith, "ends_with"),
        ("~", gp.ClauseContains, "contains"),
    ):
        if isinstance(match, kind):
            return [sign + getattr(match, name).lower()]
    sys.exit(f"compile_prices: genai-prices matches by {type(match).__name__}, which is not known here")


def constraint(when: Any) -> Any:
    """None, a day "2026-10-12" from which a price holds (UTC), or the seconds of the day [from, to) in which it does."""
    if when is None:
        return None
    if isinstance(when, gp.StartDateConstraint):
        return when.start_date.isoformat()
    return [seconds_of_day(when.start_time), seconds_of_day(when.end_time)]


def seconds_of_day(value: dt.time) -> int:
    if value.tzinfo is not None and value.utcoffset() != dt.timedelta(0):
        sys.exit(f"compile_prices: the time of day {value} is not in UTC")
    return value.hour * 3600 + value.minute * 60 + value.second


def model_row(provider: str, model: gp.ModelInfo) -> list[Any]:
    conditional = model.prices if isinstance(model.prices, list) else [gp.ConditionalPrice(prices=model.prices)]
    more = more_rates(provider, model.id)
    prices = [[constraint(each.constraint), {**rates(each.prices), **more}] for each in conditional]
    variants = [
        [*next(iter(each.when.items())), constraint(each.constraint), rates(each.prices)]
        for each in model.price_variants or ()
        if len(each.when) == 1 or sys.exit(f"compile_prices: {model.id} has a variant of several conditions")
    ]
    variants += decisions_of(provider, model.id)
    variants += batches_of(provider, model.id, prices, variants)
    is_priced = any(each.prices.__dict__ for each in conditional)
    is_free = not is_priced and (model.id.endswith(":free") or (provider, model.id) in facts.FREE)
    words = [word for word in clause(model.match) if not is_moved(provider, word)]
    return [model.id, words, prices, variants, {**({"free": True} if is_free else {}), **facts_of(provider, model.id)}]


def decisions_of(provider: str, model: str) -> list[Any]:
    """The variant of a model for OpenAI's decisions, which are a provider of their own in the data.

    Input alone is charged, cached or not: https://developers.openai.com/api/docs/guides/decisions
    """
    if provider != "openai":
        return []
    models = [each for of in KNOWN_PROVIDERS if of.id == "openai-decisions" for each in of.models if each.id == model]
    found = [rates(each.prices)["input"] for each in models if isinstance(each.prices, gp.ModelPrice)]
    return [
        ["processing", "decisions", None, {"input": price, "cache_read": price, "cache_write": price, "output": 0}]
        for price in found
    ]


def is_moved(provider: str, word: Any) -> bool:
    """Whether a name of the data belongs to one of the models that are added to it."""
    return (
        isinstance(word, str)
        and word[0] == "="
        and any(
            of_provider == provider and word[1:].startswith(each[1:])
            for of_provider, _, match, _ in facts.MORE_MODELS
            for each in match
        )
    )


def added_rows(provider: str) -> list[list[Any]]:
    return [
        [model, match, [[None, {**{unit: rate(Decimal(usd), MILLION) for unit, usd in added.items()}, **more}]], [], {}]
        for of_provider, model, match, added in facts.MORE_MODELS
        if of_provider == provider
        for more in (more_rates(provider, model),)
    ]


def video_rows(provider: str) -> list[list[Any]]:
    """Models that are charged by the second of video."""
    rows: list[list[Any]] = []
    for of_provider, model, match, usd_by_size in facts.VIDEOS:
        if of_provider == provider:
            rates_by_size = {size: {"output_video_ms": rate(Decimal(usd), 1_000)} for size, usd in usd_by_size.items()}
            one = next(iter(rates_by_size.values())) if len(set(usd_by_size.values())) == 1 else {}
            variants = [["processing", size, None, found] for size, found in rates_by_size.items()]
            rows.append([model, match, [[None, one]], variants, {}])
    return rows


def rows_of(provider: gp.Provider) -> list[list[Any]]:
    """The rows of a provider's models, the added ones last."""
    rows = [model_row(provider.id, model) for model in provider.models]
    return rows + added_rows(provider.id) + video_rows(provider.id)


def words_of(provider: gp.Provider) -> dict[str, Any]:
    """How a provider is told, and whose models he sells besides his own."""
    return {
        "api": provider.api_pattern,
        "models": clause(provider.model_match) if provider.model_match else [],
        "names": clause(provider.provider_match) if provider.provider_match else [],
        "fallback": provider.fallback_model_providers or [],
    }
