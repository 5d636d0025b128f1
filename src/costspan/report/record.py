"""One record of the ledger: found by its id, and asked again what it should have cost."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from costspan.facts import cost_items
from costspan.facts.attribution_words import WORDS
from costspan.facts.call import Answer
from costspan.facts.money import PROVIDER, Cost
from costspan.facts.usage import Usage
from costspan.ledger import cover
from costspan.ledger.store import Store
from costspan.pricing import Explanation, Prices
from costspan.report import words
from costspan.report.period import Period

_COLUMNS: Final = (
    "id", "started_ns", "day", "period", "client", "provider", "host", "operation", "request_model", "response_model",
    "response_id", *WORDS, "is_stream", "outcome", "error_type",
    "http_status", "finish_reason", "tier", "geo", "speed", "processing", "duration_s", "first_chunk_s", "units",
    "parts", "is_complete", "unread", "cost_nano_usd", "quality", "cost_source", "price_version", "computed_nano_usd",
    "unpriced_reason", "unpriced_detail", "trace_id", "span_id", "transaction_id", "estimate",
)  # fmt: skip
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM calls"  # noqa: S608 - own names
_NS: Final = 1_000_000_000
_LATEST: Final = 2**63 - 1
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


def page(
    store: Store, filters: Iterable[words.Filter], period: Period, limit: int, after: str | None = None
) -> tuple[list[Record], str | None]:
    """Some records that filters and a period choose, the newest first, and what to go on after; None at the end.

    Raises ValueError for an `after` that is none of these.
    """
    store.define("FOLDED", words.folded, 1)
    asked = tuple(filters)
    condition = words.conditions(asked, period)
    last_before = (_LATEST, _LATEST) if after is None else place(after)
    with store.at_one_moment():
        places = cover.only_places(store, words.wanted((), asked).only)
        found = store.select(
            f"SELECT n, {', '.join(_COLUMNS)} FROM calls WHERE {condition.sql} AND {places}"  # noqa: S608
            " AND (started_ns, n) < (?, ?) ORDER BY started_ns DESC, n DESC LIMIT ?",
            (*condition.values, *last_before, limit + 1),
        )
    records = [dict(zip(_COLUMNS, row[1:], strict=True)) for row in found[:limit]]
    return records, f"{records[-1]['started_ns']}-{found[limit - 1][0]}" if len(found) > limit else None


def place(after: str) -> tuple[int, int]:
    """The moment and the number of the record that a page ended with. Raises ValueError for a text that is no such place."""
    told = re.fullmatch(r"(-?\d{1,19})-(\d{1,19})", after)
    if told is None or int(told[1]) > _LATEST or int(told[2]) > _LATEST:
        raise ValueError(f"{after!r} is no place in a list of calls: expected what came as `next` with the page before")
    return int(told[1]), int(told[2])


def units_of(record: Record) -> dict[str, int]:
    """The counts of a record by kind; none where nothing was reported."""
    return json.loads(record["units"] or "{}")


def price_again(record: Record, prices: Prices) -> Again:
    """Explain the record's cost by the prices in force, at the time of the call."""
    explanation = _item(record, prices) or prices.explain(
        record["provider"], record["host"], record["request_model"], _answer(record), record["started_ns"] / _NS
    )
    price = explanation.price
    found = (price.nano_usd, price.computed_nano_usd) if isinstance(price, Cost) else (None, None)
    return Again(explanation, found == (record["cost_nano_usd"], record["computed_nano_usd"]))


def _item(record: Record, prices: Prices) -> Explanation | None:
    """The price of an item that is no call; None of a call."""
    if record["client"] != cost_items.CLIENT or record["operation"] not in cost_items.UNIT_OF:
        return None
    rate, units = record["response_model"] or "", units_of(record)
    price = prices.item(record["operation"], rate, units.get(cost_items.UNIT_OF[record["operation"]], 0))
    told = [f"{count:,} {unit} at the rate {rate!r} of the prices file" for unit, count in units.items()]
    return Explanation(price, tuple(told), (), ())


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
