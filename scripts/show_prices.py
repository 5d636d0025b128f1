"""Write what the two sources of prices have, and where they differ, into docs/price-sources.md.

python scripts/show_prices.py [--check]
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby

from compile_prices import TABLE, disputes
from costspan.pricing.catalog import Catalog
from pages import ROOT, code, deliver, table, with_parts
from price_gaps import Dispute

DOCUMENT = ROOT / "docs" / "price-sources.md"


def counted(catalog: Catalog) -> Iterator[tuple[str, str, str, str]]:
    """For each seller: models by the first source, by the second, and rates for tiers, batches and regions by it."""
    for provider in catalog.providers.values():
        second = [model for model in provider.models if model.origin]
        more = sum(len(model.added) for model in provider.models)
        if second or more:
            yield provider.id, f"{len(provider.models) - len(second):,}", f"{len(second):,}", f"{more:,}"


def differences(found: list[Dispute]) -> Iterator[tuple[str, str, str, str, str]]:
    """Each dispute, those with the same verdict one below the other."""
    for why, each in groupby(sorted(found, key=_order), key=lambda dispute: dispute.verdict.why):
        for number, dispute in enumerate(each):
            reason = f"{dispute.verdict.taken}: {why if number == 0 else 'as above'}"
            yield dispute.provider, code(dispute.model), _usd(dispute.first), _usd(dispute.second), reason


def _order(dispute: Dispute) -> tuple[str, str, str]:
    return dispute.verdict.why, dispute.provider, dispute.model


def _usd(rates: dict[str, Decimal]) -> str:
    return " / ".join(f"{rates[unit].normalize():f}" for unit in ("input", "output", "cache_read") if unit in rates)


def parts() -> dict[str, str]:
    header = json.loads(TABLE.read_text(encoding="utf-8").partition("\n")[0])
    catalog = Catalog.bundled()
    sellers = table(["seller", f"models by {header['source']}", f"by {header['second']}", "more rates by it"], counted(catalog))  # fmt: skip
    found = table(["seller", "model", "first", "second", "taken, and why"], differences(disputes(header["date"])))
    return {"sellers": sellers, "differences": found}


if __name__ == "__main__":
    deliver({DOCUMENT: lambda page: with_parts(page, parts())}, str(__doc__))
