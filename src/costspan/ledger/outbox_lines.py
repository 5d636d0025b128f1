"""What stands in an outbox, line by line: who the process is, the sums that it went on from, calls, what was delivered."""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from costspan.facts.call import Call
from costspan.ledger import kept_calls
from costspan.ledger.faults import NewerError, UnreadableError

VERSION: Final = 3
#: Keys of a line that is no call.
SUMS: Final = "sums"
TOTALS: Final = "totals"
EVENTS: Final = "events"


@dataclass(slots=True)
class Kept:
    """What stands in an outbox. Calls in the order in which they were kept, each with when that was.

    `sums` is what the process went on from, as `metrics.restored` wrote it, with how many calls are within them.
    `totals` says up to which booked call the counters were delivered, `events` which lines were delivered as events.
    """

    head: dict[str, Any]
    sums: dict[str, Any] | None = None
    calls: list[tuple[int, Call]] = field(default_factory=list[tuple[int, Call]])
    totals: int = 0
    events: set[str] = field(default_factory=set[str])
    unread: int = 0

    @property
    def booked(self) -> int:
        """How many calls the counters came to at the end."""
        return max(int((self.sums or {}).get("booked", 0)), *[call.booked for _, call in self.calls], 0)

    @property
    def has_totals(self) -> bool:
        """Whether a counter has not been delivered as it stood at the end."""
        return self.booked > self.totals or (not self.totals and bool(self.calls))

    def undelivered(self) -> list[Call]:
        """The calls whose usage events have not been delivered; none where the process sends none."""
        return [call for _, call in self.calls if call.id not in self.events] if self.head.get("logs") else []

    @property
    def waits(self) -> bool:
        """Whether anything is still to be delivered."""
        return self.has_totals or bool(self.undelivered())


def head(said: Mapping[str, Any]) -> bytes:
    """The first line."""
    whole = {"costspan": "outbox", "version": VERSION, "columns": kept_calls.COLUMNS, **said}
    return json.dumps(whole).encode("ascii") + b"\n"


def mark(what: str, value: object) -> bytes:
    """The line that says what was delivered, or which sums a process goes on from."""
    return json.dumps({what: value}, separators=(",", ":")).encode("ascii") + b"\n"


def line(packed: bytes) -> bytes:
    """The line of a call."""
    return b2a_base64(packed)


def read(lines: Iterable[bytes]) -> Kept:
    """What the lines of an outbox say. Raises UnreadableError or NewerError."""
    each = iter(lines)
    kept = Kept(head_of(next(each, b"")))
    columns = [str(name) for name in kept.head["columns"]]
    for line in each:
        try:
            _take(kept, columns, line)
        except (ValueError, TypeError, LookupError, EOFError, RecursionError):  # noqa: PERF203  # a line of its own is no fault of others
            kept.unread += 1
    return kept


def head_of(line: bytes) -> dict[str, Any]:
    """What a first line says. Raises UnreadableError or NewerError."""
    try:
        found = json.loads(line)
        is_ours = found["costspan"] == "outbox"
        version = int(found["version"])
        columns = found["columns"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise UnreadableError from None
    if not is_ours or not isinstance(columns, list):
        raise UnreadableError
    if version > VERSION or {*cast("list[str]", columns)} - {*kept_calls.COLUMNS}:
        raise NewerError
    return found


def _take(kept: Kept, columns: list[str], line: bytes) -> None:
    if not line.endswith(b"\n"):
        raise ValueError
    if not line.startswith(b"{"):
        # A JSON list in files of version 1.
        found = json.loads(line) if line.startswith(b"[") else kept_calls.values_of(a2b_base64(line))
        if found is None:
            raise ValueError
        kept.calls.append((int(found[columns.index("kept_ns")]), kept_calls.call_of(columns, found)))
        return
    said = json.loads(line)
    if SUMS in said:
        kept.sums = dict(said[SUMS])
    elif TOTALS in said:
        kept.totals = max(kept.totals, int(said[TOTALS]))
    else:
        kept.events.update(str(each) for each in said[EVENTS])
