"""The SQLite file in which the processes of a machine share their reservations: opened, locked, never carried over a fork."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

from costspan.budgets import owners
from costspan.budgets.store import StoreUnavailableError
from costspan.ledger import private

#: `PRAGMA application_id`: the letters "CoBu".
APPLICATION_ID: Final = 0x436F4275
_VERSION: Final = 1
_TABLES: Final = (
    # `spent` and `reserved` of one budget in one slot of time. `reserved` is the sum of `holds` there, at any commit.
    """
    CREATE TABLE sums (budget TEXT, slot INTEGER, spent INTEGER NOT NULL, reserved INTEGER NOT NULL,
        PRIMARY KEY (budget, slot)) WITHOUT ROWID
    """,
    "CREATE TABLE owners (n INTEGER PRIMARY KEY, pid INTEGER, started TEXT, space TEXT, seen_ns INTEGER)",
    """
    CREATE TABLE reservations (key TEXT PRIMARY KEY, owner INTEGER, tx TEXT, state TEXT, label TEXT, made_ns INTEGER,
        parent TEXT) WITHOUT ROWID
    """,
    # `used` is what the calls under a reservation have spent.
    """
    CREATE TABLE holds (key TEXT, budget TEXT, slot INTEGER, amount INTEGER NOT NULL, used INTEGER NOT NULL,
        PRIMARY KEY (key, budget, slot)) WITHOUT ROWID
    """,
    # Calls that are booked here and not read from the ledger yet.
    "CREATE TABLE seen (id TEXT, budget TEXT, slot INTEGER, PRIMARY KEY (id, budget)) WITHOUT ROWID",
    # How far the ledger has been read for a budget: the number and the id of a row.
    "CREATE TABLE intakes (budget TEXT PRIMARY KEY, n INTEGER, id TEXT) WITHOUT ROWID",
    """
    CREATE TABLE crossings (budget TEXT, slot INTEGER, threshold TEXT, PRIMARY KEY (budget, slot, threshold))
        WITHOUT ROWID
    """,
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('clock_ns', 0)",
)
# As the ledger: a commit survives the end of the process; a power cut may take the last ones, and never breaks the file.
_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA journal_size_limit = 16777216",
)  # fmt: skip
_PAUSE_S: Final = 0.0001
_LONGEST_PAUSE_S: Final = 0.002


class SharedFile:
    """One process's way into the file. Nobody waits longer than `patience_s` for it."""

    def __init__(self, path: Path, patience_s: float) -> None:
        self.path = path
        self._patience_s = patience_s
        # Connections of a parent, kept open for ever: to close one here would end the parent's locks (SQLite, howtocorrupt 2.6).
        self._inherited: list[sqlite3.Connection] = []
        self._connection: sqlite3.Connection | None = None
        self._begin()

    def _begin(self, *, is_barred: bool = False) -> None:
        # Re-entrant, as a signal's code may settle a call while this thread does: it is told that the file is busy.
        self.lock = threading.RLock()
        self._inode = (0, 0)
        # Another thread of the parent may have been within SQLite when this process was forked, and have left locks shut there.
        self._is_barred = is_barred
        self._pid = os.getpid()

    @contextlib.contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """One transaction, committed at the end. Raises StoreUnavailableError."""
        give_up_s = time.monotonic() + self._patience_s
        with self._open(give_up_s) as connection:
            _patiently(lambda: connection.execute("BEGIN IMMEDIATE"), give_up_s)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Answers of one moment each. Raises StoreUnavailableError."""
        with self._open(time.monotonic() + self._patience_s) as connection:
            yield connection

    @contextlib.contextmanager
    def _open(self, give_up_s: float) -> Generator[sqlite3.Connection]:
        if os.getpid() != self._pid:  # forked past our handlers, as C code may
            self.forget()
        if not self.lock.acquire(timeout=self._patience_s):
            raise StoreUnavailableError(f"{self.path} is in use by another thread of this process for too long")
        try:
            if self._is_barred:
                raise StoreUnavailableError(f"{self.path} was in use by another thread when this process was forked")
            connection = self._connected(give_up_s)
            if connection.in_transaction:
                raise StoreUnavailableError(f"{self.path} is in use by this thread, which a signal interrupted")
            yield connection
        except (sqlite3.Error, OSError) as fault:
            raise StoreUnavailableError(f"{self.path} cannot be used ({fault})") from fault
        finally:
            self.lock.release()

    def _connected(self, give_up_s: float) -> sqlite3.Connection:
        if self._connection is not None:
            with contextlib.suppress(FileNotFoundError):
                if _inode(self.path) == self._inode:
                    return self._connection
            self._connection.close()  # the file was moved or deleted
            self._connection = None
        private.make(self.path)
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            _patiently(lambda: _migrate(connection), give_up_s)
            private.tighten(self.path)
        except BaseException:
            connection.close()
            raise
        self._inode = _inode(self.path)
        self._connection = connection
        return connection

    def name(self) -> str:
        """A name that no other such file has, made when it is first asked for. The file is closed again."""
        with self.writing() as connection:
            connection.execute("INSERT INTO meta VALUES ('name', ?) ON CONFLICT DO NOTHING", (owners.drawn(),))
            (name,) = connection.execute("SELECT value FROM meta WHERE name = 'name'").fetchone()
        self.close()
        return f"{name:x}:"

    def close(self) -> None:
        """Let go of the file, which is opened again when it is needed."""
        with self.lock:
            if self._connection is not None and os.getpid() == self._pid:
                self._connection.close()
                self._connection = None

    def before_fork(self, give_up_s: float) -> bool:
        """No SQLite handle crosses a fork."""
        if not self.lock.acquire(timeout=max(0.0, give_up_s - time.monotonic())):
            return False
        self.close()
        return True

    def after_fork_in_parent(self) -> None:
        """The next question opens the file again."""
        self.lock.release()

    def forget(self) -> None:
        """In a forked child: begin anew."""
        if self._connection is not None:
            self._inherited.append(self._connection)
            self._connection = None
        self._begin(is_barred=not self.lock.acquire(blocking=False))


def _patiently(act: Callable[[], object], give_up_s: float) -> None:
    """Do what may find the file locked, until it succeeds or it is time to give up."""
    pause_s = _PAUSE_S
    while True:
        try:
            act()
        except sqlite3.OperationalError as fault:
            if "locked" not in str(fault) or time.monotonic() >= give_up_s:
                raise
        else:
            return
        # Not all at the same moments again, or some would wait for long.
        time.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - it keeps no secret
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _migrate(connection: sqlite3.Connection) -> None:
    """Make the tables, where they are missing; each step may find the file locked, as others open it, too."""
    if _pragma(connection, "application_id") != APPLICATION_ID:
        connection.execute("BEGIN IMMEDIATE")
        try:
            _make_tables(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if _pragma(connection, "user_version") > _VERSION:
        raise StoreUnavailableError("the file of reservations was made by a newer costspan: update this one")
    for pragma in _PRAGMAS:
        connection.execute(pragma).fetchone()


def _make_tables(connection: sqlite3.Connection) -> None:
    owner = _pragma(connection, "application_id")
    if owner == APPLICATION_ID:  # another process was first
        return
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner or tables:
        raise StoreUnavailableError("the file of reservations is a SQLite database of another program")
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _inode(path: Path) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116 - a third of the time of Path.stat, and asked for every call
    return found.st_dev, found.st_ino
