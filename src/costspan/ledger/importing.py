"""Rows of another ledger, and usage events in a file, into a ledger: each once, nothing priced anew."""

from __future__ import annotations

import gzip
import io
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, TypeAlias, cast

from costspan import names
from costspan.facts.call import Call
from costspan.ledger import intake, otlp_json, rolled, usage_events
from costspan.ledger.booking import Booking
from costspan.ledger.faults import LedgerError
from costspan.ledger.migrations import is_newer
from costspan.ledger.rows import KIND_COLUMNS, RECORD_COLUMNS, Row
from costspan.ledger.store import Store

#: Rows of one transaction. Programs that write meanwhile have their turn between two of them.
_AT_ONCE: Final = 1_000
_PAUSE_S: Final = 0.002
#: A line that is longer is no line of events: a Collector's batch is a tenth of it.
LONGEST_LINE: Final = 64 * 2**20
_SQLITE: Final = b"SQLite format 3\0"
_GZIP: Final = b"\x1f\x8b"

_OWN: Final = RECORD_COLUMNS[1:]
_STARTED: Final = _OWN.index("started_ns")
_ROWS: Final = (
    f"SELECT c.n, {', '.join(f'c.{name}' for name in KIND_COLUMNS)},"  # noqa: S608 - own names
    f" {', '.join('r.answer_key' if name == 'answer_key' else f'c.{name}' for name in _OWN)}"
    " FROM calls AS c CROSS JOIN records AS r ON r.n = c.n ORDER BY c.n"
)
_WITHOUT_KIND: Final = "SELECT n FROM records WHERE kind IS NULL OR kind NOT IN (SELECT n FROM kinds) ORDER BY n"
_LOST: Final = "SELECT COALESCE(SUM(records), 0) FROM losses"

#: Is told of each row that is refused: its place in the file, and why.
Refuse: TypeAlias = Callable[[str, str], object]
Pair: TypeAlias = tuple[Row, Row]


@dataclass(slots=True)
class Imported:
    """What a file came to, in records: those that are new here, those that were here before, those refused. `others` are
    log records of other programs, `lost` records that the other ledger could not take and has counted, `rolled` those of
    which it keeps sums of days only.
    """

    new: int = 0
    known: int = 0
    refused: int = 0
    others: int = 0
    lost: int = 0
    rolled: int = 0


def import_file(path: Path, file: IO[bytes], booking: Booking, refuse: Refuse) -> Imported:
    """Book what a file holds: a ledger, or usage events as OTLP JSON, a message a line, also packed by gzip. Raises LedgerError for a file that
    cannot be read or a ledger that cannot be written; what was booked before stays, and is known the next time.
    """
    found = Imported()
    until = booking.until_ns()

    def refused(place: str, why: str) -> None:
        found.refused += 1
        refuse(place, why)

    whole: io.BufferedReader[Any] = file if type(file) is io.BufferedReader else io.BufferedReader(cast("Any", file))
    begins = whole.peek(len(_SQLITE))
    try:
        if begins.startswith(_SQLITE):
            _take_ledger(path, found, booking, refused, until)
        else:
            unpacked = cast("IO[bytes]", gzip.GzipFile(fileobj=whole)) if begins.startswith(_GZIP) else whole
            _take_events(unpacked, found, booking, refused, until)
    except (OSError, EOFError, zlib.error) as fault:
        raise LedgerError(f"{path} cannot be read: {fault}") from fault
    return found


def _take_events(file: IO[bytes], found: Imported, booking: Booking, refused: Refuse, until: int) -> None:
    calls = _calls(file, found, refused, until)
    _book(calls, booking.book, found)


def _calls(file: IO[bytes], found: Imported, refused: Refuse, until: int) -> Iterator[Call]:
    for number, line in _lines(file):
        place = f"line {number}"
        try:
            arrivals = otlp_json.read(line) if len(line) <= LONGEST_LINE else None
        except otlp_json.MalformedError as fault:
            refused(place, f"it is no OTLP message in JSON ({str(fault)[:200]})")
            continue
        if arrivals is None:
            refused(place, f"expected at most {LONGEST_LINE:,} bytes")
            continue
        for arrival in arrivals:
            if not isinstance(arrival, str) and arrival.event != names.USAGE_EVENT:
                found.others += 1
                continue
            try:
                yield usage_events.of_event(arrival, {}, until)
            except usage_events.RefusedError as fault:
                refused(place, str(fault))


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines with their numbers; of one that is too long a piece that is."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        rest = line
        while len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE + 1)
        if line.strip():
            yield number, line


def _take_ledger(path: Path, found: Imported, booking: Booking, refused: Refuse, until: int) -> None:
    with intake.read(path) as store:
        if is_newer(store.connection):
            raise LedgerError(f"{path} is of a newer costspan: expected one that this version has written")
        with store.at_one_moment():
            for (number,) in store.each(_WITHOUT_KIND):
                refused(f"record {number}", "kind: expected a row of kinds")
            _book(_rows(store, refused, until), booking.book_rows, found)
            ((found.lost,),) = store.select(_LOST)
            found.rolled = rolled.calls(store)


def _rows(store: Store, refused: Refuse, until: int) -> Iterator[Pair]:
    for number, *values in store.each(_ROWS):
        kind, own = tuple(values[: len(KIND_COLUMNS)]), tuple(values[len(KIND_COLUMNS) :])
        if not own[0] or not isinstance(own[0], str):  # by it a row is known the next time
            refused(f"record {number}", "id: expected a text")
            continue
        too_old = rolled.refusal(own[_STARTED], until) if isinstance(own[_STARTED], int) else None
        if too_old is not None:
            refused(f"record {number}", too_old)
            continue
        yield kind, (None, *own)


def _book(each: Iterable[Any], book: Callable[[list[Any]], int], found: Imported) -> None:
    rows = iter(each)
    while some := list(islice(rows, _AT_ONCE)):
        new = book(some)
        found.new += new
        found.known += len(some) - new
        time.sleep(_PAUSE_S)
