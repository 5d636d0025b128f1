"""The agent SDK for Claude's CLI: results carry totals that run, and what each adds is booked once, by model."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import claude_code
from costspan import attribution, names
from costspan.clients.claude_agent_body import Totals
from costspan.facts.call import ERROR, OK, Call
from costspan.facts.money import Cost
from watching import Watched

SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
Turns = list[list[dict[str, Any]]]


def of_model(cost: str, *counts: int, **more: Any) -> dict[str, Any]:
    """Running totals of a model: dollars, input, output, read from the cache, written to it."""
    words = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
    return {**dict(zip(words, counts, strict=True)), "webSearchRequests": 0, "costUSD": float(cost), **more}


def result(models: dict[str, Any] | None, cost: str = "0", **more: Any) -> dict[str, Any]:
    """The end of a turn."""
    said: dict[str, Any] = {
        "type": "result", "subtype": "success", "duration_ms": 1500, "duration_api_ms": 1200, "is_error": False,
        "num_turns": 1, "session_id": "s", "total_cost_usd": float(cost), "usage": {"input_tokens": 3, "output_tokens": 2},
        "uuid": "r-1", **more,
    }  # fmt: skip
    return said if models is None else {**said, "modelUsage": models}


def step(key: str, text: str, output: int, model: str = SONNET) -> dict[str, Any]:
    """A block of a message of the model: each comes with the usage of all so far."""
    spent = {"input_tokens": 6, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": output}
    message = {
        "id": key, "type": "message", "role": "assistant", "model": model, "usage": spent,
        "content": [{"type": "text", "text": text}],
    }  # fmt: skip
    return {"type": "assistant", "message": message, "parent_tool_use_id": None, "session_id": "s", "uuid": "u"}


FIRST = {SONNET: of_model("0.01", 10, 5, 100, 20), HAIKU: of_model("0.001", 7, 3, 0, 0)}
SECOND = {**FIRST, SONNET: of_model("0.025", 30, 9, 150, 20, webSearchRequests=2)}
AFRESH = {SONNET: of_model("0.002", 4, 1, 0, 0, canonicalModel="claude-sonnet-4-5", provider="bedrock")}
RESET = {"type": "conversation_reset", "new_conversation_id": "n", "uuid": "u", "session_id": "s"}
#: A connection of four turns: two whose totals run on, one after a reset, one that fails and adds nothing.
TURNS: Turns = [
    [step("m-1", "a", 1), step("m-1", "b", 5), result(FIRST, "0.011")],
    [step("m-2", "c", 4), result(SECOND, "0.026", uuid="r-2")],
    [RESET, result(AFRESH, "0.002", uuid="r-3", is_error=True, subtype="error_max_turns")],
    [result(AFRESH, "0.002", uuid="r-4")],
]


@pytest.fixture
def sdk() -> Any:
    """The library."""
    return pytest.importorskip("claude_agent_sdk")


def run(sdk: Any, turns: Turns, way: Callable[[Any], Awaitable[list[Any]]], folder: Path) -> list[Any]:
    """What a program sees that runs the agent."""
    (folder / "turns.json").write_text(json.dumps(turns))
    program = folder / "claude"
    program.write_text(f"#!{sys.executable} -I\n{Path(claude_code.__file__).read_text()}")
    program.chmod(0o755)
    options = sdk.ClaudeAgentOptions(cli_path=str(program), env={"CLAUDE_TURNS": str(folder / "turns.json")})
    return asyncio.run(asyncio.wait_for(way(options), 60))  # type: ignore[arg-type]


def test_each_turn_is_booked_by_what_it_added(sdk: Any, tmp_path: Path) -> None:
    """By model, at the cost that it tells, for who reads it; what the program sees is as it was."""

    async def way(options: Any) -> list[Any]:
        seen: list[Any] = []
        async with sdk.ClaudeSDKClient(options) as client:
            for number in range(len(TURNS)):
                with attribution(session=f"s-{number}"):
                    await client.query("Will it rain?")
                    seen += [repr(message) async for message in client.receive_response()]
        return seen

    plain = run(sdk, TURNS, way, tmp_path)
    with Watched() as watched:
        assert run(sdk, TURNS, way, tmp_path) == plain
        calls = list(watched.calls())
        assert len(watched.spans()) == len(watched.events()) == watched.total(names.REQUESTS) == len(calls)
    assert [_told(call) for call in calls] == [
        ("s-0", SONNET, "anthropic", 10_000_000, {"input": 130, "cache_read": 100, "cache_write": 20, "output": 5}),
        ("s-0", HAIKU, "anthropic", 1_000_000, {"input": 7, "cache_read": 0, "cache_write": 0, "output": 3}),
        ("s-1", SONNET, "anthropic", 15_000_000, {"input": 70, "cache_read": 50, "cache_write": 0, "output": 4}),
        ("s-2", "claude-sonnet-4-5", "aws.bedrock", 2_000_000, {"input": 4, "cache_read": 0, "cache_write": 0, "output": 1}),
    ]  # fmt: skip
    assert [call.outcome for call in calls] == [OK, OK, OK, ERROR]
    assert [call.answer.id for call in calls] == ["r-1", "r-1", "r-2", "r-3"]
    assert calls[2].usage is not None
    assert calls[2].usage.get("web_searches") == 2
    assert {call.operation for call in calls} == {"invoke_agent"}
    assert all(1.5 <= call.duration_s < 10 for call in calls)


def test_a_query_that_is_left_early_is_a_lower_bound(sdk: Any, tmp_path: Path) -> None:
    """What its steps told by then, each once; a whole one is booked as its result says."""

    async def way(options: Any) -> list[Any]:
        seen: list[Any] = []
        for most in (9, 5):  # all three, and two more
            messages = sdk.query(prompt="Will it rain?", options=options)
            async for message in messages:
                seen.append(repr(message))
                if len(seen) == most:
                    await messages.aclose()
                    break
        return seen

    turns: Turns = [[step("m-1", "a", 1), step("m-1", "b", 5), result(FIRST, "0.011")]]
    with Watched() as watched:
        run(sdk, turns, way, tmp_path)
        *whole, left = watched.calls()
    assert len(whole) == 2
    assert left.usage is not None
    assert (left.usage.complete, left.usage.counts["input"], left.usage.counts["output"]) == (False, 11, 5)
    assert left.model == SONNET


def _told(call: Call) -> tuple[Any, ...]:
    assert isinstance(call.price, Cost)
    assert call.price.quality == "reported"
    assert call.usage is not None
    counts = {unit: number for unit, number in call.usage.counts.items() if unit != "web_searches"}
    return call.attribution.session, call.model, call.provider, call.price.nano_usd, counts


def _taken(*messages: Any) -> list[tuple[Any, ...]]:
    totals = Totals()
    found = [spent for message in messages for spent in totals.take(message)]
    return [
        (answer.model, answer.reported_nano_usd, answer.usage and answer.usage.get("output")) for _, answer in found
    ]


def test_results_without_models_and_odd_ones_are_read() -> None:
    """Older ones tell the tokens of the turn, and the dollars of all; nothing that is odd is guessed at."""
    older = [step("m-1", "a", 2), result(None, "0.01"), step("m-2", "a", 2, HAIKU), result(None, "0.015")]
    assert _taken(*older) == [(SONNET, 10_000_000, 2), (HAIKU, 5_000_000, 2)]
    assert _taken(result(None, usage=None)) == []
    assert _taken(result({SONNET: None}), result({SONNET: {"costUSD": "x", "inputTokens": -1}})) == []
    fewer = {SONNET: of_model("0.002", 4, 1, 0, 0)}  # a process that began anew without saying so
    assert _taken(result(FIRST), result(fewer))[-1] == (SONNET, 2_000_000, 1)
    assert _taken(result({f"{SONNET}[1m]": of_model("0.1", 1, 1, 0, 0, provider="gateway")}))[0][0] == SONNET
    for odd in (None, 3, {}, {"type": "assistant"}, {"type": "assistant", "message": {"id": 3}}, {"type": "result"}):
        assert _taken(odd) == []
