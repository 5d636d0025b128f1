"""What reading input from a provider's cache saved: cached tokens at the rates of now, against the same tokens as plain input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from costspan.facts.call import Answer
from costspan.facts.counting import number
from costspan.facts.money import Cost, usd
from costspan.facts.usage import (
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    CACHE_WRITE_12H,
    CACHE_WRITE_30M,
    INPUT,
    OUTPUT,
    Usage,
)
from costspan.ledger.store import Store
from costspan.pricing import OverrideError, Prices
from costspan.report.amounts import average_usd, nano
from costspan.report.usage import Question, Totals, ask
from costspan.report.values import CacheSavings, UsageTotals

#: Priced at once: few enough to be below the start of each rate for long prompts.
_TOKENS: Final = 1_000
_GROUPS: Final = ("provider", "model")
_LIFETIMES: Final = (CACHE_WRITE_5M, CACHE_WRITE_30M, CACHE_WRITE_1H, CACHE_WRITE_12H)
#: Where no call used a cache.
NOTHING: Final = CacheSavings(usd(0), 0, 0)


def is_used(totals: Totals | UsageTotals) -> bool:
    """Whether any input was read from a cache, or written to one."""
    return bool(totals.cache_read_tokens or totals.cache_write_tokens)


def saved(store: Store, question: Question, prices: Callable[[], Prices], now_s: float) -> CacheSavings:
    """What the calls of a question saved, whatever it groups by. The prices are loaded where a cache was used; where they cannot be,
    no rate is known. Raises LedgerError.
    """
    rows = [
        (row.key[0], row.key[1], row.totals)
        for row in ask(store, question._replace(groups=_GROUPS), now_s, is_brief=True).rows
        if is_used(row.totals)
    ]
    if not rows:
        return NOTHING
    try:
        in_force = prices()
    except OverrideError:
        return CacheSavings(None, sum(sums.cache_read_tokens + sums.cache_write_tokens for *_, sums in rows), 0)
    nano_usd = known = unknown = assumed = 0
    for provider, model, sums in rows:
        read, written = sums.cache_read_tokens, sums.cache_write_tokens
        rates = _Rates(in_force, provider, model, now_s)
        plain = rates.nano_usd()
        as_read = rates.nano_usd(CACHE_READ) if read else 0
        as_written = rates.nano_usd(CACHE_WRITE) if written else 0
        if plain is None or as_read is None or as_written is None:
            unknown += read + written
            continue
        known += read + written
        nano_usd += read * (plain - as_read) + written * (plain - as_written)
        if written and any(rates.nano_usd(CACHE_WRITE, kept) != as_written for kept in _LIFETIMES):
            assumed += written
    return CacheSavings(usd(nano_usd // _TOKENS) if known else None, unknown, assumed)


class _Rates:
    """The rates of one model now."""

    def __init__(self, prices: Prices, provider: str | None, model: str | None, at_s: float) -> None:
        self._prices, self._provider, self._model, self._at_s = prices, provider or "", model, at_s

    def nano_usd(self, *parts: str) -> int | None:
        """What the tokens cost as these parts of the input; None where that is not known."""
        counts: Mapping[str, int] = {INPUT: _TOKENS, OUTPUT: 0, **dict.fromkeys(parts, _TOKENS)}
        answer = Answer(Usage(counts), self._model)
        found = self._prices.price(self._provider, None, self._model, answer, self._at_s)
        return found.nano_usd if isinstance(found, Cost) else None


def sentence(found: CacheSavings) -> str:
    """What the cache saved, or cost; of how many tokens that is not known, and of how many it depends on how long they were kept."""
    unknown = number(found.unknown_tokens, "cached token")
    if found.saved_usd is None:
        return f"what the cache saved is not known of {unknown}"
    nano_usd = nano(found.saved_usd)
    said = f"the cache saved {average_usd(nano_usd, 1)} USD"
    if nano_usd < 0:
        said = f"writing to the cache cost {average_usd(-nano_usd, 1)} USD more than reading saved"
    said += " at list prices"
    if found.unknown_tokens:
        said += f", not known of {unknown}"
    if found.assumed_tokens:
        said += f", with {number(found.assumed_tokens, 'written token')} at the rate of the usual lifetime"
    return said
