"""A program that asks Google's models through Google's library, sync or async, and notes what it sees."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

genai = pytest.importorskip("google.genai")

#: In place of contexts that the library makes for each client, which take half a second.
_UNENCRYPTED: Any = {
    "client_args": {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)},
    "async_client_args": {"ssl": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)},
}


class Asker:
    """A program that uses one client and notes what it sees. Its ways are written once, in asynchronous form."""

    def __init__(self, url: str, mode: str, *, is_vertex: bool = False, **options: Any) -> None:
        self.is_async = mode == "async"
        self.seen: list[Any] = []
        given: dict[str, Any] = {"api_key": "local"}
        if is_vertex:
            from google.oauth2.credentials import Credentials  # comes with the library

            given = {
                "vertexai": True,
                "project": "local",
                "location": "us-east5",
                "credentials": Credentials("local"),  # type: ignore[no-untyped-call]
            }
        http_options = genai.types.HttpOptions(base_url=url, timeout=20_000, **_UNENCRYPTED, **options)
        self.client = genai.Client(**given, http_options=http_options)
        self.of = self.client.aio if self.is_async else self.client

    async def get(self, value: Any) -> Any:
        """The value, awaited if it is to be, and noted."""
        value = await value if hasattr(value, "__await__") else value
        self.look(value)
        return value

    async def stream(self, value: Any, most: int = -1) -> None:
        """The items of a stream, or the first of them: whatever is iterated over is let go of."""
        if self.is_async:
            async for item in await value:
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

    def look(self, value: Any) -> None:
        """Note a type and a content, without the date in the headers."""
        dumped = value.model_dump(mode="json", exclude_none=True, exclude={"sdk_http_response"})
        self.seen.append((type(value), dumped))

    def run(self, way: Callable[[Asker], Coroutine[Any, Any, None]]) -> list[Any]:
        """Ask in one of the ways; what was seen, the exception included."""
        if self.is_async:
            asyncio.run(self._noted(way))
            return self.seen
        with pytest.raises(StopIteration):
            self._noted(way).send(None)
        return self.seen

    async def _noted(self, way: Callable[[Asker], Awaitable[None]]) -> None:
        try:
            await way(self)
        except Exception as error:  # noqa: BLE001  # whatever the caller would see
            self.seen.append((type(error), str(error)))
        if self.is_async:
            gc.collect()  # what was let go of is closed while the loop still runs
            await asyncio.sleep(0)
            await self.client.aio.aclose()
        self.client.close()
