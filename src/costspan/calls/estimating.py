"""How many tokens, where the provider did not get to say: from the bytes of the request and of the streamed text.

Only for a stream that was cut short. The result is marked as an estimate (`Usage.complete` is False). How far off it
is over recorded traffic stands in docs/estimates.md, and so does where the constants come from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from costspan.calls.messages import NOTHING, fields, listed

_BYTES_PER_TOKEN: Final = 4
#: What a picture costs, roughly; its base64 text says nothing about that.
_TOKENS_PER_PICTURE: Final = 800
#: What stands around each message of a conversation, and around the whole.
_TOKENS_AROUND: Final = 4
#: OpenAI's and Google's models are given schemas in a form that is shorter than their JSON.
_SHORT_SCHEMAS: Final = re.compile(r"(^|/)(gpt-\d|chatgpt|o\d|gemini)")
_BYTES_PER_SHORT_SCHEMA_TOKEN: Final = 5
#: Mistral's marks tools by single tokens.
_TOLD_NOTHING: Final = re.compile(r"mistral|ministral|magistral|codestral|pixtral|voxtral")
#: All others get them in full, and are told how to call tools: by Anthropic's own system prompt for it (its documentation
#: says how long it is), or by the chat templates of open models.
_TOKENS_AROUND_CLAUDE_TOOLS: Final = 346
_TOKENS_AROUND_TOOLS: Final = 130
#: What stands around a call of a tool, besides its name and its arguments; Anthropic's models write more of it.
_TOKENS_AROUND_CALL: Final = 8
_AROUND_CALL: Final[Mapping[Any, int]] = {"tool_use": 32}
#: Where the event that begins such a call has it, by the type of the event.
_CALL_BEGINS: Final[Mapping[Any, str]] = {"response.output_item.added": "item", "content_block_start": "content_block"}
_PROMPT_KEYS: Final = ("messages", "input", "system", "instructions", "prompt")
_SCHEMA_KEYS: Final = ("tools", "functions", "response_format", "text")
_NOT_TEXT: Final = frozenset(
    {
        "role",
        "type",
        "id",
        "index",
        "name",
        "signature",
        "media_type",
        "logprobs",
        "call_id",
        "stop_reason",
        "reasoning_details",
        "provider_metadata",
    }
)
_BASE64_FROM: Final = 2_000
_DEEPEST: Final = 12


def input_tokens(body: Mapping[str, Any], prompt: Callable[[Mapping[str, Any]], Any] | None = None) -> int:
    """The tokens of a request's prompt, with what stands around its messages, and of its schemas."""
    spoken = _tokens(*_measure([body.get(key) for key in _PROMPT_KEYS] if prompt is None else prompt(body), 0))
    schemas = sum(_json_bytes(body[key]) for key in _SCHEMA_KEYS if body.get(key))
    bytes_per_token, around_tools = _way_of_tools(str(body.get("model") or ""))
    around = _around(body) * _TOKENS_AROUND + (around_tools if body.get("tools") else 0)
    return spoken + around + schemas // bytes_per_token


def _way_of_tools(model: str) -> tuple[int, int]:
    """How many bytes of schemas make a token, and how many tokens tell the model how tools are called."""
    if not model or _SHORT_SCHEMAS.search(model):
        return _BYTES_PER_SHORT_SCHEMA_TOKEN, 0
    if _TOLD_NOTHING.search(model):
        return _BYTES_PER_TOKEN, 0
    return _BYTES_PER_TOKEN, _TOKENS_AROUND_CLAUDE_TOOLS if "claude" in model else _TOKENS_AROUND_TOOLS


def output_tokens(
    events: Sequence[Any], count: int, passed_bytes: int = 0, shown: Callable[[Any], Any] | None = None
) -> int:
    """The tokens of `count` stream events, of which `events` are a sample: each that speaks has at least one.

    `passed_bytes` are those of events that nobody kept.
    """
    said = [fields(event) for event in events]
    texts = map(_delta, said) if shown is None else map(shown, events)
    spoken = [length for text in texts if (length := _measure(text, 0)[0])]
    called = sum(_call_tokens(call) for each in said for call in _calls(each))
    found = max(len(spoken), sum(spoken) / _BYTES_PER_TOKEN) + called
    if not found:
        return passed_bytes // _BYTES_PER_TOKEN
    return max(1, round(found * count / len(events))) + passed_bytes // _BYTES_PER_TOKEN


def text_bytes(events: Sequence[Any]) -> int:
    """The bytes of text in stream events."""
    return sum(_measure(_delta(fields(event)), 0)[0] for event in events)


def _around(body: Mapping[str, Any]) -> int:
    if "prompt" in body:  # the older completions take it as it is
        return 0
    messages = body.get("messages") or body.get("input")
    return 1 + (len(messages) if isinstance(messages, list) else 1)  # pyright: ignore[reportUnknownArgumentType]


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value, default=str, separators=(",", ":")).encode())


def _tokens(length: int, pictures: int) -> int:
    return -(-length // _BYTES_PER_TOKEN) + pictures * _TOKENS_PER_PICTURE


def _delta(said: Mapping[str, Any]) -> Any:
    if listed(said.get("choices")):
        return [fields(choice).get("delta") or fields(choice).get("text") for choice in said["choices"]]
    return said.get("delta")


def _calls(said: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The calls of tools that begin with this event: they have a name, which the model says, too."""
    kind = said.get("type")
    if kind in _CALL_BEGINS:
        yield fields(said.get(_CALL_BEGINS[kind]))
    for choice in listed(said.get("choices")):
        for call in listed(fields(fields(choice).get("delta")).get("tool_calls")):
            yield fields(fields(call).get("function"))


def _call_tokens(call: Mapping[str, Any]) -> int:
    name = call.get("name")
    if not isinstance(name, str) or not name:
        return 0
    return len(name.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN + _AROUND_CALL.get(
        call.get("type"), _TOKENS_AROUND_CALL
    )


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
