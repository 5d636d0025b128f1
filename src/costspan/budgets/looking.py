"""A thread that looks at something again and again, until the process ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

from costspan.process.threads import is_another, wait_for_end


class Looker:
    """Calls `look` every so many seconds on a daemon thread called `name`, from `start` on until `stop`."""

    def __init__(self, look: Callable[[], object], every_s: float, name: str) -> None:
        self._look = look
        self.every_s = every_s
        self._name = name
        self.forget()

    def forget(self) -> None:
        """In a forked child: there is no thread yet."""
        self._stopping = threading.Event()
        self.thread: threading.Thread | None = None
        self._is_resting = False

    @property
    def is_stopping(self) -> bool:
        """Whether no look is to begin any more."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begin to look, where that has not begun."""
        if self.thread is None:
            self.thread = thread = threading.Thread(
                target=self._run, args=(self._stopping,), name=self._name, daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the interpreter ends
                self.thread = None

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.wait(self.every_s):
            self._look()

    def rest(self, give_up_s: float, interrupt: Callable[[], object] = lambda: None) -> None:
        """For a fork: end the thread, until a moment of `time.monotonic` at the latest. `interrupt` shortens a look under way."""
        thread = self.thread
        if thread is None or not is_another(thread) or self.is_stopping:
            return
        self._stopping.set()
        interrupt()
        wait_for_end(thread, give_up_s)
        self.forget()
        self._is_resting = True

    def go_on(self) -> None:
        """After the fork: begin again, where `rest` has ended the thread."""
        if self._is_resting:
            self._is_resting = False
            self.start()

    def stop(self) -> None:
        """Have no look begin any more."""
        self._stopping.set()

    def join(self, timeout_s: float) -> None:
        """Wait so long for the look that is under way."""
        thread, self.thread = self.thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=timeout_s)
