"""What a process has finished and not yet delivered, in a file of its own: its outbox.

Lines, appended, of mode 0600, in a directory of the user's. The first line says who the process is and where it
sends, the second one, where there is one, from which sums it goes on. Then each call is a line, and what was delivered
is one. A process keeps its file locked while it lives: what is not locked is a dead process's, and whoever locks it
may deliver it. A line that was cut off by the end of its process is no line.

docs/decisions/0083-the-outbox.md
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from costspan import guard
from costspan.facts.money import Cost
from costspan.ledger import journal, locks, outbox_lines
from costspan.ledger.faults import NewerError, UnreadableError
from costspan.ledger.private import PLAIN, PRIVATE

_ENDING: Final = ".outbox"
_NEW: Final = ".new"
#: All files of one directory together: about half a million calls. What is above it is not kept.
MOST_BYTES: Final = 256 * 2**20
#: What nobody has delivered for so long is let go. Prometheus takes what is up to 60 days old (0020).
MOST_DAYS: Final = 30
_DAY_S: Final = 86_400
#: Who comes next delivers within this, if anybody does.
_LONG_S: Final = 600


class OwnFile:
    """The outbox that this process writes, in a directory. Every method may raise OSError. For one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.path: Path | None = None
        self._descriptor = -1
        self.size = 0

    def begin(self, head: Mapping[str, Any], lines: bytes = b"") -> None:
        """Begin a file with these lines, in the place of the one that there is, which goes on if that fails."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.path or self._directory / f"{os.getpid()}-{secrets.token_hex(8)}{_ENDING}"
        content = outbox_lines.head(head)
        new = path.with_suffix(f"{_ENDING}{_NEW}")
        descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | PLAIN, PRIVATE)
        try:
            _require(_lock(descriptor), self._directory)
            size = _write(descriptor, content + lines)
            new.replace(path)
        except BaseException:
            os.close(descriptor)
            _removed(new)
            raise
        self.close()
        self.path, self._descriptor, self.size = path, descriptor, size

    def append(self, lines: bytes) -> None:
        """Add lines: all of them or, where OSError is raised, none."""
        try:
            self.size += _write(self._descriptor, lines)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise

    def sync(self) -> None:
        """Have what was written forced to the disk."""
        os.fsync(self._descriptor)

    @property
    def is_open(self) -> bool:
        """Whether there is a file."""
        return self._descriptor >= 0

    def close(self) -> None:
        """Let go of the file: from now on anybody may deliver it. In a forked child the parent keeps its lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self.path, self.size = -1, None, 0

    def remove(self) -> None:
        """Everything is delivered."""
        if self.path is not None:
            _removed(self.path)
        self.close()


class DeadFile:
    """The outbox of a process that has ended, locked by this one."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def written_s(self) -> float:
        """When something was written into it last. Raises OSError."""
        return os.fstat(self._descriptor).st_mtime

    def read(self) -> outbox_lines.Kept:
        """What stands in it. Raises UnreadableError, NewerError or OSError."""
        with os.fdopen(self._descriptor, "rb", closefd=False) as file:
            file.seek(0)
            kept = outbox_lines.read(file)
        with contextlib.suppress(FileNotFoundError), journal.opened(journal_of(self.path)) as found:
            if found is not None:
                known = {call.id for _, call in kept.calls}
                kept.calls += [each for each in found.calls if each[1].id not in known]
                kept.unread += found.unread
        return kept

    def head(self) -> dict[str, Any]:
        """What stands in its first line. Raises UnreadableError, NewerError or OSError."""
        with os.fdopen(self._descriptor, "rb", closefd=False) as file:
            file.seek(0)
            return outbox_lines.head_of(file.readline())

    def note(self, what: str, value: object) -> None:
        """Note what was delivered of it. Raises OSError."""
        _write(self._descriptor, outbox_lines.mark(what, value))

    def remove(self) -> None:
        """Have done with it: first with what only the journal has, all of which is noted as delivered in the outbox."""
        _removed(journal_of(self.path))
        _removed(self.path)

    def set_aside(self) -> Path:
        """Keep it under a name by which it is never delivered: it could not be read whole."""
        aside = self.path.with_name(f"corrupt-{self.path.name}")
        with contextlib.suppress(FileNotFoundError):
            journal_of(self.path).rename(journal_of(aside))
        self.path.rename(aside)
        return aside


def journal_of(path: Path) -> Path:
    """Where the calls lie that the process of an outbox has not written into it yet."""
    return path.with_suffix(journal.MARK)


def files(directory: Path) -> list[Path]:
    """The outboxes of a directory, the oldest first."""
    try:
        with os.scandir(directory) as entries:
            found = [
                (_written_s(each), each.path)
                for each in entries
                if each.name.endswith(_ENDING) and each.name[0].isdigit()
            ]
    except OSError:
        return []
    return [Path(path) for _, path in sorted(found)]


def set_aside(directory: Path) -> list[Path]:
    """The outboxes that could not be read whole."""
    return sorted(directory.glob(f"corrupt-*{_ENDING}"))


def _written_s(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        return 0.0


class Waiting(NamedTuple):
    """What a dead process left: in which file, when it was written, how many calls of which cost, and for where.

    `calls` is 0 where all that waits is to be removed; `fault` says why it cannot be read.
    """

    path: Path
    written_s: float
    calls: int = 0
    nano_usd: int = 0
    endpoint: str = ""
    fault: str = ""


def waiting(directory: Path) -> Iterator[Waiting]:
    """What dead processes left in a directory, the oldest first."""
    for path in files(directory):
        with dead(path) as file:
            if file is None:
                continue
            try:
                kept = file.read()
                calls = kept.calls if kept.waits else []
                spent = sum(call.price.nano_usd for _, call in calls if isinstance(call.price, Cost))
                found = Waiting(path, path.stat().st_mtime, len(calls), spent, str(kept.head["metrics"]))
            except (UnreadableError, OSError, LookupError) as fault:
                found = Waiting(path, 0.0, fault=str(fault) or "its first line is none of an outbox")
            except NewerError:
                found = Waiting(path, 0.0, fault="it is of a newer costspan")
        yield found


def number_of_waiting(directory: Path, now_s: float) -> int:
    """How many outboxes of dead processes have not been written for ten minutes."""
    number = 0
    for path in files(directory):
        with dead(path) as file:
            number += file is not None and now_s - file.written_s() > _LONG_S
    return number


@contextlib.contextmanager
def dead(path: Path) -> Generator[DeadFile | None]:
    """The outbox of a dead process, this process's alone meanwhile; None where its process lives, another process has it,
    or it is not the user's.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | PLAIN)
    except OSError:  # it has gone, or is not to be had
        yield None
        return
    try:
        status = os.fstat(descriptor)
        # In a directory that all may write into, anybody can put a file there.
        is_own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
        is_free = stat.S_ISREG(status.st_mode) and is_own and _lock(descriptor)
        yield DeadFile(path, descriptor) if is_free else None
    finally:
        os.close(descriptor)


def prune(directory: Path, now_s: float | None = None) -> Iterator[Path]:
    """Remove what has waited too long, and what a process that was killed had only begun; each path that was let go of."""
    with contextlib.suppress(OSError):
        for path in directory.glob(f"*{_ENDING}{_NEW}"):
            with dead(path) as file:
                if file is not None:
                    file.remove()
        for path in directory.glob(f"[0-9]*{journal.MARK}"):
            if not path.with_suffix(_ENDING).exists():  # its outbox was delivered and removed
                _removed(path)
    for path in files(directory):
        with contextlib.suppress(OSError):
            if (now_s or time.time()) - path.stat().st_mtime > MOST_DAYS * _DAY_S:
                with dead(path) as file:
                    if file is not None:
                        file.remove()
                        yield path


def bytes_in(directory: Path) -> int:
    """How much the outboxes of a directory hold."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def _lock(descriptor: int) -> bool:
    return locks.ARE_POSSIBLE and locks.take_if_there(descriptor)


def _require(is_locked: bool, directory: Path) -> None:  # noqa: FBT001
    """Nobody else knows the file yet."""
    if not is_locked:
        raise OSError(errno.ENOLCK, "a file system without locks", str(directory))


def _write(descriptor: int, content: bytes) -> int:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
    return len(content)


def _removed(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def told_unreadable(path: Path) -> None:
    """Say that an outbox was set aside."""
    guard.count("outbox.unread")
    sentence = "costspan: an outbox cannot be read whole; what could be was delivered, it is now %s"
    guard.tell_once(f"outbox:{path}", sentence, path)
