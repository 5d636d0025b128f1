"""A request as it is given to a client library, read for an estimate: what of it counts, and what of it cannot be told.

Raises EstimateError for a request of which there is no estimate.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from costspan.budgets import bounds
from costspan.budgets.bounds import PROMPTS
from costspan.calls.messages import fields, listed
from costspan.clients import bedrock_estimates, estimates, google_body
from costspan.facts.usage import MOST_COUNT

_MODELS: Final = ("model", "modelId", "model_id")
#: Tools of the program's own: their whole description is in the request.
_OWN_TOOLS: Final = frozenset(
    {"function", "custom", "functionDeclarations", "function_declarations", "toolSpec", "input_schema"}
)
_SILENT: Final = re.compile(r"embed|rerank|moderation")
_DEEPEST: Final = 24


class EstimateError(ValueError):
    """There is no estimate of this: the message says what is wrong, and where."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its `body` without what is no text, of which `left_out` has the names. `most_output` is the limit that it
    states for all its answers; None where it states none.
    """

    model: str
    body: Mapping[str, Any]
    prompt: Callable[[Mapping[str, Any]], Any]
    most_output: int | None
    answers: int
    is_silent: bool
    has_tools: bool
    left_out: tuple[str, ...]


def read(request: Mapping[str, Any]) -> Asked:
    """What a request asks."""
    body = _in_form(request)
    model = next((body[name] for name in _MODELS if body.get(name)), None)
    if not isinstance(model, str) or not model.strip():
        raise EstimateError("no model: say model=, such as gpt-5-mini")
    _check_prompt(body)
    _check_limits(body)
    media: Counter[str] = Counter()
    shown = {name: _without_media(value, media) if name in PROMPTS else value for name, value in body.items()}
    tools = listed(body.get("tools")) + listed(fields(body.get("toolConfig")).get("tools"))
    left_out = [f"{count} {name}{'s' if count > 1 else ''}" for name, count in media.items()]
    left_out += [f"what {name} refers to" for name in bounds.REFERENCES if body.get(name)]
    left_out += sorted({f"what the provider's tool {name} adds" for tool in tools if (name := _of_provider(tool))})
    return Asked(
        model, shown, _reader(body), bounds.stated_output(body), bounds.answers_of(body), bool(_SILENT.search(model)),
        bool(tools or body.get("functions")), tuple(left_out),
    )  # fmt: skip


def _in_form(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request as it goes over the wire: the library of Google takes texts and a `config`."""
    body = {name: value for name, value in request.items() if value is not None}
    contents = body.get("contents")
    if contents is None:
        return body
    config = fields(body.get("config"))
    several = cast("list[Any]", contents if isinstance(contents, (list, tuple)) else [contents])
    body["contents"] = [_content(each) for each in several]
    for inside, name in (("system_instruction", "systemInstruction"), ("tools", "tools")):
        if config.get(inside):
            body.setdefault(name, config[inside])
    if isinstance(body.get("systemInstruction"), str):
        body["systemInstruction"] = _content(body["systemInstruction"])
    if config.get("response_schema"):
        body.setdefault("generationConfig", {"responseSchema": config["response_schema"]})
    return body


def _content(said: Any) -> Any:
    return {"parts": [{"text": said}]} if isinstance(said, str) else said


def _check_prompt(body: Mapping[str, Any]) -> None:
    name = next((name for name in PROMPTS if name in body), None)
    if name is None:
        raise EstimateError(f"nothing to estimate: expected one of {', '.join(PROMPTS)}")
    value = body[name]
    if not isinstance(value, (str, list, tuple)):
        raise EstimateError(f"{name} is {_named(value)}: expected a text or a list")
    if not value or (isinstance(value, str) and not value.strip()):
        raise EstimateError(f"{name} is empty: there is nothing to estimate")
    if name != "messages":
        return
    if isinstance(value, str):
        raise EstimateError("messages is a text: expected a list of messages, or prompt= for a text")
    for index, message in enumerate(cast("list[Any]", value)):
        said = fields(message)
        if "role" not in said:
            raise EstimateError(f"messages[{index}] is {_named(message)}: expected a message with role and content")


def _check_limits(body: Mapping[str, Any]) -> None:
    for place in (body, *(fields(body.get(name)) for name in bounds.INNER)):
        for name in bounds.MOST_OUTPUT:
            limit = place.get(name)
            if limit is not None and (type(limit) is not int or not 0 < limit <= MOST_COUNT):
                raise EstimateError(f"{name} is {limit!r}: expected a whole number of tokens from 1 to {MOST_COUNT:,}")


def _named(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004 - a glance at it


def _reader(body: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
    if "contents" in body:
        return google_body.prompt
    if "modelId" in body or "toolConfig" in body or "inferenceConfig" in body:
        return bedrock_estimates.prompt
    return estimates.prompt


def _without_media(value: Any, found: Counter[str], depth: int = 0) -> Any:
    """The value without its parts that are no text, which are counted."""
    if value is None or isinstance(value, (str, int, float, bytes)) or depth > _DEEPEST:
        return value
    if isinstance(value, (list, tuple)):
        return [_without_media(part, found, depth + 1) for part in cast("list[Any]", value)]
    said = fields(value)
    kind = bounds.media(said)
    if kind is not None:
        found[kind] += 1
        return None
    return {name: _without_media(part, found, depth + 1) for name, part in said.items()}


def _of_provider(tool: Any) -> str | None:
    """The name of a tool that the provider runs: what it adds to the prompt is not in the request."""
    said = fields(tool)
    kind = said.get("type")
    if _OWN_TOOLS & set(said) or (kind in _OWN_TOOLS) or (kind is None and "name" in said):
        return None
    return kind if isinstance(kind, str) else next(iter(said), None)
