"""What the APIs of providers say, always with the same usage."""

from __future__ import annotations

import json
import struct
import threading
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

JSON = "application/json"
EVENTS = "text/event-stream"
AWS_EVENTS = "application/vnd.amazon.eventstream"
CUT = object()  # among the pieces of a reply: the connection breaks here

WORDS = ("Well", ", this", " is", " a", " stream", " of", " nine", " short", " pieces")

#: As each API spells it: 11 input tokens of which 3 cached, 7 output tokens of which 2 reasoning.
CHAT_USAGE = {
    "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 2},
}  # fmt: skip
RESPONSE_USAGE = {
    "input_tokens": 11, "output_tokens": 7, "total_tokens": 18,
    "input_tokens_details": {"cached_tokens": 3}, "output_tokens_details": {"reasoning_tokens": 2},
}  # fmt: skip
#: 11 input tokens, 3 of them read from the cache and 2 written to it; 7 output tokens.
MESSAGE_USAGE = {
    "input_tokens": 6, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 7,
    "service_tier": "standard",
}  # fmt: skip


class Asked(NamedTuple):
    """One request as it arrived."""

    path: str
    body: Any
    headers: dict[str, str]


@dataclass
class Reply:
    """What is sent back. Pieces of a stream go out one by one; CUT breaks the connection, an event is waited for."""

    body: bytes = b""
    status: int = 200
    kind: str = JSON
    headers: dict[str, str] = field(default_factory=dict[str, str])
    pieces: Iterable[Any] | None = None


def whole(body: Any, **headers: str) -> Reply:
    """A JSON body."""
    return Reply(json.dumps(body).encode(), headers=headers)


def error(status: int, message: str = "no", **headers: str) -> Reply:
    """A refusal, in the words of both families."""
    body = {"type": "error", "error": {"type": "some_error", "message": message, "code": "some_code"}}
    return Reply(json.dumps(body).encode(), status, headers=headers)


def events(bodies: Iterable[Any], *, named: bool = False) -> Reply:
    """Server-sent events; CUT and threading events among them are kept."""
    return Reply(kind=EVENTS, pieces=[_event(body, named=named) for body in bodies])


def lines(bodies: Iterable[Any]) -> Reply:
    """One JSON value a line; CUT among them is kept."""
    pieces = [body if body is CUT else json.dumps(body).encode() + b"\n" for body in bodies]
    return Reply(kind="application/x-ndjson", pieces=pieces)


def _event(body: Any, *, named: bool) -> Any:
    if body is CUT or isinstance(body, threading.Event):
        return body
    if isinstance(body, str):
        return f"data: {body}\n\n".encode()
    name = f"event: {body['type']}\n" if named else ""
    return f"{name}data: {json.dumps(body)}\n\n".encode()


def chat_chunks(model: str = "gpt-4o-mini-2024-07-18", *, usage: Any = CHAT_USAGE) -> list[Any]:
    """The events of a chat stream; the last before [DONE] carries the usage, if there is one."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_780_000_000, "model": model}
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word}, None) for word in WORDS]
    deltas.append(({}, "stop"))
    chunks: list[Any] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}]}
        for delta, reason in deltas
    ]
    if usage is not None:
        chunks.append({**head, "choices": [], "usage": usage})
    return [*chunks, "[DONE]"]


def _wants_usage(body: dict[str, Any]) -> bool:
    options: dict[str, Any] = body.get("stream_options") or {}
    return bool(options.get("include_usage"))


def chat(body: dict[str, Any]) -> Reply:
    """POST .../chat/completions."""
    if body.get("stream"):
        if not _wants_usage(body):
            return events(chat_chunks(usage=None))
        *chunks, usage, done = chat_chunks()
        return events([*[{**chunk, "usage": None} for chunk in chunks], usage, done])
    return whole(completion())


def completion(**more: Any) -> dict[str, Any]:
    """A whole chat completion; `more` replaces fields."""
    message = {"role": "assistant", "content": '{"word": "yes"}', "refusal": None}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_780_000_000, "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": CHAT_USAGE, **more,
    }  # fmt: skip


def _legacy(body: dict[str, Any]) -> Reply:
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "gpt-3.5-turbo-instruct:20230824-v2"}
    choices = [{"index": 0, "text": "".join(WORDS), "finish_reason": "stop", "logprobs": None}]
    if not body.get("stream"):
        return whole({**head, "choices": choices, "usage": CHAT_USAGE})
    wants_usage = _wants_usage(body)
    last: list[Any] = [{**head, "choices": [], "usage": CHAT_USAGE}] if wants_usage else []
    return events([{**head, "choices": choices}, *last, "[DONE]"])


def response(**more: Any) -> dict[str, Any]:
    """A whole response of the Responses API; `more` replaces fields."""
    part: dict[str, Any] = {"type": "output_text", "text": '{"word": "yes"}', "annotations": []}
    item: dict[str, Any] = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    return {
        "id": "resp_1", "object": "response", "created_at": 1_780_000_000, "model": "gpt-4o-mini-2024-07-18",
        "status": "completed", "output": [item], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "usage": RESPONSE_USAGE, **more,
    }  # fmt: skip


def response_events() -> list[Any]:
    """The events of a Responses stream."""
    begun = response(status="in_progress", output=[], usage=None)
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item: dict[str, Any] = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "in_progress",
        "content": [],
    }
    part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": []}
    bodies: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **where, "part": part},
        *({"type": "response.output_text.delta", **where, "delta": word, "logprobs": []} for word in WORDS),
        {"type": "response.completed", "response": response()},
    ]
    return [{**body, "sequence_number": number} for number, body in enumerate(bodies)]


def responses(body: dict[str, Any]) -> Reply:
    """POST .../responses."""
    if body.get("stream"):
        return events(response_events(), named=True)
    if body.get("background"):
        return whole(response(status="queued", output=[], usage=None, background=True))
    return whole(response())


def message(**more: Any) -> dict[str, Any]:
    """A whole message of the Messages API; `more` replaces fields."""
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": "".join(WORDS)}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": MESSAGE_USAGE, **more,
    }  # fmt: skip


def message_events() -> list[Any]:
    """The events of a Messages stream: the input is exact from the first one on."""
    begun = message(content=[], stop_reason=None, usage={**MESSAGE_USAGE, "output_tokens": 1})
    deltas = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": w}} for w in WORDS]
    return [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]


def messages(body: dict[str, Any]) -> Reply:
    """POST .../messages, of Anthropic and of Vertex (rawPredict)."""
    return events(message_events(), named=True) if body.get("stream") else whole(message())


def _bedrock_stream(_: dict[str, Any]) -> Reply:
    frames = [aws_frame({"bytes": b64encode(json.dumps(body).encode()).decode()}, "chunk") for body in message_events()]
    return Reply(kind=AWS_EVENTS, pieces=frames)


def aws_frame(body: Any, kind: str, message_type: str = "event") -> bytes:
    """One frame of AWS' event stream: lengths, checksum, headers, payload, checksum."""
    payload = json.dumps(body).encode()
    said = {f":{message_type}-type": kind, ":content-type": JSON, ":message-type": message_type}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in said.items()
    )
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    frame = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return frame + struct.pack(">I", zlib.crc32(frame))


def _embeddings(body: dict[str, Any]) -> Reply:
    rows = [{"object": "embedding", "index": at, "embedding": [0.5] * 700} for at in range(len(body.get("input", [])))]
    return whole(
        {"object": "list", "data": rows, "model": body.get("model"), "usage": {"prompt_tokens": 11, "total_tokens": 11}}
    )


def _images(body: dict[str, Any]) -> Reply:
    usage = {
        "input_tokens": 11,
        "output_tokens": 7,
        "total_tokens": 18,
        "input_tokens_details": {"text_tokens": 11, "image_tokens": 0},
    }
    return whole({"created": 1, "data": [{"b64_json": "AAAA"}] * body.get("n", 1), "usage": usage})


def _transcription(_: dict[str, Any]) -> Reply:
    return whole({"text": "yes", "usage": {"type": "duration", "seconds": 9}})


def _batch_results(_: dict[str, Any]) -> Reply:
    lines = [
        {"custom_id": "a", "result": {"type": "succeeded", "message": message(id="msg_a")}},
        {
            "custom_id": "b",
            "result": {"type": "errored", "error": {"type": "error", "error": {"type": "x", "message": "no"}}},
        },
        {"custom_id": "c", "result": {"type": "succeeded", "message": message(id="msg_c")}},
    ]
    return Reply(b"\n".join(json.dumps(line).encode() for line in lines) + b"\n", kind="application/x-jsonl")


def _batch(_: dict[str, Any]) -> Reply:
    return whole(
        {
            "id": "batch_1",
            "type": "message_batch",
            "processing_status": "ended",
            "results_url": "/v1/messages/batches/batch_1/results",
        }
    )


USUAL: dict[str, Callable[[dict[str, Any]], Reply]] = {
    "/chat/completions": chat,
    "/completions": _legacy,
    "/responses": responses,
    "/responses/": lambda _: whole(response(background=True)),
    "/embeddings": _embeddings,
    "/images/generations": _images,
    "/audio/speech": lambda _: Reply(b"RIFF-sound", kind="audio/mpeg"),
    "/audio/transcriptions": _transcription,
    "/moderations": lambda _: whole({"id": "modr-1", "model": "omni-moderation-latest", "results": []}),
    "/batches/batch_1/results": _batch_results,
    "/batches/batch_1": _batch,
    "/messages": messages,
    "/count_tokens": lambda _: whole({"input_tokens": 11}),
    "/invoke": lambda _: whole(message()),
    "/invoke-with-response-stream": _bedrock_stream,
    ":rawPredict": messages,
    ":streamRawPredict": messages,
    "/models": lambda _: whole({"object": "list", "data": []}),
}
