"""A provider that knows what it served: OpenAI's chat API with random usage, and the bill in nano-USD."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

MODEL: Final = "gpt-4o-mini"
# Its price list (https://openai.com/api/pricing/), kept apart from costspan's: this is the other side of the bill.
_INPUT_NANO_USD: Final = 150
_CACHED_NANO_USD: Final = 75
_OUTPUT_NANO_USD: Final = 600


class Bill:
    """What was served, by what the caller gave as `user`. Money in nano-USD."""

    def __init__(self, seed: int = 0) -> None:
        self.nano_usd: defaultdict[str, int] = defaultdict(int)
        self.calls: defaultdict[str, int] = defaultdict(int)
        self._random = random.Random(seed)  # noqa: S311  a load, not a secret
        self._lock = threading.Lock()

    def serve(self, user: str) -> dict[str, Any]:
        """Serve one call: its usage, as OpenAI tells it."""
        with self._lock:
            asked, said = self._random.randint(100, 9_000), self._random.randint(1, 2_000)
            cached = self._random.choice((0, asked // 2))
            self.calls[user] += 1
            self.nano_usd[user] += (
                (asked - cached) * _INPUT_NANO_USD + cached * _CACHED_NANO_USD + said * _OUTPUT_NANO_USD
            )
        return {
            "prompt_tokens": asked,
            "completion_tokens": said,
            "total_tokens": asked + said,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    def of(self, prefix: str) -> int:
        """What was served to callers whose name begins so."""
        with self._lock:
            return sum(nano_usd for user, nano_usd in self.nano_usd.items() if user.startswith(prefix))


def completion(usage: dict[str, Any], model: str = MODEL) -> dict[str, Any]:
    """A whole answer."""
    message = {"role": "assistant", "content": "yes"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }


def _chunks(usage: dict[str, Any]) -> bytes:
    head: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    choice: dict[str, Any] = {"index": 0, "delta": {"role": "assistant", "content": "yes"}, "finish_reason": None}
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [choice], "usage": None},
        {**head, "choices": [{**choice, "delta": {}, "finish_reason": "stop"}], "usage": None},
        {**head, "choices": [], "usage": usage},
    ]
    return b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def _exchange(bill: Bill) -> type[BaseHTTPRequestHandler]:
    class Exchange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            usage = bill.serve(asked["user"])
            is_stream = bool(asked.get("stream"))
            body = _chunks(usage) if is_stream else json.dumps(completion(usage)).encode()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream" if is_stream else "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
            """The bill is the log."""

    return Exchange


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that was killed in the middle is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError | ValueError):
            super().handle_error(request, client_address)


@contextmanager
def serving(bill: Bill) -> Generator[str]:
    """Serve on a free port of loopback; gives the address."""
    with _Server(("127.0.0.1", 0), _exchange(bill)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
