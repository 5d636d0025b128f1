"""What a call costs: the bundled price table, the user's own prices, the calculation and its explanation."""

from costspan.pricing.prices import Explanation, Listed, Prices

__all__ = ["Explanation", "Listed", "Prices"]
