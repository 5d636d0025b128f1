"""Runs of assistants, of OpenAI and Azure: begun or continued by a request, and looked at until they have ended.

A run says what all its steps used, and only at its end; steps repeat it, and are not read.
https://platform.openai.com/docs/api-reference/runs/object
"""

from __future__ import annotations

from typing import Any, Final

from costspan.calls.description import Endpoint, always
from costspan.calls.messages import fields, listed, text
from costspan.clients import openai_body
from costspan.facts.call import Answer
from costspan.facts.usage import bounded_names

_UNDER_WAY: Final = frozenset({"queued", "in_progress", "requires_action", "cancelling"})
#: Tools that cost nothing beside the tokens.
_FREE: Final = frozenset({"function"})
_OPERATION: Final = "invoke_agent"


def run(message: Any) -> Answer | None:
    """A run as it stands, alone or within an event of a stream. One whose tools are charged apart does not say how often."""
    said = fields(message)
    said = fields(said["data"]) if "data" in said else said
    if said.get("object") != "thread.run":
        return openai_body.chat(said) if "error" in said else None
    spent = fields(said.get("usage"))
    if "prompt_token_details" in spent:  # its name for what is `prompt_tokens_details` everywhere else
        spent = {**spent, "prompt_tokens_details": spent["prompt_token_details"]}
        del spent["prompt_token_details"]
    answer = openai_body.chat({**said, "usage": spent or None})
    status = text(said.get("status"))
    if answer is None or status is None:
        return None
    answer.finish_reasons, answer.pending = (status,), status in _UNDER_WAY
    if said.get("last_error") is not None:
        answer.error = openai_body.error_of(said["last_error"])
    charged = {text(fields(tool).get("type")) or "tool" for tool in listed(said.get("tools"))} - _FREE
    if charged and answer.usage is not None:
        answer.unread = bounded_names((*answer.unread, *(f"tools.{name}" for name in sorted(charged))))
    return answer


ENDPOINTS: Final = (
    Endpoint("/threads/runs", _OPERATION, run, is_later=always),
    Endpoint("/threads/{}/runs", _OPERATION, run, is_later=always),
    Endpoint("/threads/{}/runs/{}", _OPERATION, run, method="get", fetches=True),
    Endpoint("/threads/{}/runs/{}/submit_tool_outputs", _OPERATION, run, fetches=True),
    Endpoint("/threads/{}/runs/{}/cancel", _OPERATION, run, fetches=True),
)
