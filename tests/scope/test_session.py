"""Scopes: what is current, inside and outside, in threads and tasks, in whatever order they end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import baggage
from opentelemetry import context as otel

from costspan.facts.attribution import NOBODY, Attribution
from costspan.scope import attribution, current, defaults, environment, forget_defaults, read_defaults
from costspan.scope.session import Attributed


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is left behind in the context, and OpenTelemetry has nothing to complain about."""
    with caplog.at_level(logging.WARNING):
        yield
    forget_defaults()
    assert current() == NOBODY
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


def test_nobody_said_means_nobody() -> None:
    """Without a scope and without defaults every word is unsaid."""
    assert current() == NOBODY


def test_an_inner_scope_overrides_word_by_word() -> None:
    """What the inner scope leaves open, the outer one says; at the end the outer one is back."""
    with attribution(session="s1", team="search"):
        with attribution(session="s2", task_type="rank", team=None, source=""):
            assert current() == Attribution(session="s2", task_type="rank", team="search")
        assert current() == Attribution(session="s1", team="search")


def test_a_scope_ends_with_an_exception() -> None:
    """The exception goes through untouched, and the scope is over."""
    fault = ValueError("the program's own")
    with pytest.raises(ValueError, match="own") as caught, attribution(team="a"):
        raise fault
    assert caught.value is fault


def test_one_object_may_be_entered_again_inside_itself() -> None:
    """A scope is re-entrant: each end takes back one beginning."""
    scope = attribution(session="s")
    with scope:
        with scope:
            assert current().session == "s"
        assert current().session == "s"


async def test_one_object_may_serve_many_tasks_at_once() -> None:
    """Tasks that share a scope object, and end in any order, do not end each other's scope."""
    scope = attribution(session="shared")

    async def work(turns: int) -> tuple[list[str | None], Attribution]:
        seen: list[str | None] = []
        with scope:
            for _ in range(turns):
                await asyncio.sleep(0)
                seen.append(current().session)
        return seen, current()

    expected = [(["shared"] * turns, NOBODY) for turns in (3, 1, 2)]
    assert await asyncio.gather(work(3), work(1), work(2)) == expected


def test_one_object_may_serve_many_threads_at_once() -> None:
    """Threads that share a scope object do not end each other's scope."""
    scope = attribution(session="shared")
    inside = threading.Barrier(4)

    def work() -> tuple[str | None, Attribution]:
        with scope:
            inside.wait(10)
            session = current().session
            inside.wait(10)
        return session, current()

    with ThreadPoolExecutor(4) as pool:
        assert [future.result() for future in [pool.submit(work) for _ in range(4)]] == [("shared", NOBODY)] * 4


async def test_async_with_is_the_same() -> None:
    """`async with` does what `with` does."""
    async with attribution(team="search"):
        await asyncio.sleep(0)
        assert current().team == "search"


async def test_a_task_keeps_the_scope_it_was_created_in() -> None:
    """A task created inside belongs to the scope, also after the scope has ended, and after scopes of its own."""

    async def work() -> list[str | None]:
        await asyncio.sleep(0)
        seen = [current().session]
        with attribution(task_type="inner"):
            seen.append(current().session)
        return [*seen, current().session]

    with attribution(session="s"):
        task = asyncio.create_task(work())
    assert await task == ["s", "s", "s"]


async def test_tasks_side_by_side_do_not_see_each_other() -> None:
    """Each task has its own attribution, however their turns interleave."""

    async def work(session: str) -> list[str | None]:
        seen: list[str | None] = []
        with attribution(session=session):
            for _ in range(3):
                await asyncio.sleep(0)
                seen.append(current().session)
        return seen

    with attribution(session="outer"):
        assert await asyncio.gather(work("a"), work("b")) == [["a"] * 3, ["b"] * 3]
        assert current().session == "outer"


def test_what_others_put_in_the_context_stays() -> None:
    """A scope's end takes out the attribution and nothing else."""
    before = otel.get_current()
    with attribution(team="search"):
        otel.attach(baggage.set_baggage("theirs", "kept"))
    assert baggage.get_baggage("theirs") == "kept"
    otel.attach(before)


def holding(name: str) -> Generator[str | None, None, None]:
    with attribution(session=name):
        yield current().session
        yield current().session


def test_scopes_in_generator_bodies_may_end_in_the_order_they_began() -> None:
    """Two interleaved generators that hold scopes leave nothing behind, whichever ends first."""
    first, second = holding("first"), holding("second")
    assert [next(first), next(second)] == ["first", "second"]
    first.close()
    assert current().session == "second"
    second.close()
    assert current() == NOBODY


def in_another_thread(function: Callable[[], None]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(10)


def in_an_empty_context(function: Callable[[], None]) -> None:
    contextvars.Context().run(function)


def in_a_copied_context(function: Callable[[], None]) -> None:
    contextvars.copy_context().run(function)


@pytest.mark.parametrize("elsewhere", [in_another_thread, in_an_empty_context, in_a_copied_context])
def test_a_scope_that_ends_elsewhere_does_no_harm(elsewhere: Callable[[Callable[[], None]], None]) -> None:
    """A generator that holds a scope and is closed in another thread or context raises nothing and logs nothing."""

    def story() -> None:
        generator = holding("s")
        next(generator)
        elsewhere(generator.close)

    contextvars.copy_context().run(story)


async def test_an_abandoned_async_generator_that_holds_a_scope_does_no_harm() -> None:
    """The event loop closes it in a task of its own; nothing is raised, logged or left behind there."""

    async def hold() -> AsyncGenerator[int, None]:
        with attribution(session="s"):
            yield 1
            yield 2

    async def abandon() -> None:
        async for _ in hold():
            break

    await asyncio.create_task(abandon())
    gc.collect()
    await asyncio.get_running_loop().shutdown_asyncgens()


class TrackedScope(Attributed):
    """One that can be weakly referenced."""

    __slots__ = ("__weakref__",)


async def test_a_chain_of_tasks_does_not_keep_its_past() -> None:
    """A task that starts its successor inside its scope, for ever, does not pile up the scopes of all before it."""
    scopes: list[weakref.ref[TrackedScope]] = []
    tasks: list[asyncio.Task[None]] = []

    async def step(rest: int) -> None:
        scope = TrackedScope(Attribution(session=str(rest)))
        scopes.append(weakref.ref(scope))
        with scope:
            if rest:
                tasks.append(asyncio.create_task(step(rest - 1)))

    await step(50)
    for turn in range(50):
        await tasks[turn]
    del tasks[:-1]
    gc.collect()
    assert len(scopes) == 51
    assert sum(scope() is not None for scope in scopes) <= 2


def test_defaults_speak_last() -> None:
    """The defaults of the process fill what no scope says, at once also in scopes that are open already."""
    with attribution(session="s"):
        defaults(team="search", session="default")
        assert current() == Attribution(session="s", team="search")
    assert current() == Attribution(session="default", team="search")
    defaults(account="a1")
    assert current() == Attribution(session="default", team="search", account="a1")


def test_a_named_context_is_read_instead_of_the_current_one() -> None:
    """`current(context)` answers for that context."""
    with attribution(session="then"):
        then = otel.get_current()
    assert current(then).session == "then"
    assert current().session is None


def test_the_environment_states_defaults() -> None:
    """OTEL_COSTSPAN_* variables are the defaults; an empty one says nothing, control characters are cleaned."""
    environ = {
        "OTEL_COSTSPAN_SESSION": "nightly-7",
        "OTEL_COSTSPAN_TASK_TYPE": "",
        "OTEL_COSTSPAN_SOURCE": "heartbeat",
        "OTEL_COSTSPAN_TEAM": "se\x1barch",
        "TEAM": "other",
    }
    assert read_defaults(environ) == Attribution(session="nightly-7", source="heartbeat", team="se arch")


def test_a_child_reads_what_its_parent_wrote() -> None:
    """`environment()` writes what is said, and `read_defaults` reads the same from it."""
    defaults(team="search")
    with attribution(session="zoë 👩‍💻", account="a"):
        assert read_defaults(environment()) == current()
        assert "OTEL_COSTSPAN_SOURCE" not in environment()
