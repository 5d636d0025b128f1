"""What waits in side files, into the ledger: booked once, whoever does it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from costspan import guard
from costspan.ledger import sidefile
from costspan.ledger.migrations import ForeignFile
from costspan.ledger.rows import RECORD_COLUMNS
from costspan.ledger.store import Store

_AT_ONCE: Final = 1_000
_COST: Final = RECORD_COLUMNS.index("cost_nano_usd")
_UNREAD: Final = "a line of a side file could not be read"


def take_in(store: Store, path: Path, booked: Callable[[int, int], object] | None = None) -> None:
    """Book one side file and remove it; `booked` is told how many records were new, and the cost of all of them.

    One that another process has is left to it, and so is one that nobody can read. Raises what `Store` raises.
    """
    try:
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
    except FileNotFoundError:  # another process was first
        return
    except sidefile.NewerError:
        guard.tell_once(f"side file:{path}", "costspan: %s is of a newer costspan, which can book it", path)
    except sidefile.UnreadableError:
        _set_aside(path)


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
    for path in sidefile.waiting(ledger):
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
    return Store.read(ledger)
