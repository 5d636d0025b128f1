"""What the second source adds to the table of the first, and where the two differ (`scripts/second_prices.py`)."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

from costspan.facts.money import EXACT
from costspan.pricing.catalog import Catalog, Found, Rates, day_start_s
from price_rates import PICO, rate
from second_prices import FILE, above, base

#: Regions of AWS whose prices the first source has.
_HOME: Final = frozenset({"us-east-1", "us-east-2", "us-west-2"})
#: Units by whose rates two prices of a model are compared.
_COMPARED: Final = ("input", "output", "cache_read")

#: The rows of the table, by provider.
Table = dict[str, list[list[Any]]]


class Dispute(NamedTuple):
    """A model that both sources name, at different rates: USD per million tokens. `verdict` says whose are taken, and why."""

    provider: str
    model: str
    first: dict[str, Decimal]
    second: dict[str, Decimal]
    origin: str | None
    verdict: Verdict


class Verdict(NamedTuple):
    """Which source is followed for some models (patterns are full-matched), and why."""

    provider: str
    models: str
    taken: str
    why: str


FIRST: Final = "first"
SECOND: Final = "second"
#: Where the first source reaches a model only by the beginning of its name, or has its vendor's price and not the seller's.
UNNAMED: Final = Verdict("", "", SECOND, "the first has no price of this name at this seller, but that of another one")
#: Where both sources name a model: the first that fits. None may be missing, and a test says that none is idle.
VERDICTS: Final = (
    Verdict("aws", r"us-gov\..*", SECOND, "AWS's price index of us-gov-west-1 has 20 % more than the global price"),
    Verdict(
        "aws",
        r"(anthropic\.)?(claude-.*|openai\.gpt-6-.*)|openai\.gpt-6-.*",
        FIRST,
        "an id without a place in front runs in the region that was called: 10 % more than `global.`, whose price the second has",
    ),
    Verdict(
        "azure",
        r"ada|text-embedding-.*|gpt-4-turbo.*",
        FIRST,
        "the second has the price of a data zone or region; no answer tells the kind of a deployment, and most are global",
    ),
    Verdict("azure", r"gpt-4o-mini-tts", FIRST, "OpenAI's page has 12 for a million tokens of sound"),
    Verdict(
        "deepseek",
        r".*",
        FIRST,
        "not settled: the first has peak hours and the vendor's pages of their time, the second one price for all hours",
    ),
    Verdict(
        "google",
        r"claude-3-5-haiku.*|gemini-2\.0-flash",
        FIRST,
        "the vendors' pages (Anthropic, Gemini API) have the first's; the second's is Vertex' at an earlier time",
    ),
    Verdict("groq", r".*", FIRST, "the second is rounded"),
    Verdict(
        "mistral",
        r".*",
        FIRST,
        "not settled: a name without a version is moved to newer models, and the second follows each move sooner; no answer tells which it was",
    ),
    Verdict("ovhcloud", r".*", FIRST, "not settled: the second has the price in EUR, by its amounts 9 % below"),
    Verdict(
        "x-ai", r"grok-code-fast.*", FIRST, "not settled: the name was moved to a newer model, and no day is stated"
    ),
    Verdict("openai", r"gpt-4o-mini-tts", FIRST, "OpenAI's page has 12 for a million tokens of sound"),
    Verdict("together|fireworks|novita", r".*", FIRST, "not settled: resellers change prices without notice"),
)


class Second:
    """The second source as `second_prices.jsonl` has it."""

    def __init__(self) -> None:
        head, *lines = FILE.read_text().splitlines()
        self.name: str = json.loads(head)["source"]
        read = [json.loads(line) for line in lines]
        self._rows = [row for row in read if row[2] is None]
        self._regional = [row for row in read if row[2] is not None]

    def complete(self, table: Table, catalog_of: Callable[[Table], Catalog]) -> list[Dispute]:
        """Add what the first source lacks: models, rates by service tier and for batches, rates of regions."""
        disputes = list(self._add_models(table, catalog_of(table)))
        self._add_regions(table, catalog_of(table))
        return disputes

    def _add_models(self, table: Table, catalog: Catalog) -> Iterator[Dispute]:
        at_s = day_start_s(catalog.date)
        added: Table = {}
        for provider, model, _, origin, usd, variants in self._rows:
            found = catalog.find(provider, model) if provider in catalog.providers else None
            first = found.model.at(at_s, {}).rates if found else {}
            is_taken = found is None or not (first or found.model.is_free)
            is_other = _differ(first, usd) and not (found and found.quality == EXACT and _had(found, usd))
            if found and is_other:
                verdict = verdict_on(provider, model, is_named=found.quality == EXACT)
                is_taken = verdict.taken == SECOND
                yield Dispute(provider, model, _per_million(first), _per_million(_steps(usd)), origin, verdict)
            if is_taken:
                remarks = {"by": self.name, **({"origin": origin} if origin else {})}
                row = [model, [f"={model}"], [[None, _rates(usd)]], _variants(variants), remarks]
                added.setdefault(provider, []).append(row)
            elif found and found.quality == EXACT and found.model.provider == provider and not is_other:
                self._add_variants(_row_of(table, found), _variants(variants))
        for provider, rows in added.items():  # a name of its own goes before the pattern that it happens to fit
            table[provider] = rows + table.get(provider, [])

    def _add_regions(self, table: Table, catalog: Catalog) -> None:
        at_s = day_start_s(catalog.date)
        for provider, model, region, _, usd, _ in self._regional:
            found = catalog.find(provider, model)
            if found is None or region in _HOME or not _differ(found.model.at(at_s, {}).rates, usd):
                continue
            self._add_variants(_row_of(table, found), [["region", region, None, _rates(usd)]])

    def _add_variants(self, row: list[Any], variants: list[list[Any]]) -> None:
        there = {tuple(each[:2]) for each in row[3]}
        added = [each for each in variants if tuple(each[:2]) not in there]
        row[3].extend(added)
        if added and "by" not in row[4]:
            row[4].setdefault("added", {"by": self.name, "variants": []})["variants"] += [each[:2] for each in added]


def verdict_on(provider: str, model: str, *, is_named: bool) -> Verdict:
    """What was decided about a model that has two prices. `is_named`: the first source has it by its own name."""
    for verdict in VERDICTS:
        if re.fullmatch(verdict.provider, provider) and re.fullmatch(verdict.models, model):
            return verdict
    if is_named:
        sys.exit(f"compile_prices: two prices of {provider}/{model}, and nobody has said which is right: see VERDICTS")
    return UNNAMED


def _row_of(table: Table, found: Found) -> list[Any]:
    return next(row for row in table[found.model.provider] if row[0] == found.model.id)


def _variants(given: list[list[Any]]) -> list[list[Any]]:
    return [[key, value, None, _rates(usd)] for key, value, usd in given]


def _rates(usd: dict[str, Any]) -> dict[str, Any]:
    return {unit: _rate(price) for unit, price in usd.items()}


def _rate(price: Any) -> Any:
    longer = [[tokens, rate(Decimal(each), 1)] for tokens, each in above(price)]
    return [rate(base(price), 1), *longer] if longer else rate(base(price), 1)


def _steps(usd: dict[str, Any]) -> Rates:
    return {unit: ((0, Fraction(base(price)) * PICO),) for unit, price in usd.items()}


def _had(found: Found, usd: dict[str, Any]) -> bool:
    """Whether the first source has these rates for another time, or another hour of the day."""
    return not all(_differ(rates, usd) for rates in found.model.history())


def _differ(first: Rates, usd: dict[str, Any]) -> bool:
    """Whether a rate that both have is another one. A rate that only one has is no contradiction."""
    second = _steps(usd)
    return any(
        unit in first and unit in second and abs(first[unit][0][1] - second[unit][0][1]) * 1_000 > first[unit][0][1]
        for unit in _COMPARED
    )


def _per_million(rates: Rates) -> dict[str, Decimal]:
    return {
        unit: Decimal(rates[unit][0][1].numerator) / rates[unit][0][1].denominator / 1_000_000
        for unit in _COMPARED
        if unit in rates
    }
