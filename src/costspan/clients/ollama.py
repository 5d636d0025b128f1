"""Ollama's library, for models on one's own machines and in its cloud. What runs on one's own machines has no price."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import ollama_body

CLIENT = Client(
    name="ollama",
    distribution="ollama",
    versions=">=0.4,<1",
    module="ollama._client",
    provider="ollama",
    endpoints=(
        Endpoint("/api/chat", "chat", ollama_body.generated, shown=ollama_body.shown, prompt=ollama_body.prompt),
        Endpoint(
            "/api/generate",
            "text_completion",
            ollama_body.generated,
            shown=ollama_body.shown,
            prompt=ollama_body.prompt,
        ),
        Endpoint("/api/embed", "embeddings", ollama_body.embedded),
        Endpoint("/api/embeddings", "embeddings", ollama_body.embedded),  # the older one reports no usage
        Endpoint("/v1/systemone", "chat", ollama_body.scored),
    ),
    dialect="ollama_api",
)
