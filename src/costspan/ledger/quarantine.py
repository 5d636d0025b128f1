"""A corrupt ledger is moved aside, so that the records to come have a place; nothing in it is deleted."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

from costspan.ledger import faults, locks

_COMPANIONS: Final = ("", "-wal", "-shm")


def move_aside(path: Path) -> Path | None:
    """Move the file to `<name>.corrupt-<time>`; None if it turns out to be sound (another process did it already).

    Raises OSError where the directory does not allow it. A process that still has the old file open goes on to the
    new one with its next record (Store.is_current).
    """
    with _alone(path):
        if not is_corrupt(path):
            return None
        aside = _free_name(path)
        for companion in _COMPANIONS:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}{companion}").rename(f"{aside}{companion}")
        return aside


def is_corrupt(path: Path) -> bool:
    """Whether SQLite finds the file broken. It reads all of it: seconds for a file of a gigabyte."""
    connection = sqlite3.connect(path, timeout=1.0)
    try:
        ((verdict,), *_) = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.DatabaseError as fault:
        return faults.kind(fault) == faults.CORRUPT
    finally:
        connection.close()
    return verdict != "ok"


def _free_name(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    name = f"{path.name}.corrupt-{stamp}"
    number = 1
    while path.with_name(name).exists():
        number += 1
        name = f"{path.name}.corrupt-{stamp}-{number}"
    return path.with_name(name)


@contextlib.contextmanager
def _alone(path: Path) -> Generator[None]:
    """Of several processes that find the file corrupt, one at a time looks and moves."""
    if not locks.ARE_POSSIBLE:
        yield
        return
    with Path(f"{path}.lock").open("w") as lock:
        locks.wait(lock.fileno())
        yield
