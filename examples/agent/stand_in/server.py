"""HTTP on the loopback interface, on a port that the system picks."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stand_in import anthropic_api, openai_api
from stand_in.books import Books, Served
from stand_in.reply import Reply

ROUTES: dict[str, Callable[[dict[str, Any], Books], Reply]] = {
    "/v1/chat/completions": openai_api.chat,
    "/v1/responses": openai_api.responses,
    "/v1/embeddings": openai_api.embeddings,
    "/v1/messages": anthropic_api.messages,
}

#: A request with this header is refused: `busy` with a 429 until the client tries again, `down` with a 500 always.
REFUSE = "x-stand-in"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.books = Books()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away in mid-stream is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Exchange(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/served":
            self._send(Reply(self.server.books.as_json()))
        else:
            self._send(
                Reply({"error": f"The stand-in has no {self.path}; ask for /served."}, status=HTTPStatus.NOT_FOUND)
            )

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError  # a caller that was killed while it sent
        route = ROUTES.get(self.path)
        if route is None:
            served = ", ".join(ROUTES)
            self._send(
                Reply(
                    {"error": f"The stand-in does not serve POST {self.path}; it serves {served}."},
                    status=HTTPStatus.NOT_FOUND,
                )
            )
            return
        api = anthropic_api if self.path == "/v1/messages" else openai_api
        request = json.loads(body)
        status = self._refusal()
        if status:
            self.server.books.enter(Served(self.path.rsplit("/", 1)[-1], request["model"], status=status))
            reply = Reply(api.error(status), status=status)
        else:
            reply = route(request, self.server.books)
        self._send(reply, api.rate_limits(len(self.server.books.entries)))

    def _refusal(self) -> int:
        """The status to refuse this request with; 0 to serve it."""
        wish = self.headers.get(REFUSE)
        if wish == "down":
            return HTTPStatus.INTERNAL_SERVER_ERROR
        is_first_try = self.headers.get("x-stainless-retry-count", "0") == "0"
        return HTTPStatus.TOO_MANY_REQUESTS if wish == "busy" and is_first_try else 0

    def _send(self, reply: Reply, headers: dict[str, str] | None = None) -> None:
        self.send_response(reply.status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("retry-after-ms", "10")
        if reply.body is not None:
            self._send_whole(json.dumps(reply.body).encode())
        else:
            self._send_events(reply)

    def _send_whole(self, body: bytes) -> None:
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_events(self, reply: Reply) -> None:
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in reply.events:
            block = event.encoded()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name that http.server gives it)
        """Say nothing: `/served` tells all."""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Serve from a thread until the block ends; gives the address, e.g. `http://127.0.0.1:40123`."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
