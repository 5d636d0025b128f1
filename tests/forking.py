"""A child of this process that does some work."""

from __future__ import annotations

import os
from collections.abc import Callable


def in_child(work: Callable[[], object] = lambda: None) -> int:
    """Run the work in a forked child; its exit status, 0 where nothing was raised."""
    return in_children(work, 1)[0]


def in_children(work: Callable[[], object], number: int) -> list[int]:
    """Run the work in as many forked children at once; their exit statuses, 0 where nothing was raised."""
    children = [_child(work) for _ in range(number)]
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


def _child(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid
