"""What of a request is prompt and what of an event is shown, in the forms that many APIs share: for estimates.

Chat and completions, responses, and messages. An endpoint names one reader for each (`prompt`, `shown`); how tokens are
counted out of what these find is in `calls.estimating`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from costspan.calls.description import Endpoint
from costspan.calls.estimating import BYTES_PER_TOKEN, TOKENS_AROUND, Prompt, Shown
from costspan.calls.messages import NOTHING, fields, listed

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
_NOT_TEXT: Final = frozenset({
    "role", "type", "id", "index", "name", "signature", "media_type", "logprobs", "call_id", "stop_reason",
    "reasoning_details", "provider_metadata",
})  # fmt: skip
_DEEPEST: Final = 12


def usual(*endpoints: Endpoint) -> tuple[Endpoint, ...]:
    """These endpoints, whose requests and events are of the forms below."""
    return tuple(replace(endpoint, prompt=prompt, shown=shown) for endpoint in endpoints)


def prompt(body: Mapping[str, Any]) -> Prompt:
    """The prompt of a chat, a completion, a response or a message."""
    bytes_per_token, around_tools = _way_of_tools(str(body.get("model") or ""))
    return Prompt(
        [texts(body.get(key)) for key in _PROMPT_KEYS],
        [body[key] for key in _SCHEMA_KEYS if body.get(key)],
        _around(body) * TOKENS_AROUND + (around_tools if body.get("tools") else 0),
        bytes_per_token,
    )


def shown(event: Any) -> Shown:
    """What an event of one of their streams shows."""
    said = fields(event)
    return Shown(texts(_delta(said)), sum(map(_call_tokens, _calls(said))))


def texts(value: Any, depth: int = 0) -> Any:
    """The texts in a value, without the names, marks and numbers that stand beside them."""
    if value is None or isinstance(value, str | int | float) or depth > _DEEPEST:
        return value
    if isinstance(value, list | tuple):
        return [texts(part, depth + 1) for part in value]  # pyright: ignore[reportUnknownVariableType]
    said = fields(value)
    return (
        [texts(part, depth + 1) for key, part in said.items() if key not in _NOT_TEXT] if said is not NOTHING else None
    )


def _way_of_tools(model: str) -> tuple[int, int]:
    """How many bytes of schemas make a token, and how many tokens tell the model how tools are called."""
    if not model or _SHORT_SCHEMAS.search(model):
        return _BYTES_PER_SHORT_SCHEMA_TOKEN, 0
    if _TOLD_NOTHING.search(model):
        return BYTES_PER_TOKEN, 0
    return BYTES_PER_TOKEN, _TOKENS_AROUND_CLAUDE_TOOLS if "claude" in model else _TOKENS_AROUND_TOOLS


def _around(body: Mapping[str, Any]) -> int:
    if "prompt" in body:  # the older completions take it as it is
        return 0
    messages = body.get("messages") or body.get("input")
    return 1 + (len(messages) if isinstance(messages, list) else 1)  # pyright: ignore[reportUnknownArgumentType]


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
    return len(name.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN + _AROUND_CALL.get(
        call.get("type"), _TOKENS_AROUND_CALL
    )
