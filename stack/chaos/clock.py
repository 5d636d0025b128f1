"""A clock that can be set, in place of the true one: for this process only."""

from __future__ import annotations

import time

_time, _time_ns = time.time, time.time_ns
_offset_ns = 0


def set_to(second: int) -> None:
    """Step the clock so that it is this second now."""
    global _offset_ns  # noqa: PLW0603  one process, one clock
    _offset_ns = second * 1_000_000_000 - _time_ns()


def install() -> None:
    """Have everything that is imported from now on see this clock."""
    time.time_ns = lambda: _time_ns() + _offset_ns
    time.time = lambda: _time() + _offset_ns / 1e9
