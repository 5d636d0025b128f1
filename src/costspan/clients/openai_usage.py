"""The usage object of OpenAI-shaped bodies: what each of its fields counts, whoever sends it.

A field that is not named here and has a number in it is named in `Answer.unread`, and so is what does not add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from costspan.calls.messages import fields
from costspan.clients import totals
from costspan.clients.usage_fields import NO_CHARGE, bounded, note_unknown
from costspan.facts import usage as units
from costspan.facts.usage import MOST_COUNT, Usage, count, milliseconds

#: What a field of a usage object says: a unit; the fields of the object that it holds; nothing that is counted.
_Said: TypeAlias = "str | Mapping[str, _Said] | None"

_WRITES: Final[Mapping[str, _Said]] = {
    "ephemeral_5m_input_tokens": units.CACHE_WRITE_5M,
    "ephemeral_1h_input_tokens": units.CACHE_WRITE_1H,
}
_INPUT_DETAILS: Final[Mapping[str, _Said]] = {
    "cached_tokens": units.CACHE_READ,
    "cache_read_tokens": units.CACHE_READ,
    "cache_read_input_tokens": units.CACHE_READ,
    "cache_write_tokens": units.CACHE_WRITE,
    "cache_creation_tokens": units.CACHE_WRITE,
    "cache_creation_input_tokens": units.CACHE_WRITE,
    "audio_tokens": units.INPUT_AUDIO,
    "image_tokens": units.INPUT_IMAGE,
    "video_tokens": units.INPUT_VIDEO,
    "cached_tokens_details": {
        "audio_tokens": units.CACHE_READ_AUDIO,
        "image_tokens": units.CACHE_READ_IMAGE,
        "video_tokens": units.CACHE_READ_VIDEO,
    },
    # Cache writes by how long they are kept: Anthropic's words, as gateways pass them on (LiteLLM, Doubleword).
    "cache_creation": _WRITES,
    "cache_creation_token_details": _WRITES,
    "cache_creation_tokens_details": _WRITES,
}
_OUTPUT_DETAILS: Final[Mapping[str, str]] = {
    "reasoning_tokens": units.REASONING,
    "audio_tokens": units.OUTPUT_AUDIO,
    "image_tokens": units.OUTPUT_IMAGE,
    "rejected_prediction_tokens": units.OUTPUT_REJECTED,
}
_TOOL_DETAILS: Final[Mapping[str, _Said]] = {
    "web_search_requests": units.WEB_SEARCHES,
    "web_search_calls": units.WEB_SEARCHES,
    "web_fetch_requests": units.WEB_FETCHES,
    "file_search_calls": units.FILE_SEARCHES,
    "code_interpreter_calls": units.CODE_EXECUTIONS,
}
_FIELDS: Final[Mapping[str, _Said]] = {
    "prompt_tokens": units.INPUT,
    "input_tokens": units.INPUT,
    "completion_tokens": units.OUTPUT,
    "output_tokens": units.OUTPUT,
    "total_tokens": None,
    "prompt_tokens_details": _INPUT_DETAILS,
    "input_tokens_details": _INPUT_DETAILS,
    "input_token_details": _INPUT_DETAILS,
    "completion_tokens_details": _OUTPUT_DETAILS,
    "output_tokens_details": _OUTPUT_DETAILS,
    "output_token_details": _OUTPUT_DETAILS,
    # Beside the details: DeepSeek, Moonshot and Together; Mistral; Perplexity; OpenAI-shaped gateways to Anthropic.
    "prompt_cache_hit_tokens": units.CACHE_READ,
    "cached_tokens": units.CACHE_READ,
    "num_cached_tokens": units.CACHE_READ,
    "cache_read_tokens": units.CACHE_READ,
    "cache_read_input_tokens": units.CACHE_READ,
    "cache_write_tokens": units.CACHE_WRITE,
    "cache_creation_tokens": units.CACHE_WRITE,
    "cache_creation_input_tokens": units.CACHE_WRITE,
    **_WRITES,
    "cache_creation": _WRITES,
    "cache_creation_token_details": _WRITES,
    "cache_creation_tokens_details": _WRITES,
    "cache_write_tokens_details": {
        "ttl_30m_tokens": units.CACHE_WRITE_30M,
        "ttl_12h_tokens": units.CACHE_WRITE_12H,
    },
    "reasoning_tokens": units.REASONING,
    "citation_tokens": units.OUTPUT_CITATION,
    "num_search_queries": units.WEB_SEARCHES,
    # Mistral's conversations: what connectors put into the prompt, and how often each was asked.
    "connector_tokens": units.INPUT_TOOL,
    "connectors": {
        "web_search": units.WEB_SEARCHES,
        "code_interpreter": units.CODE_EXECUTIONS,
        "document_library": units.FILE_SEARCHES,
    },
    "server_tool_use": _TOOL_DETAILS,
    "server_tool_use_details": _TOOL_DETAILS,
    "server_side_tool_usage_details": _TOOL_DETAILS,
    # Money is read by `reported_costs`.
    "cost": None,
    "cost_details": None,
    "cost_in_usd_ticks": None,
    "estimated_cost": None,
}
#: Fields that count seconds of sound.
_SECONDS: Final = frozenset({"seconds", "prompt_audio_seconds"})
_UNKNOWN: Final[Mapping[str, _Said]] = {}


def _form(*names: str) -> tuple[frozenset[str], str, str, str, str]:
    """The usual form of a usage: all that may be there, and the names of its totals and of the objects with their parts."""
    of_input, of_output, input_details, output_details = names
    return frozenset(names) | NO_CHARGE, of_input, of_output, input_details, output_details


_CHAT: Final = _form("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details")
_RESPONSES: Final = _form("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")
_INPUT_PARTS: Final = {name: unit for name, unit in _INPUT_DETAILS.items() if isinstance(unit, str)}


def read(said: Mapping[str, Any], unread: list[str], given: dict[str, int], model: str | None = None) -> Usage | None:
    """What the object says, added to the counts given; names of fields that were not understood are added to `unread`."""
    counts = quick(said) if not given else None
    return Usage(counts) if counts is not None else careful(said, unread, given, model)


def quick(said: Mapping[str, Any]) -> dict[str, int] | None:
    """The counts of a usage of the usual form, of which nothing contradicts anything, or None: it takes a careful look.

    Most calls have one, and it says the same as `careful` at less than half the price.
    """
    find = said.get
    names, of_input, of_output, input_details, output_details = _CHAT if "prompt_tokens" in said else _RESPONSES
    input_, output = find(of_input), find(of_output)
    if (
        type(input_) is not int or not 0 <= input_ <= MOST_COUNT
        or type(output) is not int or not 0 <= output <= MOST_COUNT
        or find("total_tokens") != input_ + output
        or not said.keys() <= names
    ):  # fmt: skip
        return None
    counts = {units.INPUT: input_, units.OUTPUT: output}
    if not _take_parts(counts, find(input_details), _INPUT_PARTS, input_):
        return None
    return counts if _take_parts(counts, find(output_details), _OUTPUT_DETAILS, output) else None


def _take_parts(counts: dict[str, int], value: Any, names: Mapping[str, str], total: int) -> bool:
    """The parts of a total; False where they are more than it, said twice, or of no known name."""
    said = fields(value)
    for name, part in said.items():
        if part is None:
            continue
        unit = names.get(name)
        if type(part) is int and 0 <= part <= total and unit is not None and unit not in counts:
            counts[unit] = part
        elif name not in NO_CHARGE:
            return False
    return not value or bool(said)


def careful(
    said: Mapping[str, Any], unread: list[str], counts: dict[str, int], model: str | None = None
) -> Usage | None:
    """The same for a usage of any form."""
    details: list[tuple[str, Any, Mapping[str, _Said]]] = []
    for name, value in bounded(said, unread):
        if value is None:
            continue
        field = _FIELDS.get(name, _UNKNOWN)
        if type(field) is str:
            _put(counts, field, value, name, unread)
        elif field is _UNKNOWN:
            _take_other(counts, name, value, unread)
        elif field is not None:
            details.append((name, value, field))  # type: ignore[arg-type]
    for name, value, names in details:
        take(counts, value, names, name, unread)
    if not counts:
        if said.get("total_tokens"):
            unread.append("total_tokens")
        return None
    _settle(counts, said, unread, model)
    return Usage(counts)


def _settle(counts: dict[str, int], said: Mapping[str, Any], unread: list[str], model: Any) -> None:
    """See to it that totals and parts fit."""
    total = said.get("total_tokens")
    if total is None:
        totals.settle(counts, None, unread)
    elif (total and total != counts.get(units.INPUT, -1) + counts.get(units.OUTPUT, -1)) or (
        counts.get(units.REASONING, 0) > counts.get(units.OUTPUT, 0)
    ):
        number = count(total)
        if number is None:
            unread.append("total_tokens")
        totals.settle(counts, number, unread, model)
    totals.settle_writes(counts, unread)
    totals.name_excess(counts, unread)


def take(counts: dict[str, int], value: Any, names: Mapping[str, _Said], within: str, unread: list[str]) -> None:
    """What an object within the usage says: it goes before what stands beside it."""
    said = fields(value)
    if not said and value:
        note_unknown(unread, within, value)
    for name, inner in bounded(said, unread):
        field = names.get(name, _UNKNOWN)
        if type(field) is str:
            if inner or inner == 0:
                _put(counts, field, inner, f"{within}.{name}", unread)
        elif field is _UNKNOWN:
            if inner:
                note_unknown(unread, name, inner, within)
        elif field is not None:
            take(counts, inner, field, f"{within}.{name}", unread)  # type: ignore[arg-type]


def _put(counts: dict[str, int], unit: str, value: Any, name: str, unread: list[str]) -> None:
    """A count under a unit. One that is said twice is said alike, or once as 0 by a server that leaves it out there."""
    number = count(value)
    former = counts.get(unit)
    if number is None:
        unread.append(name)
    elif not former:
        counts[unit] = number
    elif number and number != former:
        unread.append(name)
        counts[unit] = max(number, former)


def _take_other(counts: dict[str, int], name: str, value: Any, unread: list[str]) -> None:
    if name not in _SECONDS:
        note_unknown(unread, name, value)
    elif value or value == 0:
        number = milliseconds(value)
        if number is None:
            unread.append(name)
        else:
            counts[units.INPUT_AUDIO_MS] = number
