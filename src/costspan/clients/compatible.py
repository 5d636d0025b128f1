"""What servers offer that speak OpenAI's or Anthropic's protocol, whoever asks them: for what is sent without a known client.

The paths are those that no other API of the sellers has: `/threads/<id>/messages` is no chat.
"""

from __future__ import annotations

from typing import Final

from costspan.calls.description import Endpoint
from costspan.clients import anthropic, anthropic_body, estimates, google_genai, openai_body, server_tools

#: Whose protocol each path is of where it is not OpenAI's.
VENDORS: Final = {
    "/v1/messages": "anthropic",
    **dict.fromkeys((each.path for each in google_genai.GENERATED), "gcp.gemini"),
}

ENDPOINTS: Final = estimates.usual(
    Endpoint("/chat/completions", "chat", openai_body.chat, keeps=server_tools.telling),
    Endpoint("/completions", "text_completion", openai_body.chat),
    Endpoint("/responses", "chat", openai_body.responses, is_later=openai_body.is_background),
    Endpoint("/responses/{}", "chat", openai_body.retrieved, method="get", fetches=True),
    Endpoint("/embeddings", "embeddings", openai_body.embeddings),
    Endpoint("/v1/messages", "chat", anthropic_body.message, anthropic_body.merge, ends=anthropic.is_last_usage),
)
