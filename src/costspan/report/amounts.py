"""Amounts as text: exact for machines, short for people."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from costspan.facts.money import NANO_PER_USD

_NANO: Final = Decimal("1e-9")
_NANO_PLACES: Final = 9
_EXACT: Final = Context(prec=60)


def nano(amount: Decimal) -> int:
    """An amount in USD as nano-USD."""
    return int(amount.scaleb(_NANO_PLACES, _EXACT))


def usd(nano_usd: int) -> str:
    """The exact amount in USD, always with nine decimals."""
    sign = "-" if nano_usd < 0 else ""
    whole, rest = divmod(abs(nano_usd), NANO_PER_USD)
    return f"{sign}{whole}.{rest:09}"


def usd_each(nano_usd: int, number: int) -> str | None:
    """The amount divided by a number, in USD, rounded to nine decimals; None for a number of 0."""
    return usd(_half_even(nano_usd, number)) if number else None


def share(part: int, whole: int) -> str | None:
    """The part of the whole as a fraction of 1 with six decimals; None of nothing."""
    if not whole:
        return None
    millionths = _half_even(part * 1_000_000, whole)
    return f"{'-' if millionths < 0 else ''}{abs(millionths) // 1_000_000}.{abs(millionths) % 1_000_000:06}"


def _half_even(part: int, whole: int) -> int:
    """The nearest whole number to a quotient, the even one of two."""
    quotient, rest = divmod(part, whole)
    doubled = 2 * rest - whole
    return quotient + (doubled > 0 or (doubled == 0 and quotient % 2))


def average(total: int, number: int, unit: int = 1) -> str:
    """A quotient as people write money: with two decimals, and below 1 with two figures that are not zero."""
    rounded = Decimal(total) / number / unit
    for _ in range(2):  # 0.0996 becomes 0.100 by two of its figures, and that 0.10
        decimals = 2 if not rounded else max(2, 1 - rounded.adjusted())
        rounded = rounded.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)
    return f"{rounded:,f}"


def average_usd(nano_usd: int, number: int) -> str:
    """The amount in USD for each of a number, as people write money: 1.70, 0.25, 0.00045."""
    return average(nano_usd, number, NANO_PER_USD)


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
