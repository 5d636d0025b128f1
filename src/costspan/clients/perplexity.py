"""Perplexity: OpenAI-shaped bodies with reasoning beside the output; every event reports running totals and the cost."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import estimates, openai_body

CLIENT = Client(
    name="perplexity",
    distribution="perplexityai",
    versions=">=0.20,<1",
    module="perplexity._base_client",
    provider="perplexity",
    endpoints=estimates.usual(
        Endpoint("/chat/completions", "chat", openai_body.chat),
        Endpoint("/responses", "chat", openai_body.responses, is_later=openai_body.is_background),
        Endpoint("/embeddings", "embeddings", openai_body.embeddings),
        Endpoint("/contextualizedembeddings", "embeddings", openai_body.embeddings),
    ),
)
