"""What the providers answer: the same bytes for every contender.

812 input tokens (512 from the cache) and 96 output tokens (32 reasoning); a stream has 500 events, and for OpenAI one
more with the usage. 22 response headers, six of them about rate limits.
"""

from __future__ import annotations

import json
from typing import Any, Final

EVENTS: Final = 500
_ANSWER: Final = "Costs were flat last week; two sessions used most of the tokens. " * 4
_MODEL: Final = "gpt-4o-mini-2024-07-18"
_CLAUDE: Final = "claude-sonnet-4-5"

HEADERS: Final = (
    ("date", "Sat, 22 Nov 2026 01:00:00 GMT"),
    ("content-type", "application/json"),
    ("connection", "keep-alive"),
    ("access-control-expose-headers", "X-Request-ID"),
    ("openai-organization", "user-abc"),
    ("openai-processing-ms", "312"),
    ("openai-project", "proj_abc"),
    ("openai-version", "2020-10-01"),
    ("x-envoy-upstream-service-time", "330"),
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-limit-tokens", "2000000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-ratelimit-remaining-tokens", "1999190"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-reset-tokens", "24ms"),
    ("x-request-id", "req_0123456789abcdef0123456789abcdef"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("cf-cache-status", "DYNAMIC"),
    ("x-content-type-options", "nosniff"),
    ("server", "cloudflare"),
    ("cf-ray", "0000000000000000-FRA"),
    ("alt-svc", 'h3=":443"; ma=86400'),
)
EVENT_STREAM_HEADERS: Final = tuple(
    (name, "text/event-stream; charset=utf-8" if name == "content-type" else value) for name, value in HEADERS
)


def _usage(output: int) -> dict[str, Any]:
    return {
        "prompt_tokens": 812,
        "completion_tokens": output,
        "total_tokens": 812 + output,
        "prompt_tokens_details": {"cached_tokens": 512, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 32,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _json(body: object) -> bytes:
    return json.dumps(body).encode()


CHAT: Final = _json({
    "id": "chatcmpl-0001", "object": "chat.completion", "created": 1_795_310_400, "model": _MODEL,
    "service_tier": "default", "system_fingerprint": "fp_0001",
    "choices": [{
        "index": 0, "finish_reason": "stop", "logprobs": None,
        "message": {"role": "assistant", "content": _ANSWER, "refusal": None, "annotations": []}}],
    "usage": _usage(96),
})  # fmt: skip

RESPONSES: Final = _json({
    "id": "resp_0001", "object": "response", "created_at": 1_795_310_400, "status": "completed", "error": None,
    "incomplete_details": None, "instructions": None, "max_output_tokens": None, "model": _MODEL,
    "output": [{
        "type": "message", "id": "msg_0001", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": _ANSWER, "annotations": []}]}],
    "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"effort": None, "summary": None},
    "store": True, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
    "top_p": 1.0, "truncation": "disabled", "service_tier": "default",
    "usage": {
        "input_tokens": 812, "input_tokens_details": {"cached_tokens": 512}, "output_tokens": 96,
        "output_tokens_details": {"reasoning_tokens": 32}, "total_tokens": 908},
    "user": None, "metadata": {},
})  # fmt: skip

EMBEDDINGS: Final = _json({
    "object": "list", "model": "text-embedding-3-small",
    "data": [{"object": "embedding", "index": 0, "embedding": [round(i / 997, 6) for i in range(256)]}],
    "usage": {"prompt_tokens": 12, "total_tokens": 12},
})  # fmt: skip

MESSAGE: Final = _json({
    "id": "msg_0001", "type": "message", "role": "assistant", "model": _CLAUDE,
    "content": [{"type": "text", "text": _ANSWER}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {
        "input_tokens": 300, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 512, "output_tokens": 96,
        "service_tier": "standard"},
})  # fmt: skip


def _data(event: object) -> bytes:
    return b"data: " + _json(event) + b"\n\n"


def _chat_events() -> tuple[bytes, ...]:
    head = {
        "id": "chatcmpl-0001", "object": "chat.completion.chunk", "created": 1_795_310_400, "model": _MODEL,
        "service_tier": "default", "system_fingerprint": "fp_0001",
    }  # fmt: skip

    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data({**head, "choices": [choice], "usage": None})

    words = (chunk({"content": f" word{number % 97}"}) for number in range(EVENTS - 2))
    usage = _data({**head, "choices": [], "usage": _usage(EVENTS - 2)})
    return (
        chunk({"role": "assistant", "content": ""}), *words, chunk({}, "stop"), usage, b"data: [DONE]\n\n",
    )  # fmt: skip


def _message_events() -> tuple[bytes, ...]:
    def event(kind: str, **body: object) -> bytes:
        return f"event: {kind}\n".encode() + _data({"type": kind, **body})

    start = {**json.loads(MESSAGE), "content": [], "stop_reason": None}
    start["usage"] = {**start["usage"], "output_tokens": 1}
    words = (
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": f" word{number % 97}"})
        for number in range(EVENTS - 5)
    )
    return (
        event("message_start", message=start),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *words,
        event("content_block_stop", index=0),
        event(
            "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": EVENTS - 5}),
        event("message_stop"),
    )  # fmt: skip


STREAMS: Final = {"/chat/completions": _chat_events(), "/messages": _message_events()}
WHOLE: Final = {
    "/chat/completions": CHAT,
    "/responses": RESPONSES,
    "/embeddings": EMBEDDINGS,
    "/messages": MESSAGE,
}


def reply_to(path: str, *, stream: bool) -> bytes | tuple[bytes, ...]:
    """The body of the answer to a request, or the pieces of it where it is streamed."""
    table = STREAMS if stream else WHOLE
    return next(body for ending, body in table.items() if path.endswith(ending))


SMALL_PROMPT: Final = (
    {"role": "system", "content": "You are a terse assistant."},
    {"role": "user", "content": "Summarise last week's token costs in one sentence."},
)


def big_prompt(messages: int = 200, size: int = 200_000) -> list[dict[str, str]]:
    """A conversation of so many messages and bytes."""
    text = ("The quick brown fox reads the invoice and is surprised. " * 40)[: size // messages]
    return [
        {"role": "assistant" if number % 2 else "user", "content": f"{number:04d} {text[5:]}"}
        for number in range(messages)
    ]
