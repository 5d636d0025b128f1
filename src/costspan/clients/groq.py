"""Groq: OpenAI-shaped bodies; a stream reports usage in its last event, under x_groq."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import batches, estimates, openai, openai_body, server_tools

CLIENT = Client(
    name="groq",
    distribution="groq",
    versions=">=0.13,<2",
    module="groq._base_client",
    provider="groq",
    endpoints=estimates.usual(
        Endpoint("/chat/completions", "chat", openai_body.chat, keeps=server_tools.telling),
        Endpoint("/embeddings", "embeddings", openai_body.embeddings),
        Endpoint("/audio/transcriptions", "transcription", openai_body.sound),
        Endpoint("/audio/translations", "translation", openai_body.sound),
        Endpoint("/audio/speech", "speech", openai_body.sound, request_usage=openai.speech),
        *batches.ENDPOINTS,
    ),
)
