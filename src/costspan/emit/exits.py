"""How a process ends or splits, and what of its spend is kept: docs/exits.md has the table."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Protocol

import wrapt

from costspan import guard

_PATIENCE_S: Final = 10.0


class Ending(Protocol):
    """What has to be closed at an end and forgotten in a child."""

    def close(self) -> None:
        """Deliver what is held; nothing more comes."""

    def deliver(self) -> None:
        """Close, and have the SDK's providers deliver too: their own exit handlers will not run."""

    def forget(self) -> None:
        """In a forked child: start from zero."""


_current: Ending | None = None
_is_registered = False


def watch_exits(ending: Ending, *, on_sigterm: bool) -> None:
    """Have an ending told of the ways this process may end."""
    global _current, _is_registered  # noqa: PLW0603  # one process, one end
    _current = ending
    close_first()
    if on_sigterm:
        _take_sigterm()
    if _is_registered:
        return
    _is_registered = True
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget)
    _when_imported("multiprocessing.util", _take_multiprocessing)


def close_first() -> None:
    """Be the first of the exit handlers: the last one registered. The SDK's providers register when they are made."""
    atexit.unregister(_close)
    atexit.register(_close)


def unwatch_exits() -> None:
    """The opposite of watch_exits, as far as Python allows."""
    global _current  # noqa: PLW0603
    _current = None
    atexit.unregister(_close)


@guard.guarded("exit.close")
def _close() -> None:
    if _current is not None:
        _current.close()


@guard.guarded("exit.deliver")
def _deliver() -> None:
    if _current is not None:
        _current.deliver()


@guard.guarded("exit.forget")
def _forget() -> None:
    if _current is not None:
        _current.forget()


def _when_imported(module: str, act: Callable[[Any], None]) -> None:
    if module in sys.modules:
        act(sys.modules[module])
    else:
        wrapt.register_post_import_hook(act, module)


@guard.guarded("exit.multiprocessing")
def _take_multiprocessing(util: Any) -> None:
    """A child of `multiprocessing` ends by `os._exit`: no exit handler runs there, but its finalizers do."""
    util.register_after_fork(_MARK, lambda _: util.Finalize(None, _deliver, exitpriority=100))


class _Mark:
    """What `register_after_fork` keeps a weak reference to: it lives as long as this module."""


_MARK: Final = _Mark()


@guard.guarded("exit.sigterm")
def _take_sigterm() -> None:
    """SIGTERM ends a process without exit handlers, where the program does not handle it itself."""
    is_free = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if is_free and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, _: FrameType | None) -> None:
    # On another thread: this one may hold a lock that delivering needs.
    deliverer = threading.Thread(target=_deliver, name="costspan-exit", daemon=True)
    deliverer.start()
    deliverer.join(_PATIENCE_S)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
