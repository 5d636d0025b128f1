"""Records that the ledger cannot take now: in files beside it, until some process can book them.

A side file holds JSON lines: first the names of its columns, then one record a line. Each is written by one process
and taken in by whichever can write into the ledger next, under the lock of the file. A record has an id and is booked
once, so a process that ends half-way loses and doubles nothing. SQLite is not needed to write one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import stat
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TypeAlias

from costspan.ledger import locks
from costspan.ledger.faults import NewerError, UnreadableError
from costspan.ledger.private import PLAIN, PRIVATE
from costspan.ledger.rows import KIND_COLUMNS, RECORD_COLUMNS, Row

#: What many calls share, and what is the call's own.
Pair: TypeAlias = tuple[Row, Row]

_MARK: Final = ".spill-"
_LAST_MARK: Final = re.compile(r"\.(spill|journal)-(?!.*\.)")
#: A file is taken in at one go, so it is kept small; all of one ledger together hold about half a million records.
_MOST_BYTES: Final = 4 * 2**20
_MOST_BYTES_IN_ALL: Final = 256 * 2**20
_HEAD: Final = {"costspan": "records", "kind": list(KIND_COLUMNS), "record": list(RECORD_COLUMNS)}


class Found(NamedTuple):
    """What stands in a side file. `unread` is how many lines are no records: they were cut off, or changed."""

    pairs: list[Pair]
    unread: int


def waiting(ledger: Path) -> list[Path]:
    """The side files of a ledger, the oldest names first."""
    try:
        with os.scandir(ledger.parent) as entries:
            return sorted(Path(each.path) for each in entries if each.name.startswith(ledger.name + _MARK))
    except OSError:
        return []


class SideFile:
    """Where one process puts records down."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._path: Path | None = None

    def append(self, pairs: Iterable[Pair]) -> None:
        """Put records down; all of them or, where OSError is raised, none."""
        lines = b"".join(json.dumps(pair).encode() + b"\n" for pair in pairs)
        if sum(_size(each) for each in waiting(self._ledger)) + len(lines) > _MOST_BYTES_IN_ALL:
            raise OSError(errno.EDQUOT, f"side files hold {_MOST_BYTES_IN_ALL >> 20} MiB already", str(self._ledger))
        if self._path is None or not self._add(self._path, lines):
            self._path = self._begun()
            self._add(self._path, lines)

    def _begun(self) -> Path:
        path = Path(f"{self._ledger}{_MARK}{os.getpid()}-{secrets.token_hex(4)}")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | PLAIN, PRIVATE))
        return path

    def _add(self, path: Path, lines: bytes) -> bool:
        """False where the file is full, gone, or being taken in."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | PLAIN)
        except FileNotFoundError:
            return False
        try:
            size = os.fstat(descriptor).st_size
            if size > _MOST_BYTES or not locks.take_if_there(descriptor):
                return False
            try:
                _write(descriptor, lines if size else json.dumps(_HEAD).encode() + b"\n" + lines)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        return True


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


@contextlib.contextmanager
def opened(path: Path) -> Generator[Found | None]:
    """What a side file holds, which is this process's alone meanwhile; None where it is not to be had now.

    Raises UnreadableError or NewerError, and OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | PLAIN)
    try:
        status = os.fstat(descriptor)
        # In a directory that all may write into, anybody can put a file beside the ledger.
        is_own = not hasattr(os, "geteuid") or status.st_uid in {os.geteuid(), path.parent.stat().st_uid}
        if not stat.S_ISREG(status.st_mode) or not is_own or not locks.take_if_there(descriptor):
            yield None
        else:
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                yield _read(file)
    finally:
        os.close(descriptor)


def _read(file: BinaryIO) -> Found:
    head = file.readline()
    if not head:  # its process ended before it wrote anything
        return Found([], 0)
    kind, record = _columns(head)
    found, unread = list[Pair](), 0
    for line in file:
        pair = _pair(line, kind, record)
        if pair is None:
            unread += 1
        else:
            found.append(pair)
    return Found(found, unread)


def _columns(head: bytes) -> tuple[list[str], list[str]]:
    try:
        said: Any = json.loads(head)
        kind, record = ([str(name) for name in said[which]] for which in ("kind", "record"))
        is_ours = said["costspan"] == _HEAD["costspan"]
    except (ValueError, LookupError, TypeError):
        is_ours, kind, record = False, list[str](), list[str]()
    if not is_ours:
        raise UnreadableError
    if {*kind} - {*KIND_COLUMNS} or {*record} - {*RECORD_COLUMNS}:
        raise NewerError
    return kind, record


def _pair(line: bytes, kind: Sequence[str], record: Sequence[str]) -> Pair | None:
    if not line.endswith(b"\n"):
        return None
    try:
        said = json.loads(line)
        one, other = said
        shared, own = dict(zip(kind, one, strict=True)), dict(zip(record, other, strict=True))
    except (ValueError, TypeError):
        return None
    values = [*shared.values(), *own.values()]
    if not all(value is None or isinstance(value, str | int | float) for value in values):
        return None
    return tuple(map(shared.get, KIND_COLUMNS)), tuple(map(own.get, RECORD_COLUMNS))


def removed(path: Path) -> None:
    """Have done with a side file."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def moved_aside(path: Path) -> Path:
    """Keep a side file or a journal that could not be read whole, under a name that is never taken in."""
    aside = path.with_name(_LAST_MARK.sub(r".corrupt-\1-", path.name))
    path.rename(aside)
    return aside


def parts(pairs: Sequence[Pair], most: int) -> Iterator[Sequence[Pair]]:
    """The records in portions of one transaction each."""
    for start in range(0, len(pairs), most):
        yield pairs[start : start + most]
