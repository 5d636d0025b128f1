"""OpenAI's agents where they hold a socket of their own; all else they ask by OpenAI's library, and it is counted there."""

from __future__ import annotations

from costspan.calls.description import Client
from costspan.clients import openai_socket

CLIENT = Client(
    name="openai_agents",
    distribution="openai-agents",
    versions=">=0.10,<1",
    module="agents.models.openai_responses",
    provider="openai",
    endpoints=openai_socket.ENDPOINTS,
    dialect="agents_sockets",
)
