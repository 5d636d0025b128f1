"""A SIGTERM that came just before the main thread began to wait for a lock: the main thread is woken for it.

CPython runs handlers between two lines of the main thread. A signal that comes after the last look and before the wait
itself interrupts nothing, and `Pool.terminate` then waits for ever for a worker that waits for its queue: 2 of 317 pools
on a busy machine, with any handler in Python. Without costspan there would be none, and the worker dead.

So children of `multiprocessing` have a thread that the interpreter tells of signals, but for those of a fork server,
which sets a wake-up file of its own.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from time import sleep
from typing import Final

from costspan import guard

#: How Python starts a child of `multiprocessing` that is not forked.
SPAWNED: Final = "--multiprocessing-fork"
#: How long the main thread has to begin with a signal before it is sent again, and how often.
_WAKE_AFTER_S: Final = 0.25
_MOST_WAKES: Final = 20

#: The pipe into which the interpreter writes the signals that come; None where it does not.
_pipe: tuple[int, int] | None = None


@guard.guarded("exit.wake")
def watch_sigterm(is_handled: Callable[[], bool]) -> None:
    """Have the main thread, which this is, woken for a SIGTERM that it does not begin to handle."""
    global _pipe  # noqa: PLW0603  # one wake-up file a process
    if is_handled() or _pipe is not None or threading.current_thread() is not threading.main_thread():
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    former = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if former != -1:  # the program's own
        signal.set_wakeup_fd(former)
        os.close(reader)
        os.close(writer)
        return
    _pipe = reader, writer
    threading.Thread(target=_wake, args=(reader, is_handled), name="costspan-wake", daemon=True).start()


@guard.guarded("exit.wake")
def _wake(reader: int, is_handled: Callable[[], bool]) -> None:
    main = threading.main_thread().ident
    while main is not None and (noted := os.read(reader, 1)):
        if noted[0] != signal.SIGTERM:
            continue
        for _ in range(_MOST_WAKES):
            sleep(_WAKE_AFTER_S)
            if is_handled():
                return
            signal.pthread_kill(main, signal.SIGTERM)


@guard.guarded("exit.wake")
def forget() -> None:
    """In a forked child: the pipe is its parent's, whose thread would take a signal of the child's for its own."""
    global _pipe  # noqa: PLW0603
    if _pipe is None:
        return
    signal.set_wakeup_fd(-1)
    for each in _pipe:
        os.close(each)
    _pipe = None
