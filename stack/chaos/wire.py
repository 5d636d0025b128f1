"""A wire between programs and Collector that can be cut."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Final

_LOOK_S: Final = 0.1
_BYTES: Final = 65_536


class Wire:
    """Listens on a port of loopback and passes everything on, until it is cut; `address` is `host:port`."""

    def __init__(self, to: str) -> None:
        host, _, port = to.rpartition(":")
        self._to = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._is_whole = threading.Event()
        self._is_whole.set()
        self._is_over = False
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Wire:  # noqa: PYI034  typing.Self is of Python 3.11
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self._is_over = True
        self._thread.join()
        self.cut()
        self._listener.close()

    def cut(self) -> None:
        """Break every connection and let none through."""
        self._is_whole.clear()
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let connections through again."""
        self._is_whole.set()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as listening:
            listening.register(self._listener, selectors.EVENT_READ)
            while not self._is_over:
                if listening.select(_LOOK_S):
                    near, _ = self._listener.accept()
                    threading.Thread(target=self._pass_on, args=(near,), daemon=True).start()

    def _pass_on(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            if not self._is_whole.is_set():
                return
            with socket.create_connection(self._to, timeout=5) as far:
                self._open |= {near, far}
                try:
                    self._carry(near, far)
                finally:
                    self._open -= {near, far}

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as ends:
            ends.register(near, selectors.EVENT_READ, (near, far))
            ends.register(far, selectors.EVENT_READ, (far, near))
            while self._is_whole.is_set():
                for key, _ in ends.select(_LOOK_S):
                    read, write = key.data
                    block = read.recv(_BYTES)
                    if not block:
                        return
                    write.sendall(block)
