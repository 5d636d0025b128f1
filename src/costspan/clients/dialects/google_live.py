"""Watching the live sessions of Google's library: every message passes `_receive`, already read, and a session is made by `connect`."""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

from costspan import guard
from costspan.calls.beside import Beside
from costspan.calls.connections import Connection
from costspan.calls.description import Socket
from costspan.calls.messages import fields, text
from costspan.calls.points import PatchedClient, Point
from costspan.calls.servers import Server

#: The function that makes sessions, which keep no model: it has it.
_CONNECT: Final = "connect"
_DEEPEST: Final = 12


class LiveSessions:
    """The sessions that a library holds."""

    def __init__(self, client: PatchedClient, socket: Socket, find_server: Callable[[Any], Server]) -> None:
        self._client = client
        self._socket = socket
        self._find_server = find_server
        self._known: WeakKeyDictionary[Any, Connection] = WeakKeyDictionary()

    def points(self) -> Iterator[Point]:
        """Where a session begins, gets a message and is closed."""
        module, session = self._socket.module, self._socket.connection
        yield Point(module, f"{session}.__init__", Beside(after=self._opened).whole, is_optional=True)
        received = Beside(after=self._received, failed=self._lost).whole_async
        yield Point(module, f"{session}._receive", received, is_optional=True)
        yield Point(module, f"{session}.close", Beside(self._closed).whole_async, is_optional=True)

    @guard.guarded_positional("calls.opened")
    def _opened(self, session: Any, _: Any) -> None:
        if not self._client.is_active:
            return
        client, conversation = self._client, self._socket.conversation()
        conversation.model = _model()
        server = self._find_server(fields(session)["_api_client"])
        self._known[session] = Connection(client.recorder, client.client.name, conversation, server)

    @guard.guarded_positional("calls.received")
    def _received(self, session: Any, message: Any) -> None:
        connection = self._known.get(session)
        if connection is not None and self._client.is_active:
            connection.received(message)

    @guard.guarded_positional("calls.lost")
    def _lost(self, session: Any, _: Any, error: BaseException) -> None:
        connection = self._known.get(session)
        if connection is not None and isinstance(error, Exception):  # who stops to wait for a message has lost none
            connection.lost(error)

    @guard.guarded_positional("calls.closed")
    def _closed(self, session: Any, *_: Any) -> None:
        connection = self._known.get(session)
        if connection is not None:
            connection.closed()


def _model() -> str | None:
    """The model that was asked for, as the function has it which is making a session just now."""
    frame = sys._getframe(1)
    for _ in range(_DEEPEST):
        if frame is None:
            return None
        if frame.f_code.co_name == _CONNECT and "model" in frame.f_locals:
            return text(frame.f_locals["model"])
        frame = frame.f_back
    return None
