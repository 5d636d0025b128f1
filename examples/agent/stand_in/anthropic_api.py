"""The answers of Anthropic's Messages API; whole, and as an event stream.

Shapes: https://docs.anthropic.com/en/api/messages and /messages-streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus

from stand_in.answers import Answer, Json, Question, answer, pieces, tokens
from stand_in.books import Books, Served
from stand_in.reply import Event, Reply

QUOTA_RESET = "2030-01-01T00:00:00Z"


def messages(request: Json, books: Books) -> Reply:
    """POST /v1/messages."""
    question = Question(request["model"])
    question.add("system", _text(request.get("system")))
    for message in request["messages"]:
        is_result = any(block.get("type") == "tool_result" for block in _blocks(message["content"]))
        question.add("tool" if is_result else message["role"], _text(message["content"]))
    question.offer([{"name": tool["name"], "schema": tool["input_schema"]} for tool in request.get("tools") or ()])
    said = answer(question)
    served = Served(
        "messages",
        question.answering_model,
        stream=bool(request.get("stream")),
        input=question.input_tokens,
        output=said.output_tokens,
    )
    _cache(request, question, served, books)
    books.enter(served)
    return Reply(events=_events(served, said)) if served.stream else Reply(_message(served, said))


def _cache(request: Json, question: Question, served: Served, books: Books) -> None:
    """A system prompt that is marked for the cache is written to it the first time, and read from it after that."""
    if any("cache_control" in block for block in _blocks(request.get("system"))):
        if books.is_cached(question.model + question.system):
            served.cache_read = tokens(question.system)
        else:
            served.cache_write = tokens(question.system)


def _message(served: Served, said: Answer) -> Json:
    return {
        "id": served.id,
        "type": "message",
        "role": "assistant",
        "model": served.model,
        "content": [_content(served, said)],
        "stop_reason": _stop_reason(said),
        "stop_sequence": None,
        "usage": _usage(served) | {"output_tokens": served.output},
    }


def _usage(served: Served) -> Json:
    """Anthropic's `input_tokens` leave the cached ones out."""
    return {
        "input_tokens": served.input - served.cache_read - served.cache_write,
        "cache_creation_input_tokens": served.cache_write,
        "cache_read_input_tokens": served.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": served.cache_write, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
        "inference_geo": "global",
    }


def _content(served: Served, said: Answer) -> Json:
    if said.tool:
        return {"type": "tool_use", "id": f"toolu_{served.id}", "name": said.tool, "input": json.loads(said.arguments)}
    return {"type": "text", "text": said.text}


def _stop_reason(said: Answer) -> str:
    return "tool_use" if said.tool else "end_turn"


def _events(served: Served, said: Answer) -> Iterator[Event]:
    """The stream: the input stands in `message_start`, the running output in `message_delta`."""
    begun = {"content": [], "stop_reason": None, "usage": _usage(served) | {"output_tokens": 1}}
    yield _event({"type": "message_start", "message": _message(served, said) | begun})
    empty = _content(served, said) | ({"input": {}} if said.tool else {"text": ""})
    yield _event({"type": "content_block_start", "index": 0, "content_block": empty})
    yield _event({"type": "ping"})
    for piece in pieces(said.arguments or said.text):
        delta = ("input_json_delta", "partial_json") if said.tool else ("text_delta", "text")
        yield _event({"type": "content_block_delta", "index": 0, "delta": {"type": delta[0], delta[1]: piece}})
    yield _event({"type": "content_block_stop", "index": 0})
    running = {name: count for name, count in _usage(served).items() if name.endswith("_tokens")}
    stop = {"stop_reason": _stop_reason(said), "stop_sequence": None}
    yield _event({"type": "message_delta", "delta": stop, "usage": running | {"output_tokens": served.output}})
    yield _event({"type": "message_stop"})


def _event(body: Json) -> Event:
    return Event(body, name=body["type"])


def rate_limits(number: int) -> dict[str, str]:
    """The quota headers of the answer to the so-manieth request; tokens are told in whole thousands."""
    headers: dict[str, str] = {}
    for dimension, limit, used in (
        ("requests", 4000, number),
        ("input-tokens", 2_000_000, 1000 * number),
        ("output-tokens", 400_000, 1000 * number),
    ):
        headers[f"anthropic-ratelimit-{dimension}-limit"] = str(limit)
        headers[f"anthropic-ratelimit-{dimension}-remaining"] = str(limit - used)
        headers[f"anthropic-ratelimit-{dimension}-reset"] = QUOTA_RESET
    return headers


def error(status: int) -> Json:
    """The body of a refusal."""
    kind, message = "api_error", "Internal server error"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        kind, message = "rate_limit_error", "Number of requests has exceeded your rate limit."
    return {"type": "error", "error": {"type": kind, "message": message}}


def _blocks(content: object) -> list[Json]:
    """Content is a text or a list of blocks."""
    blocks = content if isinstance(content, list) else []
    return [block for block in blocks if isinstance(block, dict)]


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") or _text(block.get("content")) for block in _blocks(content))
