"""What Amazon Bedrock charges beside the tokens and counts nowhere: tools that it runs, guardrails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from answers import AWS_EVENTS, Reply, aws_frame, whole
from bedrock_caller import Asker, asked
from costspan.facts.money import Cost
from provider import Provider

pytest.importorskip("botocore")

MODEL = "us.amazon.nova-premier-v1:0"
ASKED: dict[str, Any] = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "Will it rain?"}]}]}
USAGE = {"inputTokens": 1_000, "outputTokens": 100, "totalTokens": 1_100}
GUARD = {"guardrailIdentifier": "g", "guardrailVersion": "1"}
SEARCH: dict[str, Any] = {"toolUse": {"toolUseId": "t", "name": "nova_grounding", "input": {}}}
OWN: dict[str, Any] = {"toolUse": {"toolUseId": "t", "name": "search", "input": {}}}
GIVEN: dict[str, Any] = {"tools": [{"toolSpec": {"name": "search", "inputSchema": {"json": {}}}}]}
#: What the answer holds, what the request has besides; quality and what is named.
SAID: list[tuple[list[dict[str, Any]], dict[str, Any], tuple[str, tuple[str, ...]]]] = [
    ([{"text": "yes"}], {}, ("alias", ())),
    ([{"text": "yes"}], {"guardrailConfig": GUARD}, ("incomplete", ("guardrail",))),
    ([SEARCH, {"text": "yes"}], {}, ("incomplete", ("toolUse.nova_grounding",))),
    ([SEARCH, {"text": "yes"}], {"guardrailConfig": GUARD}, ("incomplete", ("toolUse.nova_grounding", "guardrail"))),
    ([OWN], {"toolConfig": GIVEN}, ("alias", ())),
]
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def _seen(call: Any) -> tuple[str, tuple[str, ...]]:
    assert isinstance(call.price, Cost)
    return call.price.quality, call.answer.unread


@_MODES
@pytest.mark.parametrize(
    ("content", "more", "expected"),
    SAID,
    ids=["plain", "guarded", "searched", "both", "own tool"],
)  # fmt: skip
def test_what_is_charged_beside_the_tokens_is_named(
    content: list[Any], more: dict[str, Any], expected: Any, mode: str, provider: Provider
) -> None:
    """Of tools the answer tells, of guardrails the request."""

    async def way(a: Asker) -> None:
        await a.ask("converse", **ASKED, **more)

    message = {"message": {"role": "assistant", "content": content}}
    body = {"output": message, "stopReason": "end_turn", "usage": USAGE, "metrics": {"latencyMs": 9}}
    (call,) = asked(way, lambda: [whole(body)], provider, mode)
    assert _seen(call) == expected


@_MODES
def test_a_guardrail_of_a_model_in_its_own_form_is_named(mode: str, provider: Provider) -> None:
    """InvokeModel has it among its arguments."""

    async def way(a: Asker) -> None:
        answer = await a.ask(
            "invoke_model", modelId="meta.llama3-3-70b-instruct-v1:0", body=json.dumps({"prompt": "x"}), **GUARD
        )
        await a.get(answer["body"].read())

    body = {"generation": "yes", "prompt_token_count": 11, "generation_token_count": 7, "stop_reason": "stop"}
    (call,) = asked(way, lambda: [whole(body)], provider, mode)
    assert call.answer.unread == ("guardrail",)


def test_a_search_in_the_middle_of_a_long_stream_is_named(provider: Provider) -> None:
    """The one event that tells of it is kept, where the request has such a tool."""
    pytest.importorskip("botocore", minversion="1.40.60", reason="older ones know no tools of the service's own")

    async def way(a: Asker) -> None:
        tools = {"tools": [{"systemTool": {"name": "nova_grounding"}}]}
        await a.each((await a.ask("converse_stream", **ASKED, toolConfig=tools))["stream"])

    words = [("contentBlockDelta", {"delta": {"text": "word "}, "contentBlockIndex": 0})] * 60
    start = {"start": {"toolUse": {"toolUseId": "t", "name": "nova_grounding"}}, "contentBlockIndex": 1}
    events = [
        ("messageStart", {"role": "assistant"}), *words, ("contentBlockStart", start), *words,
        ("messageStop", {"stopReason": "end_turn"}), ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 9}}),
    ]  # fmt: skip
    stream = Reply(kind=AWS_EVENTS, pieces=[aws_frame(body, kind) for kind, body in events])
    (call,) = asked(way, lambda: [stream], provider, "sync")
    assert call.usage is not None
    assert call.usage.counts == {"input": 1_000, "output": 100}
    assert _seen(call) == ("incomplete", ("toolUse.nova_grounding",))
