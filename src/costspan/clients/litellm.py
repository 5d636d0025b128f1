"""LiteLLM: what it asks for by handlers of its own. What goes through another library that is watched is counted there."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import estimates, litellm_body, mistral_body, openai, openai_body

CLIENT = Client(
    name="litellm",
    distribution="litellm",
    versions=">=1.100,<2",
    module="litellm.main",
    provider="litellm",
    endpoints=(
        *estimates.usual(
            Endpoint("/completion", "chat", litellm_body.chat),
            Endpoint("/text_completion", "text_completion", litellm_body.chat),
            Endpoint("/responses", "chat", openai_body.responses, is_later=openai_body.is_background),
        ),
        Endpoint("/anthropic_messages", "chat", litellm_body.chat),
        Endpoint("/embedding", "embeddings", openai_body.embeddings),
        Endpoint("/rerank", "rerank", litellm_body.ranked),
        Endpoint("/image_generation", "image_generation", openai_body.images),
        Endpoint("/image_edit", "image_generation", openai_body.images),
        Endpoint("/transcription", "transcription", openai_body.sound),
        Endpoint("/speech", "speech", openai_body.sound, request_usage=openai.speech),
        Endpoint("/ocr", "ocr", mistral_body.read_pages),
    ),
    dialect="callback",
)
