"""Old records rolled into sums of days, and the space that this leaves given back.

Each transaction moves some records of one day into `rolled` and takes the day's other sums away, so that what is left of its
records is read until the day is done: whenever it is interrupted, records and sums of days together are what was booked.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from costspan.facts.attribution_words import ACCOUNT
from costspan.ledger import faults, places
from costspan.ledger.faults import LedgerError
from costspan.ledger.marks import ROLLED, SUMMED, at, set_mark
from costspan.ledger.migrations import ForeignFile
from costspan.ledger.store import Store
from costspan.ledger.sums import ACCOUNT_DAYS, COUNTED_SUMS, COUNTS, DAYS, HOURS, IS_ORDINARY, SLOT_NS

_T = TypeVar("_T")
DAY_NS: Final = SLOT_NS[DAYS]
# Programs that write wait for one transaction: 20 ms to 0.1 s. Between two of them they have their turn.
_AT_ONCE: Final = 2_000
_PAGES_AT_ONCE: Final = 500
_SUMMED_AT_ONCE: Final = 5_000
_PAUSE_S: Final = 0.005
_PATIENCE_S: Final = 60.0
_INCREMENTAL: Final = 2

# The newest record stays: its number is never given to another one.
_OLD: Final = (
    "FROM records"  # noqa: S608 - own names
    " WHERE started_ns >= ? AND started_ns < ? AND n <= ? AND n < (SELECT MAX(n) FROM records)"
    f" AND kind IN (SELECT n FROM kinds) AND {IS_ORDINARY}"
)
_CHOSEN: Final = "(SELECT n FROM temp.chosen)"
_GROUPS: Final = f"SELECT kind, {ACCOUNT}, {COUNTED_SUMS} FROM records WHERE n IN {_CHOSEN} GROUP BY 1, 2"  # noqa: S608
_ADD: Final = (
    f"INSERT INTO rolled (slot, label, {', '.join(COUNTS)}) VALUES (?, ?{', ?' * len(COUNTS)})"  # noqa: S608 - own names
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in COUNTS)}"
)


@dataclass(slots=True)
class Old:
    """Records that began before a day: how many, of what cost, how many days, and about how many bytes they take."""

    records: int
    nano_usd: int
    days: int
    about_bytes: int


def old(store: Store, before_ns: int) -> Old:
    """What would be rolled up. Raises LedgerError."""
    with store.at_one_moment():
        ((count, nano_usd, days),) = store.select(
            f"SELECT COUNT(*), COALESCE(SUM(cost_nano_usd), 0), COUNT(DISTINCT started_ns / {DAY_NS}) {_OLD}",
            (0, before_ns, store.last_n),
        )
        ((total,),) = store.select("SELECT COUNT(*) FROM records")
        used = store.used_bytes - store.free_bytes
    return Old(count, nano_usd, days, used * count // total if total else 0)


def roll_up(path: Path, before_ns: int) -> int:
    """Roll the records that began before a moment, which begins a day of UTC, into the sums of their days; how many. Raises LedgerError."""
    with _opened(path) as store:
        while _patiently(path, lambda: store.sum_up(_SUMMED_AT_ONCE)):
            time.sleep(_PAUSE_S)
        days = store.select(
            f"SELECT DISTINCT started_ns / {DAY_NS} FROM records WHERE started_ns >= 0 AND started_ns < ? ORDER BY 1",  # noqa: S608
            (before_ns,),
        )
        rolled = 0
        for (day,) in days:
            while some := _patiently(path, lambda day=day: _roll(store, day)):
                rolled += some
                time.sleep(_PAUSE_S)
        _patiently(path, lambda: _forget_places(store))
    return rolled


def _roll(store: Store, day: int) -> int:
    """Move some records of a day into its sum, in one transaction; how many."""
    run = store.connection.execute
    with store.writing() as sums:
        run("CREATE TEMP TABLE IF NOT EXISTS chosen (n INTEGER PRIMARY KEY)")
        run("DELETE FROM temp.chosen")
        stretch = (day * DAY_NS, (day + 1) * DAY_NS, at(store.connection, SUMMED))
        run(f"INSERT INTO temp.chosen SELECT n {_OLD} ORDER BY n LIMIT {_AT_ONCE}", stretch)
        found = [
            (day, sums.label(labels, account), *counts)
            for kind, account, *counts in run(_GROUPS).fetchall()
            if (labels := sums.set_of(kind)) is not None
        ]
        count = sum(row[2] for row in found)
        if count:
            _read_records_of(store, day)
            store.connection.executemany(_ADD, found)
            if run(f"DELETE FROM records WHERE n IN {_CHOSEN}").rowcount != count:  # noqa: S608
                raise sqlite3.IntegrityError("a record that is in no sum was to be given up")
            set_mark(store.connection, ROLLED, max(at(store.connection, ROLLED), (day + 1) * DAY_NS))
        if count < _AT_ONCE:
            _end(store, day)
    return count


def _slots(day: int) -> list[tuple[int, int]]:
    return [(DAYS, day), (ACCOUNT_DAYS, day), *((HOURS, day * 24 + hour) for hour in range(24))]


def _read_records_of(store: Store, day: int) -> None:
    """Give up the other sums of a day: what is left of its records is read."""
    store.connection.executemany("DELETE FROM sums WHERE grain = ? AND slot = ?", _slots(day))
    store.connection.executemany("INSERT OR IGNORE INTO crowded VALUES (?, ?)", _slots(day))


def _end(store: Store, day: int) -> None:
    """Where no record of a day is left, there is nothing to be read of it."""
    is_left = "SELECT 1 FROM records WHERE started_ns >= ? AND started_ns < ? AND n <= ? AND n NOT IN (SELECT n FROM unsummed)"
    stretch = (day * DAY_NS, (day + 1) * DAY_NS, at(store.connection, SUMMED))
    is_rolled = "SELECT 1 FROM rolled WHERE slot = ?"
    run = store.connection.execute
    if run(is_rolled, (day,)).fetchone() and not run(is_left, stretch).fetchone():
        store.connection.executemany("DELETE FROM crowded WHERE grain = ? AND slot = ?", _slots(day))


def _forget_places(store: Store) -> None:
    """Blocks of places all of whose records have gone."""
    with store.writing():
        for word in places.PLACED:
            store.connection.execute(
                f"DELETE FROM {word}_places WHERE first + length(digests) / 4 <= (SELECT MIN(n) FROM records)"  # noqa: S608
            )


# --- space ---------------------------------------------------------------------------------------------------------------


def give_back(path: Path, *, at_once: bool) -> tuple[int, int]:
    """Make the file smaller: how many bytes were given back, and how many could be all at once only: in a file that was begun by an older
    version. No program can write to it meanwhile. Raises LedgerError.
    """
    with _opened(path) as store:
        before = store.used_bytes
        run = store.connection.execute
        if at_once:
            run(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
            _patiently(path, lambda: run("VACUUM"))
        is_in_steps = run("PRAGMA auto_vacuum").fetchone()[0] == _INCREMENTAL
        if is_in_steps:
            left = store.free_bytes + 1
            while 0 < store.free_bytes < left:
                left = store.free_bytes
                # By `execute` it gives back one page: that ends a statement without columns at its first row.
                _patiently(path, lambda: store.connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})"))
                time.sleep(_PAUSE_S)
        run(
            "PRAGMA wal_checkpoint(TRUNCATE)"
        ).fetchall()  # where somebody reads, the file shrinks with the next checkpoint
        return max(before - store.used_bytes, 0), 0 if is_in_steps else store.free_bytes


def _opened(path: Path) -> Store:
    return _patiently(path, lambda: Store.open(path))


def _patiently(path: Path, work: Callable[[], _T]) -> _T:
    """The work, tried again while another program has the lock. Raises LedgerError."""
    give_up_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return work()
        except (sqlite3.Error, OSError, ForeignFile) as fault:
            if faults.kind(fault) != faults.LOCKED or time.monotonic() >= give_up_s:
                raise LedgerError(f"the ledger {path} cannot be compacted: {fault}") from fault
        time.sleep(_PAUSE_S)
