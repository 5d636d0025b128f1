"""Decorated functions: under the attribution while they run, of the kind they were, and out of the way otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import inspect
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from costspan.facts.attribution import NOBODY
from costspan.scope import attribution, current

tracer = TracerProvider().get_tracer("test")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is left behind in the context, and nobody has anything to complain about."""
    with caplog.at_level(logging.WARNING):
        yield
    assert current() == NOBODY
    assert not [record for record in caplog.records if record.name == "costspan"]


@contextlib.contextmanager
def noting(seen: list[object]) -> Generator[None]:
    try:
        yield
    except LookupError as fault:
        seen.append(repr(fault))


@attribution(session="s")
def plain() -> str | None:
    return current().session


@attribution(session="s")
async def coroutine() -> str | None:
    await asyncio.sleep(0)
    return current().session


@attribution(session="s")
def generator() -> Generator[str | None, object, str]:
    seen: list[object] = []
    while len(seen) < 2:
        with noting(seen):
            seen.append((yield current().session))
    return f"{seen} {current().session}"


@attribution(session="s")
async def async_generator() -> AsyncGenerator[object, object]:
    seen: list[object] = []
    while len(seen) < 2:
        await asyncio.sleep(0)
        with noting(seen):
            seen.append((yield current().session))
    yield f"{seen} {current().session}"


def test_the_kind_of_a_function_is_kept() -> None:
    """Frameworks that ask what a function is get the true answer, and its name and signature."""
    assert inspect.isfunction(plain)
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)
    assert coroutine.__name__ == "coroutine"
    assert str(inspect.signature(generator)) == "() -> 'Generator[str | None, object, str]'"


def test_a_plain_function_runs_inside() -> None:
    """The attribution holds for the call and no longer."""
    assert plain() == "s"


async def test_a_coroutine_runs_inside() -> None:
    """The attribution holds over every await, in calls at the same time."""
    assert await asyncio.gather(coroutine(), coroutine()) == ["s", "s"]


def test_a_generator_runs_inside_and_its_caller_outside() -> None:
    """Between the turns the caller has its own attribution; values, exceptions and the result go through."""
    with attribution(session="caller"):
        body = generator()
        assert (next(body), current().session) == ("s", "caller")
        assert (body.send("sent"), current().session) == ("s", "caller")
        with pytest.raises(StopIteration) as stopped:
            body.throw(KeyError("thrown"))
        assert current().session == "caller"
    assert stopped.value.value == """['sent', "KeyError('thrown')"] s"""


async def test_an_async_generator_runs_inside_and_its_caller_outside() -> None:
    """The same for async generators."""
    async with attribution(session="caller"):
        body = async_generator()
        assert (await body.__anext__(), current().session) == ("s", "caller")
        assert (await body.asend("sent"), current().session) == ("s", "caller")
        assert await body.athrow(KeyError("thrown")) == """['sent', "KeyError('thrown')"] s"""
        with pytest.raises(StopAsyncIteration):
            await body.__anext__()
        assert current().session == "caller"


def test_generators_side_by_side_do_not_see_each_other() -> None:
    """Interleaved turns each find their own attribution, and each inherits what held at its first turn."""

    def turns() -> Iterator[tuple[str | None, str | None]]:
        for _ in range(2):
            yield current().session, current().team

    with attribution(team="caller"):
        first, second = attribution(session="1")(turns)(), attribution(session="2")(turns)()
        seen = [next(first), next(second)]
    assert [*seen, next(first), next(second)] == [("1", "caller"), ("2", "caller")] * 2


def test_what_a_generator_holds_open_waits_with_it() -> None:
    """A scope that the body holds over a yield is there at the next turn, and never at the caller's."""

    @attribution(session="s")
    def body() -> Iterator[tuple[str | None, str | None]]:
        with attribution(team="inner"):
            yield current().session, current().team
            yield current().session, current().team
        yield current().session, current().team

    outside: list[str | None] = []
    inside: list[tuple[str | None, str | None]] = []
    for seen in body():
        inside.append(seen)
        outside.append(current().team)
    assert inside == [("s", "inner"), ("s", "inner"), ("s", None)]
    assert outside == [None, None, None]


def test_a_span_that_a_generator_holds_open_stays_where_it_was() -> None:
    """Only the attribution is switched: the spans of body and caller are as they would be without us."""

    def body() -> Iterator[str]:
        with tracer.start_as_current_span("inner"):
            yield name()
            yield name()
        yield name()

    def name() -> str:
        return getattr(trace.get_current_span(), "name", "none")

    def story(function: Callable[[], Iterator[str]]) -> list[tuple[str, str]]:
        with tracer.start_as_current_span("outer"):
            return [(inside, name()) for inside in function()]

    assert story(attribution(session="s")(body)) == story(body)


class Closing:
    """A generator function that says what it saw when it was closed."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []

    def body(self) -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            self.seen.append(current().session)

    async def async_body(self) -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            self.seen.append(current().session)


def close_here(body: Generator[int, None, None]) -> None:
    body.close()


def drop(_body: Generator[int, None, None]) -> None:
    """Nothing closes it: the collector will."""


def close_in_thread(body: Generator[int, None, None]) -> None:
    thread = threading.Thread(target=body.close)
    thread.start()
    thread.join(10)


@pytest.mark.parametrize("end", [close_here, close_in_thread, drop])
def test_a_generator_that_ends_early_cleans_up_inside(end: Callable[[Any], None]) -> None:
    """Closed here, closed in another thread, or collected: its last turn is under the attribution too."""
    closing = Closing()
    body: Any = attribution(session="s")(closing.body)()
    next(body)
    end(body)
    del body
    gc.collect()
    assert closing.seen == ["s"]


async def test_an_async_generator_that_is_closed_cleans_up_inside() -> None:
    """`aclose()` reaches the body, under the attribution."""
    closing = Closing()
    async with contextlib.aclosing(attribution(session="s")(closing.async_body)()) as body:
        await body.__anext__()
    assert closing.seen == ["s"]


async def test_an_abandoned_async_generator_cleans_up_inside() -> None:
    """Left by `break`, it is closed by the event loop in a task of its own, under the attribution."""
    closing = Closing()

    async def abandon() -> None:
        async for _ in attribution(session="s")(closing.async_body)():
            break

    await asyncio.create_task(abandon())
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    assert closing.seen == ["s"]


def test_an_async_generator_that_outlives_its_loop_does_no_harm() -> None:
    """Collected after its loop is gone, it raises nothing and logs nothing."""

    async def begin() -> AsyncGenerator[object, object]:
        body = async_generator()
        await body.__anext__()
        return body

    kept = asyncio.run(begin())
    del kept
    gc.collect()


async def test_a_cancelled_turn_reaches_the_body() -> None:
    """Cancelling a task that waits for a decorated async generator cancels the body's own await."""
    reached = asyncio.Event()
    seen: list[str | None] = []

    @attribution(session="s")
    async def body() -> AsyncGenerator[int, None]:
        try:
            reached.set()
            await asyncio.Event().wait()
            yield 1
        except asyncio.CancelledError:
            seen.append(current().session)
            raise

    async def consume() -> None:
        async for _ in body():
            pass

    task = asyncio.create_task(consume())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["s"]


def hidden(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator after the manner of many: what it makes is a plain function."""

    @functools.wraps(function)
    def hiding(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return hiding


async def test_what_came_back_counts_where_another_decorator_hides_the_kind() -> None:
    """A plain function that returns a coroutine or a generator: that runs under the attribution as well."""

    async def session() -> str | None:
        return current().session

    def sessions() -> Iterator[str | None]:
        yield current().session

    async def async_sessions() -> AsyncGenerator[str | None, None]:
        yield current().session

    inside = attribution(session="s")
    assert await inside(hidden(session))() == "s"
    assert list(inside(hidden(sessions))()) == ["s"]
    assert [seen async for seen in inside(hidden(async_sessions))()] == ["s"]


class Methods:
    @attribution(session="s")
    @staticmethod
    def static() -> str | None:
        return current().session

    @attribution(session="s")
    @classmethod
    def of_class(cls) -> tuple[type, str | None]:
        return cls, current().session

    @attribution(session="s")
    def method(self) -> tuple[Any, str | None]:
        return self, current().session


def test_methods_stay_methods() -> None:
    """Static, class and instance methods are decorated in any order of decorators."""
    methods = Methods()
    assert methods.static() == "s"
    assert methods.of_class() == (Methods, "s")
    assert methods.method() == (methods, "s")


def test_an_abandoned_run_does_not_end_another_one() -> None:
    """A run that is left unfinished, and collected within another run of the same function, ends only its own scope."""
    abandoned: list[Any] = []

    class Turn:
        def __await__(self) -> Generator[None]:
            yield

    @attribution(session="s")
    async def run(*, stays: bool) -> str | None:
        if stays:
            await Turn()
        abandoned.clear()
        gc.collect()
        return current().session

    def begin() -> None:
        abandoned.append(run(stays=True))
        abandoned[0].send(None)

    contextvars.Context().run(begin)
    with pytest.raises(StopIteration) as stopped:
        run(stays=False).send(None)
    assert stopped.value.value == "s"


def test_a_recursive_function_may_be_decorated() -> None:
    """Every depth ends its own scope."""

    @attribution(session="s")
    def depth(rest: int) -> list[str | None]:
        return [current().session, *(depth(rest - 1) if rest else [])]

    assert depth(3) == ["s"] * 4


def test_an_exception_goes_through_as_it_is() -> None:
    """The program's exception, with its own traceback last."""
    fault = ValueError("own")

    @attribution(session="s")
    def fail() -> None:
        raise fault

    with pytest.raises(ValueError, match="own") as caught:
        fail()
    assert caught.value is fault
    assert caught.traceback[-1].name == "fail"
