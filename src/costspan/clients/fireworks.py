"""Fireworks: OpenAI-shaped bodies, and Anthropic-shaped ones at /messages."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import anthropic_body, estimates, openai_body

CLIENT = Client(
    name="fireworks",
    distribution="fireworks-ai",
    versions=">=1,<2",
    module="fireworks._base_client",
    provider="fireworks",
    endpoints=estimates.usual(
        Endpoint("/chat/completions", "chat", openai_body.chat, asks_usage=True),
        Endpoint("/completions", "text_completion", openai_body.chat, asks_usage=True),
        Endpoint("/messages", "chat", anthropic_body.message, anthropic_body.merge),
        Endpoint("/embeddings", "embeddings", openai_body.embeddings),
        Endpoint("/rerank", "rerank", openai_body.embeddings),
    ),
    asks_usage_of=("api.fireworks.ai",),
)
