"""Rates of the user's own for cost items that are no call: `rates:` in the file of their prices.

rates:
a100: {usd_per_hour: 2.5}
disk: {usd_per_gb_hour: 0.00011}
license: {usd_each: 4}
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final, NamedTuple

from costspan.facts import money
from costspan.facts.cost_items import PIECE, STORAGE, UPTIME
from costspan.facts.money import PICO_PER_NANO, PICO_PER_USD, Cost, Price, Unpriced

#: What a rate may be said by: the kind of item that it is for, and how many of its unit make one.
SAID_BY: Final = {
    "usd_per_second": (UPTIME, 1_000), "usd_per_hour": (UPTIME, 3_600_000), "usd_per_gb_hour": (STORAGE, 10**9),
    "usd_each": (PIECE, 1),
}  # fmt: skip


class ItemRate(NamedTuple):
    """A rate: the kind of item that it is for, and pico-USD for one of its unit."""

    kind: str
    pico: Fraction


def rate_of(said_by: str, usd: Fraction) -> ItemRate:
    """The rate that an amount in USD makes."""
    kind, per = SAID_BY[said_by]
    return ItemRate(kind, usd * PICO_PER_USD / per)


def price_of(rates: Mapping[str, ItemRate], kind: str, name: str, count: int, version: str) -> Price:
    """What so many of the kind's unit cost at a rate, exact to half a nano-USD; without such a rate it is unpriced."""
    rate = rates.get(name)
    if rate is None:
        return Unpriced(money.NO_PRICE, f"the prices in force have no rate {name!r}")
    if rate.kind != kind:
        return Unpriced(money.NO_PRICE, f"the rate {name!r} is for {rate.kind}, not for {kind}")
    return Cost(round(rate.pico * count / PICO_PER_NANO), money.OVERRIDE, money.LOCAL, version)
