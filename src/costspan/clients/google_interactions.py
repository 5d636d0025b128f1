"""The bodies of Google's interactions: a conversation that the service keeps, with steps instead of candidates.

They report what generated content does, in other words: thoughts stand beside the output and what a tool added beside
the input, as `total_tokens` proves. In a stream only the last event reports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costspan.calls.estimating import Prompt
from costspan.calls.messages import fields, listed, text
from costspan.clients import google_body
from costspan.facts.call import Answer
from costspan.facts.foreign import code

_NAMES: Final = {
    "total_input_tokens": "promptTokenCount",
    "total_cached_tokens": "cachedContentTokenCount",
    "total_output_tokens": "candidatesTokenCount",
    "total_thought_tokens": "thoughtsTokenCount",
    "total_tool_use_tokens": "toolUsePromptTokenCount",
    "total_tokens": "totalTokenCount",
}
_DETAILS: Final = {
    "input_tokens_by_modality": "promptTokensDetails",
    "cached_tokens_by_modality": "cacheTokensDetails",
    "output_tokens_by_modality": "candidatesTokensDetails",
    "tool_use_tokens_by_modality": "toolUsePromptTokensDetails",
}
#: In no total: the prompt in the model's own form, and what of it this hop of a continued interaction began with.
_IN_NO_TOTAL: Final = frozenset({"raw_prompt_token", "initial_input_tokens"})
_UNDER_WAY: Final = "in_progress"


def interaction(message: Any) -> Answer | None:
    """An interaction, whole or within an event of its stream."""
    said = fields(message)
    if "interaction" in said:
        said = fields(said["interaction"])
    status = text(said.get("status"))
    reasons = () if status is None or status == _UNDER_WAY else (status,)
    answer = Answer(model=text(said.get("model")), id=text(said.get("id")), finish_reasons=reasons)
    spent = said.get("usage")
    if spent is not None:
        google_body.take_usage(answer, _translated(fields(spent)) or spent)
        answer.tier = text(said.get("service_tier"))
    if said.get("error") is not None:
        error = fields(said["error"])
        answer.error = code(error.get("status")) or code(error.get("code")) or "error"
    return answer


def created(message: Any) -> Answer | None:
    """The answer to a request: an interaction that is still under way is fetched later."""
    answer = interaction(message)
    said = fields(message)
    if answer is not None and "interaction" not in said and said.get("status") == _UNDER_WAY:
        answer.pending = True
    return answer


def _translated(spent: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in spent.items():
        if name in _DETAILS:
            found[_DETAILS[name]] = [_modality(fields(each)) for each in listed(value)]
        elif name not in _IN_NO_TOTAL:
            found[_NAMES.get(name, name)] = value
    return found


def _modality(each: Mapping[str, Any]) -> dict[str, Any]:
    return {"modality": str(each.get("modality")).upper(), "tokenCount": each.get("tokens", 0)}


def is_background(body: Mapping[str, Any]) -> bool:
    """Whether a request asks for an interaction that goes on by itself, and is fetched later."""
    return body.get("background") is True


def ends(event: Any) -> bool:
    """The one event with usage."""
    return fields(event).get("event_type") == "interaction.completed"


def shown(event: Any) -> Any:
    """What an event of a stream shows the caller."""
    delta = fields(fields(event).get("delta"))
    return [delta.get("text"), delta.get("arguments"), fields(delta.get("content")).get("text")]


def prompt(body: Mapping[str, Any]) -> Prompt:
    """What a request has of the prompt."""
    return Prompt(
        [body.get("input"), body.get("system_instruction")], [body["tools"]] if body.get("tools") else [], 1, 5
    )
