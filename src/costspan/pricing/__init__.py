"""What a call costs: the bundled price table, the user's own prices, the calculation and its explanation."""

from costspan.pricing.overrides import OverrideError
from costspan.pricing.prices import Explanation, Listed, Prices, quantity_of

__all__ = ["Explanation", "Listed", "OverrideError", "Prices", "quantity_of"]
