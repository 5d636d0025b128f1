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
    if message is None:
        return NOTHING
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


# Larger bodies are embeddings, pictures or sound: their long runs hold no usage, and 64 vectors cost 92 ms to parse.
_LARGE_BODY: Final = 64 * 1024
_WINDOW: Final = 4 * 1024
_EDGE: Final = 64
_IN_STRING: Final = (b'"', b"\\")
_IN_ARRAY: Final = (*_IN_STRING, b"[", b"]", b"{", b"}")


def parsed(body: bytes) -> Any:
    """A JSON body as an object, or None where it is none. Of a large body, long runs of numbers or base64 are cut."""
    if len(body) > _LARGE_BODY:
        body = compacted(body)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def asked(body: bytes) -> Any:
    """The JSON body of a request, whole: estimates are made of its texts. None where it is no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def compacted(body: bytes) -> bytes:
    """The same JSON with the middle of its long runs left out: of base64 within a string, of numbers within an array."""
    kept: list[bytes] = []
    start = 0
    for window in range(0, len(body) - _WINDOW, _WINDOW):
        if window < start or body.find(b'"', window, window + _WINDOW) >= 0:
            continue
        is_array = b"," in body[window : window + _WINDOW]
        first, last = window + _EDGE, _end_of_run(body, window, _IN_ARRAY if is_array else _IN_STRING) - _EDGE
        if is_array:  # of numbers: from one comma to another
            first, last = body.find(b",", first), body.rfind(b",", first, max(first, last))
        if first < 0 or last <= first:
            continue
        kept.append(body[start:first])
        start = last
    kept.append(body[start:])
    return b"".join(kept)


def _end_of_run(body: bytes, start: int, signs: tuple[bytes, ...]) -> int:
    end = len(body)
    for sign in signs:  # each looked for up to the one before: together they pass over the run once each
        found = body.find(sign, start, end)
        end = found if found >= 0 else end
    return end
