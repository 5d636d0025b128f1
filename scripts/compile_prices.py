"""Compile the bundled price table from the installed genai-prices package and scripts/second_prices.jsonl.

    python scripts/compile_prices.py            write src/costspan/pricing/prices.jsonl
    python scripts/compile_prices.py --check    fail if the committed table is stale or was edited by hand

The table is a text of one JSON value a line: a header, then one line per model, in the order in which
genai-prices matches them; before these the ones that only the second source has (scripts/price_gaps.py). Rates are integer pico-USD per unit, or "n/d" where no integer is exact.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import importlib.metadata
import json
import re
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import genai_prices.types as gp
from genai_prices.data_snapshot import get_snapshot  # genai_prices.data: 30,000 lines that pyright infers in 40 s
from genai_prices.data_units import unit_data

import price_facts as facts
from costspan.pricing.catalog import Catalog
from price_gaps import Dispute, Second, Table
from price_rates import batches_of, rate

TABLE = Path(__file__).parent.parent / "src" / "costspan" / "pricing" / "prices.jsonl"
MILLION = 1_000_000
KNOWN_PROVIDERS = get_snapshot().providers
SECOND = Second()

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


def parts_of(provider: str, model: str, facts_by_pattern: list[tuple[str, str, list[str]]]) -> list[str]:
    return [
        part
        for provider_pattern, model_pattern, parts in facts_by_pattern
        if re.fullmatch(provider_pattern, provider) and re.fullmatch(model_pattern, model)
        for part in parts
    ]


def facts_of(provider: str, model: str) -> dict[str, Any]:
    """What `price_facts` says of a model's price besides its rates."""
    found: dict[str, Any] = {}
    if least := facts.LEAST.get((provider, model)):
        found["least"] = least
    if covers := parts_of(provider, model, facts.COVERS):
        found["covers"] = covers
    if lacks := parts_of(provider, model, facts.LACKS):
        found["lacks"] = lacks
    if any(provider == of and re.fullmatch(pattern, model) for of, pattern in facts.CHARGES_MORE):
        found["charges_more"] = True
    return found


def more_rates(provider: str, model: str) -> dict[str, Any]:
    return {
        unit: rate(Fraction(usd), 1_000)
        for of_provider, pattern, more in facts.MORE_RATES
        if provider == of_provider and re.search(pattern, model)
        for unit, usd in more.items()
    }


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


def router(fact: dict[str, str]) -> dict[str, Any]:
    """What a router adds to a token of input."""
    words = {key: value for key, value in fact.items() if key != "usd_per_million"}
    return {**words, "pico_usd": rate(Decimal(fact["usd_per_million"]), MILLION)}


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


def compiled(date: str) -> list[str]:
    """The lines of the table."""
    return written(completed(date)[0], date)


def disputes(date: str) -> list[Dispute]:
    """The models that have another price in the second source on a day."""
    return completed(date)[1]


def completed(date: str) -> tuple[Table, list[Dispute]]:
    """The rows of both sources, and where these differ."""
    table = {
        provider.id: [model_row(provider.id, model) for model in provider.models]
        + added_rows(provider.id)
        + video_rows(provider.id)
        for provider in KNOWN_PROVIDERS
    }
    found = SECOND.complete(table, lambda rows: Catalog("\n".join(written(rows, date))))
    return {provider: [with_facts(provider, row) for row in rows] for provider, rows in table.items()}, found


def with_facts(provider: str, row: list[Any]) -> list[Any]:
    """A row of the second source with what `price_facts` says of its model; of the first source it has that already."""
    model, words, prices, variants, remarks = row
    if "by" not in remarks:
        return row
    prices = [[when, {**rates_, **more_rates(provider, model)}] for when, rates_ in prices]
    return [model, words, prices, [*variants, *batches_of(provider, model, prices, variants)], {**remarks, **facts_of(provider, model)}]  # fmt: skip


def written(table: Table, date: str) -> list[str]:
    """Rows as the lines of a table, below a header with their digest."""
    lines: list[str] = []
    providers: dict[str, Any] = {}
    for name, rows in table.items():
        known = next((provider for provider in KNOWN_PROVIDERS if provider.id == name), None)
        providers[name] = {"first": len(lines) + 1, "count": len(rows), **(words_of(known) if known else NO_WORDS)}
        lines += [compact(row) for row in rows]
    header = {
        "source": f"genai-prices {importlib.metadata.version('genai-prices')}",
        "second": SECOND.name,
        "date": date,
        "multipliers": facts.MULTIPLIERS,
        "routers": [router(each) for each in facts.ROUTERS],
        "providers": providers,
    }
    return [compact({"sha256": digest(compact(header), lines), **header}), *lines]


#: Of a seller whom only the second source knows: he is told by his address alone.
NO_WORDS: dict[str, Any] = {"api": "", "models": [], "names": [], "fallback": []}


def words_of(provider: gp.Provider) -> dict[str, Any]:
    """How a provider is told, and whose models he sells besides his own."""
    return {
        "api": provider.api_pattern,
        "models": clause(provider.model_match) if provider.model_match else [],
        "names": clause(provider.provider_match) if provider.provider_match else [],
        "fallback": provider.fallback_model_providers or [],
    }


def digest(header: str, lines: list[str]) -> str:
    """Of the header without its digest, and all lines after it."""
    return hashlib.sha256("\n".join([header, *lines]).encode()).hexdigest()


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def committed_date(table: Path) -> str | None:
    try:
        return json.loads(table.read_text().partition("\n")[0])["date"]
    except (OSError, ValueError, KeyError):
        return None


def is_fresh(table: Path) -> bool:
    """Whether a table is what would be compiled today. Its day stays, and is kept by the digest."""
    date = committed_date(table)
    return date is not None and table.read_text() == "\n".join(compiled(date)) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing, exit 1 if different")
    parser.add_argument("--table", type=Path, default=TABLE, help="the table to compare or write")
    asked = parser.parse_args(arguments)
    table: Path = asked.table
    if is_fresh(table):
        print(f"compile_prices: {table.name} is fresh")
        return
    if asked.check:
        sys.exit(
            f"compile_prices: {table.name} is not what the installed genai-prices, scripts/price_facts.py and scripts/second_prices.jsonl give: "
            "run `make generate` and look at the difference; never edit the table by hand"
        )
    lines = compiled(dt.datetime.now(tz=dt.timezone.utc).date().isoformat())
    table.write_text("\n".join(lines) + "\n")
    print(f"compile_prices: wrote {table.name}: {len(lines) - 1} models, {table.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
