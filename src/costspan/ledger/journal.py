"""Calls that have returned and that no thread has written yet, in a file of their process: what a kill leaves behind.

The caller's thread writes a finished call into a free slot before the caller goes on. Once ledger or outbox have written the
call, the slot is emptied. A process keeps its file locked while it lives: a file that is not locked is a dead process's, and
what stands in its slots is written by whoever writes or reads the ledger, or delivers the outbox, beside which it lies.
A call has the same id in a slot as elsewhere, so a slot that could not be emptied any more counts nothing twice.

docs/decisions/0130-the-journal.md
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Generator, Iterable
from os import pwrite
from pathlib import Path
from time import time_ns
from typing import Final, NamedTuple

from costspan import guard
from costspan.facts.call import Call
from costspan.ledger import kept_calls, locks
from costspan.ledger.faults import NewerError, UnreadableError
from costspan.ledger.kept_calls import packed
from costspan.ledger.private import PLAIN, PRIVATE

MARK: Final = ".journal"
_VERSION: Final = 1
#: A slot holds a call of usual texts four times over. What is longer is kept in memory alone until it is written.
SLOT_BYTES: Final = 2_048
#: More calls than finish on one machine in the twentieth of a second before they are written.
SLOTS: Final = 1_024
_EMPTY: Final = bytes(8)


class Journal:
    """What this process keeps. `hold` and `release` may be called by any threads at once, and raise nothing for a full disk."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self._descriptor = -1
        self._free: list[int] = []
        self._taken: dict[str, tuple[int, bytes]] = {}

    @property
    def is_open(self) -> bool:
        """Whether there is a file."""
        return self.path is not None

    @property
    def held(self) -> list[str]:
        """The ids of the calls that are held."""
        return list(self._taken)

    def begin(self, path: Path, zone: str) -> None:
        """Begin the file; `zone` is the time zone of the days of its calls. Raises OSError."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | PLAIN, PRIVATE)
        try:
            locks.take(descriptor)
            pwrite(descriptor, _head(zone), 0)
        except BaseException:
            os.close(descriptor)
            removed(path)
            raise
        self._descriptor = descriptor
        self._taken = {}
        # The lowest is taken first, so that the file stays as small as the most calls that ever waited.
        self._free = [slot * SLOT_BYTES for slot in range(SLOTS, 0, -1)]
        self.path = path

    def hold(self, call: Call) -> None:
        """Keep a call until it is released. Where no slot is free or it does not fit, it waits in memory alone."""
        try:
            slot = self._free.pop()
        except IndexError:
            return
        kept = packed(call, time_ns())
        try:
            if len(kept) <= SLOT_BYTES:
                pwrite(self._descriptor, kept, slot)
                self._taken[call.id] = slot, kept
                return
        except OSError:
            guard.count("journal.file")
        self._free.append(slot)

    def release(self, calls: Iterable[Call]) -> None:
        """These calls are written elsewhere."""
        taken = self._taken
        for call in calls:
            held = taken.pop(call.id, None)
            if held is not None:
                with contextlib.suppress(OSError):  # the same call under the same id: nobody counts it twice
                    pwrite(self._descriptor, _EMPTY, held[0])
                self._free.append(held[0])

    def packed(self, call: Call) -> bytes:
        """The call as it is held, or as it would be."""
        held = self._taken.get(call.id)
        return packed(call, time_ns()) if held is None else held[1]

    def end(self) -> None:
        """Remove the file, unless it holds calls that could not be written elsewhere: whoever comes next writes them.

        Who has all slots knows that no thread is at the file.
        """
        slots: list[int] = []
        with contextlib.suppress(IndexError):
            while True:
                slots.append(self._free.pop())
        if len(slots) == SLOTS and self.path is not None:
            removed(self.path)
            self.forget()
        else:
            self._free += slots

    def forget(self) -> None:
        """Let go of the file: also in a forked child, which has one thread, and whose parent has it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self.__init__()


def _head(zone: str) -> bytes:
    said = {"costspan": "journal", "version": _VERSION, "columns": kept_calls.COLUMNS, "zone": zone}
    return json.dumps(said).encode("ascii") + b"\n"


def beside(ledger: Path) -> Path:
    """A path for the journal of this process beside a ledger."""
    return Path(f"{ledger}{MARK}-{os.getpid()}-{secrets.token_hex(4)}")


def waiting(ledger: Path) -> list[Path]:
    """The journals beside a ledger, of living processes and of dead ones."""
    try:
        with os.scandir(ledger.parent) as entries:
            return sorted(Path(each.path) for each in entries if each.name.startswith(f"{ledger.name}{MARK}-"))
    except OSError:
        return []


class Found(NamedTuple):
    """What a dead process left: its calls, each with when it was kept, the time zone of its days, and how many slots
    hold what is no call.
    """

    calls: list[tuple[int, Call]]
    zone: str = "UTC"
    unread: int = 0


@contextlib.contextmanager
def opened(path: Path) -> Generator[Found | None]:
    """What stands in a journal, this process's alone meanwhile; None where its process lives, another one has it, or it is
    not this user's. Raises UnreadableError, NewerError or OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | PLAIN)
    try:
        status = os.fstat(descriptor)
        # In a directory that all may write into, anybody can put a file there, and `marshal` trusts what it reads.
        is_own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
        is_free = stat.S_ISREG(status.st_mode) and is_own and locks.ARE_POSSIBLE and locks.take_if_there(descriptor)
        yield _read(descriptor, status.st_size) if is_free else None
    finally:
        os.close(descriptor)


def _read(descriptor: int, size: int) -> Found:
    if not size:  # its process ended before it wrote anything
        return Found([])
    columns, zone = _said(os.pread(descriptor, SLOT_BYTES, 0))
    calls, unread = list[tuple[int, Call]](), 0
    for start in range(SLOT_BYTES, size, SLOT_BYTES):
        try:
            values = kept_calls.values_of(os.pread(descriptor, SLOT_BYTES, start))
            if (
                values is not None
            ):  # else it is empty, or was being written: then its caller has not seen that call return
                calls.append((int(values[columns.index("kept_ns")]), kept_calls.call_of(columns, values)))
        except (ValueError, TypeError, LookupError, EOFError):  # noqa: PERF203  - a slot of its own is no fault of others
            unread += 1
    return Found(sorted(calls, key=lambda each: each[1].booked), zone, unread)


def _said(head: bytes) -> tuple[list[str], str]:
    """Columns and time zone, from the first line. Raises UnreadableError or NewerError."""
    try:
        said = json.loads(head.partition(b"\n")[0])
        is_ours = said["costspan"] == "journal"
        version, columns, zone = int(said["version"]), [str(name) for name in said["columns"]], str(said["zone"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise UnreadableError from None
    if not is_ours:
        raise UnreadableError
    if version > _VERSION or {*columns} - {*kept_calls.COLUMNS}:
        raise NewerError
    return columns, zone


def removed(path: Path) -> None:
    """Have done with a journal."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
