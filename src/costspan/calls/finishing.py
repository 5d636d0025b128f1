"""Which threads are finishing a call just now, and the calls that ended in finalizers.

A finalizer may run within any line of code, ours included, so it only leaves its call in `late`. Whoever comes by next
finishes it, and never in the middle of finishing another.
"""

from __future__ import annotations

import contextvars
import inspect
import sys
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, sleep
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final, TypeVar

from costspan import guard

if TYPE_CHECKING:
    from costspan.calls.observed_stream import ObservedStream

#: Calls that ended in a finalizer, each with its outcome and the time of its end (`perf_counter_ns`).
late: Final[deque[tuple[ObservedStream, str, int]]] = deque()
#: Threads that are finishing a call just now. A mark may be stale: it is looked at (`is_busy`), never trusted.
threads: Final[set[int]] = set()
#: How long a flush waits for other threads that are finishing calls just now, and how often it looks.
_PATIENCE_S: Final = 1.0
_PAUSE_S: Final = 0.001
#: The functions that mark their thread.
_marking: Final[set[CodeType]] = set()
_F = TypeVar("_F", bound=Callable[..., object])


def marking(function: _F) -> _F:
    """For a function that puts its thread into `threads` while it finishes a call."""
    _marking.add(function.__code__)
    return function


@guard.guarded("calls.finish_late")
@marking
def finish_late() -> None:
    """Finish the calls that ended in finalizers; not in the middle of finishing another, which goes on to do so.

    Outside of the context of whoever comes by: what that one wants not to be traced is not about them.
    """
    me = threading.get_ident()
    if me in threads and is_busy(me):
        return
    try:
        threads.add(me)
        while late:
            observed, outcome, ended = late.popleft()
            contextvars.Context().run(observed.settle_now, outcome, ended)
    except IndexError:  # somebody else took the last one
        return
    finally:
        threads.discard(me)


@guard.guarded("calls.finish_all")
def finish_all() -> None:
    """The same, and wait for other threads that have calls in hand, at most a second: for a flush or an end.

    No lock: a fault or a signal between taking one and letting go of it would shut it for ever.
    """
    finish_late()
    me, give_up_s = threading.get_ident(), monotonic() + _PATIENCE_S
    while _others(me) and monotonic() < give_up_s:
        sleep(_PAUSE_S)


def _others(me: int) -> bool:
    """Whether a thread other than `me` is finishing a call."""
    others = threads - {me}
    if not others:
        return False
    frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return any([_is_finishing(thread, frames.get(thread)) for thread in others])  # noqa: C419  # each is looked at


def is_busy(thread: int) -> bool:
    """Whether this thread, which is marked, is finishing a call somewhere above the function that asks."""
    here = inspect.currentframe()
    asking = here.f_back if here is not None else None
    return _is_finishing(thread, asking.f_back if asking is not None else None)


def _is_finishing(thread: int, frame: FrameType | None) -> bool:
    """Whether a marked thread is finishing a call, seen from one of its frames; a stale mark is removed.

    An exception that comes at any moment (a signal's, a lack of memory) may leave the mark behind. Believed, it would
    keep this thread from finishing a stream ever again, and each flush would wait for it.
    """
    while frame is not None:
        if frame.f_code in _marking:
            return True
        frame = frame.f_back
    threads.discard(thread)
    return False


def forget() -> None:
    """In a forked child: the calls under way are the parent's."""
    late.clear()
    threads.clear()
