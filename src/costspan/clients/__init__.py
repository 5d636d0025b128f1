"""One file per client library: a description and, where its answers differ, a reader."""

from __future__ import annotations

from typing import Final

from costspan.calls.description import Client
from costspan.clients import anthropic, cerebras, fireworks, groq, openai, perplexity, together

CLIENTS: Final[tuple[Client, ...]] = (
    openai.CLIENT,
    anthropic.CLIENT,
    groq.CLIENT,
    together.CLIENT,
    fireworks.CLIENT,
    cerebras.CLIENT,
    perplexity.CLIENT,
)
