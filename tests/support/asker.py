"""A program that uses one client of some library, sync or async, and notes what it sees."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

import pytest

from answers import Asked, Reply
from costspan import names
from costspan.facts.call import Call
from provider import Provider
from watching import Watched


class Asker:
    """What every such program has. Its ways are written once, in asynchronous form.

    The program of a library derives from it, and says what its client is (`of`) and how that is closed.
    """

    def __init__(self, mode: str) -> None:
        self.is_async = mode == "async"
        self.seen: list[Any] = []
        self.of: Any = None

    async def get(self, value: Any) -> Any:
        """The value, awaited if it is to be, and noted."""
        value = await value if hasattr(value, "__await__") else value
        self.look(value)
        return value

    async def stream(self, value: Any, most: int = -1) -> None:
        """The items of a stream, or the first of them: whatever is iterated over is let go of."""
        if self.is_async:
            async for item in await value if hasattr(value, "__await__") else value:
                self.look(item)
                most -= 1
                if not most:
                    break
        else:
            for item in value:
                self.look(item)
                most -= 1
                if not most:
                    break

    async def exhaust(self, stream: Any) -> None:
        """Go through all items of a stream, and note none."""
        if self.is_async:
            async for _ in stream:
                pass
        else:
            for _ in stream:
                pass

    def look(self, value: Any) -> None:
        """Note a type and a content."""
        self.seen.append((type(value), value))

    def told(self, error: Exception) -> str:
        """What an exception says, of which nothing may differ from one time to the next."""
        return str(error)

    async def close(self) -> None:
        """Let go of the client."""

    def run(self, way: Callable[[Any], Coroutine[Any, Any, None]]) -> list[Any]:
        """Ask in one of the ways; what was seen, the exception included."""
        if self.is_async:
            asyncio.run(self._noted(way))
            return self.seen
        with pytest.raises(StopIteration):
            self._noted(way).send(None)
        return self.seen

    async def _noted(self, way: Callable[[Any], Awaitable[None]]) -> None:
        try:
            await way(self)
        except Exception as error:  # noqa: BLE001  # whatever the caller would see
            self.seen.append((type(error), self.told(error)))
        if self.is_async:
            gc.collect()  # what was let go of is closed while the loop still runs
            await asyncio.sleep(0)
        await self.close()


Replies: TypeAlias = "list[Reply | Callable[[Asked], Reply]]"


def asked(
    make: Callable[[], Asker], way: Callable[[Any], Coroutine[Any, Any, None]], replies: Callable[[], Replies],
    provider: Provider,
) -> list[Call]:  # fmt: skip
    """The calls that costspan booked, where the caller saw the same with and without it."""
    provider.replies.extend(replies())
    plain = make().run(way)
    assert not provider.replies, plain
    provider.replies.extend(replies())
    with Watched() as watched:
        seen = make().run(way)
        assert seen == plain, (seen, plain, [(each.path, each.body) for each in provider.asked])
        calls = list(watched.calls())
        assert len(watched.spans()) == len(watched.events()) == len(calls)
        assert watched.total(names.REQUESTS) == len(calls)
    return calls
