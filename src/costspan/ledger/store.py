"""The ledger's file: opened, appended to, read. Every method may raise sqlite3.Error or OSError, unless it says not."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from costspan.facts.call import Call
from costspan.facts.periods import Periods
from costspan.facts.recent import Recent
from costspan.ledger import faults, private
from costspan.ledger.faults import LedgerError, NoLedger
from costspan.ledger.marks import SUMMED, at, behind
from costspan.ledger.migrations import add_indexes, complete_for_reading, has_sums, migrate
from costspan.ledger.place import NotAFile, check
from costspan.ledger.rows import KIND_COLUMNS, RECORD_COLUMNS, Row, kind, mended, record
from costspan.ledger.sums import Sums

_INSERT_KIND: Final = f"INSERT INTO kinds ({', '.join(KIND_COLUMNS)}) VALUES ({', '.join('?' * len(KIND_COLUMNS))})"  # noqa: S608
# DO NOTHING on the two unique indexes: a call id is booked once, and so is an answer that may come again, in whatever
# process. (INSERT OR IGNORE would pass over faulty values in silence as well.)
_INSERT_RECORD: Final = (
    f"INSERT INTO records ({', '.join(RECORD_COLUMNS)}) VALUES ({', '.join('?' * len(RECORD_COLUMNS))})"  # noqa: S608
    " ON CONFLICT DO NOTHING"
)
_INSERT_LOSS: Final = (
    "INSERT INTO losses (noted_ns, records, nano_usd, reason)"
    " VALUES (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000000, ?, ?, ?)"
)

#: Records, nano-USD, the reason.
Loss: TypeAlias = tuple[int, int, str]
_KINDS_KEPT: Final = 16_384
_tables: Final = itertools.count()

# NORMAL in WAL mode: a commit survives the end of the process, SIGKILL included; a power cut may take the commits
# since the last checkpoint with it, and never breaks the file (https://sqlite.org/pragma.html#pragma_synchronous).
_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA journal_size_limit = 67108864",
)


class Store:
    """An open ledger. Not for several threads at once, and never to be carried across a fork."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path
        self._inode = _inode(path)
        self._kinds: Recent[Row, int] = Recent(_KINDS_KEPT)
        self._sums = Sums(connection)
        self._kept: dict[tuple[object, ...], str] = {}

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open for writing; the file, its directory and its tables are made if they are missing.

        Waits for no lock: the caller tries again. Raises ForeignFile for another program's database.
        """
        private.make(path)
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            migrate(connection)  # first: it refuses another program's file before anything in it is changed
            private.tighten(path)
            for pragma in _PRAGMAS:
                connection.execute(pragma).fetchone()
            return cls(connection, path)
        except BaseException:
            connection.close()
            raise

    @classmethod
    def read(cls, path: Path, *, patience_s: float = 5.0) -> Store:
        """Open for reading. Raises NoLedger, or LedgerError with a sentence."""
        if not path.exists():
            raise NoLedger(path)
        try:
            check(path)
        except NotAFile as reason:
            raise LedgerError(str(reason)) from None
        try:
            return cls(_reader(path, patience_s), path)
        except (sqlite3.Error, OSError) as fault:
            raise LedgerError(f"the ledger {path} cannot be read: {fault}") from fault

    def is_current(self) -> bool:
        """Whether the path still leads to the file that is open: it may have been moved or deleted."""
        try:
            return _inode(self.path) == self._inode
        except OSError:
            return False

    def append(
        self, calls: Iterable[Call], periods: Periods, losses: Iterable[Loss] = (), *, mend: bool = False
    ) -> int:
        """Write the calls, and what was lost before them, in one transaction; how many of the calls are new.

        `mend` changes values that SQLite refuses into ones that it takes.
        """
        records = (record(call, self._kind(kind(call, periods.day(call.started_ns)), mend)) for call in calls)
        return self._insert(map(mended, records) if mend else records, losses)

    def take_in(self, pairs: Iterable[tuple[Row, Row]], losses: Iterable[Loss] = ()) -> int:
        """Write rows that were made before, in one transaction; how many of them are new."""
        records = ((self._kind(shared, mend=True), *own[1:]) for shared, own in pairs)
        return self._insert(map(mended, records), losses)

    def _insert(self, records: Iterable[Row], losses: Iterable[Loss]) -> int:
        """Write records, which are made here, and losses in one transaction; how many of the records are new."""
        connection = self.connection
        with self.writing():
            rows = list(records)  # first: what is made on the way writes, too
            written = connection.executemany(_INSERT_RECORD, rows).rowcount if rows else 0
            connection.executemany(_INSERT_LOSS, losses)
            self._sums.keep_up(written)
        return written

    def _kind(self, shared: Row, mend: bool) -> int:  # noqa: FBT001 - twice as fast as by name
        """The number of the row that holds what many calls share; written when it is met first."""
        if mend:
            shared = mended(shared)
        number = self._kinds.get(shared)
        if number is None:
            number = self.connection.execute(_INSERT_KIND, shared).lastrowid or 0
            self._kinds.keep(shared, number)
        return number

    def _roll_back(self) -> None:
        self._kinds.clear()
        self._sums.forget()
        # SQLite has rolled back by itself where the disk is full or the file is corrupt.
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    @property
    def has_sums(self) -> bool:
        """Whether the file has sums; one that no newer costspan has written to yet has none."""
        return has_sums(self.connection)

    @property
    def summed(self) -> int:
        """The last record that is in the sums: true of the moment, so to be asked within `at_one_moment`."""
        return at(self.connection, SUMMED)

    @property
    def beyond(self) -> int:
        """How many records at most are in no sum yet."""
        return behind(self.connection)

    def sum_up(self, most: int) -> bool:
        """Sum up to so many records that are in no sum yet, in one transaction; whether more are left."""
        with self.writing():
            return self._sums.fold(most)

    def begin_sums_anew(self) -> None:
        """Forget the sums; `sum_up` makes them from the records again, which answer meanwhile."""
        with self.writing():
            self._sums.begin_anew()
            add_indexes(self.connection)

    @property
    def last_n(self) -> int:
        """The number of the newest record; 0 of none."""
        return self.select("SELECT MAX(n) FROM records")[0][0] or 0

    @property
    def used_bytes(self) -> int:
        """How large the file is, with what is free in it."""
        return self.select("PRAGMA page_count")[0][0] * self.select("PRAGMA page_size")[0][0]

    @property
    def free_bytes(self) -> int:
        """How much in the file is free for new records."""
        return self.select("PRAGMA freelist_count")[0][0] * self.select("PRAGMA page_size")[0][0]

    @contextlib.contextmanager
    def writing(self) -> Generator[Sums]:
        """One transaction that writes: all of it, or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._sums
            self.connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def select(self, question: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[tuple[Any, ...]]:
        """The answer to a question in SQL (a reader also knows SUM_EXACTLY). Raises LedgerError with a sentence."""
        try:
            return self.connection.execute(question, values).fetchall()
        except sqlite3.Error as fault:
            raise LedgerError(f"the ledger {self.path} cannot answer: {fault}") from fault

    def each(self, question: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """The answer row by row, however many there are. Raises LedgerError with a sentence."""
        try:
            yield from self.connection.execute(question, values)
        except sqlite3.Error as fault:
            raise LedgerError(f"the ledger {self.path} cannot answer: {fault}") from fault

    def define(self, name: str, function: Callable[..., object], arguments: int) -> None:
        """Let questions use a function that answers the same for the same arguments."""
        self.connection.create_function(name, arguments, cast("Any", function), deterministic=True)

    def copy_to(self, connection: sqlite3.Connection) -> None:
        """Copy the whole ledger into another database, as it is at one moment, whoever writes to it."""
        self.connection.backup(connection)

    @contextlib.contextmanager
    def at_one_moment(self) -> Generator[None]:
        """Within, every question is answered by the ledger as it stands now, whoever writes to it; one moment may lie in
        another, which counts.
        """
        if self.connection.in_transaction:
            yield
            return
        self.select("BEGIN")
        self._kept.clear()
        try:
            yield
        finally:
            self.select("COMMIT")

    def kept(self, question: str, values: Sequence[object] = (), make: Callable[[str], object] | None = None) -> str:
        """The name of a table beside the ledger with the answer to a question, which is asked once in one moment; `make` fills
        the table of a name that no question does. Raises LedgerError.
        """
        key = (question, *values)
        if key not in self._kept:
            name = f"temp.kept_{next(_tables)}"
            if make is None:
                self.select(f"CREATE TABLE {name} AS {question}", values)
            else:
                make(name)
            self._kept[key] = name
        return self._kept[key]

    def interrupt(self) -> None:
        """From another thread: have the question that is being answered end with a LedgerError; nothing where there is none."""
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
            self.connection.interrupt()

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def __enter__(self) -> Store:  # noqa: PYI034 - Self is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _inode(path: Path) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116 - a third of the time of Path.stat, and asked for every batch
    return found.st_dev, found.st_ino


def _reader(path: Path, patience_s: float) -> sqlite3.Connection:
    address = path.absolute().as_uri()
    try:
        return _checked(sqlite3.connect(f"{address}?mode=ro", timeout=patience_s, uri=True), path)
    except sqlite3.OperationalError as fault:
        if faults.kind(fault) != faults.OTHER:
            raise
    # In a read-only directory SQLite cannot make its -shm file: the file is read as it stands.
    return _checked(sqlite3.connect(f"{address}?mode=ro&immutable=1", uri=True), path)


def _checked(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    connection.create_aggregate("SUM_EXACTLY", 1, cast("Any", _ExactSum))
    try:
        if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
            raise NoLedger(path)  # noqa: TRY301  # a program is just making it: all its tables come in one transaction
        connection.execute("SELECT 1 FROM calls LIMIT 1").fetchone()
        complete_for_reading(connection)
    except BaseException:
        connection.close()
        raise
    return connection


class _ExactSum:
    """SQLite's SUM for whole numbers of any size; its answer is text."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, value: int | str | None) -> None:
        self._sum += int(value or 0)

    def finalize(self) -> str:
        return str(self._sum)
