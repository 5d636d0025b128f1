"""Exact amounts of US dollars, and the difference between a price of zero and no price at all.

Inside, money is whole numbers: pico-USD (1e-12 USD) per unit, nano-USD (1e-9 USD) per record. A record is
rounded once, half to even, when all of its parts have been added.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias

PICO_PER_NANO: Final = 1_000
NANO_PER_USD: Final = 1_000_000_000
PICO_PER_USD: Final = PICO_PER_NANO * NANO_PER_USD

# Where an amount comes from, best first (docs/pricing.md explains each).
REPORTED: Final = "reported"  # the provider's answer carried the amount
EXACT: Final = "exact"  # the price table names this model
ALIAS: Final = "alias"  # the price table names the model this one stands for
OVERRIDE: Final = "override"  # the user's own price
ESTIMATED: Final = "estimated"  # the stream was cut short: part of the usage is an estimate
INCOMPLETE: Final = "incomplete"  # a unit of the usage has no price of its own: a lower bound
QUALITIES: Final = (REPORTED, EXACT, ALIAS, OVERRIDE, ESTIMATED, INCOMPLETE)

PROVIDER: Final = "provider"
LOCAL: Final = "local"


@dataclass(slots=True)
class Cost:
    """What one call cost. Never changed once it is made.

    `nano_usd` is the amount. `source` is `provider` when the provider reported it and `local` when it was
    computed here. `version` names the price table. `computed_nano_usd` is what the table says where the
    provider reported the amount too, for watching drift.
    """

    nano_usd: int
    quality: str
    source: str = LOCAL
    version: str = ""
    computed_nano_usd: int | None = None

    @property
    def usd(self) -> float:
        """The amount in USD, for figures that are shown; sums are made of `nano_usd`."""
        return self.nano_usd / NANO_PER_USD


class Unpriced(NamedTuple):
    """No amount is known. `reason` is a short fixed word (a metric label), `detail` a sentence."""

    reason: str
    detail: str = ""


# Reasons of Unpriced.
UNKNOWN_MODEL: Final = "unknown_model"
UNKNOWN_SELLER: Final = "unknown_seller"  # nobody said whose prices count at this host
NO_MODEL: Final = "no_model"
NO_USAGE: Final = "no_usage"
NO_PRICE: Final = "no_price"
FAULT: Final = "fault"
REASONS: Final = (UNKNOWN_MODEL, UNKNOWN_SELLER, NO_MODEL, NO_USAGE, NO_PRICE, FAULT)

Price: TypeAlias = Cost | Unpriced


def usd(nano_usd: int) -> Decimal:
    """The exact amount in USD, with nine decimals, whatever the precision of the caller's decimal context."""
    return Decimal(f"{nano_usd}E-9")


def nano_from_pico(pico_usd: int) -> int:
    """Pico-USD rounded to nano-USD, half to even."""
    whole, rest = divmod(pico_usd, PICO_PER_NANO)
    if rest > PICO_PER_NANO // 2 or (rest == PICO_PER_NANO // 2 and whole & 1):
        return whole + 1
    return whole


#: The largest amount of one answer that is believed, a million dollars.
MOST_USD: Final = 10**6
_LONGEST_AMOUNT: Final = 64


def nano_from_usd(usd: object) -> int | None:
    """An amount of dollars as nano-USD, or None if it is not an amount from 0 to MOST_USD.

    The door by which foreign amounts come in: a number or its text, and nothing long is parsed. A float is read by its
    shortest decimal text, as the provider wrote it.
    """
    if isinstance(usd, int) and not 0 <= usd <= MOST_USD:
        return None
    text = str(usd) if isinstance(usd, (int, float, Decimal)) and not isinstance(usd, bool) else usd
    if not isinstance(text, str) or len(text) > _LONGEST_AMOUNT:
        return None
    try:
        amount = Decimal(text)
    except ArithmeticError:
        return None
    if not amount.is_finite() or not 0 <= amount <= MOST_USD:
        return None
    return nano_from_pico(int((amount * PICO_PER_USD).to_integral_value()))
