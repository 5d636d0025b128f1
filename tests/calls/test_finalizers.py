"""Streams that are let go of end in finalizers, which run within any line of code: each is booked once, none recurses."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import threading
import time
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

import ways
from answers import chat_chunks, events
from caller import KINDS, Caller
from costspan import guard, instrumentor, names
from costspan.calls import finishing
from costspan.calls.observed_stream import ObservedStream
from costspan.facts.call import ABANDONED
from costspan.facts.money import Cost
from costspan.pricing.opener import LazyPrices
from provider import Provider
from watching import Watched

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def _holders(provider: Provider, mode: str, number: int) -> list[Any]:
    """As many streams, each read a little and held by a cycle, which nobody but the collector ends."""

    async def open_all(c: Caller) -> None:
        for at in range(number):
            held: list[Any]
            if at % 2:
                response = await c.get(c.methods.with_raw_response.create(**c.arguments, stream=True))
                held = [await c.get(response.parse()), response]
            else:
                held = [await c.create(stream=True)]
            await c.get(held[0].__anext__() if c.is_async else held[0].__next__())
            held.append(held)
            found.append(held)

    found: list[Any] = []
    caller = Caller(KINDS["chat"], provider.url, mode)
    provider.replies.extend([events(chat_chunks())] * number)
    if mode == "sync":
        caller.run(open_all)
    else:
        asyncio.run(_run(caller, open_all))
    return found


async def _run(caller: Caller, way: Any) -> None:
    caller.open()
    await way(caller)


@_MODES
def test_hundreds_of_streams_may_be_collected_at_once(provider: Provider, mode: str) -> None:
    """All within the end of one call, with little stack left: none recurses into the end of the next."""
    number = 90  # fewer than the connections that a client may hold
    with Watched() as watched:
        limit = sys.getrecursionlimit()
        gc.disable()
        try:
            found = _holders(provider, mode, number)
            depth = len(_frames())
            found.clear()
            sys.setrecursionlimit(depth + 300)
            gc.collect()
            instrumentor.flush()
        finally:
            sys.setrecursionlimit(limit)
            gc.enable()
        calls = watched.calls()
        assert len(calls) == number
        assert {call.outcome for call in calls} == {ABANDONED}
        assert watched.total(names.REQUESTS) == number
    assert not guard.faults


@pytest.mark.parametrize(("kind", "step"), [(ObservedStream, "answer_so_far"), (LazyPrices, "price")])
def test_a_flush_waits_for_the_thread_that_finishes_late_calls(
    kind: type, step: str, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another thread has taken over is passed on when flush returns, wherever that thread is in it."""
    is_begun, may_go_on = threading.Event(), threading.Event()
    with Watched() as watched:
        found = _holders(provider, "sync", 1)
        function: Any = vars(kind)[step]

        def slow(*args: Any) -> Any:
            is_begun.set()
            assert may_go_on.wait(20)
            return function(*args)

        monkeypatch.setattr(kind, step, slow)
        found.clear()
        gc.collect()
        finisher = threading.Thread(target=finishing.finish_late)
        finisher.start()
        assert is_begun.wait(20)
        threading.Timer(0.2, may_go_on.set).start()
        instrumentor.flush()
        assert may_go_on.is_set()
        assert watched.total(names.REQUESTS) == 1
        finisher.join()


@_MODES
def test_a_late_call_is_finished_outside_of_the_context_of_who_comes_by(provider: Provider, mode: str) -> None:
    """A span that is ended where others want no spans is dropped by who exports it (Logfire)."""
    key = "suppress_instrumentation"
    found_there: list[Any] = []

    class Looks(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            found_there.append((names.QUALITY in (span.attributes or {}), otel_context.get_value(key)))

    with Watched() as watched:
        watched.tracer_provider.add_span_processor(Looks())
        found = _holders(provider, mode, 1)
        found.clear()
        gc.collect()
        token = otel_context.attach(otel_context.set_value(key, "yes"))
        try:
            finishing.finish_late()
        finally:
            otel_context.detach(token)
    assert found_there == [(True, None)]


def _frames() -> list[Any]:
    found: list[Any] = []
    frame = inspect.currentframe()
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


@_MODES
def test_streams_collected_while_the_prices_load_are_priced(
    provider: Provider, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever loads the table may be interrupted by the collector anywhere in it."""
    held: list[Any] = []
    load: Any = vars(LazyPrices)["_load"]

    def interrupted(self: LazyPrices) -> Any:
        held.clear()
        gc.collect()
        return load(self)

    monkeypatch.setattr(LazyPrices, "_load", interrupted)
    with Watched() as watched:
        gc.disable()
        try:
            held += _holders(provider, mode, 20)
            Caller(KINDS["chat"], provider.url, "sync").run(_whole)
        finally:
            gc.enable()
        calls = watched.calls()
    assert len(calls) == 21
    assert all(isinstance(call.price, Cost) for call in calls)


async def _whole(c: Caller) -> None:
    await c.create()


def test_a_stream_closed_by_a_finalizer_within_the_end_of_a_call_comes_after_it(provider: Provider) -> None:
    """A program's own object may close its stream when it is collected, in the middle of our work."""
    with Watched() as watched:
        assert instrumentor.pipeline is not None
        recorder = instrumentor.pipeline.recorder
        order: dict[int, list[str]] = {}  # of each thread: costspan's own may take what is left to the next
        finished = recorder.finished

        def noting(watch: Any) -> None:
            mine = order.setdefault(threading.get_ident(), [])
            mine.append("begins")
            while held:
                held.pop().close()
            finished(watch)
            mine.append("ends")

        held: list[Any] = []
        recorder.finished = noting  # type: ignore[method-assign]

        async def way(c: Caller) -> None:
            held.extend([await c.create(stream=True) for _ in range(3)])
            await c.create()

        Caller(KINDS["chat"], provider.url, "sync").run(way)
        assert len(watched.calls()) == 4
    assert all(mine == ["begins", "ends"] * (len(mine) // 2) for mine in order.values()), order
    assert sum(len(mine) for mine in order.values()) == 8


@_MODES
@pytest.mark.parametrize("thread", ["this", "one that has ended"])
def test_a_mark_left_behind_keeps_no_call_from_being_finished(provider: Provider, mode: str, thread: str) -> None:
    """An exception that comes at any moment, as a signal's, may leave the mark of a thread that finishes a call."""
    finishing.threads.add(threading.get_ident() if thread == "this" else -1)
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, mode).run(ways.kept)
        began_s = time.monotonic()
        assert watched.call().outcome == ABANDONED
        assert time.monotonic() - began_s < finishing._PATIENCE_S
    assert not finishing.threads


def test_a_mark_is_left_by_nothing_that_fails(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by what stops no guard."""

    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    with Watched():
        assert instrumentor.pipeline is not None
        monkeypatch.setattr(instrumentor.pipeline.recorder, "finished", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
    assert not finishing.threads
