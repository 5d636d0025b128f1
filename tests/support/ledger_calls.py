"""Finished calls as the engine hands them over, for tests of the ledger and of what reads it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from costspan.facts.attribution import Attribution
from costspan.facts.call import Answer, Call
from costspan.facts.money import ESTIMATED, EXACT, LOCAL, Cost, Unpriced
from costspan.facts.usage import Usage
from costspan.ledger.store import Store
from costspan.ledger.writer import LedgerWriter

_numbers = itertools.count(1)
NOON_NS = int(datetime(2026, 11, 20, 12, tzinfo=timezone.utc).timestamp()) * 10**9

USAGE = Usage(input=812, output=96, cache_read=512, reasoning=32)
COST = Cost(
    695_400, EXACT, LOCAL, "2026-11-20",
)  # fmt: skip
UNPRICED = Unpriced("unknown_model", "no price for my-own-model")


def at_ns(text: str) -> int:
    """A moment in UTC, as `2026-11-20 12:00`."""
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()) * 10**9


def call(**changed: Any) -> Call:
    """A priced call of openai with an id of its own; by name, fields of the call, its answer (whose id is
    `response_id`) and its attribution. A `model` is the one that was asked for too, unless `request_model` is another.
    """
    if changed.get("model") is not None:
        changed.setdefault("request_model", changed["model"])
    answer = Answer(USAGE, "gpt-5.4-mini-2026-03-17", "chatcmpl-1", "default", finish_reasons=("stop",))
    attribution = Attribution("session-1", "research", "main_agent", "search", "acme")
    made = Call(
        id=f"call-{next(_numbers):06}", client="openai", provider="openai", operation="chat", started_ns=NOON_NS,
        request_model="gpt-5.4-mini", host="api.openai.com", duration_s=1.5, price=COST, period="202611",
        trace_id=0xABC, span_id=0xDEF,
    )  # fmt: skip
    if "response_id" in changed:
        answer.id = changed.pop("response_id")
    of_answer = {name: changed.pop(name) for name in set(changed) & set(Answer.__slots__) - set(Call.__slots__)}
    of_attribution = {name: changed.pop(name) for name in set(changed) & set(Attribution._fields)}
    made.answer = replace(answer, **of_answer)
    made.attribution = attribution._replace(**of_attribution)
    return replace(made, **changed)


def write(path: Path, *calls: Call) -> None:
    """Book the calls in the ledger at `path`."""
    writer = LedgerWriter(path)
    writer.take(calls)
    writer.close()
    assert (writer.lost, writer.queued, writer.fault) == (0, 0, "")


def booked(path: Path, *columns: str) -> list[Any]:
    """The rows of the ledger in the order of booking: values of one column, or tuples of several."""
    with Store.read(path) as store:
        rows = store.select(f"SELECT {', '.join(columns or ('id',))} FROM calls ORDER BY n")  # noqa: S608 - own names
    return rows if len(columns) > 1 else [row[0] for row in rows]


def two_teams(path: Path) -> Path:
    """A ledger of two teams on two days: one call without an account, one unpriced, one of a stream that was cut short."""
    write(
        path,
        call(started_ns=at_ns("2026-11-03 23:30"), team="Search"),
        call(started_ns=at_ns("2026-11-05 08:00"), account=None),
        call(started_ns=at_ns("2026-11-05 09:00"), team="ads", model="own", price=UNPRICED),
        call(started_ns=at_ns("2026-11-05 10:00"), team="ads", price=Cost(1_000_000_001, ESTIMATED)),
    )
    return path
