"""What a call costs: the bundled price table, the user's own prices, the calculation and its explanation."""

from costspan.pricing.prices import Explanation, Listed, Prices, loaded, quantity_of
from costspan.pricing.rule import OverrideError

__all__ = ["Explanation", "Listed", "OverrideError", "Prices", "loaded", "quantity_of"]
