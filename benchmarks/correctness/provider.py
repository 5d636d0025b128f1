"""A provider on the loopback that knows what it would bill: OpenAI chat and responses, Anthropic messages.

`Manner.WHOLE` answers to the end. `Manner.CUT` sends the first events of a stream and then waits until the caller
hangs up. `Manner.ERROR` sends the first events and then an error event. What was sent is what is billed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import Self

INPUT: Final = 1_000
CACHED: Final = 600
OUTPUT: Final = 200
REASONING: Final = 50
EVENTS: Final = 20
EVENTS_BEFORE_THE_CUT: Final = 5
TOKENS_PER_EVENT: Final = OUTPUT // EVENTS
#: About ten tokens by the tokenizers of both providers.
PIECE: Final = "the costs of last week stayed flat, but two "


class Rate(NamedTuple):
    """List price in nano-USD per token (https://openai.com/api/pricing, https://claude.com/pricing)."""

    input: int
    cached: int
    output: int


RATES: Final = {"gpt-4o": Rate(2_500, 1_250, 10_000), "claude-sonnet-4-5": Rate(3_000, 300, 15_000)}


class Manner(Enum):
    WHOLE = "whole"
    CUT = "cut"
    ERROR = "error"


@dataclass(frozen=True)
class Bill:
    """What the provider would charge for one answer. `nano_usd` is None for a model without a list price."""

    model: str
    input: int
    cached: int
    output: int

    @property
    def nano_usd(self) -> int | None:
        rate = RATES.get(self.model)
        if rate is None:
            return None
        return (self.input - self.cached) * rate.input + self.cached * rate.cached + self.output * rate.output


def _chat(request: dict[str, Any]) -> dict[str, Any]:
    text = '{"answer": "flat"}' if "response_format" in request else PIECE * EVENTS
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_795_310_400, "model": request["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": _chat_usage(),
    }  # fmt: skip


def _chat_usage() -> dict[str, Any]:
    return {
        "prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT,
        "prompt_tokens_details": {"cached_tokens": CACHED},
        "completion_tokens_details": {"reasoning_tokens": REASONING},
    }  # fmt: skip


def _responses(request: dict[str, Any]) -> dict[str, Any]:
    text = {"type": "output_text", "text": PIECE * EVENTS, "annotations": []}
    return {
        "id": "resp_1", "object": "response", "created_at": 1_795_310_400, "status": "completed",
        "model": request["model"], "tools": [], "tool_choice": "auto", "parallel_tool_calls": True,
        "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]}],
        "usage": {
            "input_tokens": INPUT, "input_tokens_details": {"cached_tokens": CACHED}, "output_tokens": OUTPUT,
            "output_tokens_details": {"reasoning_tokens": REASONING}, "total_tokens": INPUT + OUTPUT,
        },
    }  # fmt: skip


def _message(request: dict[str, Any], *, cached: int = CACHED, output: int = OUTPUT) -> dict[str, Any]:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": request["model"],
        "content": [{"type": "text", "text": PIECE * EVENTS}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {
            "input_tokens": INPUT - cached, "cache_creation_input_tokens": 0, "cache_read_input_tokens": cached,
            "output_tokens": output,
        },
    }  # fmt: skip


WHOLE: Final = {"/v1/chat/completions": _chat, "/v1/responses": _responses, "/v1/messages": _message}


def _chat_events(request: dict[str, Any], manner: Manner) -> Iterator[dict[str, Any]]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_795_310_400, "model": request["model"]}
    for _ in range(EVENTS if manner is Manner.WHOLE else EVENTS_BEFORE_THE_CUT):
        yield {**head, "choices": [{"index": 0, "delta": {"content": PIECE}, "finish_reason": None}]}
    if manner is Manner.ERROR:
        yield {"error": {"message": "The server had an error", "type": "server_error", "code": None}}
    if manner is Manner.WHOLE:
        yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        if (request.get("stream_options") or {}).get("include_usage"):
            yield {**head, "choices": [], "usage": _chat_usage()}


def _message_events(request: dict[str, Any], manner: Manner) -> Iterator[dict[str, Any]]:
    cached = CACHED if manner is Manner.WHOLE else 0
    start = {**_message(request, cached=cached, output=1), "content": [], "stop_reason": None}
    yield {"type": "message_start", "message": start}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for _ in range(EVENTS if manner is Manner.WHOLE else EVENTS_BEFORE_THE_CUT):
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": PIECE}}
    if manner is Manner.WHOLE:
        yield {"type": "content_block_stop", "index": 0}
        yield {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
               "usage": {"output_tokens": OUTPUT}}  # fmt: skip
        yield {"type": "message_stop"}


STREAMED: Final = {"/v1/chat/completions": _chat_events, "/v1/messages": _message_events}


class Provider:
    """The server, and the bills of all it has answered, in order. A context manager: it serves while it is open."""

    def __init__(self, manner: Manner = Manner.WHOLE) -> None:
        self.manner, self.bills = manner, list[Bill]()
        self._server = _Server(("127.0.0.1", 0), _Exchange)
        self._server.provider = self
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def book(self, model: str) -> None:
        """Put the bill of one answer down."""
        whole = self.manner is Manner.WHOLE
        output = OUTPUT if whole else EVENTS_BEFORE_THE_CUT * TOKENS_PER_EVENT
        self.bills.append(Bill(model, INPUT, CACHED if whole else 0, output))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    provider: Provider

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is part of the plan."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the library's
        """Say nothing."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.provider.book(request["model"])
        if request.get("stream"):
            self._stream(STREAMED[self.path](request, self.server.provider.manner))
        else:
            self._whole(json.dumps(WHOLE[self.path](request)).encode())

    def _whole(self, body: bytes) -> None:
        self._head("application/json", ("content-length", str(len(body))))
        self.wfile.write(body)

    def _stream(self, events: Iterator[dict[str, Any]]) -> None:
        self._head("text/event-stream", ("transfer-encoding", "chunked"))
        for event in events:
            self._event(event.get("type"), json.dumps(event))
        if self.server.provider.manner is Manner.CUT:
            self._wait_until_the_caller_hangs_up()
            return
        if self.path.endswith("/completions"):
            self._event(None, "[DONE]")
        self._chunk(b"")

    def _head(self, content_type: str, length: tuple[str, str]) -> None:
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("x-ratelimit-limit-tokens", "2000000")
        self.send_header("x-ratelimit-remaining-tokens", "1999000")
        self.send_header("x-ratelimit-reset-tokens", "30ms")
        self.send_header(*length)
        self.end_headers()

    def _event(self, name: str | None, text: str) -> None:
        self._chunk(((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode())

    def _chunk(self, body: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))

    def _wait_until_the_caller_hangs_up(self) -> None:
        self.close_connection = True
        self.connection.settimeout(20)
        try:
            self.rfile.read(1)
        except OSError:
            return
