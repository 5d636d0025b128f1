"""A finished call as bytes for journal and outbox, and back: nothing that a counter or a usage event says is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from marshal import dumps, loads
from struct import Struct
from typing import Any, Final, TypeAlias, cast
from zlib import crc32

from costspan.facts.attribution import Attribution
from costspan.facts.call import Answer, Call
from costspan.facts.money import Cost, Price, Unpriced
from costspan.facts.usage import Usage

#: What a line holds, in this order. `booked` is the place of the call in the sums of its process, NULL where it had none
#: yet; `kept_ns` is when the line was written.
COLUMNS: Final = (
    "booked", "kept_ns", "id", "client", "provider", "operation", "started_ns", "request_model", "host", "port",
    *Attribution._fields, "is_stream", "duration_s", "first_chunk_s", "outcome",
    "error_type", "http_status", "period", "trace_id", "span_id",
    "model", "answer", "tier", "geo", "speed", "processing", "finish_reasons", "unread", "counts", "is_complete", "parts",
    "nano_usd", "quality", "cost_source", "price_version", "computed_nano_usd", "unpriced_reason", "unpriced_detail",
    "is_fetchable", "transaction_id", "estimate",
)  # fmt: skip
Values: TypeAlias = tuple[Any, ...]
_NO_PRICE: Final = (None, None, None, None, None)
#: Before the values: how long they are, and their checksum.
_HEAD: Final = Struct("<II")
_pack: Final = _HEAD.pack
#: The form of the values, which every Python reads.
_MARSHAL: Final = 2


def _values(call: Call, kept_ns: int) -> Values:
    answer, usage, price = call.answer, call.answer.usage, call.price
    if price is None:
        cost: Values = _NO_PRICE
        reason = detail = None
    elif isinstance(price, Cost):
        cost = (price.nano_usd, price.quality, price.source, price.version, price.computed_nano_usd)
        reason = detail = None
    else:
        cost = _NO_PRICE
        reason, detail = price
    return (
        call.booked or None, kept_ns, call.id, call.client, call.provider, call.operation, call.started_ns,
        call.request_model, call.host, call.port,
        *call.attribution, call.is_stream, call.duration_s, call.first_chunk_s, call.outcome,
        call.error_type, call.http_status, call.period, call.trace_id, call.span_id,
        answer.model, answer.id, answer.tier, answer.geo, answer.speed, answer.processing, answer.finish_reasons,
        answer.unread, None if usage is None else usage.counts, usage is None or usage.complete,
        [[model, part.counts, part.complete] for model, part in answer.parts] if answer.parts else None,
        *cost, reason, detail, call.is_fetchable, call.transaction, call.estimate,
    )  # fmt: skip


def of_price(price: Price) -> dict[str, Any]:
    """The columns of a price, by name."""
    if isinstance(price, Unpriced):
        return {"unpriced_reason": price.reason, "unpriced_detail": price.detail}
    return {
        "nano_usd": price.nano_usd,
        "quality": price.quality,
        "cost_source": price.source,
        "price_version": price.version,
    }


def packed(call: Call, kept_ns: int) -> bytes:
    """A call as bytes. Written for speed: this runs once for every call, in the caller's thread.

    Raises TypeError or ValueError for a call of which none can be made.
    """
    values = _values(call, kept_ns)
    try:
        content = dumps(values, _MARSHAL)  # a quarter of the time of JSON
    except ValueError:  # a text of a client library's own class
        content = _encode(values).encode("ascii")
    return _pack(len(content), crc32(content)) + content


def values_of(kept: bytes) -> list[Any] | None:
    """The values that were packed; None where they are not whole. The bytes have to be of a file of this user's own.

    Raises ValueError, TypeError or EOFError for bytes that are whole and hold no values.
    """
    if len(kept) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack_from(kept)
    content = kept[_HEAD.size : _HEAD.size + length]
    if not length or len(content) < length or crc32(content) != checksum:
        return None
    found: Any = json.loads(content) if content.startswith(b"[") else loads(content)  # noqa: S302  - see above
    return list(found)


_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=str).encode


def call_of(columns: Sequence[str], found: Sequence[Any]) -> Call:
    """The call of a line with these columns. Raises ValueError, TypeError or LookupError where it is none."""
    said = dict(zip(columns, found, strict=True))
    read = said.get
    call = Call(
        _text(said["id"]), _text(said["client"]), _text(said["provider"]), _text(said["operation"]),
        _whole(said["started_ns"]), read("request_model"), read("host"), read("port"),
        Attribution(*[_text_or_none(read(word)) for word in Attribution._fields]),
        bool(read("is_stream")), _number(said["duration_s"]), read("first_chunk_s"), _text(said["outcome"]),
        read("error_type"), read("http_status"), _answer(said), _price(said), _text(said["period"]),
        _whole(read("trace_id") or 0), _whole(read("span_id") or 0),
    )  # fmt: skip
    call.is_fetchable = bool(read("is_fetchable"))
    call.transaction = read("transaction_id")
    call.estimate = _text_or_none(read("estimate"))
    call.booked = _whole(read("booked") or 0)
    return call


def _answer(said: Mapping[str, Any]) -> Answer:
    read = said.get
    counts = read("counts")
    parts = tuple((model, _usage(each, complete)) for model, each, complete in read("parts") or ())
    return Answer(
        None if counts is None else _usage(counts, said["is_complete"]), read("model"), read("answer"),
        read("tier"), read("geo"), read("speed"), read("processing"), tuple(read("finish_reasons") or ()),
        parts=parts, unread=tuple(read("unread") or ()),
    )  # fmt: skip


def _price(said: Mapping[str, Any]) -> Cost | Unpriced | None:
    if said["nano_usd"] is not None:
        return Cost(
            _whole(said["nano_usd"]), _text(said["quality"]), _text(said["cost_source"]), _text(said["price_version"]),
            said.get("computed_nano_usd"),
        )  # fmt: skip
    reason = said.get("unpriced_reason")
    return None if reason is None else Unpriced(_text(reason), said.get("unpriced_detail") or "")


def _usage(counts: object, complete: object) -> Usage:
    if not isinstance(counts, dict):
        raise TypeError("counts of a usage")
    found = cast("dict[object, object]", counts)
    return Usage({_text(unit): _whole(count) for unit, count in found.items()}, complete=bool(complete))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a whole number")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("a number")
    return value
