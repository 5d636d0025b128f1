"""Watching the sockets of a library of this shape: what comes and goes on a connection, and who is at its other end.

Every message that comes passes `recv_bytes`, also those that `recv` parses and that a loop over the connection gives.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from costspan import guard
from costspan.calls.beside import Beside
from costspan.calls.connections import Asked, Connection
from costspan.calls.description import Socket
from costspan.calls.messages import fields, text
from costspan.calls.points import PatchedClient, Point
from costspan.calls.servers import Server, over_http

#: The exception by which the library of sockets says that a connection is over; all others leave it as it is.
_CLOSED: Final = "ConnectionClosed"
#: What an opener keeps: the client, and the model if it was given one.
_CLIENT: Final = "__client"
_MODEL: Final = "__model"


class Sockets:
    """The connections of one kind that a library holds."""

    def __init__(self, client: PatchedClient, socket: Socket, find_server: Callable[[Any, str], Server]) -> None:
        self._client = client
        self._socket = socket
        self._find_server = find_server
        # By the connection, and before it is there by what opens it, on which messages are put in line.
        self._known: WeakKeyDictionary[Any, Connection] = WeakKeyDictionary()

    def points(self) -> Iterator[Point]:
        """Every one is optional: most versions lack some sockets."""
        socket = self._socket
        sent, opened = Beside(self._sent, failed=self._unsent), Beside(after=self._opened)
        for prefix, enter in (("", "__enter__"), ("Async", "__aenter__")):
            places = [
                (socket.module, f"{socket.connection}.recv_bytes", Beside(after=self._received, failed=self._lost)),
                (socket.module, f"{socket.connection}.send", sent),
                (socket.module, f"{socket.connection}.close", Beside(self._closed)),
                (socket.module, f"{socket.opener}.{enter}", opened),
                (socket.module, f"{socket.opener}.enter", opened),
                *((module, f"{lane}.send", sent) for module, lane in socket.lanes),
            ]
            for module, name, beside in places:
                wrapper = beside.whole_async if prefix else beside.whole
                yield Point(module, f"{prefix}{name}", wrapper, is_optional=True)
            yield Point(socket.module, f"{prefix}{socket.opener}.send", sent.whole, is_optional=True)

    def _connection(self, instance: Any) -> Connection:
        found = self._known.get(instance)
        if found is None:
            client = self._client
            unknown = client.servers.at("")
            conversation = self._socket.conversation()
            found = self._known[instance] = Connection(client.recorder, client.client.name, conversation, unknown)
        return found

    @guard.guarded_positional("calls.opened")
    def _opened(self, opener: Any, connection: Any) -> None:
        """What was put in line has been sent; now it is known to whom."""
        if not self._client.is_active:
            return
        found = self._connection(opener)
        client = _kept(opener, _CLIENT)
        address = getattr(client, "websocket_base_url", None)
        found.seller = self._find_server(client, over_http(str(address)) if address else "")
        found.conversation.model = text(_kept(opener, _MODEL))
        self._known.pop(opener, None)
        self._known[connection] = found

    @guard.guarded_positional("calls.received")
    def _received(self, connection: Any, message: Any) -> None:
        if self._client.is_active:
            self._connection(connection).received(message)

    @guard.guarded_positional("calls.lost")
    def _lost(self, connection: Any, _: Any, error: BaseException) -> None:
        if any(kind.__name__ == _CLOSED for kind in type(error).__mro__):
            self._connection(connection).lost(error)

    @guard.guarded_positional("calls.closed")
    def _closed(self, connection: Any, *_: Any) -> None:
        self._connection(connection).closed()

    @guard.guarded_positional("calls.sent")
    def _sent(self, sender: Any, args: Any, kwargs: Mapping[str, Any]) -> Asked | None:
        """A connection sends, or one of its lanes, or what will open it."""
        if not self._client.is_active:
            return None
        message = args[0] if args else kwargs["event"]
        session = fields(sender).get("_session")
        if session is None:
            return self._connection(sender).sent(message)
        lane = fields(fields(sender).get("_state")).get("stream_id")
        return self._connection(session.connection).sent({**fields(message), "stream_id": lane})

    @guard.guarded_positional("calls.unsent")
    def _unsent(self, sender: Any, asked: Asked | None, _: BaseException) -> None:
        if asked is not None:
            self._connection(getattr(fields(sender).get("_session"), "connection", sender)).unsent(asked)


def _kept(opener: Any, name: str) -> Any:
    """A private attribute of an opener, whatever its class is called."""
    return next((value for key, value in fields(opener).items() if key.endswith(name)), None)
