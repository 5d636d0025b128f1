"""What reading input from a provider's cache saved: cached tokens at the rates of now, against the same tokens as plain input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from costspan.facts.call import Answer
from costspan.facts.money import Cost, usd
from costspan.facts.usage import CACHE_READ, CACHE_WRITE, INPUT, OUTPUT, Usage
from costspan.pricing import Prices
from costspan.report.values import UsageRow

#: Priced at once: few enough to be below the start of each rate for long prompts.
_TOKENS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved, in USD: less than 0 where writing to the cache cost more than reading from it saved. `unknown_tokens` were read
    from a cache or written to it, and nobody knows at which rates.
    """

    amount_usd: Decimal
    unknown_tokens: int


def saved(rows: Iterable[UsageRow], provider: str, model: str, prices: Prices, at_s: float) -> Saved:
    """What the calls saved whose sums these are, by the words `provider` and `model`. Writes are taken for those of the usual lifetime."""
    nano_usd = unknown = 0
    for row in rows:
        read, written = row.totals.cache_read_tokens, row.totals.cache_write_tokens
        if not read and not written:
            continue
        named = row.words[provider] or "", row.words[model], prices, at_s
        plain = _nano_usd(None, *named)
        as_read = _nano_usd(CACHE_READ, *named) if read else 0
        as_written = _nano_usd(CACHE_WRITE, *named) if written else 0
        if plain is None or as_read is None or as_written is None:
            unknown += read + written
            continue
        nano_usd += read * (plain - as_read) + written * (plain - as_written)
    return Saved(usd(nano_usd // _TOKENS), unknown)


def _nano_usd(part: str | None, provider: str, model: str | None, prices: Prices, at_s: float) -> int | None:
    """What the tokens cost as this part of the input; None where that is not known."""
    counts = {INPUT: _TOKENS, OUTPUT: 0, **({part: _TOKENS} if part else {})}
    found = prices.price(provider, None, model, Answer(Usage(counts), model), at_s)
    return found.nano_usd if isinstance(found, Cost) else None
