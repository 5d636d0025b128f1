"""What is owed to whoever asks for figures: which calls are in no ledger here, why, and the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from costspan.clients.libraries import NOT_WATCHED, WAITED_FOR
from costspan.ledger import notes
from costspan.report.period import ALL, Period

_NS: Final = 1_000_000_000
_OLD_S: Final = 30 * 86_400
_KNOWN: Final = frozenset({*NOT_WATCHED.values(), *WAITED_FOR})


def of(
    environ: Mapping[str, str], now_s: float, period: Period = ALL, *, last_ns: int | None, ledger: Path
) -> list[str]:
    """Sentences, by what programs under costspan left behind (ledger/notes.py) within a period.

    `last_ns` is the start of the last call in the ledger that is asked: what was left before it is history.
    """
    found = [note for note in notes.found(environ) if now_s - note["at"] < _OLD_S and _is_within(note["at"], period)]
    booked_s = (last_ns or 0) / _NS
    later = [note for note in found if note["at"] > booked_s and note.get("where") != str(ledger.absolute())]
    return [*_records(later), *_libraries(found), *_started(later, found)]


def overflowed(environ: Mapping[str, str], now_s: float) -> Iterator[str]:
    """What the counters of the last program whose labels overflowed keep under `other`."""
    for note in notes.found(environ):
        if note["kind"] != notes.OVERFLOW or now_s - note["at"] >= _OLD_S:
            continue
        if note.get("sets"):
            limit = "the SDK's limit, as a View or a reader asks for its counters" if note.get("sdk") else _SET_LIMIT
            yield f"{_who(note)} has more than {note['sets']} ({limit}): {_FOLDED}"
        if note.get("labels"):
            yield f"{_who(note)} has more than {note.get('label_limit')} values of {note['labels']} ({_LABEL_LIMIT}): {_FOLDED}"


_SET_LIMIT: Final = "OTEL_COSTSPAN_LABEL_SET_LIMIT"
_LABEL_LIMIT: Final = "OTEL_COSTSPAN_LABEL_LIMIT"
_FOLDED: Final = "the further ones are under `other` in metrics. Totals, spans, events and ledger are exact"


def _is_within(at_s: float, period: Period) -> bool:
    at_ns = at_s * _NS
    return (period.start_ns or 0) <= at_ns and (period.end_ns is None or at_ns < period.end_ns)


def _records(found: list[dict[str, Any]]) -> Iterator[str]:
    for note in found:
        if note["kind"] == notes.RECORD and note.get("how") in _RECORDS:
            yield f"Not in this ledger: calls of {_who(note)} {_RECORDS[note['how']](str(note.get('where')))}"


_RECORDS: Final[dict[str, Callable[[str], str]]] = {
    "otlp": lambda where: f"went by OTLP to {where}, so no ledger was written: OTEL_COSTSPAN_LEDGER=on keeps both.",
    "off": lambda _: "are in no ledger, which was switched off there (OTEL_COSTSPAN_LEDGER).",
    "ledger": lambda where: f"are in the ledger {where}: costspan usage --ledger {where}",
}


def _libraries(found: list[dict[str, Any]]) -> Iterator[str]:
    for note in found:
        library = note.get("library")
        if library not in _KNOWN:
            continue
        if note["kind"] == notes.UNWATCHED:
            yield f"Not counted: {_unwatched(note)}."
        elif note["kind"] == notes.ELSEWHERE:
            yield (
                f"Not counted: calls of {_who(note)} with {library}: it ran on {note.get('python')}, which has no costspan. "
                "Install costspan there, e.g. uv add costspan, or uv run --with costspan."
            )


def _unwatched(note: dict[str, Any]) -> str:
    if note.get("route"):
        return f"calls of {note['library']}'s {note['route']}, which is not watched. {_who(note)} made them"
    named = f"{note['library']} {note.get('version') or ''}".strip()
    remark = f" ({note['remark']})" if note.get("remark") else ""
    return f"calls made with {named}, which is not watched{remark}. {_who(note)} imported it"


def _started(later: list[dict[str, Any]], found: list[dict[str, Any]]) -> Iterator[str]:
    """The last program that was started, unless something else is known of it."""
    for note in later:
        if note["kind"] == notes.STARTED and all(other is note or other["at"] < note["at"] for other in found):
            yield (
                f"{_who(note)} was started by costspan run, and no call of it has been booked since: it made none by a "
                "library that is watched, or is still at it. `costspan doctor` says what is watched."
            )


def _who(note: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(note["at"], timezone.utc)
    return f"{note.get('program')} ({at:%Y-%m-%d %H:%M} UTC)"
