"""Watching the sockets of OpenAI's agents: answers of the responses socket one by one, and what passes on a realtime one."""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

from costspan import guard
from costspan.calls.beside import Beside
from costspan.calls.connections import Asked, Connection
from costspan.calls.messages import text
from costspan.calls.points import PatchedClient, Point, Request, Wrapper
from costspan.calls.servers import over_http
from costspan.clients import openai_socket

_RESPONSES: Final = "OpenAIResponsesWSModel._iter_websocket_response_events"
_REALTIME: Final = "agents.realtime.openai_realtime"


class AgentsClient(PatchedClient):
    """The library, watched on behalf of a recorder."""

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self._connections: WeakKeyDictionary[Any, Connection] = WeakKeyDictionary()

    def points(self) -> tuple[Point, ...]:
        """Where an answer of the responses socket is read, and where a realtime model opens, sends, gets and stops to listen."""
        sent = Beside(self._sent, failed=self._unsent).whole_async
        of_event = ("event",)
        return (
            Point(self.client.module, _RESPONSES, self.generated_async(self._ask), ("create_kwargs",)),
            _realtime("_create_websocket_connection", Beside(self._opens).whole_async, ("url",)),
            _realtime("_handle_ws_event", Beside(self._received).whole_async, of_event),
            _realtime("_send_raw_message", sent, of_event),
            # Newer versions have it, for what depends on something that may have changed meanwhile.
            _realtime("_send_raw_message_if", sent, of_event, is_optional=True),
            _realtime("_listen_for_messages", Beside(after=self._closed, failed=self._closed).whole_async),
        )

    def _ask(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
        body = args[0] if args else kwargs["create_kwargs"]
        client = model._client  # OpenAI's, which says where the socket is
        server = self.servers.at(over_http(str(client.websocket_base_url or client.base_url)))
        return Request(openai_socket.RESPONSE, server, body, text(body.get("model")), is_stream=True)

    @guard.guarded_positional("calls.opened")
    def _opens(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self.is_active:
            return
        url = args[0] if args else kwargs["url"]
        conversation = openai_socket.Realtime()
        conversation.model = next(iter(parse_qs(urlsplit(url).query).get("model", ())), None)
        server = self.servers.at(over_http(url.partition("?")[0]))
        self._connections[model] = Connection(self.recorder, self.client.name, conversation, server)

    @guard.guarded_positional("calls.received")
    def _received(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        connection = self._connections.get(model)
        if connection is not None and self.is_active:
            connection.received(args[0] if args else kwargs["event"])

    @guard.guarded_positional("calls.sent")
    def _sent(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
        connection = self._connections.get(model)
        if connection is None or not self.is_active:
            return None
        return connection.sent(args[0] if args else kwargs["event"])

    @guard.guarded_positional("calls.unsent")
    def _unsent(self, model: Any, asked: Asked | None, _: BaseException) -> None:
        if asked is not None:
            self._connections[model].unsent(asked)

    @guard.guarded_positional("calls.closed")
    def _closed(self, model: Any, *_: Any) -> None:
        connection = self._connections.pop(model, None)
        if connection is not None:
            connection.closed()


def _realtime(name: str, wrapper: Wrapper, parameters: tuple[str, ...] = (), *, is_optional: bool = False) -> Point:
    return Point(_REALTIME, f"OpenAIRealtimeWebSocketModel.{name}", wrapper, parameters, is_optional=is_optional)


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = AgentsClient
