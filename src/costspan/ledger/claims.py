"""Which answers that can be fetched again were booked on this machine, by whatever process.

The ledger books an answer once by itself. Counters, spans and events are each process's own: without this, each process
that fetches an answer counts it. A file of digests beside the ledger, 16 bytes each, also where the ledger is not
written because telemetry takes the record. It is asked only for answers that can be fetched again, never waits longer
than 0.1 s, and where it cannot be asked, the answer is booked: twice is told apart later, not at all is not.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Final

from costspan import guard
from costspan.ledger import locks
from costspan.ledger.private import PLAIN, PRIVATE

_WIDTH: Final = 16
#: So many answers stand in a file; then it becomes the old one, which is still asked, and a new one is begun.
_MOST: Final = 65_536
_PATIENCE_S: Final = 0.1
_PAUSE_S: Final = 0.001


class Claims:
    """The claims of this machine, in the file at `path`. No handle of it is kept, so nothing crosses a fork."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._old = Path(f"{path}.old")
        self.forget()

    def forget(self) -> None:
        """In a forked child: the lock may be held by a thread that is not here."""
        self._lock = threading.Lock()
        self._seen: set[bytes] = set()
        self._read = 0
        self._inode: int = 0

    def claim(self, provider: str, answer_id: str) -> bool:
        """Whether this answer is still to be booked; nobody else's from now on. True where that cannot be said."""
        return self._ask(provider, answer_id, is_taken=True)

    def is_free(self, provider: str, answer_id: str) -> bool:
        """The same without claiming it."""
        return self._ask(provider, answer_id, is_taken=False)

    def _ask(self, provider: str, answer_id: str, *, is_taken: bool) -> bool:
        digest = hashlib.blake2b(f"{provider} {answer_id}".encode("utf-8", "replace"), digest_size=_WIDTH).digest()
        if not self._lock.acquire(timeout=_PATIENCE_S):
            return True
        try:
            return self._is_new(digest, is_taken)
        except OSError as fault:
            sentence = "costspan: %s cannot be asked (%s): an answer that several processes fetch is counted by each"
            guard.tell_once(f"claims:{fault.errno}", sentence, self._path, fault)
            return True
        finally:
            self._lock.release()

    def _is_new(self, digest: bytes, is_taken: bool) -> bool:  # noqa: FBT001
        if digest in self._seen:
            return False
        descriptor = self._opened()
        try:
            self._catch_up(descriptor)
            is_new = digest not in self._seen
            if is_new and is_taken:
                os.write(descriptor, digest)
                self._seen.add(digest)
                self._read += _WIDTH
                if self._read >= _MOST * _WIDTH:
                    self._path.replace(self._old)
        finally:
            os.close(descriptor)
        return is_new

    def _opened(self) -> int:
        """The file, for this process alone. It may have become the old one while this process waited for it."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        give_up_s = time.monotonic() + _PATIENCE_S
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | PLAIN, PRIVATE)
            if locks.take(descriptor) and _is_at(self._path, descriptor):
                return descriptor
            os.close(descriptor)
            if time.monotonic() >= give_up_s:
                raise BlockingIOError(errno.EAGAIN, "another process keeps it locked")
            time.sleep(_PAUSE_S)

    def _catch_up(self, descriptor: int) -> None:
        """Read what others have added."""
        status = os.fstat(descriptor)
        if status.st_ino != self._inode:
            self._inode, self._read = status.st_ino, 0
            self._seen = _digests(self._old.read_bytes()) if self._old.exists() else set()
        whole = status.st_size - status.st_size % _WIDTH
        if whole != status.st_size:  # a process ended, or the disk was full, within one
            os.ftruncate(descriptor, whole)
        os.lseek(descriptor, self._read, os.SEEK_SET)
        self._seen |= _digests(os.read(descriptor, max(0, whole - self._read)))
        self._read = whole


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _digests(content: bytes) -> set[bytes]:
    return {content[at : at + _WIDTH] for at in range(0, len(content) - _WIDTH + 1, _WIDTH)}
