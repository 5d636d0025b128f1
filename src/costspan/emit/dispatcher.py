"""The one thread of costspan: takes finished calls off the caller's hands and passes them on in batches."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, TypeAlias

from costspan import guard
from costspan.calls import finishing
from costspan.facts.call import Call
from costspan.process.threads import is_another, wait_for_end

Sink: TypeAlias = Callable[[Sequence[Call]], object]

#: How long a finished call may wait for others before it is passed on.
_LINGER_S: Final = 0.05
#: How often the thread looks for streams that were let go of: they leave no signal.
_LOOK_S: Final = 1.0
_BATCH: Final = 100
#: Above this a caller gives way to the thread, for so long at most: slower for him, but memory is bounded.
_MOST_WAITING: Final = 20_000
_MOST_DELAY_S: Final = 0.02
#: Above this, which takes a disk that does not answer, calls are refused: counted by the sums alone, and as lost.
_MOST_KEPT: Final = 200_000


class _WakeUp:
    """Wakes the one thread that waits for it: a bare lock, which costs a tenth of a `threading.Event`."""

    def __init__(self) -> None:
        self._is_silent = threading.Lock()
        self._is_silent.acquire()

    def ring(self) -> None:
        """Wake the one who waits, or the next one who will."""
        with contextlib.suppress(RuntimeError):  # it rings already
            self._is_silent.release()

    def wait(self, seconds: float) -> None:
        """Wait until it rings, at most so long."""
        self._is_silent.acquire(timeout=seconds)


class CallDispatcher:
    """Passes finished calls on to the sinks, in order, in batches, on a thread that starts with the first call.

    Where no thread can be started, the callers pass on their calls themselves.
    """

    def __init__(
        self, sinks: Sequence[tuple[str, Sink]], refuse: Callable[[Sequence[Call], str], object] | None = None
    ) -> None:
        self._refuse = refuse
        self._sinks = [(place, guard.guarded(place)(sink)) for place, sink in sinks]
        self._renew()

    def _renew(self) -> None:
        self._waiting: deque[Call] = deque()
        self._make_signals()
        self._is_signalled = False
        self._is_open = True
        # Re-entrant, as a signal's code may drain or fork while this thread drains.
        self._draining = threading.RLock()
        # A fork that waits for the batch under way stands here, and no new batch begins before it is over.
        self._turnstile = threading.RLock()
        self._thread: threading.Thread | None = None
        self._is_asked_to_leave = False
        #: Holds one item while the thread is asked to leave for a fork: whoever takes it has decided.
        self._leaving: list[bool] = []
        self._rests = 0  # how many forks under way have `_draining`
        self._errand: Callable[[], object] | None = None
        self._most_waiting = _MOST_WAITING

    def _make_signals(self) -> None:
        self._wake_up, self._closing = _WakeUp(), _WakeUp()

    def put(self, call: Call) -> None:
        """Take over one finished call."""
        self._waiting.append(call)
        if not self._is_signalled:
            self._is_signalled = True
            if self._thread is None and not self._begin():
                self._is_signalled = False
                self.drain()
            self._wake_up.ring()
        elif len(self._waiting) > self._most_waiting:
            self._give_way()

    def _give_way(self) -> None:
        """Pass on what waits where no thread does so any more; else let the thread work, and wait no longer than said."""
        if not self._is_open:
            self.drain()
            return
        if self._draining.acquire(timeout=_MOST_DELAY_S):
            self._draining.release()
        elif len(self._waiting) > _MOST_KEPT:
            guard.count("emit.dispatcher.full")
            with contextlib.suppress(IndexError):
                refused = self._waiting.pop()
                if self._refuse is not None:
                    self._refuse([refused], "more calls waited than are kept in memory")

    def _begin(self) -> bool:
        """Start the thread; False where there is none to be had: from Python 3.12 on, while the interpreter ends.

        What it waits for is made now: gevent may have put its own locks and threads in place of Python's since, and a thread of
        its that waits for a lock of the system holds up the whole program.
        """
        self._make_signals()
        self._thread = threading.Thread(target=self._run, name="costspan", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None
        return self._thread is not None

    def _run(self) -> None:
        while self._is_open and not self._has_to_leave():
            self._wake_up.wait(_LOOK_S)
            errand, self._errand = self._errand, None
            if errand is not None:
                errand()
            else:
                self._work()

    def _has_to_leave(self) -> bool:
        try:
            return self._leaving.pop()
        except IndexError:
            return False

    def ask(self, errand: Callable[[], object]) -> bool:
        """Have the thread do something else next; False if there is no thread."""
        thread = self._thread
        if thread is None or not self._is_open or not thread.is_alive():
            return False
        self._errand = errand
        self._wake_up.ring()
        return True

    @guard.guarded("emit.dispatcher")
    def _work(self) -> None:
        finishing.finish_late()
        if self._waiting and self._is_open:
            self._closing.wait(_LINGER_S)
        self._is_signalled = False
        while not self._leaving and self._pass_on_one():
            pass

    def drain(self) -> None:
        """Pass on everything that waits. Returns when it has been taken."""
        while self._pass_on_one():
            pass

    def _pass_on_one(self) -> bool:
        with self._turnstile:
            pass
        with self._draining:
            return self._pass_on()

    def _pass_on(self) -> bool:
        """Pass one batch on; False if there is none."""
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]
        if not batch:
            return False
        for _, take in self._sinks:
            take(batch)
        return True

    def close(self) -> None:
        """Pass on everything and end the thread. From then on callers pass on their calls themselves: there may be some."""
        self._is_open = False
        self._closing.ring()
        self._wake_up.ring()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)
        self._most_waiting, self._is_signalled = 0, True
        self.drain()

    def before_fork(self, give_up_s: float) -> bool:
        """Pass nothing on: a thread that does so leaves its locks shut in the child. And have no thread, if it ends in time:
        from Python 3.12 on, a program that forks is warned where there is another than its own.
        """
        self._end_thread(give_up_s)
        with contextlib.ExitStack() as held:
            if self._turnstile.acquire(timeout=_until(give_up_s)):
                held.callback(self._turnstile.release)
                self._rests += self._draining.acquire(timeout=_until(give_up_s))
        return True

    def _end_thread(self, give_up_s: float) -> None:
        thread = self._thread
        if thread is not None and is_another(thread):
            self._is_asked_to_leave = True
            self._leaving.append(True)
            self._wake_up.ring()
            self._closing.ring()
            wait_for_end(thread, give_up_s)

    def after_fork_in_parent(self) -> None:
        """Go on, with a thread if there was one."""
        if self._rests:
            self._rests -= 1
            self._draining.release()
        is_asked, self._is_asked_to_leave = self._is_asked_to_leave, False
        if is_asked and not self._has_to_leave() and self._is_open:
            self._begin()
            self._wake_up.ring()

    def forget(self) -> None:
        """In a forked child: what waits is the parent's, and so is the thread."""
        self._renew()


def _until(moment_s: float) -> float:
    return max(0.0, moment_s - monotonic())
