"""The steps of a price, each unit with its rate and amount: the same for one record and for a question about a price."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from costspan.facts.money import PICO_PER_USD, Cost
from costspan.pricing import Explanation, Listed
from costspan.pricing.prices import UNITS_PER, quantity_of
from costspan.report.amounts import usd
from costspan.report.table import Column, Table


def is_meant(one: Listed, patterns: Collection[str], provider: str | None = None) -> bool:
    """Whether a model of the price table is one of those asked for, by names that may have stars; all, without any."""
    if provider is not None and one.provider != provider:
        return False
    names = (one.model.lower(), f"{one.provider}/{one.model}".lower())
    return not patterns or any(fnmatch.fnmatchcase(name, pattern.lower()) for pattern in patterns for name in names)


def as_object(explanation: Explanation) -> dict[str, Any]:
    """The explanation for a program: amounts in USD as decimal text."""
    price = explanation.price
    return {
        "cost_usd": usd(price.nano_usd) if isinstance(price, Cost) else None,
        "quality": price.quality if isinstance(price, Cost) else None,
        "cost_source": price.source if isinstance(price, Cost) else None,
        "price_version": price.version if isinstance(price, Cost) else None,
        "unpriced_reason": None if isinstance(price, Cost) else price.reason,
        "unpriced_detail": None if isinstance(price, Cost) else price.detail,
        "steps": [
            {
                "unit": step.unit,
                "count": step.count,
                "usd_each": _decimal(Fraction(step.pico_usd)),
                "usd": _decimal(Fraction(step.amount_pico_usd)),
            }
            for step in explanation.steps
        ],
        "notes": list(explanation.notes),
        "faults": list(explanation.faults),
    }


def table(explanation: Explanation) -> Table:
    """The steps as a table for people."""
    rows = [
        (
            step.unit,
            f"{step.count:,}",
            _decimal(Fraction(step.pico_usd) * UNITS_PER[quantity_of(step.unit)]),
            quantity_of(step.unit),
            _decimal(Fraction(step.amount_pico_usd)),
        )
        for step in explanation.steps
    ]
    columns = (
        Column("Unit", is_name=True),
        Column("Count"),
        Column("USD"),
        Column("per", is_left=True),
        Column("Amount USD"),
    )
    return Table(columns, lambda: rows)


def sentences(explanation: Explanation) -> Iterator[str]:
    """Which prices were chosen and why, what they come to, and what has no price."""
    yield from explanation.notes
    price = explanation.price
    if isinstance(price, Cost):
        told = "reported by the provider" if price.source == "provider" else "computed from the price table"
        yield f"cost: {usd(price.nano_usd)} USD ({price.quality}, {told})"
        if price.computed_nano_usd is not None:
            yield f"the price table alone says {usd(price.computed_nano_usd)} USD"
    else:
        yield f"unpriced: {price.detail or price.reason.replace('_', ' ')}"
        return  # that names what has no price
    for fault in explanation.faults:
        yield f"left out: {fault}"


def _decimal(pico_usd: Fraction) -> str:
    """Pico-USD as plain decimal text in USD, rounded to 20 places where it does not end."""
    exact = Decimal(pico_usd.numerator) / Decimal(pico_usd.denominator) / PICO_PER_USD
    text = f"{round(exact, 20):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
