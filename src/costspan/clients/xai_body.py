"""The messages of xAI's gRPC API: what they say of usage is what its REST API says, in other words."""
# pyright: basic
# Messages of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from costspan.calls.description import Reader
from costspan.calls.estimating import Prompt
from costspan.clients import openai_body
from costspan.clients.usage_fields import note_unknown
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.foreign import code
from costspan.facts.usage import Usage, bounded_names, milliseconds

_DONE: Final = "DONE"
_FAILED: Final = "FAILED"
_TICKS: Final = "cost_in_usd_ticks"
_SOURCES: Final = "num_sources_used"
_USED: Final = "server_side_tools_used"
_DETAILS: Final = {
    "reasoning_tokens": ("completion_tokens_details", "reasoning_tokens"),
    "cached_prompt_text_tokens": ("prompt_tokens_details", "cached_tokens"),
    "prompt_image_tokens": ("prompt_tokens_details", "image_tokens"),
}
_PLAIN: Final = frozenset({"prompt_tokens", "completion_tokens", "total_tokens", _SOURCES, _TICKS})
_NO_COUNT: Final = frozenset({"prompt_text_tokens"})
#: What the server's tools are charged as. Those without a unit cost the tokens that they take.
#: https://docs.x.ai/docs/models#tools-pricing (2026-11)
_TOOLS: Final[Mapping[str, str | None]] = {
    "WEB_SEARCH": units.WEB_SEARCHES,
    "CODE_EXECUTION": units.CODE_EXECUTIONS,
    "COLLECTIONS_SEARCH": units.FILE_SEARCHES,
    "VIEW_IMAGE": None,
    "VIEW_X_VIDEO": None,
    "MCP": None,
}
_TOOL: Final = "SERVER_SIDE_TOOL_"
_MOST_TOOLS: Final = 10_000
_MOST_REASONS: Final = 16


class Later(NamedTuple):
    """An answer that was fetched, and what it is told by."""

    message: Any
    id: str
    processing: str | None = None
    error: str | None = None


def answers(response: Any, request: Any) -> Iterator[Later]:
    """The answers that what was fetched holds: of a batch each, of a deferred one itself, once it is there."""
    if hasattr(response, "results"):
        for result in response.results:
            data = result.response
            kind = data.WhichOneof("response")
            key = f"{request.batch_id}/{result.batch_request_id}"
            if kind is not None:
                message = getattr(data, kind)
                yield Later(message, getattr(message, "id", "") or key, "batch")
            elif result.HasField("error"):
                yield Later(None, key, "batch", str(result.error.code))
    elif (status := _name(response, "status")) == _DONE:
        yield Later(response.response, getattr(response.response, "id", "") or request.request_id)
    elif status == _FAILED:
        told = getattr(getattr(response.response, "error", None), "code", None)
        yield Later(None, request.request_id, error=code(told) or "failed")


def chat(message: Any) -> Answer | None:
    """An answer, one chunk of its stream, or one that was fetched."""
    if type(message) is Later:
        return _fetched(message, chat)
    answer = _answer(message)
    outputs = list(getattr(message, "outputs", ()))[:_MOST_REASONS]
    reasons = [_name(output, "finish_reason").removeprefix("REASON_").lower() for output in outputs]
    answer.finish_reasons = tuple(reason for reason in reasons if reason not in {"", "invalid"})
    tier = _name(message, "service_tier").removeprefix("SERVICE_TIER_").lower()
    answer.tier = tier if tier not in {"", "unspecified"} else None
    return answer


def images(message: Any) -> Answer | None:
    """Pictures: how many, and what else they used."""
    if type(message) is Later:
        return _fetched(message, images)
    answer = _answer(message)
    if message.images:
        answer.usage = answer.usage or Usage()
        answer.usage.counts[units.IMAGES] = len(message.images)
    return answer


def video(message: Any) -> Answer | None:
    """A video: its seconds, and what else it used."""
    if type(message) is Later:
        return _fetched(message, video)
    answer = _answer(message)
    ms = milliseconds(message.video.duration)
    if ms is None:
        answer.unread = bounded_names((*answer.unread, "video.duration"))
    elif ms:
        answer.usage = answer.usage or Usage()
        answer.usage.counts[units.OUTPUT_VIDEO_MS] = ms
    return answer


def batch(message: Any) -> Answer | None:
    """A result of a batch, of whatever kind."""
    body = message.message
    read = images if hasattr(body, "images") else video if hasattr(body, "video") else chat
    return read(message)


def shown(event: Any) -> Any:
    """What a chunk shows: text, reasoning, arguments of tools."""
    deltas = [output.delta for output in event.outputs]
    called = [call.function.arguments for delta in deltas for call in delta.tool_calls]
    return [*((delta.content, delta.reasoning_content) for delta in deltas), called]


def prompt(body: Mapping[str, Any]) -> Prompt:
    """The texts of a request."""
    request = body.get("request")
    messages: list[Any] = list(getattr(request, "messages", None) or getattr(request, "input", ()))
    texts = [part.text for message in messages for part in message.content]
    schemas = [tool.function.parameters for tool in getattr(request, "tools", ())]
    return Prompt(texts, [schema for schema in schemas if schema], 4 * (1 + len(messages)))


def _fetched(later: Later, read: Reader) -> Answer | None:
    answer = read(later.message) if later.error is None else Answer(error=later.error)
    if answer is not None:
        answer.id, answer.processing = answer.id or later.id, later.processing
    return answer


def _answer(message: Any) -> Answer:
    said = {"model": getattr(message, "model", "") or None, "id": getattr(message, "id", "") or None}
    if "usage" not in message.DESCRIPTOR.fields_by_name or not message.HasField("usage"):
        return openai_body.chat(said) or Answer()
    unread: list[str] = []
    answer = openai_body.chat({**said, "usage": _usage(message.usage, unread)}) or Answer()
    if answer.usage is not None:
        _take_tools(answer.usage.counts, message.usage, unread)
    answer.unread = bounded_names((*answer.unread, *unread))
    return answer


def _usage(usage: Any, unread: list[str]) -> dict[str, Any]:
    """In the form of the REST API. A number that is 0 is not sent, so both totals are there where there is a usage."""
    said: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0}
    used = getattr(usage, _USED, ())
    for field, value in usage.ListFields():
        if field.name == _SOURCES and used:
            continue  # tools are charged by the call, whatever they find
        if field.name in _PLAIN:
            said[field.name] = value
        elif field.name in _DETAILS:
            within, name = _DETAILS[field.name]
            said.setdefault(within, {})[name] = value
        elif field.name not in _NO_COUNT and field.name != _USED:
            note_unknown(unread, field.name, value)
    return said


def _take_tools(counts: dict[str, int], usage: Any, unread: list[str]) -> None:
    used = list(getattr(usage, _USED, ()))[:_MOST_TOOLS]
    if not used:
        return
    names = usage.DESCRIPTOR.fields_by_name[_USED].enum_type.values_by_number
    for number in used:
        name = names[number].name.removeprefix(_TOOL) if number in names else str(number)
        unit = _TOOLS.get(name, "")
        if unit:
            counts[unit] = counts.get(unit, 0) + 1
        elif unit is not None:
            unread.append(f"{_USED}.{name.lower()}")


def _name(message: Any, field: str) -> str:
    """The name of an enumerated value, or nothing where the message has no such field or no name for the value."""
    found = message.DESCRIPTOR.fields_by_name.get(field)
    value = found.enum_type.values_by_number.get(getattr(message, field)) if found is not None else None
    return value.name if value is not None else ""
