"""Finished calls into the ledger, whatever state its file is in: nothing raised, nothing lost without being counted."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from costspan import guard
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.facts.periods import Periods
from costspan.ledger import faults, intake, journal
from costspan.ledger.journal import Journal
from costspan.ledger.migrations import ForeignFile
from costspan.ledger.quarantine import move_aside
from costspan.ledger.rows import kind, mended, record
from costspan.ledger.sidefile import SideFile
from costspan.ledger.store import Store

_PAUSE_S: Final = 0.01
_LOOK_AGAIN_S: Final = 60.0  # for side files of other processes
_PASSES_S: Final = 10.0  # a lock that is held longer is told
_BARRED: Final = "another thread of the parent was writing into it when this process was forked"
_FILE_FAULTS: Final = (sqlite3.Error, OSError, ForeignFile, *faults.VALUE_ERRORS)


class LedgerWriter:
    """Appends finished calls to the ledger at `path`. No method raises for a fault of the file.

    What cannot be written waits, up to `backlog` records, and is tried again with the next `take` or `flush`; what no
    longer fits goes into a side file, from which it is booked later, and is counted lost where that fails too.
    `patience_s` is how long one `take` waits for another process's lock. `periods` gives the days of the budget time
    zone.
    """

    def __init__(
        self, path: Path, *, backlog: int = 10_000, patience_s: float = 1.0, periods: Periods | None = None
    ) -> None:
        self.path = path
        self.written = 0
        self.written_nano_usd = 0
        self.lost = 0
        self.lost_nano_usd = 0
        #: What keeps the file from being written, in SQLite's words; empty while all is well.
        self.fault = ""
        self._backlog = backlog
        self._patience_s = patience_s
        self._periods = periods or Periods()
        # In a child that must not enter SQLite: the parent's open file, so that it is never closed here either.
        self._barred: tuple[Store | None] | None = None
        #: Calls that finished and do not stand in the ledger yet, for whoever comes after a kill.
        self.unwritten = Journal()
        self._begin()

    def _begin(self) -> None:
        # Re-entrant: a signal's code may flush while the main thread forks.
        self.lock = threading.RLock()
        self._store: Store | None = None
        self._waiting: list[Call] = []
        self._counting = threading.RLock()
        self._side = SideFile(self.path)
        self._has_tried = False
        self._looks_again_s = self._faulty_since_s = 0.0
        # What was lost and does not stand in the ledger's `losses` yet: records, nano-USD, the last reason.
        self._untold = (0, 0, "")

    @property
    def queued(self) -> int:
        """Records that wait to be written."""
        return len(self._waiting)

    def hold(self, call: Call) -> None:
        """Keep a call that finishes, in the caller's thread, until it is written."""
        if self._has_tried or self._has_journal():
            self.unwritten.hold(call)

    def _has_journal(self) -> bool:
        """Begin the journal with the first call; where that fails, calls wait in memory alone."""
        with self._counting:
            if not self._has_tried:
                try:
                    self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self.unwritten.begin(journal.beside(self.path), str(self._periods.zone))
                except OSError as fault:
                    guard.count("journal.file")
                    guard.tell_once(
                        f"journal:{fault}", "costspan: no journal beside the ledger %s (%s)", self.path, fault
                    )
                self._has_tried = True
        return self.unwritten.is_open

    def take(self, calls: Sequence[Call]) -> None:
        """Append the calls, and what waited before them, in one transaction."""
        with self.lock:
            self._waiting += calls
        self.flush()

    def flush(self) -> None:
        """Try to write what waits."""
        # A file that stayed locked once gets one attempt a time, until one succeeds.
        give_up_s = time.monotonic() + (0 if self.fault else self._patience_s)
        while True:
            with self.lock:
                if self._waiting and self._barred is not None and self._put_down():
                    self._let_go()  # whoever opens the ledger next books them
                    return
                fault = self._write() if self._waiting else None
                if fault is None:
                    break
                if faults.kind(fault) != faults.LOCKED or time.monotonic() >= give_up_s:
                    self._keep(fault)
                    return
            # Outside the lock, so that a fork need not wait for another process.
            time.sleep(_PAUSE_S)
        self._take_in()

    def _take_in(self) -> None:
        """Book what waits in side files, one file at a time: this process's own, and those of processes that ended."""
        now_s = time.monotonic()
        if self._store is None or now_s < self._looks_again_s:
            return
        self._looks_again_s = now_s + _LOOK_AGAIN_S
        for path in intake.waiting(self.path):
            with self.lock:
                self._take_in_one(path)

    def _take_in_one(self, path: Path) -> None:
        try:
            if self._store is not None:
                intake.take_in(self._store, path, self._count)
        except _FILE_FAULTS as fault:
            intake.not_yet(path, fault)

    def _count(self, written: int, nano_usd: int) -> None:
        self.written += written
        self.written_nano_usd += nano_usd

    def close(self) -> None:
        """Write what waits and close the file. What still cannot be written is put down in a side file."""
        self.flush()
        with self.lock:
            if self._waiting and not self._put_down():
                self._lose(self._waiting, "the program ended")
                sentence = "costspan: calls that could not be kept in the ledger %s and are lost: %d (%s)"
                guard.tell_once(f"lost:{self.path}", sentence, self.path, len(self._waiting), self.fault)
            self._let_go()
            self.unwritten.end()
            self.release()

    def _let_go(self) -> None:
        """What waited is written, or is lost and counted so."""
        self.unwritten.release(self._waiting)
        self._waiting = []

    def before_fork(self, give_up_s: float) -> bool:
        """Close the file: no SQLite handle crosses a fork (https://sqlite.org/howtocorrupt.html, 2.6), nor does a lock
        within SQLite that another thread holds at that moment: the child would wait for it for ever.
        """
        if not self.lock.acquire(timeout=max(0.0, give_up_s - time.monotonic())):
            return False
        self.release()
        return True

    def after_fork_in_parent(self) -> None:
        """The next record opens the file again."""
        self.lock.release()

    def forget(self) -> None:
        """In a forked child: begin anew. What waits, and what was counted, is the parent's."""
        # Where another thread had it at that moment, that thread may have been within SQLite, and have left locks shut
        # there for ever: this process never enters SQLite again.
        is_free = self.lock.acquire(blocking=False)
        store, self._store = self._store, None
        self.unwritten.forget()
        self._begin()
        self.written = self.written_nano_usd = self.lost = self.lost_nano_usd = 0
        self.fault = ""
        if not is_free:
            self._barred = (store,)
        elif store is not None:
            # Forked past `before_fork` (C code may). SQLite keeps a list of open files by process, so as long as the
            # parent's file stands in it, a new connection would believe itself in possession of the parent's locks.
            self._store = store
            self.release()

    def _write(self) -> Exception | None:
        """One attempt; the fault that it met."""
        fault = self._attempt()
        if fault is None:
            return None
        if isinstance(fault, faults.VALUE_ERRORS):
            self._drop_unreadable()
            return self._attempt(mend=True)
        if faults.kind(fault) == faults.CORRUPT:
            return self._begin_anew(fault)
        return fault

    def _attempt(self, *, mend: bool = False) -> Exception | None:
        try:
            self._append(mend=mend)
        except _FILE_FAULTS as fault:
            return fault
        return None

    def _append(self, *, mend: bool) -> None:
        if self._barred is not None:
            raise OSError(_BARRED)
        store = self._store
        if store is None or not store.is_current():
            self.release()
            store = self._store = Store.open(self.path)
        losses = [self._untold] if self._untold[0] else ()
        self.written += store.append(self._waiting, self._periods, losses, mend=mend)
        self.written_nano_usd += _nano_usd(self._waiting)
        self._let_go()
        self._untold = (0, 0, "")
        if self.fault:
            self.fault, self._looks_again_s = "", 0.0

    def _begin_anew(self, fault: Exception) -> Exception | None:
        self.release()
        try:
            aside = move_aside(self.path)
        except (OSError, sqlite3.Error) as obstacle:
            return obstacle
        if aside:
            sentence = "costspan: the ledger %s is corrupt (%s); it was moved to %s and a new one begun"
            guard.tell_once(f"ledger:{aside}", sentence, self.path, fault, aside)
        return self._attempt()

    def _drop_unreadable(self) -> None:
        """A record of which no row can be made must not hold up the others for ever."""
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            if self._is_readable(call):
                self._waiting.append(call)
            else:
                self._lose([call], "no row could be made of the record")

    @guard.guarded("ledger.row")
    def _is_readable(self, call: Call) -> bool:
        hash(mended(kind(call, self._periods.day(call.started_ns))))
        mended(record(call, 0))
        return True

    def _keep(self, fault: Exception) -> None:
        """Keep for later what the backlog holds; say why, but of a lock that may pass."""
        if not self.fault:
            self._faulty_since_s = time.monotonic()
        self.fault = str(fault)
        if len(self._waiting) > self._backlog and not isinstance(fault, ForeignFile) and self._put_down():
            self._let_go()
        self._lose(self._waiting[self._backlog :], self.fault)
        del self._waiting[self._backlog :]
        if faults.kind(fault) != faults.LOCKED or time.monotonic() - self._faulty_since_s > _PASSES_S:
            sentence = "costspan: the ledger %s cannot be written (%s); records wait, and your program goes on"
            guard.tell_once(f"ledger:{self.path}:{fault}", sentence, self.path, fault)

    def _put_down(self) -> bool:
        """Put what waits into the side file; False where that cannot be done either."""
        day = self._periods.day
        try:
            self._side.append(
                (mended(kind(call, day(call.started_ns))), mended(record(call, 0))) for call in self._waiting
            )
        except (OSError, *faults.VALUE_ERRORS) as fault:
            guard.tell_once(f"side:{fault}", "costspan: no side file beside the ledger %s (%s)", self.path, fault)
            return False
        return True

    def lose(self, lost: Sequence[Call], reason: str) -> None:
        """Count calls that never came here as lost. Waits for nothing."""
        self.unwritten.release(lost)
        self._lose(lost, reason)

    def _lose(self, lost: Sequence[Call], reason: str) -> None:
        if not lost:
            return
        nano_usd = _nano_usd(lost)
        with self._counting:
            self.lost += len(lost)
            self.lost_nano_usd += nano_usd
            self._untold = (self._untold[0] + len(lost), self._untold[1] + nano_usd, reason)

    def release(self) -> None:
        """Close the file; the next record opens it again."""
        store, self._store = self._store, None
        if store is not None:
            try:
                store.close()
            except sqlite3.Error as fault:
                guard.stopped("ledger.close", fault)


def _nano_usd(calls: Sequence[Call]) -> int:
    return sum(call.price.nano_usd for call in calls if isinstance(call.price, Cost))
