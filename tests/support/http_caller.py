"""A program that asks models by an HTTP library itself, sync or async, and notes what it sees."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import asker

PROMPT = "What the weather will be like, in eleven tokens"
_ASKED = [{"role": "user", "content": PROMPT}]
CHAT = {"model": "gpt-4o-mini", "messages": _ASKED}
STREAM = {**CHAT, "stream": True}
STREAM_WITH_USAGE = {**STREAM, "stream_options": {"include_usage": True}}
MESSAGE = {"model": "claude-haiku-4-5", "messages": _ASKED, "max_tokens": 64}


class HttpAsker(asker.Asker):
    """What the program of each library does: `post` gets a whole answer, `along` reads one as it comes."""

    #: The ways in which a body is read along: the names of methods of the library's response.
    READS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, library: str, url: str, mode: str) -> None:
        super().__init__(mode)
        self.library = importlib.import_module(library)
        self.url = url

    async def post(self, path: str, body: Any, method: str = "POST", **more: Any) -> None:
        """A request whose answer is read whole by the library."""
        raise NotImplementedError

    async def along(self, path: str, body: Any, read: str, most: int = -1, *, is_closed: bool = True) -> None:
        """A request whose answer is read by `read`, or as far as `most` pieces; `is_closed` where it is closed then."""
        raise NotImplementedError

    async def pieces(self, source: Any, most: int) -> None:
        """Note the pieces of a body, joined: where they are cut, the network says."""
        kinds: set[Any] = set()
        found: list[Any] = []
        async for piece in self.each(source):
            kinds.add(type(piece))
            found.append(piece)
            if len(found) == most:
                break
        self.look(kinds)
        if most < 0:
            self.look("\n".join(found) if str in kinds else b"".join(found))

    async def each(self, source: Any) -> AsyncIterator[Any]:
        """The items of an iterable of either sort."""
        if hasattr(source, "__aiter__"):
            async for item in source:
                yield item
        else:
            for item in source:
                yield item


class HttpxAsker(HttpAsker):
    """A program that uses httpx, or httpx2."""

    READS = ("iter_lines", "iter_text", "iter_bytes", "iter_raw", "read")

    def __init__(self, library: str, url: str, mode: str) -> None:
        super().__init__(library, url, mode)
        kind = self.library.AsyncClient if self.is_async else self.library.Client
        self.of = kind(verify=False, trust_env=False)

    async def post(self, path: str, body: Any, method: str = "POST", **more: Any) -> None:
        sent = {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        response = self.of.request(method, self.url + path, **sent, **more)
        response = await response if self.is_async else response
        self.look(type(response))
        self.look((response.status_code, response.content))

    async def along(self, path: str, body: Any, read: str, most: int = -1, *, is_closed: bool = True) -> None:
        request = self.of.build_request("POST", self.url + path, json=body)
        response = self.of.send(request, stream=True)
        response = await response if self.is_async else response
        self.look((type(response), type(response.stream)))
        read = f"a{read}" if self.is_async else read
        source = getattr(response, read)()
        if read.endswith("read"):
            self.look(await source if self.is_async else source)
        elif most:
            await self.pieces(source, most)
        if is_closed:
            await response.aclose() if self.is_async else response.close()

    async def close(self) -> None:
        await self.of.aclose() if self.is_async else self.of.close()


class RequestsAsker(HttpAsker):
    """A program that uses requests."""

    READS = ("iter_lines", "iter_text", "iter_content", "json", "content")

    def __init__(self, library: str, url: str, mode: str) -> None:
        super().__init__(library, url, mode)
        self.of = self.library.Session()
        self.of.trust_env = False

    async def post(self, path: str, body: Any, method: str = "POST", **more: Any) -> None:
        sent = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        response = self.of.request(method, self.url + path, **sent, **more)
        self.look(type(response))
        self.look((response.status_code, response.content))

    async def along(self, path: str, body: Any, read: str, most: int = -1, *, is_closed: bool = True) -> None:
        response = self.of.post(self.url + path, json=body, stream=True)
        self.look((type(response), type(response.raw)))
        if read == "content":
            self.look(response.content)
        elif read == "json":
            self.look(response.json())
        elif most:
            source = response.iter_lines() if read == "iter_lines" else response.iter_content(7, read == "iter_text")
            self.look(type(source))
            await self.pieces(source, most)
        if is_closed:
            response.close()

    async def close(self) -> None:
        self.of.close()


class AiohttpAsker(HttpAsker):
    """A program that uses aiohttp."""

    READS = ("lines", "iter_any", "iter_chunked", "iter_chunks", "readexactly", "text", "read")

    async def _opened(self) -> Any:
        if self.of is None:
            self.of = self.library.ClientSession()
        return self.of

    async def post(self, path: str, body: Any, method: str = "POST", **more: Any) -> None:
        sent = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        async with (await self._opened()).request(method, self.url + path, **sent, **more) as response:
            self.look(type(response))
            self.look((response.status, await response.read()))

    async def along(self, path: str, body: Any, read: str, most: int = -1, *, is_closed: bool = True) -> None:
        response = await (await self._opened()).post(self.url + path, json=body)
        content = response.content
        self.look((type(response), type(content)))
        if read in {"read", "text"}:
            self.look(await getattr(response, read)())
        elif read == "readexactly":
            self.look(await content.readexactly(9))
            self.look(await content.read())
        elif most:
            await self.pieces(_pieces(content, read), most)
        if is_closed:
            response.close()

    async def close(self) -> None:
        if self.of is not None:
            await self.of.close()


async def _pieces(content: Any, read: str) -> AsyncIterator[bytes]:
    if read == "lines":
        async for line in content:
            yield line
    elif read == "iter_chunks":
        async for piece, _ in content.iter_chunks():
            yield piece
    else:
        async for piece in content.iter_any() if read == "iter_any" else content.iter_chunked(7):
            yield piece


KINDS: dict[str, type[HttpAsker]] = {
    "httpx": HttpxAsker, "httpx2": HttpxAsker, "requests": RequestsAsker, "aiohttp": AiohttpAsker,
}  # fmt: skip
#: Each library, with the ways that it works in.
LIBRARIES = [
    ("httpx", "sync"),
    ("httpx", "async"),
    ("httpx2", "sync"),
    ("httpx2", "async"),
    ("requests", "sync"),
    ("aiohttp", "async"),
]
