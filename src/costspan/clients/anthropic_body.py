"""The bodies of the Anthropic Messages API: cache tokens stand beside `input_tokens`, and stream events report totals.

Facts: `message_start` carries the input exactly and an output of about 1; `message_delta` carries cumulative totals,
often without the split of cache writes, the tier and the place of inference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.merging import merged
from costspan.calls.messages import fields, listed, text
from costspan.clients import reported_costs, totals
from costspan.clients.usage_fields import MOST_FIELDS, bounded, note_unknown
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.foreign import code
from costspan.facts.usage import MOST_COUNT, Usage, bounded_names, count

_COUNTS: Final = {
    "cache_read_input_tokens": units.CACHE_READ,
    "cache_creation_input_tokens": units.CACHE_WRITE,
    "output_tokens": units.OUTPUT,
}
_PARTS: Final[Mapping[str, Mapping[str, str]]] = {
    "cache_creation": {
        "ephemeral_5m_input_tokens": units.CACHE_WRITE_5M,
        "ephemeral_1h_input_tokens": units.CACHE_WRITE_1H,
    },
    "server_tool_use": {"web_search_requests": units.WEB_SEARCHES, "web_fetch_requests": units.WEB_FETCHES},
    "output_tokens_details": {"thinking_tokens": units.REASONING},
}
_UNCACHED: Final = "input_tokens"
#: Read elsewhere, or no number that is charged.
_OTHER: Final = frozenset({
    "iterations", "service_tier", "inference_geo", "speed", "fallback_credit", "cost", "cost_details", "cost_in_usd_ticks",
})  # fmt: skip
_REFUSAL: Final = "refusal"
#: What a refusal before any output is not billed for; the tools that ran are.
_NOT_BILLED: Final = frozenset({units.INPUT, *units.INPUT_PARTS})


def usage(body: Any) -> Usage | None:
    """The usage object of a message, or of one of its iterations."""
    return _read(fields(body), [])


def _read(said: Mapping[str, Any], unread: list[str]) -> Usage | None:
    """What the object says in counts; the names of fields that were not understood are added to `unread`."""
    counts: dict[str, int] = {}
    uncached: int | None = None
    for name, value in said.items() if len(said) <= MOST_FIELDS else bounded(said, unread):
        if value is None or name in _OTHER:
            continue
        if name == _UNCACHED:
            uncached = count(value)
            if uncached is None:
                unread.append(name)
        elif name in _COUNTS:
            _put(counts, _COUNTS[name], value, name, unread)
        elif name in _PARTS:
            _take(counts, value, _PARTS[name], name, unread)
        else:
            note_unknown(unread, name, value)
    if uncached is not None:
        counts[units.INPUT] = uncached + counts.get(units.CACHE_READ, 0) + counts.get(units.CACHE_WRITE, 0)
    return Usage(counts) if counts else None


def _take(counts: dict[str, int], value: Any, names: Mapping[str, str], within: str, unread: list[str]) -> None:
    said = fields(value)
    for name, inner in said.items() if len(said) <= MOST_FIELDS else bounded(said, unread):
        if name in names:
            if inner is not None:
                _put(counts, names[name], inner, f"{within}.{name}", unread)
        else:
            note_unknown(unread, name, inner, within)


def _put(counts: dict[str, int], unit: str, value: Any, name: str, unread: list[str]) -> None:
    number = value if type(value) is int and 0 <= value <= MOST_COUNT else count(value)
    if number is None:
        unread.append(name)
    else:
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
        if kind == "message_start" and answer.usage is not None:
            answer.usage.complete = False  # of the output it knows the beginning
        _settle(answer)
        if stop == _REFUSAL and kind == "message" and said.get("content") == [] and _is_charged(answer):
            _add_unread(answer, "stop_reason")  # refused with nothing to show, and an output all the same: not settled
    return answer


def _take_usage(answer: Answer, said: Mapping[str, Any]) -> None:
    unread: list[str] = []
    answer.usage = _read(said, unread)
    # Of OpenRouter and gateways that speak this protocol.
    answer.reported_nano_usd = reported_costs.within_usage(said, unread)
    answer.tier = text(said.get("service_tier"))
    answer.geo = text(said.get("inference_geo"))
    answer.speed = text(said.get("speed"))
    if answer.tier == "batch":
        answer.processing = "batch"
    if said.get("fallback_credit") is not None:
        _take_credit(said["fallback_credit"], unread)
    listed_ = listed(said.get("iterations"))
    if listed_ and answer.usage is not None:
        iterations = [fields(iteration) for iteration in listed_[:MOST_FIELDS]]
        models = {iteration.get("model") for iteration in iterations}
        if len(models) > 1 or any(iteration.get("type") != "message" for iteration in iterations):
            _take_iterations(answer, answer.usage, iterations, unread)
    if unread:
        answer.unread = bounded_names(unread)


def _take_credit(credit: Any, unread: list[str]) -> None:
    """A redeemed credit makes cache writes as cheap as reads, by an amount that is not reported: an upper bound."""
    if fields(fields(credit).get("status")).get("type") != "not_applied":
        unread.append("fallback_credit")


def _take_iterations(answer: Answer, top: Usage, iterations: list[Mapping[str, Any]], unread: list[str]) -> None:
    """The top level leaves out what an advisor, a compaction or a declined attempt used, each billed at its own rate.

    Source: the conventions of `usage.iterations`, checked on recorded answers. The tools' requests and the share of
    thinking are reported at the top level only. An attempt that was declined before any output is not billed
    (https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback, 2026-11); the attempt that then served
    the answer gets credit for its cache writes, by an amount that is not reported.
    """
    known: list[tuple[str | None, Usage]] = []
    for iteration in iterations:
        part = _read({name: value for name, value in iteration.items() if name not in _LABELS}, unread)
        if part is None or part.counts.get(units.OUTPUT) == 0:
            continue
        totals.settle_writes(part.counts, unread)
        if iteration.get("type") == _SERVED and part.get(units.CACHE_WRITE):
            unread.append("fallback_credit")
        known.append((text(iteration.get("model")), part))
    total = Usage() if known else Usage({units.OUTPUT: 0})
    for _, part in known:
        total = total.added_to(part)
    once = {unit: number for unit, number in top if unit in {units.WEB_SEARCHES, units.WEB_FETCHES, units.REASONING}}
    if once:
        known.append((None, Usage({unit: number for unit, number in once.items() if unit != units.REASONING})))
    answer.usage = Usage({**total.counts, **once})
    answer.parts = tuple(known)


_SERVED: Final = "fallback_message"
_LABELS: Final = frozenset({"type", "model"})


def merge(earlier: Answer, later: Answer) -> Answer:
    """The events of one stream: a total whose cache share a later event leaves out keeps the earlier share."""
    before, after = earlier.usage, later.usage
    answer = merged(earlier, later)
    if before is not None and after is not None and answer.usage is not None and not answer.parts:
        uncached = _uncached(after if units.INPUT in after.counts else before)
        shares = answer.usage.get(units.CACHE_READ) + answer.usage.get(units.CACHE_WRITE)
        answer.usage.counts[units.INPUT] = uncached + shares
    _settle(answer)
    return answer


def _uncached(said: Usage) -> int:
    return said.get(units.INPUT) - said.get(units.CACHE_READ) - said.get(units.CACHE_WRITE)


def _settle(answer: Answer) -> None:
    """See to it that parts fit their totals, and leave out what is reported and not billed."""
    usage = answer.usage
    if usage is None or answer.parts:
        return
    counts = usage.counts
    unread: list[str] = []
    if counts.get(units.CACHE_WRITE):
        totals.settle_writes(counts, unread)
    totals.name_excess(counts, unread)
    if unread:
        _add_unread(answer, *unread)
    if answer.finish_reasons == (_REFUSAL,) and counts.get(units.OUTPUT) == 0:
        # https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback (2026-11)
        for unit in _NOT_BILLED & counts.keys():
            del counts[unit]


def _is_charged(answer: Answer) -> bool:
    return answer.usage is not None and answer.usage.get(units.OUTPUT) > 0


def _add_unread(answer: Answer, *names: str) -> None:
    answer.unread = bounded_names((*answer.unread, *names))
