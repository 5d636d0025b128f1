"""Numbers that every exporter can encode: OTLP has integers of 64 bits, and one point beyond fails its whole message."""

from __future__ import annotations

import math
from typing import Final

from costspan import guard
from costspan.facts.money import NANO_PER_USD

_MOST: Final = 2**63 - 1
_MOST_NANO_USD: Final = 10**300  # what a double holds, and some to add up
PLACE: Final = "metrics.numbers"


def integer(value: int) -> int:
    """A count as it may be exported: at most what 64 bits hold, which is counted as a fault."""
    if value > _MOST:
        guard.count(PLACE)
        return _MOST
    return value


def usd(nano_usd: int) -> float:
    """An amount of nano-USD in USD, as it may be exported."""
    if nano_usd > _MOST_NANO_USD:
        guard.count(PLACE)
        return _MOST_NANO_USD / NANO_PER_USD
    return nano_usd / NANO_PER_USD


def number(value: float) -> float | None:
    """Any value as it may be exported, or None for one that says nothing (NaN, infinity), which is counted as a fault."""
    if isinstance(value, int):
        return integer(value)
    if math.isfinite(value):
        return value
    guard.count(PLACE)
    return None
