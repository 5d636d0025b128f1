"""The bodies of the Anthropic Messages API: cache tokens stand beside `input_tokens`, and stream events report totals.

Facts: `message_start` carries the input exactly and an output of about 1; `message_delta` carries cumulative totals,
often without the split of cache writes, the tier and the place of inference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costspan.calls.merging import merged
from costspan.calls.messages import fields, listed, text
from costspan.clients import openai_body
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.foreign import code
from costspan.facts.usage import Usage, count

_COUNTS = (
    ("cache_read_input_tokens", units.CACHE_READ),
    ("cache_creation_input_tokens", units.CACHE_WRITE),
    ("output_tokens", units.OUTPUT),
)
_WRITES = (("ephemeral_5m_input_tokens", units.CACHE_WRITE_5M), ("ephemeral_1h_input_tokens", units.CACHE_WRITE_1H))
_TOOLS = (("web_search_requests", units.WEB_SEARCHES), ("web_fetch_requests", units.WEB_FETCHES))


def usage(body: Any) -> Usage | None:
    """The usage object of a message, or of one of its iterations."""
    said = fields(body)
    if not said:
        return None
    counts: dict[str, int] = {}
    _take(counts, said, _COUNTS)
    uncached = count(said.get("input_tokens"))
    if uncached is not None:
        counts[units.INPUT] = uncached + counts.get(units.CACHE_READ, 0) + counts.get(units.CACHE_WRITE, 0)
    _take(counts, fields(said.get("cache_creation")), _WRITES)
    _take(counts, fields(said.get("server_tool_use")), _TOOLS)
    _take(counts, fields(said.get("output_tokens_details")), (("thinking_tokens", units.REASONING),))
    return Usage(counts) if counts else None


def _take(counts: dict[str, int], said: Mapping[str, Any], names: tuple[tuple[str, str], ...]) -> None:
    for name, unit in names:
        number = count(said.get(name))
        if number is not None:
            counts[unit] = number


def message(body: Any) -> Answer | None:
    """A message, or one event of its stream."""
    said = fields(body)
    kind = said.get("type")
    if kind == "message_start":
        said = fields(said.get("message"))
    elif kind == "error":
        return Answer(error=code(fields(said.get("error")).get("type")) or "error")
    spent = said.get("usage")
    stop = text(said.get("stop_reason")) or text(fields(said.get("delta")).get("stop_reason"))
    if spent is None and stop is None and kind != "message":
        return None
    answer = Answer(model=text(said.get("model")), id=text(said.get("id")), finish_reasons=(stop,) if stop else ())
    if spent is not None:
        _take_usage(answer, fields(spent))
    return answer


def _take_usage(answer: Answer, said: Mapping[str, Any]) -> None:
    answer.usage = usage(said)
    answer.reported_nano_usd = openai_body.reported_nano_usd(said)  # OpenRouter and gateways that speak this protocol
    answer.tier = text(said.get("service_tier"))
    answer.geo = text(said.get("inference_geo"))
    answer.speed = text(said.get("speed"))
    if answer.tier == "batch":
        answer.processing = "batch"
    iterations = [fields(iteration) for iteration in listed(said.get("iterations"))]
    if answer.usage is not None and any(iteration.get("type") != "message" for iteration in iterations):
        _take_iterations(answer, answer.usage, iterations)


def _take_iterations(answer: Answer, top: Usage, iterations: list[Mapping[str, Any]]) -> None:
    """The top level leaves out what an advisor or a compaction used, each billed at its own model's rate.

    Source: the conventions of `usage.iterations`, checked on recorded answers. The tools' requests and the share of
    thinking are reported at the top level only.
    """
    parts = [(text(iteration.get("model")), usage(iteration)) for iteration in iterations]
    known = [(model, part) for model, part in parts if part is not None]
    total = Usage()
    for _, part in known:
        total = total.added_to(part)
    once = {unit: number for unit, number in top if unit in {units.WEB_SEARCHES, units.WEB_FETCHES, units.REASONING}}
    if once:
        known.append((None, Usage({unit: number for unit, number in once.items() if unit != units.REASONING})))
    answer.usage = Usage({**total.counts, **once})
    answer.parts = tuple(known)


def merge(earlier: Answer, later: Answer) -> Answer:
    """The events of one stream: a total whose cache share a later event leaves out keeps the earlier share."""
    before, after = earlier.usage, later.usage
    answer = merged(earlier, later)
    if before is not None and after is not None and answer.usage is not None and not answer.parts:
        uncached = _uncached(after if units.INPUT in after.counts else before)
        shares = answer.usage.get(units.CACHE_READ) + answer.usage.get(units.CACHE_WRITE)
        answer.usage.counts[units.INPUT] = uncached + shares
    return answer


def _uncached(said: Usage) -> int:
    return said.get(units.INPUT) - said.get(units.CACHE_READ) - said.get(units.CACHE_WRITE)
