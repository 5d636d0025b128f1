"""Calls that others made, into the ledger, for whoever has to know that they are in it before going on."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from costspan.facts.call import Call
from costspan.facts.periods import Periods
from costspan.ledger import faults, rolled
from costspan.ledger.faults import LedgerError
from costspan.ledger.migrations import ForeignFile
from costspan.ledger.rows import Row
from costspan.ledger.store import Store

_PAUSE_S: Final = 0.01


class Booking:
    """Books calls in the ledger at `path`, from any thread. `patience_s` is how long a locked file is waited for."""

    def __init__(self, path: Path, periods: Periods, patience_s: float = 5.0) -> None:
        self._path = path
        self._periods = periods
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._store: Store | None = None

    def book(self, calls: Sequence[Call]) -> int:
        """Write the calls in one transaction; how many are new, by their ids. Raises LedgerError where none was written."""
        return self._write(lambda store: store.append(calls, self._periods, mend=True))

    def book_rows(self, pairs: Sequence[tuple[Row, Row]]) -> int:
        """The same of rows of another ledger, as they are."""
        return self._write(lambda store: store.take_in(pairs))

    def until_ns(self) -> int:
        """Records that began before this moment may be in sums of days already (rolled.py). Raises LedgerError."""
        return self._write(rolled.until_ns) if self._path.exists() else 0

    def _write(self, write: Callable[[Store], int]) -> int:
        give_up_s = time.monotonic() + self._patience_s
        while True:
            try:
                with self._lock:
                    return write(self._opened())
            except (sqlite3.Error, OSError, ForeignFile) as fault:
                if faults.kind(fault) != faults.LOCKED or time.monotonic() >= give_up_s:
                    raise LedgerError(f"the ledger {self._path} cannot be written: {fault}") from fault
            time.sleep(_PAUSE_S)

    def _opened(self) -> Store:
        if self._store is not None and not self._store.is_current():
            self._store.close()
            self._store = None
        self._store = self._store or Store.open(self._path)
        return self._store

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._store is not None:
                self._store.close()
            self._store = None
