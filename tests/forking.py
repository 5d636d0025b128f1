"""A child of this process that does some work."""

from __future__ import annotations

import os
from collections.abc import Callable


def in_child(work: Callable[[], object] = lambda: None) -> int:
    """Run the work in a forked child; its exit status, 0 where nothing was raised."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
