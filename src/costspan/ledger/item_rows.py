"""A cost item that is no call, as the call that the ledger keeps it as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from costspan.facts import cost_items
from costspan.facts.attribution import NOBODY, Attribution
from costspan.facts.call import OK, Call
from costspan.facts.money import Price
from costspan.ledger.kept_calls import COLUMNS, call_of, of_price

if TYPE_CHECKING:
    from collections.abc import Mapping


def item(
    item_id: str, kind: str, instance: str, rate: str, count: int, price: Price, started_ns: int, *,
    duration_s: float = 0.0, attribution: Attribution = NOBODY,
) -> Call:  # fmt: skip
    """An item as the ledger keeps it. `count` is in the unit of its kind."""
    found: Mapping[str, Any] = {
        "id": item_id, "client": cost_items.CLIENT, "provider": cost_items.PROVIDER, "operation": kind, "started_ns": started_ns,
        "request_model": instance, "model": rate, "duration_s": duration_s, "outcome": OK, "period": "",
        "counts": {cost_items.UNIT_OF[kind]: count}, "is_complete": True, **attribution._asdict(),
        **of_price(price),
    }  # fmt: skip
    return call_of(COLUMNS, [found.get(column) for column in COLUMNS])
