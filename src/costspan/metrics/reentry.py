"""Sums that one thread at a time adds to, though its own finalizers and signal handlers may come by in the middle.

A finalizer or the code of a signal runs between any two lines, also of a thread that is just adding, or reading for an
export. If it finishes a call there, a plain lock would wait for its own thread for ever, and a re-entrant one alone
would let it add in the middle of an addition. So what comes in the middle is put off until the thread is out again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar

_R = TypeVar("_R")


class Reentrant:
    """Base of the sums of a process: their lock, and the additions that were put off."""

    def _renew(self) -> None:
        """A lock that nobody holds: at the start, and in a forked child, where the thread that held it may not be."""
        self.lock = threading.RLock()
        #: Whether this thread holds the lock already.
        self._is_within: Callable[[], bool] = getattr(self.lock, "_is_owned")  # noqa: B009  # not in its type
        #: The additions that were put off.
        self._put_off: deque[Callable[[], object]] = deque()

    def _catch_up(self) -> None:
        """Add what was put off, unless this thread is within."""
        if self._is_within():
            return
        waiting, self._put_off = self._put_off, deque()
        while waiting:
            waiting.popleft()()

    def read(self, read: Callable[[], _R]) -> _R:
        """What `read` reads while nobody adds."""
        if self._put_off:
            self._catch_up()
        with self.lock:
            return read()
