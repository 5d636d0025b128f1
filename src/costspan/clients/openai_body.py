"""The bodies of the OpenAI API, which most other providers copy: chat, completions, responses, embeddings, sound, images.

What they say of usage is read in `openai_usage`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from costspan.calls.messages import fields, listed, text
from costspan.clients import openai_usage, reported_costs, server_tools
from costspan.clients.usage_fields import bounded, note_unknown
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.foreign import code
from costspan.facts.usage import Usage, bounded_names, milliseconds

_Items: TypeAlias = "list[Mapping[str, Any]]"
_MOST_MODELS: Final = 64  # that one answer tells of
_MOST_REASONS: Final = 16  # of so many choices at most, it is kept why they ended


def _answer(
    said: Mapping[str, Any], spent: Any, finish_reasons: tuple[str, ...], counts: dict[str, int] | None = None
) -> Answer:
    find = said.get
    model = text(find("model"))
    answer = Answer(None, model, text(find("id")), text(find("service_tier")), None, None, None, finish_reasons)
    if spent is not None:
        unread: list[str] = []
        reported, spent = spent, fields(spent)
        if not spent and reported:
            unread.append("usage")
        if "service_tier" in spent and answer.tier is None:  # Mistral's place for it
            answer.tier = text(spent["service_tier"])
        if "speed" in spent or "inference_geo" in spent:  # of Anthropic, as LiteLLM passes it on
            answer.speed, answer.geo = text(spent.get("speed")), text(spent.get("inference_geo"))
        answer.usage = openai_usage.read(spent, unread, counts or {}, model)
        if not reported_costs.WORDS.isdisjoint(spent):
            answer.reported_nano_usd = reported_costs.within_usage(spent, unread)
        if "cost" in said and answer.reported_nano_usd is None:
            answer.reported_nano_usd = reported_costs.beside_usage(said["cost"])
        if unread:
            answer.unread = bounded_names(unread)
    if "extra_fields" in said and reported_costs.is_replayed(said["extra_fields"]):
        answer.from_cache, answer.reported_nano_usd = True, 0
    if "error" in said and said["error"] is not None:
        answer.error = error_of(said["error"])
    return answer


def error_of(error: Any) -> str:
    """A short word for an error object in a body: its code or type."""
    said = fields(error)
    return code(said.get("code")) or code(said.get("type")) or "error"


def chat(message: Any) -> Answer | None:
    """A chat or legacy completion, whole or one event of its stream."""
    said = fields(message)
    if not said:
        return None
    spent = said.get("usage")
    if spent is None:
        spent = _usage_elsewhere(said)
    choices = [fields(choice) for choice in listed(said.get("choices"))[:_MOST_REASONS]]
    reasons = [reason for choice in choices if (reason := text(choice.get("finish_reason")))]
    answer = _answer(said, spent, tuple(reasons))
    tells = "web_search" in said
    for choice in choices:
        shown = fields(choice.get("message") or choice.get("delta"))
        tells = tells or bool(shown.get("tool_calls") or shown.get("executed_tools"))
    if tells:
        server_tools.take(answer, said, choices)
    if "usage_breakdown" in said or "x_groq" in said:
        _take_breakdown(answer, said.get("usage_breakdown") or fields(said.get("x_groq")).get("usage_breakdown"))
    return answer


def _take_breakdown(answer: Answer, said: Any) -> None:
    """Groq's compound systems ask several models, each billed at its own rate; it is named where they do not come to the whole usage.

    Source: `UsageBreakdown` in the types of the groq library.
    """
    if answer.usage is None or not said:
        return
    unread: list[str] = []
    total = Usage()
    for each in map(fields, listed(fields(said).get("models"))[:_MOST_MODELS]):
        part = openai_usage.read(fields(each.get("usage")), unread, {})
        if part is not None:
            answer.parts = (*answer.parts, (text(each.get("model")), part))
            total = total.added_to(part)
    if any(total.get(unit) != answer.usage.get(unit) for unit in (units.INPUT, units.OUTPUT)):
        unread.append("usage_breakdown")
    if unread:
        answer.unread = bounded_names((*answer.unread, *unread))


def _usage_elsewhere(said: Mapping[str, Any]) -> Any:
    """Groq repeats the usage under `x_groq`, and has it only there for who did not ask; Moonshot in a choice."""
    if "x_groq" in said:
        return fields(said["x_groq"]).get("usage")
    return next((spent for choice in listed(said.get("choices")) if (spent := fields(choice).get("usage"))), None)


def is_background(body: Mapping[str, Any]) -> bool:
    """Whether a request asks for a response that is made in the background, and fetched later."""
    return body.get("background") is True


def responses(message: Any) -> Answer | None:
    """A response of the Responses API, whole or within an event of its stream."""
    said = fields(message)
    if said.get("type") == "error":
        return Answer(error=error_of(said.get("error") or said))
    if "response" in said:
        said = fields(said["response"])
    status = text(said.get("status"))
    answer = _answer(said, said.get("usage"), (status,) if status else ())
    answer.pending = status in {"queued", "in_progress"} and said.get("background") is True
    if answer.usage is not None:
        unread: list[str] = []
        items = [fields(item) for item in listed(said.get("output"))]
        _take_tools(answer.usage.counts, said, items, unread)
        answer.parts = _image_part(answer.usage, said, items, unread)
        if unread:
            answer.unread = bounded_names((*answer.unread, *unread))
    return answer


def retrieved(message: Any) -> Answer | None:
    """A stored response: only one that was made in the background was not booked when it was made."""
    said = fields(message)
    made = fields(said["response"]) if "response" in said else said
    return responses(message) if made.get("background") is True else None


_SEARCHED: Final = "web_search_call"
_DREW: Final = "image_generation_call"


#: What a search does, as of 2026-11: the others are without charge.
_ACTIONS: Final = frozenset({None, "search", "open_page", "find_in_page", "find"})


def _is_search(item: Mapping[str, Any]) -> bool:
    return item.get("type") == _SEARCHED


def _is_odd_search(item: Mapping[str, Any]) -> bool:
    return _is_search(item) and text(fields(item.get("action")).get("type")) not in _ACTIONS


def _charged_for(number: int, item: Mapping[str, Any]) -> tuple[str, Any] | None:
    """What an item of the output is charged as, where the server sends no `tool_usage`, and which charge it belongs to.

    A search tool opens pages and looks into them as well, without charge; one container serves many code runs.
    https://platform.openai.com/docs/pricing (2026-11)
    """
    kind = item.get("type")
    if kind == _SEARCHED:
        action = fields(item.get("action")).get("type")
        return (units.WEB_SEARCHES, number) if action in {None, "search"} else None
    if kind == "file_search_call":
        return units.FILE_SEARCHES, number
    if kind == "code_interpreter_call":
        return units.CODE_EXECUTIONS, text(item.get("container_id")) or number
    if kind == "shell_call":  # in a container of theirs, or on a machine of the user's own
        container = text(fields(item.get("environment")).get("container_id"))
        return (units.CODE_EXECUTIONS, container) if container else None
    return None


def _take_tools(counts: dict[str, int], said: Mapping[str, Any], items: _Items, unread: list[str]) -> None:
    for name, value in bounded(fields(said.get("tool_usage")), unread):
        if name == "web_search":
            openai_usage.take(counts, value, {"num_requests": units.WEB_SEARCHES}, "tool_usage.web_search", unread)
        elif name != "image_gen":
            note_unknown(unread, name, value, "tool_usage")
    charges = {charge for number, item in enumerate(items) if (charge := _charged_for(number, item)) is not None}
    if units.WEB_SEARCHES not in counts and any(map(_is_odd_search, items)):
        unread.append("web_search_call.action")
    if units.WEB_SEARCHES not in counts and any(item.get("status") == "failed" for item in items if _is_search(item)):
        unread.append("web_search_call.status")  # whether it is charged is not documented: counted, and named
    for unit in {unit for unit, _ in charges} - counts.keys():
        counts[unit] = sum(charged == unit for charged, _ in charges)
    if units.WEB_SEARCHES in counts and _searches_by_preview(said):
        counts[units.WEB_SEARCHES_PREVIEW] = counts.pop(units.WEB_SEARCHES)


def _searches_by_preview(said: Mapping[str, Any]) -> bool:
    """Whether the answer's searches were made by the older tool: it repeats the tools that were asked for."""
    return any(str(fields(tool).get("type")).startswith("web_search_preview") for tool in listed(said.get("tools")))


def _image_part(
    own: Usage, said: Mapping[str, Any], items: _Items, unread: list[str]
) -> tuple[tuple[str | None, Usage], ...]:
    """Images drawn by a tool are another model's tokens, reported beside the usage; where they are not, it is told."""
    spent = fields(fields(said.get("tool_usage")).get("image_gen"))
    drawn = openai_usage.read(spent, unread, {}) if spent else None
    if drawn is None or not any(drawn.counts.values()):
        if any(item.get("type") == _DREW for item in items):
            unread.append("tool_usage.image_gen")
        return ()
    tools = [fields(tool) for tool in listed(said.get("tools"))]
    model = next((text(tool.get("model")) for tool in tools if tool.get("type") == "image_generation"), None)
    return ((text(said.get("model")), own), (model or "gpt-image-1", drawn))


def embeddings(message: Any) -> Answer | None:
    """Embeddings and rankings: all tokens are input, also where only their total is told (Voyage)."""
    said = fields(message)
    answer = _answer(said, said.get("usage"), (), {units.OUTPUT: 0})
    if answer.usage is not None and len(answer.usage.counts) == 1:
        answer.usage = None  # nothing but the output that there cannot be
    return answer


def sound(message: Any) -> Answer | None:
    """A transcription or translation, or the last event of its stream."""
    said = fields(message)
    answer = _answer(said, said.get("usage"), ())
    seconds = said.get("duration")
    if answer.usage is None and not answer.unread and seconds is not None:
        _take_duration(answer, seconds)
    return answer


def _take_duration(answer: Answer, seconds: Any) -> None:
    """The verbose form of whisper-1 without usage: it bills whole seconds of sound, rounded to the nearest."""
    number = milliseconds(seconds)
    if number is None:
        answer.unread = ("duration",)
    else:
        answer.usage = Usage({units.INPUT_AUDIO_MS: round(number, -3)})


def images(message: Any) -> Answer | None:
    """Images: tokens where the model reports them, and the number of pictures."""
    said = fields(message)
    if said.get("type") in {"image_generation.partial_image", "image_edit.partial_image"}:
        return None
    answer = _answer(said, said.get("usage"), ())
    pictures = len(listed(said.get("data"))) or (1 if said.get("b64_json") else 0)
    if pictures:
        answer.usage = answer.usage or Usage()
        answer.usage.counts[units.IMAGES] = pictures
    return answer


def decisions(message: Any) -> Answer | None:
    """Answers to questions about an input, which have a price of their own."""
    said = fields(message)
    answer = _answer(said, said.get("usage"), ())
    answer.processing = "decisions"
    return answer


def moderations(message: Any) -> Answer | None:
    """Moderations are free: https://platform.openai.com/docs/pricing (2026-11)."""
    answer = _answer(fields(message), None, ())
    answer.usage = Usage({units.INPUT: 0, units.OUTPUT: 0})
    return answer
