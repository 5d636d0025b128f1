"""Calls that fail, break, time out, are cancelled or cross threads: the caller sees the same, and they are booked once."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ways
from answers import (
    CUT,
    chat_chunks,
    completion,
    error,
    events,
    message_events,
    response_events,
    whole,
)
from caller import KINDS, Caller
from comparing import ANTHROPIC, OPENAI_USAGE, booked, compared
from costspan import names
from costspan.facts.call import ABANDONED, ERROR, OK
from costspan.facts.money import Unpriced
from provider import Provider
from watching import Watched

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def _cut(bodies: list[Any], *, named: bool) -> Callable[[Provider], None]:
    def prepare(provider: Provider) -> None:
        provider.replies.append(events([*bodies[:6], CUT], named=named))

    return prepare


_STREAMS = {
    "chat": (chat_chunks(), False),
    "responses": (response_events(), True),
    "messages": (message_events(), True),
}


@_MODES
@pytest.mark.parametrize("kind", _STREAMS)
def test_a_connection_that_breaks_is_an_error_and_an_estimate(kind: str, provider: Provider, mode: str) -> None:
    """The caller gets the library's exception; what was streamed until then is booked."""
    bodies, named = _STREAMS[kind]
    call = compared(ways.to_the_end, kind, provider, mode, prepare=_cut(bodies, named=named))
    assert call.outcome == ERROR
    assert call.error_type
    assert call.usage is not None
    assert not call.usage.complete
    assert call.usage.get("output") in range(1, 8)
    if kind in ANTHROPIC:
        assert call.usage.get("input") == 11


@_MODES
@pytest.mark.parametrize("kind", _STREAMS)
def test_an_error_within_a_stream_is_an_error(kind: str, provider: Provider, mode: str) -> None:
    """The provider's error event becomes the library's exception, with and without costspan."""
    bodies, named = _STREAMS[kind]
    fault = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    if kind == "responses":
        fault = {"type": "error", "code": "server_error", "message": "no", "param": None, "sequence_number": 9}

    def prepare(provider: Provider) -> None:
        provider.replies.append(events([*bodies[:6], fault], named=named))

    call = compared(ways.to_the_end, kind, provider, mode, prepare=prepare)
    assert call.outcome == ERROR
    assert call.error_type


@_MODES
@pytest.mark.parametrize("way", ["stream", "raw stream", "read along by iter_lines"])
@pytest.mark.parametrize("kind", _STREAMS)
def test_an_error_in_place_of_a_stream_is_not_estimated(kind: str, way: str, provider: Provider, mode: str) -> None:
    """Nothing was shown, nothing was reported: it costs what a request costs that is refused by its status."""
    fault: dict[str, Any] = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    if kind == "responses":
        fault = {"type": "error", "code": "server_error", "message": "no", "param": None, "sequence_number": 0}

    def prepare(provider: Provider) -> None:
        provider.replies.append(events([fault], named=_STREAMS[kind][1]))

    call = compared(ways.READ_TO_THE_END[way], kind, provider, mode, prepare=prepare)
    assert call.outcome == ERROR
    assert (call.usage, call.price) == (None, None)


@_MODES
@pytest.mark.parametrize("way", ["stream", "raw stream"])
@pytest.mark.parametrize("kind", ["chat", "fireworks"])
@pytest.mark.parametrize("has_usage", [True, False])
def test_an_error_event_that_carries_the_usage_is_the_last_word(
    kind: str, way: str, provider: Provider, mode: str, *, has_usage: bool
) -> None:
    """Raised by the library, or handed on: the caller learns of it, and what it reports is booked, not estimated."""
    fault = {**chat_chunks()[-2], "error": {"code": 502, "message": "no luck"}}
    if not has_usage:
        del fault["usage"]

    def prepare(provider: Provider) -> None:
        provider.replies.append(events([*chat_chunks(usage=None)[:4], fault]))

    call = compared(ways.READ_TO_THE_END[way], kind, provider, mode, prepare=prepare)
    assert call.outcome == ERROR
    assert call.usage is not None
    assert (call.usage.counts == OPENAI_USAGE) == has_usage
    if way == "stream":  # whose response was read to where the library raised: no less, but maybe not all
        assert call.usage.complete == has_usage


@_MODES
@pytest.mark.parametrize("way", ["whole", "raw", "stream", "read along by read"])
@pytest.mark.parametrize("kind", ["chat", "messages"])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_a_refused_call_is_an_error_without_usage(
    status: int, kind: str, way: str, provider: Provider, mode: str
) -> None:
    """The library's exception comes through; the call is counted, and nothing is charged for it."""

    def prepare(provider: Provider) -> None:
        provider.replies.extend([error(status)] * 2)

    call = compared(ways.READ_TO_THE_END[way], kind, provider, mode, prepare=prepare)
    assert call.outcome == ERROR
    assert call.http_status == status
    assert call.usage is None
    assert call.price is None


@_MODES
def test_retries_of_the_library_are_one_call(provider: Provider, mode: str) -> None:
    """Only the answer is billed, so only the answer is booked."""

    def prepare(provider: Provider) -> None:
        provider.replies.extend([error(429, **{"retry-after-ms": "1"})] * 2)

    call = compared(ways.whole, "chat", provider, mode, prepare=prepare, max_retries=2)
    assert call.outcome == OK
    assert call.usage is not None
    assert call.usage.counts == OPENAI_USAGE


@_MODES
@pytest.mark.parametrize("kind", ["chat", "messages"])
def test_a_timeout_is_an_error_that_may_have_been_charged(kind: str, provider: Provider, mode: str) -> None:
    """The provider goes on working for a caller that has hung up: the call is unpriced, not free."""
    answering = threading.Event()

    def prepare(provider: Provider) -> None:
        provider.replies.append(lambda _: whole(completion()) if answering.wait(20) else error(500))

    call = compared(ways.whole, kind, provider, mode, prepare=prepare, timeout=0.05)
    answering.set()
    assert call.outcome == ERROR
    assert call.error_type == "APITimeoutError"
    assert isinstance(call.price, Unpriced)


@pytest.mark.parametrize("kind", _STREAMS)
@pytest.mark.parametrize("at", [0, 6])
def test_a_cancelled_task_is_booked(kind: str, at: int, provider: Provider) -> None:
    """Cancelled before the first event or in mid-stream: the cancellation comes through, and the call is booked."""
    bodies, named = _STREAMS[kind]
    answering = threading.Event()
    provider.replies.append(events([*bodies[:at], answering, *bodies[at:]], named=named))

    async def way(c: Caller) -> None:
        assert c.methods is not None  # or the test is skipped, here rather than within the task
        read: asyncio.Queue[Any] = asyncio.Queue()

        async def reading() -> None:
            stream = await c.create(stream=True)
            await read.put(None)
            async for item in stream:
                await read.put(item)

        task = asyncio.ensure_future(reading())
        for _ in range(max(at, 1)):  # one fewer than were sent: a ping is for the library alone
            await asyncio.wait_for(read.get(), 20)  # a task that fails puts nothing more
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answering.set()

    with Watched() as watched:
        Caller(KINDS[kind], provider.url, "async").run(way)
        call = booked(watched)
    assert call.outcome == ABANDONED
    assert call.error_type == "CancelledError"
    assert call.usage is not None
    assert not call.usage.complete


def test_a_coroutine_may_be_closed_from_another_context(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    """A framework that closes what it gave up does so from where it stands: no word about contexts, one call booked."""
    answering = threading.Event()
    provider.replies.append(lambda _: whole(completion()) if answering.wait(20) else error(500))

    async def way(c: Caller) -> None:
        coroutine = c.methods.create(**c.arguments)
        await asyncio.sleep(0)
        waited_for = contextvars.copy_context().run(coroutine.send, None)
        try:
            contextvars.copy_context().run(coroutine.close)
        except RuntimeError:  # of httpx2, which goes on waiting, on Python 3.14; without us as well
            expected.append(ERROR)
        answering.set()
        assert waited_for is not None

    expected = [ABANDONED]
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, "async").run(way)
        assert watched.call().outcome == expected[-1]
    assert not [record for record in caplog.records if "context" in record.getMessage()]


def test_threads_share_a_client(provider: Provider) -> None:
    """Every call of every thread is booked, and no other."""
    with Watched() as watched:
        caller = Caller(KINDS["chat"], provider.url, "sync")
        caller.open()

        def work(_: int) -> None:
            stream = caller.methods.create(**caller.arguments, stream=True)
            assert len([*stream]) == len(chat_chunks(usage=None)) - 1
            caller.methods.create(**caller.arguments)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(24)))
        caller.client.close()
        calls = watched.calls()
        assert len(calls) == 48
        assert all(call.usage is not None and call.usage.counts == OPENAI_USAGE for call in calls)
        assert watched.total(names.INPUT_TOKENS) == 48 * 11
        assert len(watched.spans()) == 48


def test_a_stream_may_end_in_another_thread(provider: Provider) -> None:
    """Made here, read there."""
    with Watched() as watched:
        caller = Caller(KINDS["chat"], provider.url, "sync")
        caller.open()
        stream = caller.methods.create(**caller.arguments, stream=True)
        with ThreadPoolExecutor(1) as threads:
            threads.submit(list, stream).result()
        caller.client.close()
        assert booked(watched).outcome == OK
