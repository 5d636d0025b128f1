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
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import price_facts as facts
from costspan.pricing.catalog import Catalog
from first_prices import KNOWN_PROVIDERS, MILLION, rows_of, words_of
from price_gaps import Dispute, Second, Table
from price_rates import batches_of, facts_of, more_rates, rate

TABLE = Path(__file__).parent.parent / "src" / "costspan" / "pricing" / "prices.jsonl"
SECOND = Second()


def router(fact: dict[str, str]) -> dict[str, Any]:
    """What a router adds to a token of input."""
    words = {key: value for key, value in fact.items() if key != "usd_per_million"}
    return {**words, "pico_usd": rate(Decimal(fact["usd_per_million"]), MILLION)}


def compiled(date: str) -> list[str]:
    """The lines of the table."""
    return written(completed(date)[0], date)


def disputes(date: str) -> list[Dispute]:
    """The models that have another price in the second source on a day."""
    return completed(date)[1]


def completed(date: str) -> tuple[Table, list[Dispute]]:
    """The rows of both sources, and where these differ."""
    table = {provider.id: rows_of(provider) for provider in KNOWN_PROVIDERS}
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
