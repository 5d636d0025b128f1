"""carry(): a function taken along to another thread, loop or process, with the attribution of where it was taken."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from costspan.facts.attribution import NOBODY, Attribution
from costspan.scope import attribution, carry, current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def session() -> str | None:
    """The session that is current."""
    return current().session


async def async_session() -> str | None:
    await asyncio.sleep(0)
    return current().session


def sessions() -> Iterator[str | None]:
    yield current().session
    yield current().session


def in_thread(function: Callable[[], str | None]) -> str | None:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(10)


def test_a_carried_function_runs_as_where_it_was_taken() -> None:
    """What was current when it was carried is current when it runs, in another thread and after the scope's end."""
    with attribution(session="s"):
        carried = carry(session)
    assert session() is None
    assert carried() == "s"
    assert in_thread(carried) == "s"
    assert current() == NOBODY


def test_what_was_open_is_open_elsewhere() -> None:
    """A carried function takes no word from the place where it runs."""
    unsaid = carry(current)
    with attribution(team="t"):
        team_only = carry(current)
    with attribution(session="elsewhere"):
        assert unsaid() == NOBODY
        assert team_only() == Attribution(team="t")
        assert current() == Attribution(session="elsewhere")


def test_a_carried_function_keeps_its_kind_and_name() -> None:
    """Coroutine and generator functions stay what they are, and all keep their names."""
    assert carry(session).__name__ == "session"
    assert carry(session).__doc__ == "The session that is current."
    assert inspect.iscoroutinefunction(carry(async_session))
    assert inspect.isgeneratorfunction(carry(sessions))
    with attribution(session="s"):
        carried = carry(sessions)
    assert list(carried()) == ["s", "s"]


async def test_a_coroutine_is_carried_to_another_loop() -> None:
    """A coroutine handed to a loop in another thread runs as where it was carried."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with attribution(session="s"):
            carried = carry(async_session)
        assert asyncio.run_coroutine_threadsafe(carried(), loop).result(10) == "s"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def test_a_carried_function_goes_through_pickle() -> None:
    """It can be sent to another process, as the function itself can."""
    with attribution(session="s", team="t"):
        sent = pickle.dumps(carry(current))
    assert pickle.loads(sent)() == Attribution("s", team="t")  # noqa: S301
