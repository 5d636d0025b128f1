"""Cerebras: OpenAI-shaped bodies."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import estimates, openai_body

CLIENT = Client(
    name="cerebras",
    distribution="cerebras-cloud-sdk",
    versions=">=1,<2",
    module="cerebras.cloud.sdk._base_client",
    provider="cerebras",
    endpoints=estimates.usual(
        Endpoint("/chat/completions", "chat", openai_body.chat, asks_usage=True),
        Endpoint("/completions", "text_completion", openai_body.chat, asks_usage=True),
    ),
    asks_usage_of=("api.cerebras.ai",),
)
