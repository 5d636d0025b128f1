"""The end of a thread of ours, seen to by another thread."""

from __future__ import annotations

import os
import threading
from time import monotonic, sleep
from typing import Final

_LOOK_S: Final = 0.0001


def is_another(thread: threading.Thread | None) -> bool:
    """Whether it runs, and is a thread of the system other than the one that asks.

    With gevent, which may take the place of Python's threads, all are one: whoever waits for the end of one lets the others run.
    """
    return thread is not None and thread.is_alive() and thread.native_id != threading.get_native_id()


def wait_for_end(thread: threading.Thread, give_up_s: float) -> None:
    """Wait until a thread has ended, until a moment of `time.monotonic` at the latest.

    Up to Python 3.12 `join` returns a moment before the system's thread has gone, which a fork would count (and warn of).
    """
    thread.join(max(0.0, give_up_s - monotonic()))
    task = f"/proc/self/task/{thread.native_id}"
    while os.path.exists(task) and monotonic() < give_up_s:  # noqa: PTH110  # a Path costs more than the look
        sleep(_LOOK_S)
