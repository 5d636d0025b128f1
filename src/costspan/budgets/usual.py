"""What is usual of some amounts, so that a few odd ones among them do not move it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

#: An unusual amount lies so many median distances above the median: about four standard deviations of a normal distribution.
_DISTANCES: Final = 6


class Usual(NamedTuple):
    """The median of some amounts, and the median distance of an amount from it. Both in whole numbers, rounded down."""

    amount: int = 0
    distance: int = 0

    @classmethod
    def of(cls, amounts: Iterable[int]) -> Usual:
        """What is usual of these; of none, nothing."""
        inner = sorted(amounts)
        if not inner:
            return cls()
        middle = median(inner)
        return cls(middle, median(sorted(abs(amount - middle) for amount in inner)))

    def is_exceeded(self, amount: int, factor: Decimal) -> bool:
        """Whether an amount is more than `factor` times this, and farther off than amounts usually are."""
        return amount > factor * self.amount and amount > self.amount + _DISTANCES * self.distance


def median(inner: Sequence[int]) -> int:
    """The middle of amounts in order, or the mean of the two in the middle."""
    half = len(inner) // 2
    return inner[half] if len(inner) % 2 else (inner[half - 1] + inner[half]) // 2
