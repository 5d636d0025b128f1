"""A program that calls models through AWS's library, sync or async, and notes what it sees."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

from answers import Asked, Reply
from costspan import names
from costspan.facts.call import Call
from provider import Provider
from watching import Watched

GIVEN: dict[str, Any] = {"region_name": "us-east-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}


def is_there(mode: str) -> bool:
    """Whether the library is installed in this form."""
    return find_spec("boto3" if mode == "sync" else "aiobotocore") is not None


@cache
def _session(mode: str) -> Any:
    """A session: making one for each client costs a tenth of a second."""
    if mode == "sync":
        return import_module("boto3").Session()
    if find_spec("aioboto3") is not None:
        return import_module("aioboto3").Session()
    return import_module("aiobotocore.session").get_session()


def options(**more: Any) -> Any:
    """Options of a client: no retries unless said."""
    kind = import_module("botocore.config").Config
    return kind(**{"retries": {"max_attempts": 0}, "read_timeout": 20, "parameter_validation": True, **more})


def sync_client(url: str, service: str = "bedrock-runtime", **more: Any) -> Any:
    """A client of boto3."""
    return _session("sync").client(service, endpoint_url=url, config=options(**more), **GIVEN)


@asynccontextmanager
async def async_client(url: str, service: str = "bedrock-runtime", **more: Any) -> AsyncGenerator[Any, None]:
    """A client of aioboto3, or of aiobotocore where that is not installed."""
    session = _session("async")
    make = session.client if hasattr(session, "client") else session.create_client
    async with make(service, endpoint_url=url, config=options(**more), **GIVEN) as client:
        yield client


class Asker:
    """A program that uses one client and notes what it sees. Its ways are written once, in asynchronous form."""

    def __init__(self, url: str, mode: str, **more: Any) -> None:
        self.is_async = mode == "async"
        self.url = url
        self.more = more
        self.seen: list[Any] = []
        self.of: Any = None

    async def get(self, value: Any) -> Any:
        """The value, awaited if it is to be."""
        return await value if hasattr(value, "__await__") else value

    async def ask(self, method: str, **arguments: Any) -> Any:
        """The answer of a method of the client, noted without what differs from one time to the next."""
        answer = await self.get(getattr(self.of, method)(**arguments))
        metadata = {**answer["ResponseMetadata"]}
        metadata["HTTPHeaders"] = {k: v for k, v in metadata["HTTPHeaders"].items() if k != "date"}
        self.look({**{k: v if _is_plain(v) else type(v) for k, v in answer.items()}, "ResponseMetadata": metadata})
        return answer

    async def each(self, iterable: Any, most: int = -1) -> None:
        """The items of a stream, or the first of them."""
        if self.is_async:
            async for item in iterable:
                self.look(item)
                most -= 1
                if not most:
                    break
        else:
            for item in iterable:
                self.look(item)
                most -= 1
                if not most:
                    break

    def look(self, value: Any) -> Any:
        """Note a value and its type."""
        self.seen.append((type(value), value))
        return value

    def run(self, way: Callable[[Asker], Coroutine[Any, Any, None]]) -> list[Any]:
        """Ask in one of the ways; what was seen, the exception included."""
        if self.is_async:
            asyncio.run(self._within(way))
        else:
            self.of = sync_client(self.url, **self.more)
            with pytest.raises(StopIteration):
                self._noted(way).send(None)
            self.of.close()
        return self.seen

    async def _within(self, way: Callable[[Asker], Awaitable[None]]) -> None:
        async with async_client(self.url, **self.more) as self.of:
            await self._noted(way)
            gc.collect()  # what was let go of is closed while the loop still runs
            await asyncio.sleep(0)

    async def _noted(self, way: Callable[[Asker], Awaitable[None]]) -> None:
        try:
            await way(self)
        except Exception as error:  # noqa: BLE001  # whatever the caller would see
            self.seen.append((type(error).__qualname__, str(error).replace(self.url, "")))


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bytes | list | dict)


Replies = list[Reply | Callable[[Asked], Reply]]


def asked(
    way: Callable[[Asker], Coroutine[Any, Any, None]], replies: Callable[[], Replies], provider: Provider, mode: str,
    **more: Any,
) -> list[Call]:  # fmt: skip
    """The calls that costspan booked, where the caller saw the same with and without it."""
    if not is_there(mode):
        pytest.skip("the library is not installed in this form")
    provider.replies.extend(replies())
    plain = Asker(provider.url, mode, **more).run(way)
    assert not provider.replies, plain
    provider.replies.extend(replies())
    with Watched() as watched:
        assert Asker(provider.url, mode, **more).run(way) == plain
        calls = list(watched.calls())
        assert len(watched.spans()) == len(watched.events()) == len(calls)
        assert watched.total(names.REQUESTS) == len(calls)
    return calls
