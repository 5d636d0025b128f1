"""OpenAI's library, which is also the client of every OpenAI-compatible host: who answers is told by the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costspan.calls.description import Client, Endpoint, Socket
from costspan.clients import (
    batches,
    estimates,
    openai_body,
    openai_live,
    openai_runs,
    openai_socket,
    openai_videos,
    server_tools,
)
from costspan.facts.usage import CHARACTERS, Usage


def speech(body: Mapping[str, Any]) -> Usage | None:
    """Speech reports no usage: it is billed by the characters of its input."""
    text = body.get("input")
    return Usage({CHARACTERS: len(text)}) if isinstance(text, str) else None


CLIENT = Client(
    name="openai",
    distribution="openai",
    versions=">=1.30,<4",
    module="openai._base_client",
    provider="openai",
    endpoints=estimates.usual(
        Endpoint("/chat/completions", "chat", openai_body.chat, asks_usage=True, keeps=server_tools.telling),
        Endpoint("/completions", "text_completion", openai_body.chat, asks_usage=True),
        Endpoint("/responses", "chat", openai_body.responses, is_later=openai_body.is_background),
        Endpoint("/responses/compact", "chat", openai_body.responses),
        Endpoint("/responses/{}", "chat", openai_body.retrieved, method="get", fetches=True),
        Endpoint("/embeddings", "embeddings", openai_body.embeddings),
        Endpoint("/audio/transcriptions", "transcription", openai_body.sound),
        Endpoint("/audio/translations", "translation", openai_body.sound),
        Endpoint("/audio/speech", "speech", openai_body.sound, request_usage=speech),
        Endpoint("/images/generations", "image_generation", openai_body.images),
        Endpoint("/images/edits", "image_generation", openai_body.images),
        Endpoint("/images/variations", "image_generation", openai_body.images),
        Endpoint("/decisions", "classification", openai_body.decisions),
        Endpoint("/moderations", "moderation", openai_body.moderations),
        *openai_videos.OF_OPENAI,
        *batches.ENDPOINTS,
        *openai_runs.ENDPOINTS,
    ),
    sockets=(
        Socket("realtime.connect", "openai.resources.realtime.realtime", **openai_socket.REALTIME),
        Socket("beta.realtime.connect", "openai.resources.beta.realtime.realtime", **openai_socket.REALTIME),
        Socket(
            "responses.connect",
            "openai.resources.responses.responses",
            lanes=(("openai.lib.responses_websocket._session", "ResponsesWebSocketLane"),),
            **openai_socket.RESPONSES,
        ),
        Socket("beta.responses.connect", "openai.resources.beta.responses.responses", **openai_socket.RESPONSES),
        Socket("live.connect", "openai.resources.live.live", **openai_live.LIVE),
    ),
    uncounted=(
        "/live/sessions",
        "/agents/sessions",
        "/evals/{}/runs",
        "/fine_tuning/jobs",
        "/containers",
        "/vector_stores",
    ),
    uncounted_functions=tuple(
        ("realtime.translations.connect", "openai.resources.realtime.translations.translations", f"{kind}.connect")
        for kind in ("Translations", "AsyncTranslations")
    ),
    classes=(("AzureOpenAI", "azure.ai.openai"), ("AsyncAzureOpenAI", "azure.ai.openai")),
    # Not OpenRouter, DeepSeek and Groq: they report usage to those who do not ask, too.
    asks_usage_of=(
        "api.openai.com",
        ".openai.azure.com",
        ".services.ai.azure.com",
        "api.x.ai",
        "api.together.xyz",
        "api.together.ai",
        "api.fireworks.ai",
        "api.cerebras.ai",
        "api.moonshot.ai",
        "generativelanguage.googleapis.com",
    ),
)
