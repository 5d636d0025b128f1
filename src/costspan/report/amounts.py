"""Amounts as text: exact for machines, short for people."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from costspan.facts.money import NANO_PER_USD

_NANO: Final = Decimal("1e-9")


def usd(nano_usd: int) -> str:
    """The exact amount in USD, always with nine decimals."""
    sign = "-" if nano_usd < 0 else ""
    whole, rest = divmod(abs(nano_usd), NANO_PER_USD)
    return f"{sign}{whole}.{rest:09}"


def usd_each(nano_usd: int, number: int) -> str | None:
    """The amount divided by a number, in USD, rounded to nine decimals; None for a number of 0."""
    if not number:
        return None
    each = Decimal(nano_usd) / Decimal(number)
    return f"{(each * _NANO).quantize(_NANO, ROUND_HALF_EVEN):f}"


def share(part: int, whole: int) -> str | None:
    """The part of the whole as a fraction of 1 with six decimals; None of nothing."""
    if not whole:
        return None
    return f"{(Decimal(part) / Decimal(whole)).quantize(Decimal('1e-6'), ROUND_HALF_EVEN):f}"


def decimals_for(nano_usd: int) -> int:
    """How many decimals a column of amounts needs whose largest is this: cents for hundreds, more for little."""
    for decimals, least_usd in ((2, 100), (4, 1)):
        if nano_usd >= least_usd * NANO_PER_USD:
            return decimals
    return 6


def short_usd(nano_usd: int, decimals: int) -> str:
    """The amount for people: rounded, thousands apart, and never a zero for what is not zero."""
    step = Decimal(1).scaleb(-decimals)
    amount = (Decimal(nano_usd) * _NANO).quantize(step, ROUND_HALF_EVEN)
    if nano_usd > 0 and amount == 0:
        return f"<{step:f}"
    return f"{amount:,f}"


def percent(part: int, whole: int) -> str:
    """The part of the whole in percent, for people."""
    if not whole:
        return ""
    rounded = (Decimal(part) * 100 / Decimal(whole)).quantize(Decimal("0.1"), ROUND_HALF_EVEN)
    return "<0.1 %" if part > 0 and rounded == 0 else f"{rounded:f} %"


def number(count: int, noun: str) -> str:
    """A count with its noun: `1 call`, `1,204 tokens`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
