"""What waits in side files and in journals of dead processes, into the ledger: booked once, whoever does it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from costspan import guard
from costspan.facts.money import Cost
from costspan.facts.periods import Periods
from costspan.ledger import journal, sidefile
from costspan.ledger.faults import NewerError, UnreadableError
from costspan.ledger.migrations import ForeignFile
from costspan.ledger.rows import RECORD_COLUMNS
from costspan.ledger.store import Store

_AT_ONCE: Final = 1_000
# So many records are read as quickly as they are summed up. A question waits so long for the others to be summed up, and
# a writer for the lock while so many are.
_LEFT_UNSUMMED: Final = 20_000
_SUMMING_S: Final = 3.0
_SUMMED_AT_ONCE: Final = 10_000
_COST: Final = RECORD_COLUMNS.index("cost_nano_usd")
_UNREAD: Final = "a line of a side file could not be read"


def waiting(ledger: Path) -> list[Path]:
    """The files beside a ledger from which something may be booked."""
    return sidefile.waiting(ledger) + journal.waiting(ledger)


def take_in(store: Store, path: Path, booked: Callable[[int, int], object] | None = None) -> None:
    """Book one such file and remove it; `booked` is told how many records were new, and the cost of all of them.

    One that another process has is left to it, and so is one that nobody can read. Raises what `Store` raises.
    """
    try:
        if journal.MARK in path.name:
            _take_in_journal(store, path, booked)
        else:
            _take_in_side_file(store, path, booked)
    except FileNotFoundError:  # another process was first
        return
    except NewerError:
        guard.tell_once(f"side file:{path}", "costspan: %s is of a newer costspan, which can book it", path)
    except UnreadableError:
        _set_aside(path)


def _take_in_journal(store: Store, path: Path, booked: Callable[[int, int], object] | None) -> None:
    with journal.opened(path) as found:
        if found is None:
            return
        calls = [call for _, call in found.calls]
        losses = [(found.unread, 0, _UNREAD)] if found.unread else ()
        written = store.append(calls, Periods(found.zone), losses, mend=True) if calls or losses else 0
        if booked is not None:
            booked(written, sum(call.price.nano_usd for call in calls if isinstance(call.price, Cost)))
        journal.removed(path)


def _take_in_side_file(store: Store, path: Path, booked: Callable[[int, int], object] | None) -> None:
    with sidefile.opened(path) as found:
        if found is None:
            return
        for pairs in sidefile.parts(found.pairs, _AT_ONCE):
            written = store.take_in(pairs)
            if booked is not None:
                booked(written, sum(own[_COST] for _, own in pairs if isinstance(own[_COST], int)))
        if found.unread:
            store.take_in((), [(found.unread, 0, _UNREAD)])
            _set_aside(path)
        else:
            sidefile.removed(path)


def not_yet(path: Path, fault: Exception) -> None:
    """Say why a side file cannot be booked now. It stays, for the next who looks."""
    sentence = "costspan: the side file %s cannot be booked yet (%s)"
    guard.tell_once(f"side file:{path}:{fault}", sentence, path, fault)


def _set_aside(path: Path) -> None:
    aside = sidefile.moved_aside(path)
    sentence = "costspan: a side file of the ledger cannot be read whole; what could be was booked, it is now %s"
    guard.tell_once(f"side file:{aside}", sentence, aside)


@guard.guarded("ledger.intake")
def take_in_all(ledger: Path) -> None:
    """Book everything that waits beside a ledger, for whoever is about to read it."""
    for path in waiting(ledger):
        _take_in_one(ledger, path)


def _take_in_one(ledger: Path, path: Path) -> None:
    try:
        with Store.open(ledger) as store:
            take_in(store, path)
    except (sqlite3.Error, OSError, ForeignFile) as fault:
        not_yet(path, fault)


def read(ledger: Path) -> Store:
    """Open a ledger for reading, when what waited beside it has been booked. Raises what `Store.read` raises."""
    take_in_all(ledger)
    store = Store.read(ledger)
    if store.beyond > _LEFT_UNSUMMED:
        _sum_up(ledger)
    return store


@guard.guarded("ledger.sums")
def _sum_up(ledger: Path) -> None:
    """Sum up what an older costspan left, for a while: so a large ledger gets its sums from those who ask it."""
    give_up_s = time.monotonic() + _SUMMING_S
    try:
        with Store.open(ledger) as store:
            while store.sum_up(_SUMMED_AT_ONCE) and time.monotonic() < give_up_s:
                pass
    except (sqlite3.Error, OSError, ForeignFile):
        return  # it is read-only, or another process writes: the records answer
