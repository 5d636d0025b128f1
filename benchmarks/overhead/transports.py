"""Sockets that answer at once: the client library under test is the real one, only its network is not there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from benchmarks.overhead.replies import EVENT_STREAM_HEADERS, HEADERS, reply_to


def http_library_of(base_client: Any) -> Any:
    """The httpx that a client library was built on: httpx, or httpx2 from openai 3 and anthropic 2 on."""
    return getattr(base_client, "httpx2", None) or base_client.httpx


def http_clients(base_client: Any, *, yield_to_loop: bool = False) -> tuple[Any, Any]:
    """A sync and an async HTTP client without a network, of the kind that the library wants."""
    httpx = http_library_of(base_client)

    class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __init__(self, pieces: tuple[bytes, ...]) -> None:
            self.pieces = pieces

        def __iter__(self) -> Iterator[bytes]:
            return iter(self.pieces)

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in self.pieces:
                yield piece

    def answer(request: Any) -> Any:
        # A big prompt is not read: its size must not count against the client.
        stream = len(request.content) < 10_000 and json.loads(request.content).get("stream", False)
        body = reply_to(request.url.path, stream=stream)
        if isinstance(body, tuple):
            return httpx.Response(200, headers=EVENT_STREAM_HEADERS, stream=Pieces(body))
        return httpx.Response(200, headers=HEADERS, content=body)

    class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
        def handle_request(self, request: Any) -> Any:
            return answer(request)

        async def handle_async_request(self, request: Any) -> Any:
            if yield_to_loop:
                await asyncio.sleep(0)
            return answer(request)

    return (
        httpx.Client(transport=Transport(), trust_env=False),
        httpx.AsyncClient(transport=Transport(), trust_env=False),
    )
