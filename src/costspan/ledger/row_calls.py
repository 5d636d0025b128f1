"""A row of the ledger as the call that it was made of, to be told as a usage event."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from costspan.facts.attribution import Attribution
from costspan.facts.call import Call
from costspan.ledger.kept_calls import COLUMNS, call_of
from costspan.ledger.store import Store

#: Columns of the ledger that the call has under the same name.
_SAME: Final = (
    "id", "client", "provider", "operation", "started_ns", "request_model", *Attribution._fields, "duration_s",
    "first_chunk_s", "outcome", "error_type", "http_status", "period", "tier", "geo", "speed", "processing",
    "quality", "cost_source", "price_version", "computed_nano_usd", "unpriced_reason", "unpriced_detail", "transaction_id",
    "estimate",
)  # fmt: skip
#: Columns with another name or form.
_OTHER: Final = (
    "host", "is_stream", "response_model", "response_id", "finish_reason", "unread", "units", "parts", "is_complete",
    "cost_nano_usd", "trace_id", "span_id",
)  # fmt: skip
_QUESTION: Final = (
    f"SELECT c.n, {', '.join(f'c.{name}' for name in (*_SAME, *_OTHER))}, r.answer_key"  # noqa: S608 - own names
    " FROM calls AS c CROSS JOIN records AS r ON r.n = c.n WHERE {} ORDER BY c.n"
)


def each(store: Store, condition: str = "1", values: Sequence[object] = ()) -> Iterator[tuple[int, Call | str]]:
    """The number of each row that the condition on `c`, a row of `calls`, chooses, and its call; in the place of one of which none can be made,
    why not. In the order of booking. Raises LedgerError.
    """
    for number, *row in store.each(_QUESTION.format(condition), values):
        yield number, _call(dict(zip((*_SAME, *_OTHER, "answer_key"), row, strict=True)))


def _call(row: dict[str, Any]) -> Call | str:
    try:
        counts = None if row["units"] is None and row["is_complete"] is None else json.loads(row["units"] or "{}")
        host, port = _address(row["host"])
        found = {name: row[name] for name in _SAME} | {
            "host": host, "port": port, "is_stream": row["is_stream"], "model": row["response_model"], "answer": row["response_id"],
            "finish_reasons": _listed(row["finish_reason"]), "unread": _listed(row["unread"]), "counts": counts,
            "parts": [(model, each, True) for model, each in json.loads(row["parts"] or "[]")],
            "is_complete": row["is_complete"] != 0, "nano_usd": row["cost_nano_usd"],
            "trace_id": int(row["trace_id"] or "0", 16), "span_id": int(row["span_id"] or "0", 16),
            "is_fetchable": row["answer_key"] is not None,
        }  # fmt: skip
        return call_of(COLUMNS, [found.get(column) for column in COLUMNS])
    except (ValueError, TypeError, LookupError, RecursionError) as fault:
        return f"expected {fault}"


def _listed(joined: str | None) -> list[str]:
    return joined.split(",") if joined else []


def _address(said: str | None) -> tuple[str | None, int | None]:
    """Host and port of a column that has both where the port is not the usual one."""
    host, _, port = (said or "").rpartition(":")
    if not host or not port.isdecimal() or (":" in host and not host.endswith("]")):
        return said, None
    return host.removeprefix("[").removesuffix("]"), int(port)
