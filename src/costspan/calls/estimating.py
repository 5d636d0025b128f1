"""How many tokens, where the provider did not get to say: from the bytes of the request and of the streamed text.

Only for a stream that was cut short. The result is marked as an estimate (`Usage.complete` is False). Measured over
recorded traffic, it is rather too low than too high: docs/estimates.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from costspan.calls.messages import NOTHING, fields

_BYTES_PER_TOKEN: Final = 4
#: What a picture costs, roughly; its base64 text says nothing about that.
_TOKENS_PER_PICTURE: Final = 800
_PROMPT_KEYS: Final = ("messages", "input", "system", "instructions", "prompt", "tools", "functions", "response_format")
_NOT_TEXT: Final = frozenset({"role", "type", "id", "index", "name", "signature", "media_type", "logprobs", "call_id"})
_BASE64_FROM: Final = 2_000
_DEEPEST: Final = 12


def input_tokens(body: Mapping[str, Any]) -> int:
    """The tokens of a request's prompt."""
    return _tokens(*_measure([body.get(key) for key in _PROMPT_KEYS if key in body], 0))


def output_tokens(events: Iterable[Any], count: int) -> int:
    """The tokens of `count` stream events, of which some of the last are at hand."""
    texts = [_measure(_delta(event), 0)[0] for event in events]
    spoken = [length for length in texts if length]
    if not spoken:
        return 0
    silent = len(texts) - len(spoken)
    return max(1, round(sum(spoken) / len(spoken) * max(count - silent, len(spoken)) / _BYTES_PER_TOKEN))


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
