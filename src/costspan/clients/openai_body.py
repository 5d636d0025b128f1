"""The bodies of the OpenAI API, which most other providers copy: chat, completions, responses, embeddings, sound, images.

Reasoning is part of `completion_tokens` with most servers and beside it with a few (xAI chat, Perplexity). The
total that the same usage reports tells which: prompt + completion + reasoning means beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costspan.calls.messages import fields, listed, text
from costspan.facts import usage as units
from costspan.facts.call import Answer
from costspan.facts.foreign import code
from costspan.facts.money import nano_from_pico, nano_from_usd
from costspan.facts.usage import Usage, count

_MOST_REASONS = 16  # of so many choices at most, it is kept why they ended
_TICK_PICO_USD = 100  # xAI: one tick is 1e-10 USD

# What each part of a usage object says, by the names of its fields; fields that are not named here say nothing.
_TOTALS = {
    "prompt_tokens": units.INPUT,
    "input_tokens": units.INPUT,
    "completion_tokens": units.OUTPUT,
    "output_tokens": units.OUTPUT,
    # Beside the details: DeepSeek, Moonshot and Together; Perplexity; OpenAI-shaped gateways to Anthropic.
    "prompt_cache_hit_tokens": units.CACHE_READ,
    "cached_tokens": units.CACHE_READ,
    "cache_creation_input_tokens": units.CACHE_WRITE,
    "reasoning_tokens": units.REASONING,
    "citation_tokens": units.OUTPUT_CITATION,
    "num_search_queries": units.WEB_SEARCHES,
}
_INPUT_DETAILS = {
    "cached_tokens": units.CACHE_READ,
    "cache_read_input_tokens": units.CACHE_READ,
    "cache_write_tokens": units.CACHE_WRITE,
    "audio_tokens": units.INPUT_AUDIO,
    "image_tokens": units.INPUT_IMAGE,
    "video_tokens": units.INPUT_VIDEO,
}
_OUTPUT_DETAILS = {
    "reasoning_tokens": units.REASONING,
    "audio_tokens": units.OUTPUT_AUDIO,
    "image_tokens": units.OUTPUT_IMAGE,
    "rejected_prediction_tokens": units.OUTPUT_REJECTED,
}
_DETAILS = {
    "prompt_tokens_details": _INPUT_DETAILS,
    "input_tokens_details": _INPUT_DETAILS,
    "input_token_details": _INPUT_DETAILS,
    "completion_tokens_details": _OUTPUT_DETAILS,
    "output_tokens_details": _OUTPUT_DETAILS,
    "cache_write_tokens_details": {
        "ttl_30m_tokens": units.CACHE_WRITE_30M,
        "ttl_12h_tokens": units.CACHE_WRITE_12H,
    },
    "server_tool_use_details": {"web_search_requests": units.WEB_SEARCHES},
}


def usage(body: Any) -> Usage | None:
    """The usage object of chat, completions, responses, embeddings, transcriptions and images."""
    return _usage(fields(body))


def _usage(said: Mapping[str, Any]) -> Usage | None:
    """What the details say goes before what stands beside them."""
    counts: dict[str, int] = {}
    details: list[tuple[Any, Mapping[str, str]]] = []
    for name, value in said.items():
        if value is None:
            continue
        unit = _TOTALS.get(name)
        if unit is not None:
            number = value if type(value) is int and value >= 0 else count(value)
            if number is not None:
                counts[unit] = number
        elif name in _DETAILS:
            details.append((value, _DETAILS[name]))
        elif name == "seconds" and isinstance(value, int | float) and value >= 0:
            counts[units.INPUT_AUDIO_MS] = round(value * 1000)
    for value, names in details:
        _take(counts, fields(value), names)
    if counts.get(units.REASONING):
        _add_reasoning_beside(counts, said)
    return Usage(counts) if counts else None


def _take(counts: dict[str, int], said: Mapping[str, Any], names: Mapping[str, str]) -> None:
    for name, value in said.items():
        if value is not None and name in names:
            number = value if type(value) is int and value >= 0 else count(value)
            if number is not None:
                counts[names[name]] = number


def _add_reasoning_beside(counts: dict[str, int], said: Mapping[str, Any]) -> None:
    reasoning, output = counts[units.REASONING], counts.get(units.OUTPUT, 0)
    total = count(said.get("total_tokens"))
    if reasoning > output or total == counts.get(units.INPUT, 0) + output + reasoning:
        counts[units.OUTPUT] = output + reasoning


def reported_nano_usd(said: Mapping[str, Any]) -> int | None:
    """The cost in the usage itself: OpenRouter and gateways (USD), Perplexity (an object), xAI (ticks of 1e-10 USD)."""
    if "cost_in_usd_ticks" in said:
        ticks = count(said["cost_in_usd_ticks"])
        if ticks is not None:
            return nano_from_pico(ticks * _TICK_PICO_USD)
    cost = said.get("cost")
    return None if cost is None else _nano_usd(cost, said)


def _nano_usd(cost: Any, said: Mapping[str, Any]) -> int | None:
    if isinstance(cost, bool):
        return None
    if not isinstance(cost, int | float | str):
        total = fields(cost).get("total_cost")
        return None if total is None else nano_from_usd(total)
    amount = nano_from_usd(cost)
    if amount is not None and said.get("is_byok") is True:
        # With the user's own key OpenRouter's cost is its fee alone; the upstream bills the rest.
        amount += nano_from_usd(fields(said.get("cost_details")).get("upstream_inference_cost") or 0) or 0
    return amount


def _answer(said: Mapping[str, Any], spent: Any, finish_reasons: tuple[str, ...]) -> Answer:
    find = said.get
    answer = Answer(
        None, text(find("model")), text(find("id")), text(find("service_tier")), None, None, None, finish_reasons
    )
    if spent is not None:
        spent = fields(spent)
        answer.usage = _usage(spent)
        answer.reported_nano_usd = reported_nano_usd(spent)
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
    reasons = [text(fields(choice).get("finish_reason")) for choice in listed(said.get("choices"))[:_MOST_REASONS]]
    spent = said.get("usage")
    if spent is None and "x_groq" in said:  # Groq repeats the usage there, and only there where nobody asked for it
        spent = fields(said["x_groq"]).get("usage")
    return _answer(said, spent, tuple([reason for reason in reasons if reason]))


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
        _take_tools(answer.usage.counts, said)
        answer.parts = _image_part(answer.usage, said)
    return answer


def retrieved(message: Any) -> Answer | None:
    """A stored response: only one that was made in the background was not booked when it was made."""
    said = fields(message)
    made = fields(said["response"]) if "response" in said else said
    return responses(message) if made.get("background") is True else None


# Charged by the request, and reported only as items of the output by servers that send no `tool_usage`.
_TOOL_ITEMS = {
    "web_search_call": units.WEB_SEARCHES,
    "file_search_call": units.FILE_SEARCHES,
    "code_interpreter_call": units.CODE_EXECUTIONS,
}


def _take_tools(counts: dict[str, int], said: Mapping[str, Any]) -> None:
    used = fields(said.get("tool_usage"))
    _take(counts, fields(used.get("web_search")), {"num_requests": units.WEB_SEARCHES})
    found: dict[str, int] = {}
    for item in listed(said.get("output")):
        kind = fields(item).get("type")
        unit = _TOOL_ITEMS.get(kind) if isinstance(kind, str) else None
        if unit is not None:
            found[unit] = found.get(unit, 0) + 1
    for unit, number in found.items():
        counts.setdefault(unit, number)
    if units.WEB_SEARCHES in counts and _searches_by_preview(said):
        counts[units.WEB_SEARCHES_PREVIEW] = counts.pop(units.WEB_SEARCHES)


def _searches_by_preview(said: Mapping[str, Any]) -> bool:
    """Whether the answer's searches were made by the older tool: it repeats the tools that were asked for."""
    return any(str(fields(tool).get("type")).startswith("web_search_preview") for tool in listed(said.get("tools")))


def _image_part(own: Usage, said: Mapping[str, Any]) -> tuple[tuple[str | None, Usage], ...]:
    """Images drawn by a tool are another model's tokens, reported beside the usage."""
    drawn = usage(fields(said.get("tool_usage")).get("image_gen"))
    if drawn is None or not any(drawn.counts.values()):
        return ()
    tools = [fields(tool) for tool in listed(said.get("tools"))]
    model = next((text(tool.get("model")) for tool in tools if tool.get("type") == "image_generation"), None)
    return ((text(said.get("model")), own), (model or "gpt-image-1", drawn))


def embeddings(message: Any) -> Answer | None:
    """Embeddings: all tokens are input."""
    said = fields(message)
    answer = _answer(said, said.get("usage"), ())
    if answer.usage is not None:
        answer.usage.counts[units.OUTPUT] = 0
    return answer


def sound(message: Any) -> Answer | None:
    """A transcription or translation, or the last event of its stream."""
    said = fields(message)
    answer = _answer(said, said.get("usage"), ())
    seconds = said.get("duration")
    if answer.usage is None and isinstance(seconds, int | float) and seconds >= 0:
        # The verbose form of whisper-1 without usage: it bills whole seconds of sound, rounded to the nearest.
        answer.usage = Usage({units.INPUT_AUDIO_MS: round(seconds) * 1000})
    return answer


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


def moderations(message: Any) -> Answer | None:
    """Moderations are free: https://platform.openai.com/docs/pricing (2026-11)."""
    answer = _answer(fields(message), None, ())
    answer.usage = Usage({units.INPUT: 0, units.OUTPUT: 0})
    return answer
