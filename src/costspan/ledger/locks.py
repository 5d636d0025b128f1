"""Locks on files, which the system lets go of when their process ends, however it ends. On Windows there are none."""

from __future__ import annotations

import os
from typing import Final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

#: Without locks nobody can say whether a process lives.
ARE_POSSIBLE: Final = fcntl is not None


def take(descriptor: int) -> bool:
    """Whether this process alone has the file now; True without locks. OSError where the file system has none."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def take_if_there(descriptor: int) -> bool:
    """Whether this process alone has the file now, and it has not been removed."""
    try:
        is_taken = take(descriptor)
    except OSError:
        return False
    return is_taken and os.fstat(descriptor).st_nlink > 0


def wait(descriptor: int) -> None:
    """Take the lock when all others have let go of it; OSError where the file system has none."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
