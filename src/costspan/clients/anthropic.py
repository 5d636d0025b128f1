"""Anthropic's library, with its Bedrock and Vertex clients; from version 2 on it emits a span of its own."""

from __future__ import annotations

from typing import Any

from costspan.calls.description import Client, Endpoint
from costspan.calls.messages import fields
from costspan.clients import anthropic_batches, anthropic_body, estimates


def is_last_usage(event: Any) -> bool:
    """`message_delta` carries the final totals."""
    return fields(event).get("type") == "message_delta"


CLIENT = Client(
    name="anthropic",
    distribution="anthropic",
    versions=">=0.44,<3",
    module="anthropic._base_client",
    provider="anthropic",
    endpoints=estimates.usual(
        Endpoint("/messages", "chat", anthropic_body.message, anthropic_body.merge, ends=is_last_usage),
        Endpoint("/complete", "text_completion", anthropic_body.message),
        *anthropic_batches.ENDPOINTS,
    ),
    uncounted=("/sessions", "/dreams"),  # agents that Anthropic runs
    classes=(
        ("AnthropicBedrock", "aws.bedrock"),
        ("AsyncAnthropicBedrock", "aws.bedrock"),
        ("AnthropicBedrockMantle", "aws.bedrock"),
        ("AsyncAnthropicBedrockMantle", "aws.bedrock"),
        ("AnthropicVertex", "gcp.vertex_ai"),
        ("AsyncAnthropicVertex", "gcp.vertex_ai"),
        ("AnthropicFoundry", "azure.ai.inference"),
        ("AsyncAnthropicFoundry", "azure.ai.inference"),
    ),
    native_tracer="_tracer",
)
