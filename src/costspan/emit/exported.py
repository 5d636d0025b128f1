"""Calls of a ledger as usage events in OTLP JSON, one message a line: the events that programs send, and what else the row has."""

from __future__ import annotations

from typing import Any

from costspan import names
from costspan.emit import events
from costspan.facts.call import Call
from costspan.facts.money import Cost, Unpriced
from costspan.ledger import otlp_json


def line(call: Call) -> str:
    """The line of a call. Raises ValueError or TypeError for one that has no form in OTLP."""
    ended_ns = call.started_ns + int(call.duration_s * 1e9)
    said = {**events.attributes(call), names.RECORD: _row(call)}
    arrival = otlp_json.Arrival(names.USAGE_EVENT, ended_ns, said, call.trace_id, call.span_id)
    return otlp_json.line(names.SCOPE, arrival)


def _row(call: Call) -> dict[str, Any]:
    """What a row of the ledger has and the event of a program does not."""
    answer, price = call.answer, call.price
    said: dict[str, Any] = {
        "client": call.client, "geo": answer.geo, "speed": answer.speed, "processing": answer.processing,
        "is_complete": None if answer.usage is None else answer.usage.complete,
        "is_fetchable": call.is_fetchable or None,
        "computed_nano_usd": price.computed_nano_usd if isinstance(price, Cost) else None,
        "unpriced_detail": price.detail if isinstance(price, Unpriced) else None,
        "unread": answer.unread or None,
        "parts": [{"model": model, "units": part.counts} for model, part in answer.parts] or None,
    }  # fmt: skip
    return {column: value for column, value in said.items() if value is not None}
