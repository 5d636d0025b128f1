"""A provider on loopback that says what a test tells it to; unless told, what its API would say, always the same usage."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from typing_extensions import Self

from answers import CUT, USUAL, Asked, Reply, error

QUOTA = {
    "x-ratelimit-limit-requests": "5000", "x-ratelimit-remaining-requests": "4999", "x-ratelimit-reset-requests": "12ms",
}  # fmt: skip


class Provider:
    """The server. `replies` are said first, in order; then each API answers by itself."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.replies: deque[Reply | Callable[[Asked], Reply]] = deque()
        self.refuses_stream_options = 0
        self.refuses_everything = False
        self.always_reports_usage = False
        provider = self

        class Exchange(_Exchange):
            def answer(self, asked: Asked) -> Reply:
                provider.asked.append(asked)
                try:
                    reply = provider.replies.popleft()
                except IndexError:
                    return provider.usual(asked)
                return reply if isinstance(reply, Reply) else reply(asked)

        self._server = _Server(("127.0.0.1", 0), Exchange)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Forget what was asked, and what was to be said."""
        self.asked.clear()
        self.replies.clear()
        self.refuses_stream_options = 0
        self.refuses_everything = False
        self.always_reports_usage = False

    def usual(self, asked: Asked) -> Reply:
        """What the API answers by itself."""
        path = asked.path.partition("?")[0]
        body: dict[str, Any] = asked.body if "json" in asked.headers.get("content-type", "") else {}
        if self.refuses_everything:
            return error(400)
        if self.refuses_stream_options and "stream_options" in body:
            return error(self.refuses_stream_options, "Unrecognized request argument supplied: stream_options")
        if self.always_reports_usage:
            body = {**body, "stream_options": {"include_usage": True}}
        for end, answer in USUAL.items():
            if path.endswith(end) or (end.endswith("/") and end in path):
                return answer(body)
        return error(404, f"nothing at {path}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no error."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, asked: Asked) -> Reply:
        raise NotImplementedError

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def _respond(self) -> None:
        text = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            body: Any = json.loads(text)
        except (ValueError, RecursionError):
            body = text
        reply = self.answer(Asked(self.path, body, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(reply.status)
        for name, value in {**QUOTA, "content-type": reply.kind, **reply.headers}.items():
            self.send_header(name, value)
        if reply.pieces is None:
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
        else:
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self._send(reply.pieces)

    def _send(self, pieces: Iterable[Any]) -> None:
        for piece in pieces:
            if piece is CUT:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if isinstance(piece, threading.Event):
                piece.wait(20)
                continue
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that http.server gives it
        """Say nothing."""
