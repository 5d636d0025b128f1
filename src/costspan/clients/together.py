"""Together: OpenAI-shaped bodies; older servers report a stream's usage only to those who ask."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import batches, estimates, openai, openai_body, openai_videos

CLIENT = Client(
    name="together",
    distribution="together",
    versions=">=2,<4",
    module="together._base_client",
    provider="together",
    endpoints=estimates.usual(
        Endpoint("/chat/completions", "chat", openai_body.chat, asks_usage=True),
        Endpoint("/completions", "text_completion", openai_body.chat, asks_usage=True),
        Endpoint("/embeddings", "embeddings", openai_body.embeddings),
        Endpoint("/images/generations", "image_generation", openai_body.images),
        Endpoint("/rerank", "rerank", openai_body.embeddings),
        Endpoint("/audio/transcriptions", "transcription", openai_body.sound),
        Endpoint("/audio/translations", "translation", openai_body.sound),
        Endpoint("/audio/speech", "speech", openai_body.sound, request_usage=openai.speech),
        *openai_videos.ENDPOINTS,
        *batches.ENDPOINTS,
    ),
    uncounted=("/fine-tunes",),
    asks_usage_of=("api.together.xyz", "api.together.ai"),
)
