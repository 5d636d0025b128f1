"""One finished call as rows of the ledger. Written for speed: this runs once for every call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from costspan.facts import usage as units
from costspan.facts.call import Call
from costspan.facts.money import Cost

#: Values in the order of KIND_COLUMNS or RECORD_COLUMNS.
Row: TypeAlias = tuple[Any, ...]

KIND_COLUMNS: Final = (
    "day", "period", "client", "provider", "host", "operation", "request_model", "response_model",
    "task_type", "source", "team", "is_stream", "outcome", "error_type", "http_status", "finish_reason",
    "tier", "geo", "speed", "processing", "is_complete",
    "quality", "cost_source", "price_version", "unpriced_reason", "unpriced_detail",
)  # fmt: skip
RECORD_COLUMNS: Final = (
    "kind", "id", "started_ns", "session", "account", "response_id", "answer_key", "duration_s", "first_chunk_s",
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "units", "parts",
    "cost_nano_usd", "computed_nano_usd", "trace_id", "span_id", "unread",
    "transaction_id", "estimate",
)  # fmt: skip

_LARGEST_INTEGER: Final = 2**63 - 1
# Of a text that the database refuses as it is, this much is kept.
_MENDED_TEXT: Final = 4_096
_NOTHING: Final[Mapping[str, int]] = {}


def kind(call: Call, day: str) -> Row:
    """What the call, which started on that day (`YYYYMMDD`), shares with many others."""
    answer = call.answer
    usage = answer.usage
    price = call.price
    _, task_type, source, team, _ = call.attribution
    if price is None:
        quality = origin = version = reason = detail = None
    elif isinstance(price, Cost):
        quality, origin, version, reason, detail = price.quality, price.source, price.version, None, None
    else:
        quality, origin, version, reason, detail = None, None, None, price.reason, price.detail or None
    return (
        day, call.period or day[:6], call.client, call.provider, call.address, call.operation,
        call.request_model, answer.model,
        task_type, source, team, call.is_stream, call.outcome, call.error_type, call.http_status,
        ",".join(answer.finish_reasons) or None,
        answer.tier, answer.geo, answer.speed, answer.processing, None if usage is None else usage.complete,
        quality, origin, version, reason, detail,
    )  # fmt: skip


def record(call: Call, kind_n: int) -> Row:
    """What is the call's own, and the number of its kind."""
    answer = call.answer
    usage = answer.usage
    parts = answer.parts
    price = call.price
    counts = _NOTHING if usage is None else usage.counts
    count = counts.get
    amount = computed = None
    if isinstance(price, Cost):
        amount, computed = price.nano_usd, price.computed_nano_usd
    trace_id, span_id = call.trace_id, call.span_id
    return (
        kind_n, call.id, call.started_ns, call.attribution[0], call.attribution[4], answer.id,
        _answer_key(call) if call.is_fetchable else None,
        call.duration_s, call.first_chunk_s,
        count(units.INPUT), count(units.OUTPUT), count(units.CACHE_READ), count(units.CACHE_WRITE),
        count(units.REASONING),
        _counts(counts) if counts else None, _parts(call) if parts else None,
        amount, computed,
        "%032x" % trace_id if trace_id else None, "%016x" % span_id if span_id else None,  # noqa: UP031 - the fastest
        ",".join(answer.unread) or None, call.transaction, call.estimate,
    )  # fmt: skip


def _answer_key(call: Call) -> str | None:
    """What makes the answer the same one when it comes again; None while there is nothing to bill in it."""
    answer = call.answer
    return f"{call.provider} {answer.id}" if answer.id and answer.usage and not answer.pending else None


def _counts(counts: Mapping[str, int]) -> str:
    # A third of the time of json.dumps; the names of units are plain words, the counts whole numbers.
    return "{" + ", ".join([f'"{unit}": {count}' for unit, count in counts.items()]) + "}"


def _parts(call: Call) -> str:
    return json.dumps([[model, usage.counts] for model, usage in call.answer.parts])


def mended(values: Row) -> Row:
    """The row with every value that SQLite refuses made into one that it takes.

    Lone surrogates become `?`, foreign objects their text; a number beyond 64 bits becomes NULL: not known.
    """
    return tuple([_mended(value) for value in values])


def _mended(value: object) -> object:
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, int):
        return int(value) if -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER else None
    text = value if isinstance(value, str) else repr(value)
    return text[:_MENDED_TEXT].encode("utf-8", "replace").decode()
