"""The bodies of Google's APIs for Gemini: generated content, embeddings, and the predictions of older models.

Facts: thoughts stand beside the candidates and what a tool added beside the prompt, both are charged; what was cached
is inside the prompt. Each event of a stream reports the totals so far, and may leave some of them out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from costspan.calls.estimating import Prompt
from costspan.calls.merging import merged
from costspan.calls.messages import NOTHING, fields, listed, parsed, text
from costspan.clients import totals
from costspan.clients.usage_fields import bounded, note_unknown
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.foreign import code
from costspan.facts.usage import Usage, bounded_names, count

_PROMPT: Final = "promptTokenCount"
_TOOL: Final = "toolUsePromptTokenCount"
_SHOWN: Final = "candidatesTokenCount"
_THOUGHTS: Final = "thoughtsTokenCount"
_TOTAL: Final = "totalTokenCount"
_CACHED: Final = "cachedContentTokenCount"
_COUNTS: Final = frozenset({_PROMPT, _TOOL, _SHOWN, _THOUGHTS, _TOTAL, _CACHED})
_ADDED_UP: Final = (_PROMPT, _TOOL, _SHOWN, _THOUGHTS)
#: Names under which `_settled` tells what does not fit; once more is known, it says so anew.
_OF_SUMS: Final = frozenset({_TOTAL, _SHOWN}) | units.INPUT_PARTS | units.OUTPUT_PARTS

#: Modalities have a name, and in JSON that was written from the protocol's numbers a number.
_Units: TypeAlias = "Mapping[str | int, str]"
_IN: Final[_Units] = {
    "IMAGE": units.INPUT_IMAGE, "VIDEO": units.INPUT_VIDEO, "AUDIO": units.INPUT_AUDIO,
    2: units.INPUT_IMAGE, 3: units.INPUT_VIDEO, 4: units.INPUT_AUDIO,
}  # fmt: skip
_READ: Final[_Units] = {
    "IMAGE": units.CACHE_READ_IMAGE, "VIDEO": units.CACHE_READ_VIDEO, "AUDIO": units.CACHE_READ_AUDIO,
    2: units.CACHE_READ_IMAGE, 3: units.CACHE_READ_VIDEO, 4: units.CACHE_READ_AUDIO,
}  # fmt: skip
_OUT: Final[_Units] = {
    "IMAGE": units.OUTPUT_IMAGE, "AUDIO": units.OUTPUT_AUDIO, 2: units.OUTPUT_IMAGE, 4: units.OUTPUT_AUDIO,
}  # fmt: skip
_DETAILS: Final[Mapping[str, _Units]] = {
    "promptTokensDetails": _IN,
    "promptTokenDetails": _IN,  # embeddings
    "toolUsePromptTokensDetails": _IN,
    "cacheTokensDetails": _READ,
    "candidatesTokensDetails": _OUT,
}
#: What is charged as the total is.
_PLAIN: Final = frozenset({None, "TEXT", "DOCUMENT", "MODALITY_UNSPECIFIED", 0, 1, 5})
_MOST_CANDIDATES: Final = 16
_BYTES_PER_SCHEMA_TOKEN: Final = 5
_UNSPECIFIED: Final = re.compile("unspecified$", re.IGNORECASE)
#: Charged by grounded prompt, not by search. https://ai.google.dev/gemini-api/docs/pricing (2026-11)
_BY_PROMPT: Final = re.compile(r"gemini-[12]\b")

#: What an object says, by field, and by field and unit for what it says of modalities.
_Said: TypeAlias = "dict[str | tuple[str, str], int]"


class _Running(Usage):
    """The totals so far, with what was said of them: the next event may leave some of it out."""

    __slots__ = ("said",)

    def __init__(self, counts: dict[str, int], said: _Said) -> None:
        super().__init__(counts)
        self.said = said


def generated(message: Any) -> Answer | None:
    """Generated content, whole or one event of its stream."""
    body = body_of(message)
    if not body:
        return None
    candidates = [fields(each) for each in listed(body.get("candidates"))[:_MOST_CANDIDATES]]
    reasons = [reason for each in candidates if (reason := text(each.get("finishReason")))]
    blocked = text(fields(body.get("promptFeedback")).get("blockReason"))  # then there are no candidates
    answer = Answer(
        model=text(body.get("modelVersion")),
        id=text(body.get("responseId")),
        finish_reasons=tuple(reasons) or ((blocked,) if blocked else ()),
    )
    take_usage(answer, body.get("usageMetadata"))
    if answer.usage is not None:
        _take_searches(answer, answer.usage, candidates)
    if body.get("error") is not None:
        error = fields(body["error"])
        answer.error = code(error.get("status")) or code(error.get("code")) or "error"
    return answer


def merge(earlier: Answer, later: Answer) -> Answer:
    """Two events of a stream: field by field, and added up anew."""
    before, after = earlier.usage, later.usage
    answer = merged(earlier, later)
    if isinstance(before, _Running) and isinstance(after, _Running):
        said = before.said | {name: number for name, number in after.said.items() if number or name not in before.said}
        unread = [name for name in answer.unread if name not in _OF_SUMS]
        searches = {unit: number for unit, number in answer.usage or () if unit in units.PIECES}
        answer.usage = _Running({**_settled(said, unread), **searches}, said)
        answer.unread = bounded_names(unread)
    return answer


def embedded(message: Any) -> Answer | None:
    """Embeddings: all tokens are input."""
    body = body_of(message)
    answer = Answer(model=text(body.get("modelVersion")))
    take_usage(answer, body.get("usageMetadata"))
    if answer.usage is not None:
        answer.usage.counts[units.OUTPUT] = 0
    return answer


def predicted(message: Any) -> Answer | None:
    """Predictions of older models on Vertex AI: an embedding says its tokens, an image is one."""
    answer, counts = Answer(), dict[str, int]()
    unread: list[str] = []
    for each in map(fields, listed(body_of(message).get("predictions"))):
        if "bytesBase64Encoded" in each or "gcsUri" in each:  # what was filtered out has neither, and is not charged
            counts[units.IMAGES] = counts.get(units.IMAGES, 0) + 1
        elif "embeddings" in each:
            tokens = count(fields(fields(each["embeddings"]).get("statistics")).get("token_count"))
            counts[units.INPUT] = counts.get(units.INPUT, 0) + (tokens or 0)
            counts[units.OUTPUT] = 0
            if tokens is None:
                unread.append("statistics.token_count")
    answer.usage = Usage(counts) if counts else None
    answer.unread = bounded_names(unread)
    return answer


def started(message: Any) -> Answer | None:
    """A video that will be made: nothing is reported of it, but the name of the job."""
    return Answer(id=text(body_of(message).get("name")))


def shown(event: Any) -> Any:
    """What an event of a stream shows the caller."""
    return [list(_parts(fields(each).get("content"))) for each in listed(body_of(event).get("candidates"))]


def prompt(body: Mapping[str, Any]) -> Prompt:
    """What a request has of the prompt: nothing stands around its contents, and schemas are given in a short form."""
    contents = (*listed(body.get("contents")), body.get("systemInstruction"))
    schemas = (body.get("tools"), fields(body.get("generationConfig")).get("responseSchema"))
    texts = [list(_parts(content)) for content in contents]
    return Prompt(texts, [each for each in schemas if each], 1, _BYTES_PER_SCHEMA_TOKEN)


def _parts(content: Any) -> Iterator[Any]:
    for part in map(fields, listed(fields(content).get("parts"))):
        yield part.get("text")
        for name in ("functionCall", "functionResponse", "executableCode", "codeExecutionResult"):
            yield part.get(name)
        if "inlineData" in part or "fileData" in part:
            yield "data:"


def body_of(message: Any) -> Mapping[str, Any]:
    """The body of what the library's method returned: text within an object, or the object itself (before 1.21)."""
    said = fields(message)
    inner = said.get("body")
    return fields(parsed(inner.encode("utf-8", "surrogatepass"))) if isinstance(inner, str) else said


def take_usage(answer: Answer, spent: Any) -> None:
    """Put what a usage object says into an answer: counts, tier, and the names of what is not understood."""
    if spent is None:
        return
    said: _Said = {}
    unread: list[str] = []
    within = fields(spent)
    if not within and spent:
        unread.append("usageMetadata")
    for name, value in bounded(within, unread):
        _take_field(said, name, value, unread)
    counts = _settled(said, unread)
    answer.usage = _Running(counts, said) if counts else None
    answer.tier = _tier(within.get("trafficType")) or _tier(within.get("serviceTier"))
    answer.unread = bounded_names(unread)


def _take_field(said: _Said, name: Any, value: Any, unread: list[str]) -> None:
    if value is None:
        return
    if name in _COUNTS:
        number = count(value)
        if number is None:
            unread.append(name)
        else:
            said[name] = number
    elif name in _DETAILS:
        for each in listed(value):
            _take_modality(said, name, fields(each), unread)
    else:
        note_unknown(unread, name, value)


def _take_modality(said: _Said, name: str, each: Mapping[str, Any], unread: list[str]) -> None:
    modality = each.get("modality")
    unit = _DETAILS[name].get(modality) if isinstance(modality, str | int) else None
    number = count(each.get("tokenCount", 0))
    if number is None:
        unread.append(name)
    elif unit is not None:
        said[name, unit] = said.get((name, unit), 0) + number
    elif number and modality not in _PLAIN:
        unread.append(name)


def _tier(value: Any) -> str | None:
    tier = text(value)
    return None if tier is None or _UNSPECIFIED.search(tier) else tier


def _settled(said: _Said, unread: list[str]) -> dict[str, int]:
    """The counts: what was left out is what the total leaves over, and what does not fit is told."""
    said = {**said}
    _fill(said, unread)
    counts: dict[str, int] = {}
    if _PROMPT in said:
        counts[units.INPUT] = said[_PROMPT] + said.get(_TOOL, 0)
    if _SHOWN in said or _THOUGHTS in said:
        counts[units.OUTPUT] = said.get(_SHOWN, 0) + said.get(_THOUGHTS, 0)
    for name, unit in ((_CACHED, units.CACHE_READ), (_TOOL, units.INPUT_TOOL), (_THOUGHTS, units.REASONING)):
        if name in said:
            counts[unit] = said[name]
    for name, number in said.items():
        if isinstance(name, tuple):
            counts[name[1]] = counts.get(name[1], 0) + number
    totals.name_excess(counts, unread)
    return counts


def _fill(said: _Said, unread: list[str]) -> None:
    """What the total alone tells; a zero is left out by Google, and so are thoughts by some that pass its answers on."""
    total = said.get(_TOTAL)
    lacking = next((name for name in (_PROMPT, _SHOWN, _THOUGHTS) if name not in said), None)
    if total is None:
        if lacking == _SHOWN and _THOUGHTS in said:
            unread.append(_SHOWN)
        return
    gap = total - sum(said.get(name, 0) for name in _ADDED_UP)
    if gap < 0 or (gap and lacking is None):
        unread.append(_TOTAL)
    elif lacking is not None and (gap or lacking == _SHOWN):
        said[lacking] = gap


def _take_searches(answer: Answer, usage: Usage, candidates: list[Mapping[str, Any]]) -> None:
    """Searches that the answer rests on: each is charged once, with older models all of an answer together.

    An empty query is not charged: https://ai.google.dev/gemini-api/docs/google-search (2026-11).
    """
    found = [fields(each.get("groundingMetadata") or NOTHING) for each in candidates]
    searches = {query for each in found for query in listed(each.get("webSearchQueries")) if isinstance(query, str)} - {
        ""
    }
    if searches:
        usage.counts[units.WEB_SEARCHES] = 1 if _BY_PROMPT.match(answer.model or "") else len(searches)
    unread = ["groundingMetadata.imageSearchQueries"] if any(each.get("imageSearchQueries") for each in found) else []
    if any("maps" in fields(chunk) for each in found for chunk in listed(each.get("groundingChunks"))):
        unread.append("groundingMetadata.maps")
    if unread:
        answer.unread = bounded_names((*answer.unread, *unread))
