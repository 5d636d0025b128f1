"""Runs of assistants: each is a call, booked once, when it has ended, for who began it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import replaying
from answers import Reply, whole
from caller import Caller, Kind
from costspan import attribution
from costspan.clients import openai_runs
from costspan.facts.call import ERROR, OK, Call
from costspan.facts.money import Cost, Unpriced
from provider import Provider
from watching import Watched

pytestmark = pytest.mark.filterwarnings("ignore:.*Assistants API:DeprecationWarning")

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
_RUNS = Kind("openai", "OpenAI", "beta.threads.runs", {"thread_id": "thread_1", "assistant_id": "asst_1"})
_USAGE = {
    "prompt_tokens": 27,
    "completion_tokens": 16,
    "total_tokens": 43,
    "prompt_token_details": {"cached_tokens": 8},
}
_COUNTS = {"input": 27, "output": 16, "cache_read": 8}


def run(status: str, **more: Any) -> dict[str, Any]:
    """A run as it stands."""
    return {
        "id": "run_1", "object": "thread.run", "created_at": 1, "assistant_id": "asst_1", "thread_id": "thread_1",
        "status": status, "model": "gpt-4o-mini", "instructions": "", "tools": [], "metadata": {}, "usage": None, **more,
    }  # fmt: skip


ENDED = run("completed", usage=_USAGE)
STEP = {"id": "step_1", "object": "thread.run.step", "run_id": "run_1", "status": "completed", "usage": _USAGE}


def stream(*said: tuple[str, Any]) -> Reply:
    """Events with their names, as they are streamed."""
    lines = [f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in said]
    return Reply("".join([*lines, "event: done\ndata: [DONE]\n\n"]).encode(), kind="text/event-stream")


def booked(provider: Provider, mode: str, way: Any, *replies: Reply) -> list[Call]:
    """The calls of a program that sees the same without costspan."""
    provider.replies.extend(replies)
    plain = Caller(_RUNS, provider.url, mode).run(way)
    provider.replies.extend(replies)
    with Watched() as watched:
        assert Caller(_RUNS, provider.url, mode).run(way) == plain
        calls = watched.calls()
    return list(calls)


async def begun_and_looked_at(c: Caller) -> None:
    """Begun by one, and looked at by another until it has ended, and once more."""
    with attribution(team="night"):
        c.look(await c.create())
    with attribution(team="day"):
        for _ in range(3):
            c.look(await c.get(c.methods.retrieve("run_1", thread_id="thread_1")))


@_MODES
def test_a_run_is_booked_when_it_has_ended(provider: Provider, mode: str) -> None:
    """Once, for who began it, as the model that answered."""
    replies = map(whole, (run("queued"), run("in_progress"), ENDED, ENDED))
    (call,) = booked(provider, mode, begun_and_looked_at, *replies)
    assert (call.operation, call.outcome, call.attribution.team, call.request_model) == (
        "invoke_agent", OK, "night", "gpt-4o-mini",
    )  # fmt: skip
    assert call.usage is not None
    assert call.usage.counts == _COUNTS
    assert isinstance(call.price, Cost)
    assert call.price.quality == "exact"


@_MODES
def test_a_tool_that_is_charged_apart_lowers_the_quality(provider: Provider, mode: str) -> None:
    """How often it was used the run does not say."""
    with_tool = run("completed", usage=_USAGE, tools=[{"type": "code_interpreter"}, {"type": "function"}])
    (call,) = booked(provider, mode, begun_and_looked_at, *map(whole, (run("queued"), with_tool, with_tool, with_tool)))
    assert isinstance(call.price, Cost)
    assert call.price.quality == "incomplete"
    assert call.answer.unread == ("tools.code_interpreter",)


@_MODES
def test_a_run_that_failed_is_an_error(provider: Provider, mode: str) -> None:
    """Once, with what it used by then."""
    failed = run("failed", usage=_USAGE, last_error={"code": "rate_limit_exceeded", "message": "no"})
    (call,) = booked(provider, mode, begun_and_looked_at, *map(whole, (run("queued"), failed, failed, failed)))
    assert (call.outcome, call.error_type) == (ERROR, "rate_limit_exceeded")
    assert call.usage is not None


@_MODES
def test_a_run_that_is_streamed_in_two_parts_is_one_call(provider: Provider, mode: str) -> None:
    """It waits for a tool in between; the usage of its end is that of both, and of its steps."""

    async def way(c: Caller) -> None:
        await c.look_at_each(await c.create(stream=True))
        outputs = [{"tool_call_id": "call_1", "output": "rain"}]
        submit = c.methods.submit_tool_outputs
        await c.look_at_each(await c.get(submit("run_1", thread_id="thread_1", tool_outputs=outputs, stream=True)))

    first = stream(("thread.run.created", run("queued")), ("thread.run.requires_action", run("requires_action")))
    second = stream(
        ("thread.run.in_progress", run("in_progress")),
        ("thread.run.step.completed", STEP),
        ("thread.run.completed", ENDED),
    )
    (call,) = booked(provider, mode, way, first, second)
    assert call.usage is not None
    assert call.usage.counts == _COUNTS


def test_a_run_that_nobody_looked_at_is_told_of(provider: Provider) -> None:
    """At the end of the process: what it used is unknown."""

    async def way(c: Caller) -> None:
        await c.create()

    provider.replies.append(whole(run("queued")))
    with Watched() as watched:
        Caller(_RUNS, provider.url, "sync").run(way)
        assert not watched.calls()
    (call,) = watched._calls  # pyright: ignore[reportPrivateUsage]
    assert isinstance(call.price, Unpriced)


@replaying.needs_recordings
def test_recorded_runs_are_read() -> None:
    """As their recordings expect; a run that has not ended says nothing so far."""
    recorded = [
        x for x in replaying.all_recordings() if x["api"] == "openai.assistants_runs" and x["response"].get("body")
    ]
    whole_ones = [x for x in recorded if not x["response"].get("stream")]
    assert len(whole_ones) >= 10
    for each in whole_ones:
        answer = openai_runs.run(json.loads(each["response"]["body"]))
        expected = each["expected"]
        assert answer is not None
        assert (answer.usage is not None) == expected["usage_present"]
        if answer.usage is not None:
            usage = expected["usage"]
            assert answer.usage.get("input") == usage["input_total"]
            assert answer.usage.get("output") == usage["output_total"]
