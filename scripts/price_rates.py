"""Rates as they stand in the price table, and those that follow from others by a factor (`scripts/price_facts.py`)."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import price_facts as facts

PICO = 10**12


def rate(usd: Decimal | Fraction, per: int) -> int | str:
    """A price in USD per `per` units as pico-USD per unit."""
    return written(Fraction(usd) * PICO / per)


def written(value: Fraction) -> int | str:
    """A rate as it stands in the table."""
    return value.numerator if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


def batches_of(provider: str, model: str, prices: list[Any], variants: list[Any]) -> list[Any]:
    """The variants of a model for batches, where the data has none and its seller states a factor."""
    times = next((each for of, name, each in facts.BATCHES if of == provider and re.fullmatch(name, model)), None)
    if times is None or any(variant[:2] == ["processing", "batch"] for variant in variants):
        return []
    if times == "1":  # whatever the standard rates are
        return [["processing", "batch", None, {}]]
    return [  # of variants the first that holds is taken, of prices the last
        ["processing", "batch", when, {unit: multiplied(each, times) for unit, each in standard.items()}]
        for when, standard in reversed(prices)
    ]


def multiplied(price: Any, times: str) -> Any:
    """A rate times a factor; of one with tiers, each."""
    if isinstance(price, int | str):
        return written(Fraction(price) * Fraction(times))
    base, *tiers = price
    return [multiplied(base, times), *([start, multiplied(each, times)] for start, each in tiers)]


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
