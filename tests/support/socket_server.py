"""A provider's socket on loopback: it greets whoever connects, and answers what asks it to with the next of its turns."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from typing_extensions import Self
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

#: Among the messages of a turn: the line is cut, or the connection closed as it should be. A number is waited for, in seconds.
CUT = object()
CLOSE = object()

#: The messages that are answered with a turn.
_ASKS = frozenset({
    "response.create", "input_audio_buffer.commit", "session.start", "session.close",
    "setup", "client_content", "tool_response",  # Google's, which have a field in the place of a type
})  # fmt: skip


class SocketServer:
    """The server. Each turn is said once, in order, by whichever connection is asked."""

    def __init__(self, *turns: Iterable[Any], greeting: Iterable[Any] = ()) -> None:
        self.turns = deque(turns)
        self.greeting = tuple(greeting)
        self.asked: list[Any] = []
        self.paths: list[str] = []
        self._server = serve(self._converse, "127.0.0.1", 0, compression=None)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        for end in (self._server.shutdown_watcher, self._server.shutdown_notifier):  # the library leaves them open
            os.close(end)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.socket.getsockname()[1])

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def _converse(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        try:
            self._say(connection, self.greeting)
            for text in connection:
                message = json.loads(text)
                self.asked.append(message)
                if not _ASKS.isdisjoint((message.get("type"), *message)) and self.turns:
                    self._say(connection, self.turns.popleft())
        except ConnectionClosed:
            return

    def _say(self, connection: ServerConnection, turn: Iterable[Any]) -> None:
        for message in turn:
            if message is CUT:
                connection.socket.shutdown(socket.SHUT_RDWR)
            elif message is CLOSE:
                connection.close()
            elif isinstance(message, float):
                time.sleep(message)
            else:
                connection.send(message if isinstance(message, str | bytes) else json.dumps(message))
