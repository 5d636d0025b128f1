"""Google's interactions: answered at once, streamed, made in the background, refused, and left early."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from answers import CUT, Reply, events, whole
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from google_caller import Asker
from provider import Provider
from watching import Watched

pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.skipif(
        importlib.util.find_spec("google.genai._gaos") is None,
        reason="this release has interactions on another transport, which is not watched",
    ),
]

MODEL = "gemini-3-flash-preview"
#: 70 input tokens, 5 of them added by a tool and 20 cached; 64 output tokens, 47 of them thoughts.
USAGE = {
    "total_input_tokens": 65, "total_tool_use_tokens": 5, "total_cached_tokens": 20, "total_output_tokens": 17,
    "total_thought_tokens": 47, "total_tokens": 134, "raw_prompt_token": 95,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 25}, {"modality": "image", "tokens": 40}],
}  # fmt: skip
COUNTS = {"input": 70, "input_tool": 5, "input_image": 40, "cache_read": 20, "output": 64, "reasoning": 47}
Way = Callable[[Asker], Coroutine[Any, Any, None]]
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def body(status: str = "completed", usage: Any = USAGE) -> dict[str, Any]:
    """An interaction, as the service has it."""
    said: dict[str, Any] = {"id": "v1_one", "object": "interaction", "status": status, "model": MODEL, "steps": []}
    return said | ({} if usage is None else {"usage": usage})


def steps(number: int = 40) -> list[dict[str, Any]]:
    """The events of a stream before its last."""
    began = {"event_type": "interaction.created", "interaction": body("in_progress", None)}
    words = {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "eight by"}}
    return [began, *[words] * number]


async def given(answer: Any) -> Any:
    return await answer if hasattr(answer, "__await__") else answer


async def ask(a: Asker) -> None:
    await given(a.of.interactions.create(model=MODEL, input="Will it rain?"))


async def in_the_background(a: Asker) -> None:
    await given(a.of.interactions.create(model=MODEL, input="Will it rain?", background=True))
    await given(a.of.interactions.get("v1_one"))
    await given(a.of.interactions.get("v1_one"))


def streaming(most: int | None = None) -> Way:
    """A stream, read to its end or left after some events."""

    async def way(a: Asker) -> None:
        stream = await given(a.of.interactions.create(model=MODEL, input="Will it rain?", stream=True))
        left = most
        if a.is_async:
            async for _ in stream:
                left = None if left is None else left - 1
                if left == 0:
                    break
            await stream.close()
            return
        for _ in stream:
            left = None if left is None else left - 1
            if left == 0:
                break
        stream.close()

    return way


def booked(way: Way, replies: list[Reply], provider: Provider, mode: str) -> tuple[list[Call], list[Any]]:
    """What is booked of a way, with what the caller saw; without costspan he saw the same."""
    provider.replies.extend(replies)
    bare = Asker(provider.url, mode).run(way)
    provider.replies.extend(replies)
    with Watched() as watched:
        seen = Asker(provider.url, mode).run(way)
        calls = list(watched.calls())
    assert seen == bare
    assert not provider.replies
    return calls, seen


@_MODES
def test_what_is_reported_is_booked(provider: Provider, mode: str) -> None:
    """Thoughts beside the output, and what a tool added beside the input."""
    [call], _ = booked(ask, [whole(body())], provider, mode)
    assert (call.outcome, call.request_model, call.answer.model, call.usage and call.usage.counts) == (
        OK,
        MODEL,
        MODEL,
        COUNTS,
    )
    assert call.answer.unread == ()


@_MODES
def test_a_stream_is_booked_by_its_last_event(provider: Provider, mode: str) -> None:
    """And told as a stream."""
    end = {"event_type": "interaction.completed", "interaction": body()}
    [call], _ = booked(streaming(), [events([*steps(), end])], provider, mode)
    assert (call.outcome, call.is_stream, call.usage and call.usage.counts) == (OK, True, COUNTS)


@_MODES
def test_a_stream_that_is_left_early_is_an_estimate(provider: Provider, mode: str) -> None:
    """Of what it had shown by then."""
    [call], _ = booked(streaming(20), [events(steps(100))], provider, mode)
    assert call.outcome == ABANDONED
    assert call.usage is not None
    assert not call.usage.complete
    assert 0 < call.usage.get("output") <= 200
    assert call.usage.get("input") > 0


@_MODES
def test_a_stream_that_breaks_is_an_error_and_an_estimate(provider: Provider, mode: str) -> None:
    """The connection is cut."""
    [call], _ = booked(streaming(), [events([*steps(), CUT])], provider, mode)
    assert (call.outcome, call.usage is not None and call.usage.complete) == (ERROR, False)


@_MODES
def test_what_is_made_in_the_background_is_booked_once_when_it_is_fetched(provider: Provider, mode: str) -> None:
    """However often that is."""
    replies = [whole(body("in_progress", None)), whole(body()), whole(body())]
    [call], _ = booked(in_the_background, replies, provider, mode)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


async def stream_in_the_background(a: Asker) -> None:
    await a.exhaust(await given(a.of.interactions.create(model=MODEL, input="Rain?", background=True, stream=True)))
    await given(a.of.interactions.get("v1_one"))


@_MODES
def test_a_stream_of_the_background_that_stops_is_booked_when_it_is_fetched(provider: Provider, mode: str) -> None:
    """The work goes on without it: what it showed is no estimate."""
    [call], _ = booked(stream_in_the_background, [events(steps()), whole(body())], provider, mode)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


@_MODES
def test_a_refused_interaction_is_an_error_without_usage(provider: Provider, mode: str) -> None:
    """The library raises what the service said."""
    refusal = Reply(json.dumps({"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}).encode(), 400)
    [call], seen = booked(ask, [refusal], provider, mode)
    assert (call.outcome, call.http_status, call.error_type, call.usage) == (ERROR, 400, "400", None)
    assert isinstance(seen[-1], tuple)
