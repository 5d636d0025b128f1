"""How many tokens, where the provider did not get to say: from the bytes of the request and of the streamed text.

For a stream that was cut short: the result is marked as an estimate (`Usage.complete` is False). And for a request that is
not sent yet (`costspan.forecast`), whose text is counted by its words, which is closer and slower. What of a request is
prompt, and what an event shows, is said by its endpoint (`Endpoint.prompt`, `Endpoint.shown`): this file counts. How far off
it is over recorded traffic stands in docs/estimates.md, and so does where the constants come from.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from costspan.calls.messages import NOTHING, fields

BYTES_PER_TOKEN: Final = 4
#: What stands around each message of a conversation, and around the whole.
TOKENS_AROUND: Final = 4
#: What a picture costs, roughly; its base64 text says nothing about that.
_TOKENS_PER_PICTURE: Final = 800
_BASE64_FROM: Final = 2_000
_DEEPEST: Final = 12

#: The pieces that tokenizers of today cut a text into before they look for tokens: words, up to three digits, signs, space
#: that is more than the one before a word.
_PIECES: Final = re.compile(r"[^\W\d_]+|\d{1,3}|[^\w\s]+|_+|\n+|[^\S\n]{2,}")
#: A word of so many letters is one token; a longer one has one for each so many. Signs and letters of other alphabets: so
#: many to a token. Chinese, Japanese and Korean: so many tokens to a sign.
_SHORT_WORD: Final = 7
_LETTERS_PER_TOKEN: Final = 6
_SIGNS_PER_TOKEN: Final = 3
_TOKENS_PER_IDEOGRAM: Final = 0.8
_FIRST_IDEOGRAM: Final = "\u2e80"
#: Of a longer text, its beginning and its end stand for all of it: a second of counting is no estimate.
_MOST_READ: Final = 200_000


class Prompt(NamedTuple):
    """What a request has of the prompt: texts in any nesting, schemas that are sent as JSON, tokens that stand nowhere.

    `parts` are tokens beside these, by the unit that each is a part of the input in.
    """

    texts: Any
    schemas: Sequence[Any] = ()
    tokens_around: int = 2 * TOKENS_AROUND
    bytes_per_schema_token: int = BYTES_PER_TOKEN
    parts: Mapping[str, int] = NOTHING


class Shown(NamedTuple):
    """What an event shows: texts in any nesting, and tokens that the model says without showing them as text."""

    texts: Any
    tokens: int = 0


def input_tokens(
    body: Mapping[str, Any],
    prompt: Callable[[Mapping[str, Any]], Any] | None,
    tokens_of: Callable[[str], float] | None = None,
) -> int:
    """The tokens of a request's prompt, with what stands around its messages, and of its schemas.

    `tokens_of` counts those of a text; without it they are told from its bytes.
    """
    said = None if prompt is None else prompt(body)
    asked = said if isinstance(said, Prompt) else Prompt(said)
    length, pictures = measure(asked.texts, size=tokens_of or _bytes)
    spoken = math.ceil(length / (1 if tokens_of else BYTES_PER_TOKEN)) + pictures * _TOKENS_PER_PICTURE
    around = asked.tokens_around + sum(asked.parts.values())
    return spoken + around + sum(map(_json_bytes, asked.schemas)) // asked.bytes_per_schema_token


def tokens_by_words(text: str) -> float:
    """About how many tokens a text has, whatever the tokenizer: told by its words, numbers and signs."""
    length = len(text)
    if length > _MOST_READ:
        half = _MOST_READ // 2
        return tokens_by_words(text[:half] + text[-half:]) * length / _MOST_READ
    return sum(map(_tokens_of_piece, _PIECES.findall(text)))


def _tokens_of_piece(piece: str) -> float:
    length = len(piece)
    if piece.isascii() and piece.isalnum():
        return 1 if length <= _SHORT_WORD else length / _LETTERS_PER_TOKEN
    if piece.isspace():
        return 1
    return length * _TOKENS_PER_IDEOGRAM if max(piece) >= _FIRST_IDEOGRAM else max(1, length / _SIGNS_PER_TOKEN)


def input_parts(body: Mapping[str, Any], prompt: Callable[[Mapping[str, Any]], Any] | None) -> Mapping[str, int]:
    """Those of them that have a unit of their own."""
    said = None if prompt is None else prompt(body)
    return said.parts if isinstance(said, Prompt) else NOTHING


def output_tokens(events: Sequence[Any], count: int, shown: Callable[[Any], Any] | None, passed_bytes: int = 0) -> int:
    """The tokens of `count` stream events, of which `events` are a sample: each that speaks has at least one.

    `passed_bytes` are those of events that nobody kept.
    """
    said = [] if shown is None else [_shown(shown(event)) for event in events]
    spoken = [length for each in said if (length := measure(each.texts)[0])]
    found = max(len(spoken), sum(spoken) / BYTES_PER_TOKEN) + sum(each.tokens for each in said)
    if not found:
        return passed_bytes // BYTES_PER_TOKEN
    return max(1, round(found * count / len(events))) + passed_bytes // BYTES_PER_TOKEN


def _shown(said: Any) -> Shown:
    return said if isinstance(said, Shown) else Shown(said)


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value, default=str, separators=(",", ":")).encode())


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def measure(value: Any, depth: int = 0, size: Callable[[str], float] = _bytes) -> tuple[float, int]:
    """The bytes of text in a value (or what `size` says of a text), and the number of pictures."""
    if isinstance(value, str):
        is_picture = value.startswith("data:") or (len(value) > _BASE64_FROM and " " not in value[:_BASE64_FROM])
        return (0, 1) if is_picture else (size(value), 0)
    if value is None or isinstance(value, int | float) or depth > _DEEPEST:
        return 0, 0
    inner: Any = value
    if not isinstance(value, list | tuple):
        inner = fields(value).values()  # none, of what is no object
    parts = [measure(part, depth + 1, size) for part in inner]
    return sum(length for length, _ in parts), sum(pictures for _, pictures in parts)
