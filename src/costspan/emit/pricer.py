"""The price table, loaded with the first call that wants a price: a program that calls no LLM does not pay for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from costspan.facts.call import Answer
    from costspan.facts.money import Price
    from costspan.pricing import Prices


class Pricer:
    """Prices calls by the bundled table and the user's own file (`overrides`), if there is one."""

    def __init__(self, overrides: Path | None = None) -> None:
        self._overrides = overrides
        self._prices: Prices | None = None
        self._loading = threading.Lock()

    def price(self, provider: str, host: str | None, request_model: str | None, answer: Answer, at_s: float) -> Price:
        """What a call costs; see `costspan.pricing.Prices.price`, which takes this method's place once it is loaded."""
        self.price = self._load().price
        return self.price(provider, host, request_model, answer, at_s)

    def _load(self) -> Prices:
        from costspan.pricing import Prices

        with self._loading:
            if self._prices is None:
                self._prices = Prices.load(self._overrides)
        return self._prices

    def forget(self) -> None:
        """In a forked child: the lock may be held by a thread that is not here."""
        self._loading = threading.Lock()
