"""The answers of OpenAI's API: chat completions, responses, embeddings; whole, and as event streams.

Shapes: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from http import HTTPStatus

from stand_in.answers import CACHE_STEP, Answer, Json, Question, answer, pieces, tokens, vector
from stand_in.books import Books, Served
from stand_in.reply import Event, Reply

CREATED = 1_780_000_000  # one moment for all answers: the same bytes in every run
EMBEDDING_DIMENSIONS = 1536


def chat(request: Json, books: Books) -> Reply:
    """POST /v1/chat/completions."""
    question = Question(request["model"])
    for message in request["messages"]:
        question.add(message["role"], _text(message.get("content")) + _calls(message))
    question.offer([_tool(tool["function"]) for tool in request.get("tools") or ()])
    said = answer(question)
    served = _enter("chat", question, said, books, is_stream=bool(request.get("stream")))
    if not served.stream:
        return Reply(_completion(served, said))
    wants_usage = bool((request.get("stream_options") or {}).get("include_usage"))
    return Reply(events=_chunks(served, said, wants_usage=wants_usage))


def _completion(served: Served, said: Answer) -> Json:
    message: Json = {"role": "assistant", "content": said.text or None, "refusal": None, "annotations": []}
    if said.tool:
        message["tool_calls"] = [_tool_call(served, said)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(said)}
    return {**_chat_head(served, "chat.completion"), "choices": [choice], "usage": _chat_usage(served)}


def _chunks(served: Served, said: Answer, *, wants_usage: bool) -> Iterator[Event]:
    """The stream. Usage comes only to those who ask for it: in a last chunk without choices; the others say null."""
    head = _chat_head(served, "chat.completion.chunk") | ({"usage": None} if wants_usage else {})

    def chunk(delta: Json, finish: str | None = None) -> Event:
        return Event({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": "" if said.text else None, "refusal": None})
    if said.tool:
        yield chunk({"tool_calls": [{"index": 0, **_tool_call(served, said)}]})
    for piece in pieces(said.text):
        yield chunk({"content": piece})
    yield chunk({}, _finish(said))
    if wants_usage:
        yield Event({**head, "choices": [], "usage": _chat_usage(served)})
    yield Event("[DONE]")


def _chat_head(served: Served, kind: str) -> Json:
    return {
        "id": served.id,
        "object": kind,
        "created": CREATED,
        "model": served.model,
        "service_tier": "default",
        "system_fingerprint": "fp_standin",
    }


def _chat_usage(served: Served) -> Json:
    return {
        "prompt_tokens": served.input,
        "completion_tokens": served.output,
        "total_tokens": served.input + served.output,
        "prompt_tokens_details": {"cached_tokens": served.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": served.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _tool_call(served: Served, said: Answer) -> Json:
    return {"id": _call_id(served), "type": "function", "function": {"name": said.tool, "arguments": said.arguments}}


def _finish(said: Answer) -> str:
    return "tool_calls" if said.tool else "stop"


def responses(request: Json, books: Books) -> Reply:
    """POST /v1/responses."""
    question = Question(request["model"])
    question.add("system", request.get("instructions") or "")
    asked = request["input"]
    for item in [{"role": "user", "content": asked}] if isinstance(asked, str) else asked:
        role = "tool" if item.get("type") == "function_call_output" else item.get("role", "assistant")
        question.add(role, _text(item.get("content", item.get("output"))))
    question.offer([_tool(tool) for tool in request.get("tools") or () if tool["type"] == "function"])
    said = answer(question)
    served = _enter("responses", question, said, books, is_stream=bool(request.get("stream")))
    whole = _response(served, said)
    return Reply(events=_response_events(whole, said)) if served.stream else Reply(whole)


def _response(served: Served, said: Answer) -> Json:
    output: list[Json] = []
    if said.reasoning_tokens:
        output.append({"id": f"rs_{served.id}", "type": "reasoning", "summary": []})
    output.append(_output_item(served, said))
    return {
        "id": served.id,
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": served.model,
        "output": output,
        "parallel_tool_calls": True,
        "service_tier": "default",
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": served.input,
            "input_tokens_details": {"cached_tokens": served.cache_read},
            "output_tokens": served.output,
            "output_tokens_details": {"reasoning_tokens": served.reasoning},
            "total_tokens": served.input + served.output,
        },
    }


def _output_item(served: Served, said: Answer) -> Json:
    if said.tool:
        call = {"call_id": _call_id(served), "name": said.tool, "arguments": said.arguments}
        return {"id": f"fc_{served.id}", "type": "function_call", "status": "completed", **call}
    text = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
    return {"id": f"item_{served.id}", "type": "message", "status": "completed", "role": "assistant", "content": [text]}


def _response_events(whole: Json, said: Answer) -> Iterator[Event]:
    """The stream: usage stands in the response of the last event, asked for or not."""
    item = whole["output"][-1]
    at = len(whole["output"]) - 1
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    bodies: list[Json] = [{"type": "response.created", "response": begun}]
    bodies.append({"type": "response.output_item.added", "output_index": at, "item": {**item, "status": "in_progress"}})
    if said.text:
        where = {"item_id": item["id"], "output_index": at, "content_index": 0}
        empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        bodies.append({"type": "response.content_part.added", **where, "part": empty})
        delta = {"type": "response.output_text.delta", **where, "logprobs": []}
        bodies += [{**delta, "delta": piece} for piece in pieces(said.text)]
        bodies.append({"type": "response.output_text.done", **where, "text": said.text, "logprobs": []})
    bodies.append({"type": "response.output_item.done", "output_index": at, "item": item})
    bodies.append({"type": "response.completed", "response": whole})
    for number, body in enumerate(bodies):
        yield Event({**body, "sequence_number": number}, name=body["type"])


def embeddings(request: Json, books: Books) -> Reply:
    """POST /v1/embeddings; base64 unless the caller asks for numbers (the client asks for base64 by itself)."""
    texts = [request["input"]] if isinstance(request["input"], str) else request["input"]
    served = Served("embeddings", request["model"], input=sum(tokens(text) for text in texts))
    books.enter(served)
    vectors = [vector(text, request.get("dimensions") or EMBEDDING_DIMENSIONS) for text in texts]
    if request.get("encoding_format") == "base64":
        packed: list[object] = [base64.b64encode(struct.pack(f"<{len(v)}f", *v)).decode() for v in vectors]
    else:
        packed = list(vectors)
    rows = [{"object": "embedding", "index": at, "embedding": embedding} for at, embedding in enumerate(packed)]
    usage = {"prompt_tokens": served.input, "total_tokens": served.input}
    return Reply({"object": "list", "data": rows, "model": served.model, "usage": usage})


def rate_limits(number: int) -> dict[str, str]:
    """The quota headers of the answer to the so-manieth request."""
    return {
        "x-ratelimit-limit-requests": "5000",
        "x-ratelimit-remaining-requests": str(5000 - number),
        "x-ratelimit-reset-requests": "12ms",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-tokens": str(2_000_000 - 1000 * number),
        "x-ratelimit-reset-tokens": "30ms",
        "openai-processing-ms": "1",
    }


def error(status: int) -> Json:
    """The body of a refusal."""
    message, kind, code = "The server had an error while processing your request.", "server_error", None
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        message, kind, code = "Rate limit reached for requests.", "rate_limit_error", "rate_limit_exceeded"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _enter(api: str, question: Question, said: Answer, books: Books, *, is_stream: bool) -> Served:
    served = Served(
        api,
        question.answering_model,
        stream=is_stream,
        input=question.input_tokens,
        output=said.output_tokens,
        reasoning=said.reasoning_tokens,
    )
    if books.is_cached(question.model + question.system):
        served.cache_read = tokens(question.system) // CACHE_STEP * CACHE_STEP
    books.enter(served)
    return served


def _tool(function: Json) -> Json:
    return {"name": function["name"], "schema": function.get("parameters") or {}}


def _call_id(served: Served) -> str:
    return f"call_{served.id}"


def _calls(message: Json) -> str:
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return json.dumps(calls) if calls else ""


def _text(content: object) -> str:
    """The text of a message: content is a text, a list of parts, or nothing."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part.get("text", "") for part in parts if isinstance(part, dict))
