"""Perplexity: OpenAI-shaped bodies with reasoning beside the output; every event reports running totals and the cost."""

from __future__ import annotations

from typing import Any, Final

from costspan.calls.description import Client, Endpoint, always
from costspan.calls.messages import fields, text
from costspan.clients import batches, estimates, openai_body
from costspan.facts.call import Answer

_UNDER_WAY: Final = frozenset({"CREATED", "IN_PROGRESS"})


def job(message: Any) -> Answer | None:
    """A chat that is made in the background: how it stands, and with its answer once there is one."""
    said = fields(message)
    answer = openai_body.chat(said.get("response")) or Answer(model=text(said.get("model")))
    answer.id, status = text(said.get("id")), text(said.get("status"))
    answer.pending = status in _UNDER_WAY
    if status == "FAILED":
        answer.error = "failed"
    return answer


CLIENT = Client(
    name="perplexity",
    distribution="perplexityai",
    versions=">=0.20,<1",
    module="perplexity._base_client",
    provider="perplexity",
    endpoints=(
        *estimates.usual(
            Endpoint("/chat/completions", "chat", openai_body.chat),
            Endpoint("/async/chat/completions", "chat", job, is_later=always),
            Endpoint("/async/chat/completions/{}", "chat", job, method="get", fetches=True),
            Endpoint("/responses", "chat", openai_body.responses, is_later=openai_body.is_background),
            Endpoint("/responses/{}", "chat", openai_body.retrieved, method="get", fetches=True),
            Endpoint("/embeddings", "embeddings", openai_body.embeddings),
            Endpoint("/contextualizedembeddings", "embeddings", openai_body.embeddings),
        ),
        *batches.ENDPOINTS,
    ),
    uncounted=("/search", "/decisions", "/browser/sessions"),
)
