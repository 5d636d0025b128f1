"""Which calls that were booked without a price would have one by the settings of now: advice on them has been followed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.money import UNKNOWN_SELLER, Cost
from costspan.facts.sellers import VENDOR
from costspan.facts.usage import Usage
from costspan.ledger import cover
from costspan.ledger.columns import COLUMNS, IS_CALL
from costspan.ledger.store import Store
from costspan.pricing import Prices
from costspan.report import words
from costspan.report.usage import Question, narrowed

#: The place in the sentence that is booked with a call to a host of which nobody said whose prices count (pricing/lookup.py).
_PLACE: Final = re.compile(r"prices count at (\S+?)\.?(?:\s|$)")
_PORT: Final = r":\d+$"


class PricedNow(NamedTuple):
    """So many calls without a price would have one now; `places` are the hosts among them of which nobody had said who answers."""

    calls: int
    places: frozenset[str]


class Now:
    """The settings of now: prices, and who answers at which host (`OTEL_COSTSPAN_HOSTS`)."""

    def __init__(self, prices: Prices, hosts: Sequence[tuple[str, str]], now_s: float) -> None:
        self._prices = prices
        self._hosts = hosts
        self._now_s = now_s

    def seller(self, provider: str, host: str | None, detail: str | None, model: str | None) -> str:
        """The provider of a call that was booked as nobody's, by what is said of its host now."""
        at = place(detail)
        names = {re.sub(ends, "", each) for each in (host, at) if each for ends in ("", _PORT)}
        said = next((name for where, name in self._hosts if where.partition("/")[0] in names), None)
        if at is None or said is None:
            return provider
        return said if said != VENDOR else self._prices.vendor(model or "") or provider

    def has_price(self, provider: str, host: str | None, detail: str | None, model: str | None) -> bool:
        """Whether such a call would have a price."""
        of = self.seller(provider, host, detail, model)
        answer = Answer(usage=Usage({units.INPUT: 1, units.OUTPUT: 1}), model=model)
        return isinstance(self._prices.price(of, place(detail) or host, model, answer, self._now_s), Cost)


def place(detail: str | None) -> str | None:
    """The host, with its port, that the sentence of such a call names."""
    found = _PLACE.search(detail or "")
    return found[1] if found else None


def priced_now(store: Store, question: Question, now: Now) -> PricedNow:
    """What of the calls that a question is about, and that have no price, would have one now. Raises LedgerError."""
    source = cover.source(store, words.wanted((), question.filters, question.period, question.zone))
    condition = words.conditions(question.filters, question.period)
    found = store.select(
        f"SELECT provider, host, {COLUMNS['model']}, unpriced_reason, unpriced_detail, SUM(calls) FROM ({narrowed(source, question)})"  # noqa: S608
        f" WHERE {condition.sql} AND unpriced_reason IS NOT NULL AND {IS_CALL} GROUP BY 1, 2, 3, 4, 5",
        condition.values,
    )
    calls, places = 0, set[str]()
    for provider, host, model, reason, detail, count in found:
        told = detail if reason == UNKNOWN_SELLER else None
        if now.has_price(provider or "", host, told, model):
            calls += count
            places |= {place(told) or ""} - {""}
    return PricedNow(calls, frozenset(places))
