"""One record of the ledger: found by its id, and asked again what it should have cost."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from costspan.facts.attribution_words import WORDS
from costspan.facts.call import Answer
from costspan.facts.money import PROVIDER, Cost
from costspan.facts.usage import Usage
from costspan.ledger.store import Store
from costspan.pricing import Explanation, Prices

_COLUMNS: Final = (
    "id", "started_ns", "day", "period", "client", "provider", "host", "operation", "request_model", "response_model",
    "response_id", *WORDS, "is_stream", "outcome", "error_type",
    "http_status", "finish_reason", "tier", "geo", "speed", "processing", "duration_s", "first_chunk_s", "units",
    "parts", "is_complete", "unread", "cost_nano_usd", "quality", "cost_source", "price_version", "computed_nano_usd",
    "unpriced_reason", "unpriced_detail", "trace_id", "span_id",
)  # fmt: skip
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM calls"  # noqa: S608 - own names
_NS: Final = 1_000_000_000
#: More records than these are not listed for one id.
MOST: Final = 20

#: A record by the names of its columns.
Record = dict[str, Any]


class Again(NamedTuple):
    """What today's prices say of a record, and whether that is what was booked."""

    explanation: Explanation
    is_same: bool


def find(store: Store, word: str) -> list[Record]:
    """The records with this call id, else with this answer id, trace id or beginning of a call id."""
    exact = _records(store, "id = ?", (word,))
    # A range of the index instead of LIKE, which would read the whole ledger.
    return (
        exact
        or _records(store, "id > ? AND id < ?", (word, word + "\U0010ffff"))
        or _records(store, "response_id = ? OR trace_id = ?", (word, word))
    )


def last(store: Store) -> list[Record]:
    """The newest record that has usage; none in an empty ledger."""
    return _records(store, "units IS NOT NULL ORDER BY n DESC", ())[:1]


def price_again(record: Record, prices: Prices) -> Again:
    """Explain the record's cost by the prices in force, at the time of the call."""
    explanation = prices.explain(
        record["provider"], record["host"], record["request_model"], _answer(record), record["started_ns"] / _NS
    )
    price = explanation.price
    found = (price.nano_usd, price.computed_nano_usd) if isinstance(price, Cost) else (None, None)
    return Again(explanation, found == (record["cost_nano_usd"], record["computed_nano_usd"]))


def _records(store: Store, condition: str, values: tuple[str, ...]) -> list[Record]:
    found = store.select(f"{_SELECT} WHERE {condition} LIMIT {MOST}", values)
    return [dict(zip(_COLUMNS, row, strict=True)) for row in found]


def _answer(record: Record) -> Answer:
    units = record["units"]
    return Answer(
        usage=None if units is None else Usage(json.loads(units), complete=bool(record["is_complete"])),
        model=record["response_model"],
        id=record["response_id"],
        tier=record["tier"],
        geo=record["geo"],
        speed=record["speed"],
        processing=record["processing"],
        reported_nano_usd=record["cost_nano_usd"] if record["cost_source"] == PROVIDER else None,
        parts=tuple((model, Usage(counts)) for model, counts in json.loads(record["parts"] or "[]")),
        unread=tuple(record["unread"].split(",")) if record["unread"] else (),
    )
