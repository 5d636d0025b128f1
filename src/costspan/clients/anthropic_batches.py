"""Batch jobs of the Anthropic API: their results come a line each, and the library hands them on one by one."""

from __future__ import annotations

from typing import Any, Final

from costspan.calls.description import Endpoint
from costspan.calls.messages import fields, text
from costspan.clients import anthropic_body
from costspan.clients.batches import BATCH, names
from costspan.clients.openai_body import error_of
from costspan.facts.call import Answer


def result(line: Any) -> Answer | None:
    """One result: a message, or the reason why there is none (an error, or that it expired or was cancelled)."""
    said = fields(line)
    found = fields(said.get("result"))
    kind = text(found.get("type"))
    answer = anthropic_body.message(found.get("message"))
    if answer is None:
        if kind is None:
            return None
        error = fields(found.get("error"))
        answer = Answer(error=error_of(error.get("error") or error) if error else kind)
    answer.key, answer.operation, answer.processing = text(said.get("custom_id")), "chat", BATCH
    return answer


ENDPOINTS: Final = (
    Endpoint("/messages/batches", BATCH, result, each=True, names=names),
    Endpoint("/messages/batches/{}/results", BATCH, result, method="get", each=True),
)
