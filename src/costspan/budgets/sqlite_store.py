"""Reservations in one SQLite file that all processes of a machine share: each question is one transaction."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from costspan.budgets import owners
from costspan.budgets import sqlite_sums as sums
from costspan.budgets import store as stores
from costspan.budgets.sqlite_file import SharedFile
from costspan.budgets.store import ClockBehind, Granted, Hold, Refused, Reserved, Spent

if TYPE_CHECKING:
    import sqlite3

_NS_PER_S: Final = 1_000_000_000
#: How long a transaction waits for others: a caller may be an event loop. `python -m benchmarks.admission` measures it.
_PATIENCE_S: Final = 0.5
#: Keys of reservations that are over, and calls whose ledger rows never came, are kept for so long.
_KEPT_NS: Final = 32 * 86_400 * _NS_PER_S


class SqliteStore:
    """The store of one machine. `monotonic_ns` and `now_ns` are for tests: the clocks by which signs of life, and crossings, grow old."""

    def __init__(
        self, path: Path, *, patience_s: float = _PATIENCE_S, monotonic_ns: Callable[[], int] = time.monotonic_ns,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        self._file = SharedFile(path, patience_s)
        self._monotonic_ns = monotonic_ns
        self._now_ns = now_ns
        self._me: owners.Owner | None = None

    # -- calls ---------------------------------------------------------------------------------------------

    def reserve(
        self, key: str, holds: Sequence[Hold], now_ns: int, *, label: str = "", parent: str | None = None,
        transaction: str = "",
    ) -> Granted | Refused | ClockBehind:  # fmt: skip
        """See ReservationStore."""
        with self._file.writing() as db:
            behind = sums.advance(db, now_ns)
            if behind is not None:
                return behind
            found = db.execute("SELECT state, tx, owner FROM reservations WHERE key = ?", (key,)).fetchone()
            if found is not None:
                return self._again(db, key, *found)
            taken = [sums.of_parent(db, parent, hold) for hold in holds]
            refused = self._first_refused(db, holds, taken)
            if refused is not None:
                return refused
            row = (key, self._owner(db).n, transaction or key, stores.HELD, label, now_ns, parent)
            db.execute("INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            for hold, part in zip(holds, taken, strict=True):
                sums.hold(db, key, hold, part, parent)
            return Granted(key, transaction or key)

    def settle(self, key: str, spent: Iterable[Spent], *, is_recorded: bool) -> None:
        """See ReservationStore."""
        with self._file.writing() as db:
            parent = db.execute("SELECT parent FROM reservations WHERE key = ?", (key,)).fetchone()
            real = sums.book(db, key, spent, is_recorded=is_recorded)
            if parent is not None:
                sums.let_go(db, key, real, parent[0])
                db.execute("DELETE FROM reservations WHERE key = ?", (key,))

    def book(self, calls: Iterable[tuple[str, Sequence[Spent]]], *, is_recorded: bool) -> None:
        """See ReservationStore."""
        with self._file.writing() as db:
            for key, spent in calls:
                sums.book(db, key, spent, is_recorded=is_recorded)

    # -- reservations by hand ------------------------------------------------------------------------------

    def commit(self, key: str, amounts: Mapping[str, int]) -> None:
        """See ReservationStore."""
        with self._file.writing() as db:
            self._check_mine(db, key, "committed")
            for budget, total in {**sums.used(db, key), **amounts}.items():
                sums.come_to(db, key, budget, total)
            sums.end(db, key, stores.COMMITTED)

    def extend(self, key: str, holds: Sequence[Hold], now_ns: int) -> Granted | Refused | ClockBehind:
        """See ReservationStore."""
        with self._file.writing() as db:
            behind = sums.advance(db, now_ns)
            if behind is not None:
                return behind
            self._check_mine(db, key, "extended")
            refused = self._first_refused(db, holds, [0] * len(holds))
            if refused is not None:
                return refused
            for hold in holds:
                sums.hold(db, key, hold, 0, None)
            return Granted(key, key)

    def release(self, key: str) -> None:
        """See ReservationStore."""
        with self._file.writing() as db:
            self._check_mine(db, key, "released")
            sums.let_go(db, key, {}, None)
            sums.end(db, key, stores.RELEASED)

    def clear(self, key: str) -> bool:
        """See ReservationStore."""
        with self._file.writing() as db:
            found = db.execute("SELECT 1 FROM reservations WHERE key = ? AND state = ?", (key, stores.HELD)).fetchone()
            if found is not None:
                sums.let_go(db, key, {}, None)
                sums.end(db, key, stores.RELEASED)
            return found is not None

    # -- what stands ---------------------------------------------------------------------------------------

    def standing(self, budget: str, since: int) -> tuple[int, int]:
        """See ReservationStore."""
        with self._file.reading() as db:
            return sums.standing(db, budget, since)

    def crossed(self, budget: str, slot: int, threshold: str) -> bool:
        """See ReservationStore."""
        with self._file.writing() as db:
            row = (budget, slot, threshold)
            return db.execute("INSERT INTO crossings VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount > 0

    def reservations(self) -> list[Reserved]:
        """See ReservationStore."""
        question = (
            "SELECT r.key, r.tx, r.state, r.label, r.made_ns, o.n, o.pid, o.started, o.space, o.seen_ns"
            " FROM reservations AS r LEFT JOIN owners AS o ON o.n = r.owner WHERE r.state = ? ORDER BY r.made_ns, r.key"
        )
        with self._file.reading() as db:
            rows = db.execute(question, (stores.HELD,)).fetchall()
            return [
                Reserved(
                    key, tx, state, label, made_ns, row[1] or 0, not self._is_gone(row), dict(sums.holds_of(db, key))
                )
                for key, tx, state, label, made_ns, *row in rows
            ]

    # -- processes -----------------------------------------------------------------------------------------

    def keep_alive(self) -> int:
        """See ReservationStore."""
        with self._file.writing() as db:
            owner = self._owner(db)
            values = (*owner, self._monotonic_ns())
            db.execute(
                "INSERT INTO owners VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seen_ns = excluded.seen_ns", values
            )
            (clock_ns,) = db.execute("SELECT value FROM meta WHERE name = 'clock_ns'").fetchone()
            before = clock_ns - _KEPT_NS
            db.execute("DELETE FROM reservations WHERE state != ? AND made_ns < ?", (stores.HELD, before))
            db.execute("DELETE FROM seen WHERE slot < ?", (before,))
            sums.forget_crossings(db, self._now_ns())
            return self._expire(db)

    # -- what the ledger has -------------------------------------------------------------------------------

    def place(self, definition: str) -> tuple[int, str] | None:
        """See Books."""
        with self._file.reading() as db:
            return db.execute("SELECT n, id FROM intakes WHERE budget = ?", (definition,)).fetchone()

    def take_in(
        self, definition: str, after: tuple[int, str] | None, upto: tuple[int, str], rows: Iterable[tuple[str, Spent]]
    ) -> bool:
        """See Books."""
        with self._file.writing() as db:
            if db.execute("SELECT n, id FROM intakes WHERE budget = ?", (definition,)).fetchone() != after:
                return False
            for key, (budget, slot, amount) in rows:
                if not db.execute("DELETE FROM seen WHERE id = ? AND budget = ?", (key, budget)).rowcount:
                    db.execute(sums.ADD, (budget, slot, amount, 0))
            values = (definition, *upto)
            db.execute(
                "INSERT INTO intakes VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = excluded.n, id = excluded.id",
                values,
            )
            return True

    # -- the end -------------------------------------------------------------------------------------------

    def looking(self) -> contextlib.AbstractContextManager[None]:
        """A file is asked by everybody at any time."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """See ReservationStore."""
        self._file.close()

    def before_fork(self, give_up_s: float) -> bool:
        """Let go of the file."""
        return self._file.before_fork(give_up_s)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._file.after_fork_in_parent()

    def forget(self) -> None:
        """In a forked child: what is held is the parent's."""
        self._me = None
        self._file.forget()

    def _owner(self, db: sqlite3.Connection) -> owners.Owner:
        if self._me is None or self._me.pid != os.getpid():
            self._me = me = owners.myself()
            db.execute("INSERT INTO owners VALUES (?, ?, ?, ?, ?)", (*me, self._monotonic_ns()))
        return self._me

    def _again(self, db: sqlite3.Connection, key: str, state: str, transaction: str, owner: int) -> Granted:
        if state == stores.HELD and owner != self._owner(db).n:
            raise stores.held_elsewhere(key, sums.process(db, owner))
        return Granted(key, transaction, state)

    def _check_mine(self, db: sqlite3.Connection, key: str, done: str) -> None:
        found = db.execute("SELECT state, owner FROM reservations WHERE key = ?", (key,)).fetchone()
        if found is None:
            raise stores.not_there(key, done)
        state, owner = found
        if state != stores.HELD:
            raise stores.is_over(key, done, state)
        if owner != self._owner(db).n:
            raise stores.not_here(key, done, sums.process(db, owner))

    def _first_refused(self, db: sqlite3.Connection, holds: Sequence[Hold], taken: Sequence[int]) -> Refused | None:
        refused = sums.refused(db, holds, taken)
        if refused is not None and self._expire(db):
            refused = sums.refused(db, holds, taken)
        return refused

    def _expire(self, db: sqlite3.Connection) -> int:
        """Let go of what processes hold that gave no sign of life for long, and cannot be seen to live."""
        gone = [row[0] for row in db.execute("SELECT * FROM owners").fetchall() if self._is_gone(row)]
        released = 0
        for owner in gone:
            keys = db.execute(
                "SELECT key FROM reservations WHERE owner = ? AND state = ?", (owner, stores.HELD)
            ).fetchall()
            for (key,) in keys:
                sums.let_go(db, key, {}, None)
                sums.end(db, key, stores.EXPIRED)
            released += len(keys)
            db.execute("DELETE FROM owners WHERE n = ?", (owner,))
        return released

    def _is_gone(self, row: Sequence[object]) -> bool:
        n, pid, started, space, seen_ns = row
        if n is None or (self._me is not None and n == self._me.n):
            return n is None
        here, now_ns = owners.space() if self._me is None else self._me.space, self._monotonic_ns()
        is_of_this_boot = owners.boot(str(space)) == owners.boot(here)
        is_recent = is_of_this_boot and 0 <= now_ns - int(str(seen_ns)) < stores.EXPIRY_S * _NS_PER_S
        other = owners.Owner(int(str(n)), int(str(pid)), str(started), str(space))
        return not is_recent and not owners.is_seen_alive(other, here)
