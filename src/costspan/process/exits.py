"""How a process ends, and what of its spend is kept: docs/exits.md has the table."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from costspan import guard
from costspan.process import waking
from costspan.process.imports import when_imported

if TYPE_CHECKING:
    from typing import Protocol

    class Ending(Protocol):
        """What has to be closed at an end."""

        def close(self) -> None:
            """Pass on what is held. What comes later is passed on as it comes."""

        def ask(self, errand: Callable[[], object]) -> bool:
            """Have a thread that runs already do something; False if there is none."""
            ...

        def deliver(self) -> None:
            """Close, and have the SDK's providers deliver too: their own exit handlers will not run."""


#: How long an end may be put off for delivering. Docker kills ten seconds after SIGTERM, Kubernetes after thirty.
_PATIENCE_S: Final = 8.0
#: How long a program that was told to end is held at first, and how long it may then go on to let go of a lock.
_MOMENT_S: Final = 1.0
_BREATH_S: Final = 0.05


_current: Ending | None = None
#: The process whose calls `_current` holds: no other may deliver them, a child least of all.
_owner = 0
#: Locked until the delivering that a signal began is over.
_delivering: threading.Lock | None = None
_is_registered = False


def watch_exits(ending: Ending, *, on_sigterm: bool) -> None:
    """Have an ending told of the ways this process may end."""
    global _current, _owner, _is_registered  # noqa: PLW0603  # one process, one end
    _current, _owner = ending, os.getpid()
    _be_first()
    if on_sigterm:
        _take_sigterm()
        if waking.SPAWNED in sys.orig_argv:
            waking.watch_sigterm(_is_handled)
    if _is_registered:
        return
    _is_registered = True
    _before_the_exit_handlers(_be_first)
    when_imported("multiprocessing.util", _take_multiprocessing)
    when_imported("celery.signals", _take_celery)


def unwatch_exits() -> None:
    """The opposite of watch_exits, as far as Python allows."""
    global _current  # noqa: PLW0603
    _current = None
    atexit.unregister(_close)
    if signal.getsignal(signal.SIGTERM) is _terminated and _is_main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _be_first() -> None:
    """Be the first of the exit handlers: the last one registered. The SDK's providers register when they are made."""
    if _current is not None:
        atexit.unregister(_close)
        atexit.register(_close)


def _before_the_exit_handlers(act: Callable[[], None]) -> None:
    """`concurrent.futures` knows this moment too. Without it, providers made after costspan close before it."""
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        guard.guarded("exit.order")(register)(act)


@guard.guarded("exit.close")
def _close() -> None:
    if _current is not None and _owner == os.getpid():
        _current.close()


@guard.guarded("exit.deliver")
def _deliver() -> None:
    if _current is not None and _owner == os.getpid():
        _current.deliver()


def _deliver_elsewhere() -> threading.Lock | None:
    """Deliver on another thread: it can be given up, and this one may hold a lock that delivering needs.

    The lock is let go of when that is over. A bare lock, because a signal may come while this thread waits for it. From
    Python 3.12 on no thread can be started while the interpreter ends: then one does it that runs already. None
    where there is none.
    """
    under_way = threading.Lock()
    under_way.acquire()

    def work() -> None:
        _deliver()
        under_way.release()

    try:
        threading.Thread(target=work, name="costspan-exit", daemon=True).start()
    except RuntimeError:
        if _current is None or not _current.ask(work):
            return None
    return under_way


def _is_over(under_way: threading.Lock, patience_s: float) -> bool:
    is_over = under_way.acquire(timeout=patience_s)
    if is_over:
        under_way.release()
    return is_over


@guard.guarded("exit.thread")
def _deliver_in_time(after: Sequence[threading.Thread] = ()) -> None:
    for thread in after:
        thread.join()
    under_way = _deliver_elsewhere()
    if under_way is None:
        _deliver()
    else:
        _is_over(under_way, _PATIENCE_S)


def _deliver_last() -> None:
    """A child of `multiprocessing` comes here before its threads have ended: what they still do counts too."""
    others = [each for each in threading.enumerate() if not each.daemon and each is not threading.current_thread()]
    if others:
        try:
            threading.Thread(target=_deliver_in_time, args=(others,), name="costspan-exit").start()
        except RuntimeError:  # the interpreter ends, and waits for them itself
            pass
        else:
            return
    _deliver_in_time(others)


@guard.guarded("exit.multiprocessing")
def _take_multiprocessing(util: Any) -> None:
    """A child of `multiprocessing` ends by `os._exit`: no exit handler runs there, but its finalizers do."""

    def finalize(_: object) -> None:
        waking.watch_sigterm(_is_handled)
        util.Finalize(None, guard.guarded("exit.multiprocessing")(_deliver_last), exitpriority=_AFTER_ALL_OTHERS)

    util.register_after_fork(_MARK, finalize)
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        finalize(_MARK)


class _Mark:
    """What `register_after_fork` keeps a weak reference to: it lives as long as this module."""


_MARK: Final = _Mark()
_AFTER_ALL_OTHERS: Final = -1_000


@guard.guarded("exit.celery")
def _take_celery(signals: Any) -> None:
    """A worker of Celery's prefork pool ends by `os._exit` and runs no finalizers, but it sends this signal."""
    signals.worker_process_shutdown.connect(_worker_ends, weak=False)


def _worker_ends(**_: Any) -> None:
    _deliver_in_time()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@guard.guarded("exit.sigterm")
def _take_sigterm() -> None:
    """SIGTERM ends a process without exit handlers, where the program does not handle it itself."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and _is_main_thread():
        signal.signal(signal.SIGTERM, _terminated)


def _is_handled() -> bool:
    """Whether a SIGTERM has been begun with, or is somebody else's to handle."""
    return _delivering is not None or signal.getsignal(signal.SIGTERM) is not _terminated


def _terminated(number: int, interrupted: FrameType | None) -> None:
    if not _goes_on(number, interrupted):
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


@guard.guarded("exit.sigterm")
def _goes_on(number: int, interrupted: FrameType | None) -> bool:
    """Deliver; True if the interrupted line must go on for a breath before that can be done."""
    global _delivering  # noqa: PLW0603
    if _delivering is None:
        _delivering = _deliver_elsewhere()
        if _delivering is None:
            if not _may_hold_a_lock(interrupted):
                _deliver()
            return False
        if not _is_over(_delivering, _MOMENT_S) and _come_again(number):
            return True
    _is_over(_delivering, _PATIENCE_S)
    return False


def _may_hold_a_lock(interrupted: FrameType | None) -> bool:
    """Whether the interrupted line is within costspan or the SDK: delivering on this thread might wait for itself."""
    while interrupted is not None:
        if str(interrupted.f_globals.get("__name__")).startswith(("costspan.", "opentelemetry.")):
            return True
        interrupted = interrupted.f_back
    return False


def _come_again(number: int) -> bool:
    """The interrupted line may hold the lock that delivering waits for, and lets go of it as it goes on."""
    breath = threading.Timer(_BREATH_S, os.kill, (os.getpid(), number))
    breath.daemon = True
    try:
        breath.start()
    except RuntimeError:  # the interpreter ends: nothing can wake this thread again
        return False
    return True


def own_in_child() -> None:
    """In a forked child that has begun anew, the last of all: what is held from now on is this process's to deliver."""
    global _owner, _delivering  # noqa: PLW0603
    waking.forget()
    _delivering = None
    _owner = os.getpid()
