"""DSPy, which asks by a copy of lm15 that it brings along, a library over sockets; and lm15 itself.

It speaks the protocols of OpenAI, Anthropic and Google. What DSPy asks through LiteLLM is counted there.
"""

from __future__ import annotations

from costspan.calls.description import Client
from costspan.clients import compatible, google_genai
from costspan.clients.libraries import OTHER_MODULES

CLIENT = Client(
    name="dspy",
    distribution="dspy",
    versions=">=3.4,<4",
    module="dspy._vendor.lm15.transports._sync",
    other_modules=OTHER_MODULES["dspy"],
    provider="openai",
    endpoints=(*compatible.ENDPOINTS, *google_genai.GENERATED),
    dialect="lm15_transport",
    uncounted=(
        "/images/generations",
        "/images/edits",
        "/audio/speech",
        "/audio/transcriptions",
        "/batches",
        "/messages/batches",
        "/videos",
        "/{}:predictLongRunning",
        "/{}:batchGenerateContent",
    ),
)
