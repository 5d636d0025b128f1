"""How many tokens, where the provider did not get to say: from the bytes of the request and of the streamed text.

Only for a stream that was cut short. The result is marked as an estimate (`Usage.complete` is False). How far off it
is over recorded traffic stands in docs/estimates.md, and so does where the constants come from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from costspan.calls.messages import NOTHING, fields

_BYTES_PER_TOKEN: Final = 4
#: What a picture costs, roughly; its base64 text says nothing about that.
_TOKENS_PER_PICTURE: Final = 800
#: What stands around each message of a conversation, and around the whole.
_TOKENS_AROUND: Final = 4
#: Schemas are given to the model in a form that is shorter than their JSON.
_BYTES_PER_SCHEMA_TOKEN: Final = 5
_PROMPT_KEYS: Final = ("messages", "input", "system", "instructions", "prompt")
_SCHEMA_KEYS: Final = ("tools", "functions", "response_format", "text")
_NOT_TEXT: Final = frozenset(
    {"role", "type", "id", "index", "name", "signature", "media_type", "logprobs", "call_id", "stop_reason"}
)
_BASE64_FROM: Final = 2_000
_DEEPEST: Final = 12


def input_tokens(body: Mapping[str, Any]) -> int:
    """The tokens of a request's prompt, with what stands around its messages, and of its schemas."""
    spoken = _tokens(*_measure([body.get(key) for key in _PROMPT_KEYS], 0))
    schemas = sum(_json_bytes(body[key]) for key in _SCHEMA_KEYS if body.get(key))
    return spoken + _around(body) * _TOKENS_AROUND + schemas // _BYTES_PER_SCHEMA_TOKEN


def output_tokens(events: Sequence[Any], count: int, passed_bytes: int = 0) -> int:
    """The tokens of `count` stream events, of which `events` are a sample: each that speaks has at least one.

    `passed_bytes` are those of events that nobody kept.
    """
    spoken = [length for event in events if (length := _measure(_delta(event), 0)[0])]
    if not spoken:
        return passed_bytes // _BYTES_PER_TOKEN
    in_all = count / len(events)
    return max(1, round(max(len(spoken), sum(spoken) / _BYTES_PER_TOKEN) * in_all)) + passed_bytes // _BYTES_PER_TOKEN


def _around(body: Mapping[str, Any]) -> int:
    if "prompt" in body:  # the older completions take it as it is
        return 0
    messages = body.get("messages") or body.get("input")
    return 1 + (len(messages) if isinstance(messages, list) else 1)  # pyright: ignore[reportUnknownArgumentType]


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value, default=str, separators=(",", ":")).encode())


def _tokens(length: int, pictures: int) -> int:
    return -(-length // _BYTES_PER_TOKEN) + pictures * _TOKENS_PER_PICTURE


def _delta(event: Any) -> Any:
    said = fields(event)
    choices = said.get("choices")
    if isinstance(choices, list):
        return [fields(choice).get("delta") or fields(choice).get("text") for choice in choices]  # pyright: ignore[reportUnknownVariableType]
    return said.get("delta")


def _measure(value: Any, depth: int) -> tuple[int, int]:
    """The bytes of text in a value, and the number of pictures."""
    if isinstance(value, str):
        is_picture = value.startswith("data:") or (len(value) > _BASE64_FROM and " " not in value[:_BASE64_FROM])
        return (0, 1) if is_picture else (len(value.encode("utf-8", "surrogatepass")), 0)
    if value is None or isinstance(value, int | float) or depth > _DEEPEST:
        return 0, 0
    if isinstance(value, list | tuple):
        parts = [_measure(part, depth + 1) for part in value]  # pyright: ignore[reportUnknownVariableType]
    else:
        said = fields(value)
        if said is NOTHING:
            return 0, 0
        parts = [_measure(part, depth + 1) for key, part in said.items() if key not in _NOT_TEXT]
    return sum(length for length, _ in parts), sum(pictures for _, pictures in parts)
