"""The most that a request can use and cost, before it is sent: what a hard budget reserves.

Each token of a text takes at least one byte of it, so the bytes of a request are a bound of its input. The output is bounded
by what the request says, else by what models of the family write at most. Pictures, and what stands at the provider's (files, former
answers), are bounded by stated figures (docs/enforcement.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.messages import asked, fields
from costspan.facts import usage as units
from costspan.facts.usage import Usage

#: What stands around a request and each of its tools, and what tells a model how to call them.
_TOKENS_AROUND: Final = 64
_TOKENS_AROUND_TOOLS: Final = 512
#: One picture, or one file that is sent along: the most that the usual models make of a picture.
_TOKENS_PER_PICTURE: Final = 6_000
#: What the request only refers to: a former answer, a conversation, a cache.
_TOKENS_REFERRED_TO: Final = 200_000
REFERENCES: Final = ("previous_response_id", "conversation", "cachedContent", "cached_content")
#: The most that a realtime session holds, and that one of its answers has.
_SESSION_TOKENS: Final = 32_000
_SESSION_ANSWER: Final = 4_096
_BASE64_FROM: Final = 2_000
_DEEPEST: Final = 24
_BYTES_PER_NUMBER: Final = 20

#: Where the prompt stands, by API; the first that a request has is shown in messages.
PROMPTS: Final = ("messages", "input", "contents", "prompt", "inputText", "query")
#: Parts of a message that are no text, by their type or the name of their field.
_MEDIA: Final = {
    "image": "image", "image_url": "image", "input_image": "image", "audio": "audio clip", "input_audio": "audio clip",
    "video": "video", "video_url": "video", "file": "file", "input_file": "file", "document": "file",
    "inlineData": "file", "inline_data": "file", "fileData": "file", "file_data": "file",
}  # fmt: skip
_NAMES: Final = frozenset(_MEDIA)
_OF_MIME: Final = {"image": "image", "audio": "audio clip", "video": "video"}
_PLAIN: Final = (str, int, float)

#: Where a request says how long its answer may be, and how many it wants.
MOST_OUTPUT: Final = (
    "max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "max_tokens_to_sample", "maxTokens",
    "maxOutputTokens", "maxTokenCount", "max_gen_len", "max_length", "num_predict",
)  # fmt: skip
_ANSWERS: Final = ("n", "best_of", "candidateCount", "candidate_count", "num_generations", "numResults")
INNER: Final = (
    "generationConfig", "generation_config", "inferenceConfig", "options", "textGenerationConfig", "config", "response",
)  # fmt: skip
#: Operations that write no tokens.
_SILENT: Final = frozenset({"embeddings", "rerank", "moderation", "classification"})
#: What models write at most, where the request does not say: by parts of their names, the first that fits.
_LONGEST: Final = (
    (re.compile(r"gpt-5|(^|/)o[134]\b|codex"), 128_000),
    (re.compile(r"claude"), 64_000),
    (re.compile(r"gemini-(2\.5|[3-9])|deepseek"), 65_536),
    (re.compile(r"gpt-4\.1"), 32_768),
    (re.compile(r"gpt-4o|gpt-4|gpt-3"), 16_384),
)
_LONGEST_OF_OTHERS: Final = 32_768


def bound(operation: str, body: Mapping[str, Any], model: str | None) -> Usage:
    """The usage that a request has at most."""
    said = _opened(body)
    if operation == "realtime":  # what the session holds is not in the request, and all of it may be sound
        return Usage({
            units.INPUT: _SESSION_TOKENS, units.INPUT_AUDIO: _SESSION_TOKENS,
            units.OUTPUT: _SESSION_ANSWER, units.OUTPUT_AUDIO: _SESSION_ANSWER,
        })  # fmt: skip
    output = 0 if operation in _SILENT else _most_output(said, model) * answers_of(said)
    counts = {units.INPUT: _most_input(said), units.OUTPUT: output}
    if "audio" in (said.get("modalities") or ()):
        counts[units.OUTPUT_AUDIO] = output
    return Usage(counts)


def _opened(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body, or the one within it that is sent as JSON (InvokeModel)."""
    inner: Any = body.get("body")
    if isinstance(inner, str):
        inner = inner.encode("utf-8", "replace")
    if isinstance(inner, (bytes, bytearray)):
        return fields(asked(bytes(inner))) or body
    return body


def most_input(body: Mapping[str, Any]) -> int:
    """The input tokens that a request has at most, as far as they stand in it."""
    return _most_input(_opened(body))


def media(said: Mapping[str, Any]) -> str | None:
    """What a part of a message is that is no text: a word for people; None for text, and for a message."""
    kind = said.get("type")
    if isinstance(kind, str) and kind in _MEDIA:
        return _MEDIA[kind]
    if "role" in said or _NAMES.isdisjoint(said):
        return None
    named = next((name for name in _MEDIA if said.get(name) is not None), None)
    if named is None or isinstance(said[named], _PLAIN):  # a tool's arguments are text
        return None
    inner = fields(said[named])
    mime = str(inner.get("mimeType") or inner.get("mime_type") or "")
    return _OF_MIME.get(mime.partition("/")[0], _MEDIA[named])


def stated_output(body: Mapping[str, Any]) -> int | None:
    """The output tokens that a request allows at most, over all the answers that it asks for; None where it does not say."""
    said = _opened(body)
    stated = _stated(said)
    return max(stated) * answers_of(said) if stated else None


def longest_output(model: str | None) -> int | None:
    """What a model writes at most in one answer; None for one of which that is not known."""
    return next((most for pattern, most in _LONGEST if pattern.search(model or "")), None)


def _most_input(said: Mapping[str, Any]) -> int:
    tokens = _TOKENS_AROUND + _size(said, 0)
    if said.get("tools") or said.get("functions") or said.get("toolConfig"):
        tokens += _TOKENS_AROUND_TOOLS
    tokens += _TOKENS_PER_PICTURE * sum(_elsewhere(said.get(name), 0) for name in PROMPTS)
    return tokens + sum(_TOKENS_REFERRED_TO for name in REFERENCES if said.get(name))


def _elsewhere(value: Any, depth: int) -> int:
    """How many pictures and files a prompt only names: by an address, or by an id."""
    if value is None or isinstance(value, (*_PLAIN, bytes)) or depth > _DEEPEST:
        return 0
    if isinstance(value, (list, tuple)):
        return sum(_elsewhere(part, depth + 1) for part in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    said = fields(value)
    if media(said) is not None:
        return int(_size(said, depth) < _TOKENS_PER_PICTURE)  # else its content is there, and has been counted
    return sum(_elsewhere(part, depth + 1) for part in said.values())


def _size(value: Any, depth: int) -> int:
    """The bytes of all names and texts in a value, and a figure for each picture."""
    if isinstance(value, str):
        is_picture = value.startswith("data:") or (len(value) > _BASE64_FROM and " " not in value[:_BASE64_FROM])
        return _TOKENS_PER_PICTURE if is_picture else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, (bytes, bytearray)):
        return _TOKENS_PER_PICTURE
    if value is None or isinstance(value, (bool, int, float)):
        return 0 if value is None else _BYTES_PER_NUMBER
    if depth > _DEEPEST:
        return len(json.dumps(value, default=str).encode())
    if isinstance(value, (list, tuple)):
        return sum(_size(part, depth + 1) for part in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return sum(len(str(name)) + _size(part, depth + 1) for name, part in fields(value).items())


def _most_output(said: Mapping[str, Any], model: str | None) -> int:
    stated = _stated(said)
    return max(stated) if stated else longest_output(model) or _LONGEST_OF_OTHERS


def _stated(said: Mapping[str, Any]) -> list[int]:
    places = (said, *(fields(said.get(name)) for name in INNER))
    stated = [place[name] for place in places for name in MOST_OUTPUT if type(place.get(name)) is int]
    return [number for number in stated if number > 0]


def answers_of(said: Mapping[str, Any]) -> int:
    """How many answers a request asks for."""
    places = (said, *(fields(said.get(name)) for name in INNER))
    return max([1, *(place[name] for place in places for name in _ANSWERS if type(place.get(name)) is int)])
