"""Records of a ledger to a file and back, for `costspan ledger export` and `import`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import IO, Final

import click

from costspan.facts.counting import number
from costspan.facts.periods import Periods
from costspan.ledger import private, row_calls
from costspan.ledger.booking import Booking
from costspan.ledger.faults import LedgerError
from costspan.ledger.importing import Imported, import_file
from costspan.ledger.store import Store
from costspan.report.period import Period

#: Standard input or output.
STREAM: Final = Path("-")
_SHOWN: Final = 10
_PATIENCE_S: Final = 60.0


class Said:
    """Shows on standard error why records are refused: the first ones, then how many more of each kind there are."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._more: Counter[str] = Counter()
        self._shown = 0

    def refuse(self, place: str, why: str) -> None:
        """A record that is refused."""
        if self._shown < _SHOWN:
            self._shown += 1
            click.echo(f"{self._file}: {place}: {why}", err=True)
        else:
            self._more[why.partition(":")[0]] += 1

    def end(self, sentence: str, *, is_on_stderr: bool = False) -> bool:
        """Say what it all came to; whether nothing was refused."""
        for what, count in self._more.most_common(_SHOWN):
            click.echo(f"{self._file}: {count:,} more: {what}", err=True)
        click.echo(sentence, err=is_on_stderr)
        return not self._shown


def import_(file: Path, ledger: Path, time_zone: tzinfo, refuse: Callable[[str, str], object]) -> Imported:
    """Book what is in a file. Raises LedgerError or OSError."""
    if file != STREAM and file.exists() and ledger.exists() and file.samefile(ledger):
        raise LedgerError(f"{file} is the ledger itself: expected another one")
    booking = Booking(ledger, Periods(str(time_zone)), _PATIENCE_S)
    with ExitStack() as stack:
        stack.callback(booking.close)
        opened = sys.stdin.buffer if file == STREAM else stack.enter_context(file.open("rb"))
        return import_file(file, opened, booking, refuse)


def sentence(file: Path, found: Imported) -> str:
    """What was imported."""
    told = [f"{found.new:,} new", f"{found.known:,} known already", f"{found.refused:,} refused"]
    if found.others:
        told.append(f"{number(found.others, 'log record')} of other programs passed over")
    said = f"{file}: {', '.join(told)}"
    if found.lost:
        said += f"\n{file} counts {number(found.lost, 'lost record')} of its own: these are not imported"
    if found.rolled:
        said += f"\n{file} keeps {number(found.rolled, 'call')} as sums of days only: these are not imported"
    return said


def export(store: Store, file: Path, period: Period, refuse: Callable[[str, str], object]) -> int:
    """Write the calls of a period to a new file; how many. Raises LedgerError; then there is no file."""
    from costspan.emit import exported  # here: it loads OpenTelemetry

    condition, values = _of(period)
    written = 0
    with store.at_one_moment(), _new(file) as out:
        for n, call in row_calls.each(store, condition, values):
            try:
                line = call if isinstance(call, str) else exported.line(call)
            except (ValueError, TypeError) as fault:
                line, call = f"expected {fault}", ""  # noqa: PLW2901
            if isinstance(call, str):
                refuse(f"record {n}", line)
            else:
                out.write(line.encode() + b"\n")
                written += 1
    return written


def _of(period: Period) -> tuple[str, tuple[int, ...]]:
    ends = (("+c.started_ns >= ?", period.start_ns), ("+c.started_ns < ?", period.end_ns))
    return (
        " AND ".join(condition for condition, ns in ends if ns is not None) or "1",
        tuple(ns for _, ns in ends if ns is not None),
    )


@contextmanager
def _new(file: Path) -> Generator[IO[bytes]]:
    """A file to write, which is there under its name when it is whole. Raises LedgerError."""
    if file == STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with private.new_file(file) as being_made, being_made.open("wb") as out:
            yield out
    except FileExistsError as fault:
        raise LedgerError(f"{file} is there already: expected the name of a new file") from fault
    except OSError as fault:
        raise LedgerError(f"{file} cannot be written: {fault}") from fault
