"""The price table, loaded with the first call that wants a price: a program that calls no LLM does not pay for it."""

from __future__ import annotations

import functools
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Final

from costspan import guard
from costspan.facts.money import FAULT, Unpriced

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from costspan.facts.call import Answer
    from costspan.facts.money import Price
    from costspan.pricing import Prices


class LazyPrices:
    """Prices calls by the bundled table and the user's own file (`overrides`), if there is one.

    `named` are the providers that the user's settings name.
    """

    def __init__(self, overrides: Path | None = None, named: Collection[str] = ()) -> None:
        self._overrides = overrides
        self._named = named
        self._prices: Prices | _NoPrices | None = None
        self._loading = threading.RLock()
        # The code now, the table later: a fork while a thread imports leaves the child with a module that it can
        # never import.
        for module in ("costspan.pricing", *(["costspan.pricing.effects"] if named else [])):
            guard.part("prices", functools.partial(import_module, module))

    def price(self, provider: str, host: str | None, request_model: str | None, answer: Answer, at_s: float) -> Price:
        """What a call costs; see `costspan.pricing.Prices.price`, which takes this method's place once it is loaded."""
        self.price = self._load().price
        return self.price(provider, host, request_model, answer, at_s)

    def _load(self) -> Prices | _NoPrices:
        with self._loading:
            if self._prices is None:
                own = self._overrides
                prices = guard.part("your own prices", lambda: _loaded(own)) if own is not None else None
                self._prices = prices or guard.part("prices", lambda: _loaded(None)) or _NoPrices()
                self._question(self._prices)
        return self._prices

    @guard.guarded_positional("prices.question")
    def _question(self, prices: Prices | _NoPrices) -> None:
        if self._named and not isinstance(prices, _NoPrices):
            for sentence in prices.questions(self._named):
                guard.tell_once(f"prices:{sentence}", "costspan: %s", sentence)

    def forget(self) -> None:
        """In a forked child: the lock may be held by a thread that is not here."""
        self._loading = threading.RLock()


def _loaded(overrides: Path | None) -> Prices:
    from costspan.pricing import Prices

    return Prices.load(overrides)


class _NoPrices:
    """In the place of a price table that cannot be loaded: calls are counted, and unpriced."""

    def price(self, provider: str, host: str | None, request_model: str | None, answer: Answer, at_s: float) -> Price:
        del provider, host, request_model, answer, at_s
        return _UNLOADED


_UNLOADED: Final = Unpriced(FAULT, "the price table cannot be loaded: see the log of costspan")
