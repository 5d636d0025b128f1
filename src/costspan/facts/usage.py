"""What one answer used, in the provider's own units: a count per unit, and no count where nothing was said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

# Totals. `input` and `output` include all of their parts below, whatever the provider leaves out of its own
# main field (gen-ai conventions: "every detail is a subset of the total").
INPUT: Final = "input"
OUTPUT: Final = "output"

# Parts of the input, in tokens. The TTL writes are parts of `cache_write`; the modality reads are parts of
# `cache_read` and of the modality. `input_tool` is the prompt a built-in tool added (Google).
CACHE_READ: Final = "cache_read"
CACHE_WRITE: Final = "cache_write"
CACHE_WRITE_5M: Final = "cache_write_5m"
CACHE_WRITE_30M: Final = "cache_write_30m"
CACHE_WRITE_1H: Final = "cache_write_1h"
CACHE_WRITE_12H: Final = "cache_write_12h"
INPUT_AUDIO: Final = "input_audio"
INPUT_IMAGE: Final = "input_image"
INPUT_VIDEO: Final = "input_video"
INPUT_TOOL: Final = "input_tool"
CACHE_READ_AUDIO: Final = "cache_read_audio"
CACHE_READ_IMAGE: Final = "cache_read_image"
CACHE_READ_VIDEO: Final = "cache_read_video"

# Parts of the output, in tokens.
REASONING: Final = "reasoning"
OUTPUT_AUDIO: Final = "output_audio"
OUTPUT_IMAGE: Final = "output_image"
OUTPUT_CITATION: Final = "output_citation"
OUTPUT_REJECTED: Final = "output_rejected"

# Not tokens: requests to a tool, pieces, and thousandths of a second of sound, of video, of a session.
WEB_SEARCHES: Final = "web_searches"
WEB_SEARCHES_PREVIEW: Final = "web_searches_preview"  # by OpenAI's older tool, which has a price of its own
WEB_FETCHES: Final = "web_fetches"
FILE_SEARCHES: Final = "file_searches"
CODE_EXECUTIONS: Final = "code_executions"
SEARCH_UNITS: Final = "search_units"
IMAGES: Final = "images"
PAGES: Final = "pages"
ANNOTATED_PAGES: Final = "annotated_pages"  # beside the others: they have a price of their own
CHARACTERS: Final = "characters"
INPUT_AUDIO_MS: Final = "input_audio_ms"
OUTPUT_AUDIO_MS: Final = "output_audio_ms"
OUTPUT_VIDEO_MS: Final = "output_video_ms"
SESSION_MS: Final = "session_ms"  # sound both ways, and silence

INPUT_PARTS: Final = frozenset({
    CACHE_READ, CACHE_WRITE, CACHE_WRITE_5M, CACHE_WRITE_30M, CACHE_WRITE_1H, CACHE_WRITE_12H,
    INPUT_AUDIO, INPUT_IMAGE, INPUT_VIDEO, INPUT_TOOL, CACHE_READ_AUDIO, CACHE_READ_IMAGE, CACHE_READ_VIDEO,
})  # fmt: skip
OUTPUT_PARTS: Final = frozenset({REASONING, OUTPUT_AUDIO, OUTPUT_IMAGE, OUTPUT_CITATION, OUTPUT_REJECTED})
PIECES: Final = frozenset({
    WEB_SEARCHES, WEB_SEARCHES_PREVIEW, WEB_FETCHES, FILE_SEARCHES, CODE_EXECUTIONS, SEARCH_UNITS,
    IMAGES, PAGES, ANNOTATED_PAGES, CHARACTERS, INPUT_AUDIO_MS, OUTPUT_AUDIO_MS, OUTPUT_VIDEO_MS, SESSION_MS,
})  # fmt: skip
UNITS: Final = frozenset({INPUT, OUTPUT}) | INPUT_PARTS | OUTPUT_PARTS | PIECES


_NONE: Final[Mapping[str, int]] = MappingProxyType({})


class Usage:
    """Counts by unit. A unit that is absent is unknown; a unit with 0 was reported as 0.

    A dictionary of counts is kept, not copied.

    `complete` is False when the counts are not the provider's final word: a stream that was cut short, or a
    count that costspan had to estimate.
    """

    __slots__ = ("complete", "counts")

    def __init__(self, counts: Mapping[str, int] = _NONE, *, complete: bool = True, **more: int) -> None:
        self.counts: dict[str, int] = {**counts, **more} if more or type(counts) is not dict else counts
        self.complete = complete

    def get(self, unit: str, default: int = 0) -> int:
        """The count of one unit, or `default` where nothing was reported."""
        return self.counts.get(unit, default)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.counts.items())

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Usage):
            return NotImplemented
        return self.counts == other.counts and self.complete == other.complete

    __hash__ = None  # type: ignore[assignment]  # counts may still be replaced while a stream runs

    def __repr__(self) -> str:
        words = [f"{unit}={count}" for unit, count in self.counts.items()]
        if not self.complete:
            words.append("complete=False")
        return f"Usage({', '.join(words)})"

    def replaced_by(self, later: Usage) -> Usage:
        """These counts with every unit that a later message of the same answer reports put in its place."""
        return Usage({**self.counts, **later.counts}, complete=later.complete)

    def added_to(self, other: Usage) -> Usage:
        """The sum of two answers."""
        counts = dict(self.counts)
        for unit, count in other.counts.items():
            counts[unit] = counts.get(unit, 0) + count
        return Usage(counts, complete=self.complete and other.complete)


#: The largest count of one answer that is believed, a billion: the longest answers there are have some millions of
#: tokens. Sums of many such counts stay within the 64 bits of metrics and ledger.
MOST_COUNT: Final = 10**9
_LONGEST_COUNT: Final = 18
_MS_PER_S: Final = 1_000


def count(value: object, most: int = MOST_COUNT) -> int | None:
    """A provider's number as a count: a whole number from 0 to `most`, or None for anything else.

    The door by which foreign numbers come in. Some servers send whole floats (Cohere's billed units, Perplexity) and
    digits as text; a negative number, a fraction, NaN or a boolean is not a count.
    """
    if type(value) is int:
        return value if 0 <= value <= most else None
    if isinstance(value, float) and 0 <= value <= most and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST_COUNT:
        return count(int(value), most)
    return None


def milliseconds(seconds: object) -> int | None:
    """A provider's seconds as a count of milliseconds, or None for what is no number of seconds from 0 on."""
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        return None
    return round(seconds * _MS_PER_S) if 0 <= seconds <= MOST_COUNT // _MS_PER_S else None


#: Names of usage fields that an answer keeps at most.
MOST_NAMES: Final = 8
#: What stands for a name that is not short and plain: it comes from outside, and may be anything.
ODD_NAME: Final = "other"
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def field_name(name: object) -> str:
    """The name of a field of a usage object as it may be kept, logged and shown."""
    return name if isinstance(name, str) and _PLAIN_NAME.fullmatch(name) else ODD_NAME


def bounded_names(names: Iterable[object]) -> tuple[str, ...]:
    """The names, each once, in a form that may be kept; the first few of them."""
    return tuple(dict.fromkeys(map(field_name, names)))[:MOST_NAMES]
