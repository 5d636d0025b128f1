"""Claude's CLI as the agent SDK runs it: a process of its own, whose calls nobody sees, and whose results say what they used."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import claude_agent_body

CLIENT = Client(
    name="claude_agent",
    distribution="claude-agent-sdk",
    versions=">=0.1,<1",
    module="claude_agent_sdk._internal.query",
    provider="anthropic",
    endpoints=(Endpoint("/result", "invoke_agent", claude_agent_body.told),),
    dialect="agent_process",
)
