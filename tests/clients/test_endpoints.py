"""Every endpoint that costs, every client of the family, and answers that come later or many at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

import ways
from answers import (
    CHAT_USAGE,
    CUT,
    Reply,
    chat_chunks,
    completion,
    events,
    response,
    response_events,
    whole,
)
from caller import KINDS, Caller
from comparing import ANTHROPIC_USAGE, OPENAI_USAGE, compared, usage_of
from costspan import attribution, names
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import Cost
from provider import Provider
from watching import Watched

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


@_MODES
def test_a_background_response_is_booked_when_it_is_fetched(provider: Provider, mode: str) -> None:
    """Made: no usage yet. Fetched: booked. Fetched again: the same answer, not booked again."""
    with Watched() as watched:
        seen = Caller(KINDS["responses"], provider.url, mode).run(ways.create_and_fetch)
        call = watched.call()
        assert watched.total(names.REQUESTS) == 1
    assert [status["status"] for _, status in seen] == ["queued", "completed", "completed"]
    assert call.usage is not None
    assert call.usage.counts == OPENAI_USAGE
    assert call.request_model == "gpt-4o-mini"


@_MODES
def test_a_stored_response_is_not_booked_again(provider: Provider, mode: str) -> None:
    """It was booked when it was made."""

    async def way(c: Caller) -> None:
        c.look(await c.create())
        provider.replies.append(whole(response()))
        c.look(await c.get(c.methods.retrieve("resp_1")))

    with Watched() as watched:
        Caller(KINDS["responses"], provider.url, mode).run(way)
        assert watched.call().outcome == OK


@_MODES
def test_each_result_of_a_batch_is_a_call(provider: Provider, mode: str) -> None:
    """At the price of a batch; a failed one is an error that costs nothing; read again, nothing is booked again."""
    seen: list[list[Any]] = []
    calls: list[Call] = []
    for is_watched in (False, True):
        with Watched() if is_watched else nullcontext() as watched:
            times = 2 if is_watched else 1
            seen += [Caller(KINDS["messages"], provider.url, mode).run(ways.batch_results) for _ in range(times)]
            if watched is not None:
                calls = list(watched.calls())
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == 3
    assert [call.answer.id for call in calls] == ["msg_a", "batch_1/b", "msg_c"]
    failed = calls.pop(1)
    assert all(call.usage is not None and call.usage.counts == ANTHROPIC_USAGE for call in calls)
    assert all((call.answer.processing, call.operation) == ("batch", "chat") for call in calls)
    assert (failed.outcome, failed.error_type, failed.usage, failed.price) == (ERROR, "x", None, None)


@_MODES
@pytest.mark.parametrize("way", [ways.batch_results, ways.batch_results_read_along, ways.batch_results_raw])
def test_a_result_of_a_batch_belongs_to_who_reads_it(
    way: Callable[[Caller], Any], provider: Provider, mode: str
) -> None:
    """Session, team, host, port and trace: nothing is lost because a call is made of an item of an answer."""
    with Watched() as watched:
        tracer = watched.tracer_provider.get_tracer("of the program")
        with attribution(session="s-1", team="search", task_type="night"), tracer.start_as_current_span("job") as job:
            Caller(KINDS["messages"], provider.url, mode).run(way)
        calls = watched.calls()
        events = watched.events()
        spent = watched.total(names.INPUT_TOKENS, llm__team="search", llm__task_type="night")
        spans = watched.spans()
    assert [call.answer.id for call in calls] == ["msg_a", "batch_1/b", "msg_c"]
    assert spent == 2 * ANTHROPIC_USAGE["input"]
    assert {call.attribution.session for call in calls} == {"s-1"}
    assert {(call.host, call.port) for call in calls} == {("127.0.0.1", provider.port)}
    trace_id = job.get_span_context().trace_id
    assert {call.trace_id for call in calls} == {event.trace_id for event in events} == {trace_id}
    own = [span for span in spans if span.name.startswith("chat")]
    assert [span.attributes["session.id"] for span in own if span.attributes] == ["s-1"] * 3


# --- other endpoints, other clients -----------------------------------------------------------------------------

_WAV = ("a.wav", b"RIFF")
ENDPOINTS: list[tuple[str, Callable[[Caller], Any], str, dict[str, int]]] = [
    ("embeddings.create", ways.method("embeddings.create", model="text-embedding-3-small", input=["a"] * 64), "embeddings",
     {"input": 11, "output": 0}),
    ("raw embeddings", ways.method("embeddings.with_raw_response.create", model="text-embedding-3-small", input=["a"] * 64),
     "embeddings", {"input": 11, "output": 0}),
    ("images", ways.method("images.generate", model="gpt-image-1", prompt="x", n=2), "image_generation",
     {"input": 11, "output": 7, "input_image": 0, "images": 2}),
    ("speech", ways.method("audio.speech.create", model="tts-1", input="eleven char", voice="alloy"), "speech",
     {"characters": 11}),
    ("transcription", ways.method("audio.transcriptions.create", model="whisper-1", file=_WAV), "transcription",
     {"input_audio_ms": 9000}),
    ("moderation", ways.method("moderations.create", input="x"), "moderation", {"input": 0, "output": 0}),
]  # fmt: skip


@_MODES
@pytest.mark.parametrize(
    ("way", "operation", "usage"), [row[1:] for row in ENDPOINTS], ids=[row[0] for row in ENDPOINTS]
)
def test_every_endpoint_that_costs_is_booked(
    way: Callable[[Caller], Any], operation: str, usage: dict[str, int], provider: Provider, mode: str
) -> None:
    """Each in its own units."""
    call = compared(way, "chat", provider, mode)
    assert call.operation == operation
    assert call.usage is not None
    assert call.usage.counts == usage


@_MODES
def test_what_costs_nothing_is_not_booked(provider: Provider, mode: str) -> None:
    """Lists of models and counts of tokens are no calls."""
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, mode).run(ways.method("models.list"))
        if mode == "sync":
            counting = ways.method("messages.count_tokens", **{**KINDS["messages"].arguments, "max_tokens": 1})
            Caller(KINDS["messages"], provider.url, "sync").run(counting)
        assert not watched.calls()
        assert not watched.spans()


CLIENTS = [
    ("azure", "azure.ai.openai"), ("bedrock", "aws.bedrock"), ("vertex", "gcp.vertex_ai"), ("groq", "groq"),
    ("together", "together"), ("fireworks", "fireworks"), ("cerebras", "cerebras"), ("perplexity", "perplexity"),
]  # fmt: skip


@_MODES
@pytest.mark.parametrize("way", ["whole", "stream", "raw", "break", "never read"])
@pytest.mark.parametrize(("kind", "provider_name"), CLIENTS)
def test_every_client_is_watched_alike(kind: str, provider_name: str, way: str, provider: Provider, mode: str) -> None:
    """The clients of clouds and of the libraries of the same family."""
    found = {**ways.READ_TO_THE_END, **ways.CUT_SHORT, **ways.UNREAD}[way]
    call = compared(found, kind, provider, mode)
    assert call.provider == provider_name
    assert call.request_model == KINDS[kind].arguments["model"]
    assert call.usage is not None
    if way in ways.READ_TO_THE_END and (way != "stream" or kind not in {"groq", "perplexity"}):
        assert call.usage.counts == usage_of(kind)
    if way in ways.CUT_SHORT or way in ways.UNREAD:
        assert not call.usage.complete
        assert call.outcome == ABANDONED


@_MODES
@pytest.mark.parametrize("way", ["whole", "stream"])
def test_a_reported_cost_goes_before_the_table(way: str, provider: Provider, mode: str) -> None:
    """OpenRouter says what it charged."""
    usage = {**CHAT_USAGE, "cost": 0.00123}
    *chunks, last, done = chat_chunks(usage=None)

    def prepare(provider: Provider) -> None:
        stream = events([*chunks, {**last, "usage": usage}, done])
        provider.replies.append(whole(completion(usage=usage)) if way == "whole" else stream)

    call = compared(ways.READ_TO_THE_END[way], "chat", provider, mode, prepare=prepare)
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == (1_230_000, "reported")


def _stopped(*more: Any) -> Reply:
    """The first events of a response that is made in the background, and how they stop."""
    begun = [body for body in response_events() if body["type"] != "response.completed"]
    for body in begun:
        if "response" in body:
            body["response"]["background"] = True
    return events([*begun, *more], named=True)


async def _stop_and_fetch(c: Caller) -> None:
    stream = await c.create(background=True, stream=True)
    await c.some(stream, 5)
    await c.get(stream.close())
    c.look(await c.get(c.methods.retrieve("resp_1")))


async def _stop_and_resume(c: Caller) -> None:
    with contextlib.suppress(Exception):
        await c.look_at_each(await c.create(background=True, stream=True))
    await c.look_at_each(await c.get(c.methods.retrieve("resp_1", stream=True, starting_after=5)))


@_MODES
@pytest.mark.parametrize(
    ("way", "stop", "rest"),
    [
        (_stop_and_fetch, (), whole(response(background=True))),
        (_stop_and_resume, (), _stopped({"type": "response.completed", "response": response(background=True)})),
        (_stop_and_resume, (CUT,), _stopped({"type": "response.completed", "response": response(background=True)})),
    ],
    ids=["left", "ended", "cut"],
)
def test_a_background_stream_that_stops_is_booked_when_the_answer_is_fetched(
    provider: Provider, mode: str, way: Callable[[Caller], Any], stop: tuple[Any, ...], rest: Reply
) -> None:
    """The work goes on: what the stream showed is no estimate of it, and the answer is not taken for booked."""
    provider.replies += [_stopped(*stop), rest]
    with Watched() as watched:
        Caller(KINDS["responses"], provider.url, mode).run(way)
        call = watched.call()
    assert (call.outcome, call.request_model) == (OK, "gpt-4o-mini")
    assert call.usage is not None
    assert (call.usage.counts, call.usage.complete) == (OPENAI_USAGE, True)
