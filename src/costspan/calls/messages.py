"""Reading a message of any shape (JSON object, pydantic model, raw bytes) as plain fields, without touching it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from costspan.facts import foreign

#: A text of a message, fit to be kept. Every reader takes what it keeps through here.
text: Final = foreign.text

NOTHING: Final[Mapping[str, Any]] = {}


def fields(message: Any) -> Mapping[str, Any]:
    """The fields of a message by name, undeclared ones included; empty for what has none.

    Reads the instance dictionary: asking a pydantic model for a field that it lacks costs ten times as much.
    """
    if type(message) is dict:
        return message  # pyright: ignore[reportUnknownVariableType]  # a cast costs as much as the question
    try:
        declared: dict[str, Any] = message.__dict__
    except AttributeError:
        return message if isinstance(message, Mapping) else NOTHING  # pyright: ignore[reportUnknownVariableType]
    undeclared = getattr(message, "__pydantic_extra__", None)
    return {**declared, **undeclared} if undeclared else declared


def listed(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if type(value) is list else []  # pyright: ignore[reportUnknownVariableType]


def opened(event: Any) -> Any:
    """An event of a stream as an object: one that was kept as bytes is parsed now."""
    return parsed(event) if type(event) is bytes else event


# Larger bodies are embeddings or images: their long arrays hold no usage and cost 92 ms per 64 vectors to parse.
_LARGE_BODY: Final = 64 * 1024


def parsed(body: bytes) -> Any:
    """A JSON body as an object, or None where it is none. Of a large body, its `data` array is passed over."""
    if len(body) > _LARGE_BODY:
        body = _without_data(body)
    try:
        return json.loads(body)
    except ValueError:
        return None


def _without_data(body: bytes) -> bytes:
    start = body.find(b'"data"')
    usage = body.rfind(b'"usage"')
    opening = body.find(b"[", start)
    if start < 0 or opening < 0 or body[start + 6 : opening].strip() != b":":
        return body
    end = body.rfind(b"]", 0, usage) if usage > opening else body.rfind(b"]")
    return body[:opening] + b"[" + body[end:] if end > opening else body
