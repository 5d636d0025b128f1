"""What Amazon Bedrock says: of every model in one form (Converse), or in the form of each model's vendor (InvokeModel).

Facts: cache reads and writes stand beside `inputTokens`. InvokeModel counts tokens in headers, and in the last event of
a stream; the bodies of Claude, Nova, Titan and Llama count them too, and know more (the lifetime of cache writes).
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.merging import merged
from costspan.calls.messages import fields, listed, parsed, text
from costspan.clients import anthropic_body, bedrock_tools, openai_body, totals
from costspan.clients.usage_fields import bounded, note_unknown
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.foreign import code
from costspan.facts.usage import Usage, bounded_names, count

_INPUT: Final = "uncached"
_COUNTS: Final = {
    "inputTokens": _INPUT, "inputTokenCount": _INPUT, "outputTokens": units.OUTPUT, "outputTokenCount": units.OUTPUT,
    "cacheReadInputTokens": units.CACHE_READ, "cacheReadInputTokenCount": units.CACHE_READ,
    "cacheWriteInputTokens": units.CACHE_WRITE, "cacheWriteInputTokenCount": units.CACHE_WRITE,
}  # fmt: skip
_TOTAL: Final = "totalTokens"
_NO_COUNTS: Final = frozenset({"invocationLatency", "firstByteLatency"})
_LIFETIMES: Final = {"5m": units.CACHE_WRITE_5M, "1h": units.CACHE_WRITE_1H}
_HEADER: Final = "x-amzn-bedrock-"
_IN_HEADERS: Final = {
    f"{_HEADER}input-token-count": "inputTokenCount",
    f"{_HEADER}output-token-count": "outputTokenCount",
    f"{_HEADER}cache-read-input-token-count": "cacheReadInputTokenCount",
    f"{_HEADER}cache-write-input-token-count": "cacheWriteInputTokenCount",
}
#: Named where cache writes may be of a lifetime that costs more.
_LIFETIME: Final = "cache_lifetime"
_METRICS: Final = "amazon-bedrock-invocationMetrics"
_FAULT: Final = "fault"
#: Kinds of events and messages of Anthropic's models.
_ANTHROPIC: Final = frozenset({
    "message", "message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta",
    "content_block_stop", "ping", "error",
})  # fmt: skip
#: Who says something of its usage by itself: the names of its fields, by what they count.
_OF_VENDORS: Final = {
    "inputTextTokenCount": units.INPUT, "totalOutputTextTokenCount": units.OUTPUT,  # Titan
    "prompt_token_count": units.INPUT, "generation_token_count": units.OUTPUT,  # Llama
}  # fmt: skip
_REASONS: Final = ("stop_reason", "stopReason", "finish_reason", "completionReason", "finishReason")
_PARTS_WITH_REASONS: Final = ("outputs", "results", "generations", "completions", "choices")
_MOST_PARTS: Final = 16


class _Both(Usage):
    """What the body reports, and what the service counted: the body's own counts go before."""

    __slots__ = ("measured", "told")

    def __init__(self, told: Usage | None, measured: Usage | None) -> None:
        super().__init__({**(measured.counts if measured else {}), **(told.counts if told else {})})
        self.complete = measured is not None or (told is not None and told.complete)
        self.told, self.measured = told, measured


def conversed(message: Any) -> Answer | None:
    """An answer of Converse, or one event of its stream."""
    said = opened(message)
    if _FAULT in said:
        return fault_of(said)
    about = fields(said["metadata"]) if "metadata" in said else said
    stop = text(said.get("stopReason")) or text(fields(said.get("messageStop")).get("stopReason"))
    spent = about.get("usage")
    tools = list(bedrock_tools.run(said))
    if spent is None and stop is None and not tools:
        return None
    latency = text(fields(about.get("performanceConfig")).get("latency"))
    answer = Answer(
        model=text(fields(fields(about.get("trace")).get("promptRouter")).get("invokedModelId")),
        tier=text(fields(about.get("serviceTier")).get("type")),
        speed=None if latency == "standard" else latency,
        finish_reasons=(stop,) if stop else (),
    )
    unread = [f"toolUse.{name}" for name in tools]
    if spent is not None and not fields(spent):
        unread.append("usage")
    answer.usage = counted(fields(spent), unread)
    answer.unread = bounded_names(unread)
    return answer


def invoked(message: Any) -> Answer | None:
    """What InvokeModel says: in its headers, in a body, or in one event of its stream."""
    said = opened(message)
    if _FAULT in said:
        return fault_of(said)
    if type(said.get("headers")) is dict:
        return _in_headers(said["headers"], said.get("asked"))
    answer = _of_vendor(said)
    spent = said.get(_METRICS)
    if spent is None and answer is None:
        return None
    answer = answer or Answer()
    unread = [*answer.unread]
    answer.usage = _both(answer.usage, counted(fields(spent), unread))
    answer.unread = bounded_names(unread)
    return answer


def embedded(message: Any) -> Answer | None:
    """Embeddings: all tokens are input."""
    answer = invoked(message)
    if answer is not None and answer.usage is not None:
        told, measured = _parts_of(answer.usage)
        for usage in (told, measured):
            if usage is not None:
                usage.counts[units.OUTPUT] = 0
        answer.usage = _both(told, measured)
    return answer


def merge(earlier: Answer, later: Answer) -> Answer:
    """Two messages of one call: what bodies report is joined, and goes before what the service counted."""
    before, after = _parts_of(earlier.usage), _parts_of(later.usage)
    measured = after[1] or before[1]
    earlier.usage, later.usage = before[0], after[0]
    knows_input = any(told is not None and units.INPUT in told.counts for told in (before[0], after[0]))
    answer = (anthropic_body.merge if knows_input else merged)(earlier, later)
    if answer.usage is not None and units.CACHE_WRITE in answer.usage.counts:
        answer.unread = tuple(name for name in answer.unread if name != _LIFETIME)
    answer.usage = _both(answer.usage, measured)
    return answer


def unreported(message: Any) -> Answer | None:
    """An answer that says nothing of its usage."""
    return fault_of(opened(message)) or Answer()


def fault_of(said: Mapping[str, Any]) -> Answer | None:
    """An event by which a stream breaks off."""
    return Answer(error=code(said[_FAULT]) or "error") if _FAULT in said else None


def opened(message: Any) -> Mapping[str, Any]:
    """A message as what it says: an event of a stream comes as headers and bytes."""
    said = fields(message)
    payload = said.get("payload")
    if type(payload) is not bytes:
        return said
    headers = fields(said.get("headers"))
    kind = headers.get(":event-type")
    if kind is None:
        return {_FAULT: headers.get(":exception-type") or headers.get(":error-code")}
    body = fields(parsed(payload))
    inner = body.get("bytes") if kind == "chunk" else None
    return fields(parsed(_decoded(inner))) if isinstance(inner, str) else {kind: body}


def _decoded(chunk: str) -> bytes:
    try:
        return b64decode(chunk)
    except ValueError:
        return b""


def _both(told: Usage | None, measured: Usage | None) -> Usage | None:
    return None if told is None and measured is None else _Both(told, measured)


def _parts_of(usage: Usage | None) -> tuple[Usage | None, Usage | None]:
    return (usage.told, usage.measured) if isinstance(usage, _Both) else (usage, None)


def _in_headers(headers: Mapping[str, Any], asked: Any) -> Answer:
    """The counts of the headers; of cache writes, they leave the lifetime out."""
    unread: list[str] = []
    spent = {name: headers[header] for header, name in _IN_HEADERS.items() if header in headers}
    answer = Answer(usage=_both(None, counted(spent, unread)))
    if (
        answer.usage is not None
        and answer.usage.get(units.CACHE_WRITE)
        and _asks_for_an_hour(fields(asked).get("body"))
    ):
        unread.append(_LIFETIME)
    answer.tier = text(headers.get(f"{_HEADER}service-tier"))
    latency = text(headers.get(f"{_HEADER}performanceconfig-latency"))
    answer.speed = None if latency == "standard" else latency
    answer.unread = bounded_names(unread)
    return answer


def _asks_for_an_hour(body: Any) -> bool:
    if isinstance(body, str):
        return '"1h"' in body
    return isinstance(body, bytes | bytearray) and b'"1h"' in body


def _of_vendor(said: Mapping[str, Any]) -> Answer | None:
    """A body in the form of the model's vendor."""
    if said.get("type") in _ANTHROPIC:
        return anthropic_body.message(said)
    if listed(said.get("choices")):
        answer = openai_body.chat(said)
        if answer is not None and not answer.finish_reasons:
            answer.finish_reasons = _reasons(said)
        return answer
    if "metadata" in said or "messageStop" in said or "inputTokens" in fields(said.get("usage")):
        return conversed(said)
    unread: list[str] = []
    counts: dict[str, int] = {}
    for name, unit in _OF_VENDORS.items():
        if said.get(name) is not None:
            _put(counts, unit, name, said[name], unread)
    _take_parts(counts, said, unread)
    reasons = _reasons(said)
    if not counts and not reasons and not unread:
        return None
    return Answer(Usage(counts) if counts else None, finish_reasons=reasons, unread=bounded_names(unread))


def _take_parts(counts: dict[str, int], said: Mapping[str, Any], unread: list[str]) -> None:
    """Titan counts the output of each of its results; a picture is one."""
    for result in map(fields, listed(said.get("results"))):
        if "tokenCount" in result:
            _put(counts, units.OUTPUT, "results.tokenCount", result["tokenCount"], unread, counts.get(units.OUTPUT, 0))
    pictures = listed(said.get("images")) or listed(said.get("artifacts"))
    if pictures:
        counts[units.IMAGES] = len(pictures)


def _put(counts: dict[str, int], unit: str, name: str, value: Any, unread: list[str], before: int = 0) -> None:
    number = count(value)
    if number is None:
        unread.append(name)
    else:
        counts[unit] = before + number


def _reasons(said: Mapping[str, Any]) -> tuple[str, ...]:
    within = [part for name in _PARTS_WITH_REASONS for part in listed(said.get(name))[:_MOST_PARTS]]
    found: list[str] = []
    for part in (said, *map(fields, within)):
        for name in _REASONS:
            value = part.get(name)
            if reason := text(fields(value).get("reason") if isinstance(value, Mapping) else value):
                found.append(reason)
    return tuple(found)


def counted(spent: Mapping[str, Any], unread: list[str]) -> Usage | None:
    """What the service counted, by any of the names that it has for it."""
    counts: dict[str, int] = {}
    for name, value in bounded(spent, unread):
        if value is None or name in _NO_COUNTS or name == _TOTAL:
            continue
        if name in _COUNTS:
            _put(counts, _COUNTS[name], name, value, unread)
        elif name == "cacheDetails":
            for each in map(fields, listed(value)):
                _take_lifetime(counts, each, unread)
        else:
            note_unknown(unread, name, value)
    uncached = counts.pop(_INPUT, None)
    if uncached is not None:
        counts[units.INPUT] = uncached + counts.get(units.CACHE_READ, 0) + counts.get(units.CACHE_WRITE, 0)
    _settle(counts, uncached, spent.get(_TOTAL), unread)
    return Usage(counts) if counts else None


def _take_lifetime(counts: dict[str, int], said: Mapping[str, Any], unread: list[str]) -> None:
    unit = _LIFETIMES.get(str(said.get("ttl")))
    if unit is None:
        note_unknown(unread, "cacheDetails", said.get("inputTokens"))
    else:
        _put(counts, unit, "cacheDetails", said.get("inputTokens"), unread, counts.get(unit, 0))


def _settle(counts: dict[str, int], uncached: int | None, total: Any, unread: list[str]) -> None:
    """A total that is more than its parts tells of a cache that an older version of the library does not know."""
    if counts.get(units.CACHE_WRITE):
        totals.settle_writes(counts, unread)
    if total is not None and uncached is not None:
        output = counts.get(units.OUTPUT, 0)
        if count(total) not in {uncached + output, counts[units.INPUT] + output}:
            unread.append(_TOTAL)
