"""What others book here: usage events by OTLP, and usage that programs write down themselves, priced here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from starlette.responses import Response

from costspan.facts import foreign
from costspan.facts.call import OK, Answer, Call
from costspan.facts.cost_items import CLIENT, PIECE, PROVIDER, STORAGE, UNIT_OF, UPTIME, counted
from costspan.facts.money import Cost, Unpriced, usd
from costspan.facts.usage import INPUT, INPUT_AUDIO_MS, OUTPUT, OUTPUT_AUDIO_MS, OUTPUT_VIDEO_MS, Usage, milliseconds
from costspan.ledger import rolled, usage_events
from costspan.ledger.kept_calls import of_price
from costspan.ledger.otlp_json import Arrival
from costspan.names import UNKNOWN
from costspan.report.period import moment_s
from costspan.serve import arrivals
from costspan.serve.asked import Asked
from costspan.serve.prices import counts
from costspan.serve.problems import RequestError, mistaken
from costspan.serve.shapes import of_words

_NS: Final = 1_000_000_000
_MOST_RECORDS: Final = 10_000
_REASONS_TOLD: Final = 5
#: What a type of usage does, and the unit of its seconds.
TYPES: Final = {
    "text": ("chat", None), "embedding": ("embeddings", None), "audio_stt": ("transcription", INPUT_AUDIO_MS),
    "audio_tts": ("speech", OUTPUT_AUDIO_MS), "video": ("video_generation", OUTPUT_VIDEO_MS),
}  # fmt: skip


def otlp(asked: Asked) -> Response:
    """`POST /v1/logs`: usage events of other processes. Raises LedgerError where they cannot be booked now."""
    content, kind = asked.body
    calls: list[Call] = []
    refused: list[str] = []
    until_ns = asked.served.booking.until_ns()
    for arrival in arrivals.read(content, kind):
        call = _understood(arrival, asked, until_ns)
        if isinstance(call, str):
            refused.append(call)
        else:
            calls.append(call)
    if calls:
        asked.served.booking.book(calls)
    why = "; ".join(dict.fromkeys(refused[:_REASONS_TOLD]))
    return Response(arrivals.answer(kind, len(refused), why), media_type=kind)


def _understood(arrival: Arrival | str, asked: Asked, until_ns: int) -> Call | str:
    """The call, or why there is none."""
    try:
        return usage_events.of_event(arrival, asked.caller.bounds, until_ns)
    except usage_events.RefusedError as fault:
        return str(fault)


@dataclass(frozen=True, slots=True)
class BookedUsage:
    """Usage that a program writes down itself. `id` is that of its transaction: the same one is booked once. `type` is text,
    embedding, audio_stt, audio_tts or video; `units` are counts by unit beside tokens and seconds. Without an account
    it is the usage of the system. What is no call has the type uptime (with `seconds`), storage (`byte_hours`) or piece
    (`pieces`), and in the place of provider and model an `instance` and a `rate` of the server's prices.
    """

    id: str
    provider: str | None = None
    model: str | None = None
    type: str = field(default="text", metadata=of_words((*TYPES, *UNIT_OF)))
    instance: str | None = None
    rate: str | None = None
    byte_hours: int | None = None
    pieces: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float | None = None
    units: Mapping[str, int] = field(default_factory=dict[str, int])
    started_at: str | None = None
    duration_s: float = 0.0
    session: str | None = None
    task_type: str | None = None
    source: str | None = None
    team: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class BookedUsages:
    """Some usage to book: all of it, or none where a record is mistaken."""

    records: tuple[BookedUsage, ...]


@dataclass(frozen=True, slots=True)
class BookedPrice:
    """What a record costs; `cost_usd` is null where no price is known."""

    id: str
    cost_usd: Decimal | None
    quality: str | None
    unpriced_reason: str | None


@dataclass(frozen=True, slots=True)
class BookedAnswer:
    """How many records were new, how many had been booked before (those stay as they were), and what each costs."""

    booked: int
    duplicates: int
    records: tuple[BookedPrice, ...]


def records(asked: Asked) -> BookedAnswer:
    """`POST /v1/usage/records`."""
    said: BookedUsages = asked.body
    if not 1 <= len(said.records) <= _MOST_RECORDS:
        raise mistaken("records", str(len(said.records)), f"1 to {_MOST_RECORDS} records")
    calls = [_call(one, f"records[{number}]", asked) for number, one in enumerate(said.records)]
    until_ns = asked.served.booking.until_ns()
    for number, (one, call) in enumerate(zip(said.records, calls, strict=True)):
        too_old = rolled.refusal(call.started_ns, until_ns)
        if too_old is not None:
            raise mistaken(f"records[{number}].started_at", str(one.started_at), f"a later time, as it {too_old}")
    new = asked.served.booking.book(calls)
    return BookedAnswer(new, len(calls) - new, tuple(map(_priced, said.records, calls)))


def _priced(one: BookedUsage, call: Call) -> BookedPrice:
    price = call.price
    if isinstance(price, Cost):
        return BookedPrice(one.id, usd(price.nano_usd), price.quality, None)
    return BookedPrice(one.id, None, None, price.reason if isinstance(price, Unpriced) else None)


def _call(one: BookedUsage, place: str, asked: Asked) -> Call:
    if one.type not in TYPES and one.type not in UNIT_OF:
        raise mistaken(f"{place}.type", one.type, f"one of {', '.join((*TYPES, *UNIT_OF))}")
    is_item = one.type in UNIT_OF
    operation = one.type if is_item else TYPES[one.type][0]
    started_s = _started_s(one.started_at, place)
    found: dict[str, Any] = {
        name: foreign.text(getattr(one, name))
        for name in ("id", "provider", "model", "instance", "rate", *usage_events.ATTRIBUTION)
    }
    for name in ("id", "instance", "rate") if is_item else ("id", "provider", "model"):
        if found[name] is None:
            raise mistaken(f"{place}.{name}", getattr(one, name) or "", "a text")
    if asked.caller.bounds:  # whoever sees a part must not meet the ids of others, nor take them
        found["id"] = f"{asked.caller.name}:{found['id']}"
    if not 0 <= one.duration_s <= _LONGEST_S:
        raise mistaken(f"{place}.duration_s", str(one.duration_s), f"seconds from 0 to {_LONGEST_S}")
    if is_item:
        found |= {"provider": PROVIDER, "model": found["rate"]}
        usage = Usage({UNIT_OF[one.type]: _quantity(one, place)})
        price = asked.served.prices.item(one.type, found["rate"], *usage.counts.values())
    else:
        usage = Usage(_counted(one, place))
        answer = Answer(usage, found["model"])
        price = asked.served.prices.price(found["provider"], None, found["model"], answer, started_s)
    found |= {
        **of_price(price), "client": CLIENT if is_item else UNKNOWN, "operation": operation, "started_ns": int(started_s * _NS), "duration_s": one.duration_s,
        "request_model": found["instance"] if is_item else found["model"], "outcome": OK, "period": "", "counts": usage.counts, "is_complete": True,
    }  # fmt: skip
    try:
        return usage_events.made(found, asked.caller.bounds)
    except usage_events.RefusedError as fault:
        name, _, expected = str(fault).partition(": expected ")
        refused = f"{place}.{name}"
        raise RequestError(403, f"{refused}: expected {expected}", field=refused, expected=expected) from None


_LONGEST_S: Final = 10_000_000
#: What a count of each kind of item is said by.
_SAID_BY: Final = {UPTIME: "seconds", STORAGE: "byte_hours", PIECE: "pieces"}


def _quantity(one: BookedUsage, place: str) -> int:
    """The count of an item, in the unit of its kind. Raises RequestError where it has none."""
    name = _SAID_BY[one.type]
    said = getattr(one, name)
    try:
        return counted(one.type, said)
    except ValueError:
        raise mistaken(f"{place}.{name}", str(said), "a number from 0 on") from None


def _counted(one: BookedUsage, place: str) -> dict[str, int]:
    """The counts of a record by unit. Raises RequestError where it has none."""
    _, of_time = TYPES[one.type]
    found = dict(one.units)
    found |= {
        unit: count for unit, count in ((INPUT, one.input_tokens), (OUTPUT, one.output_tokens)) if count is not None
    }
    if one.seconds is not None:
        ms = milliseconds(one.seconds)
        if of_time is None or ms is None:
            raise mistaken(f"{place}.seconds", str(one.seconds), "seconds from 0 on, of audio_stt, audio_tts or video")
        found[of_time] = ms
    if not found:
        expected = "input_tokens, output_tokens, seconds or units"
        raise RequestError(400, f"{place} has no usage: expected {expected}", field=place, expected=expected)
    return counts(found)


def _started_s(said: str | None, place: str) -> float:
    if said is None:
        return time.time()
    try:
        found = moment_s(said)
    except (ValueError, OverflowError):
        found = -1.0
    if not 0 <= found <= time.time() + 86_400:
        raise mistaken(f"{place}.started_at", str(said), "a date or time such as 2026-11-03T14:30, not in the future")
    return found
