"""A program that calls one API by one client, sync or async, and notes what it sees.

Ways of calling (ways.py) are written once, in asynchronous form; with a sync client nothing in them ever waits.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

PROMPT = "What the weather will be like, in eleven tokens"
_ASKED = [{"role": "user", "content": PROMPT}]


class Kind(NamedTuple):
    """One API of one client class: where its methods are, what they are asked."""

    module: str
    client: str
    methods: str
    arguments: dict[str, Any]
    more: tuple[tuple[str, Any], ...] = ()


_CHAT = {"model": "gpt-4o-mini", "messages": _ASKED}
_MESSAGE = {"model": "claude-haiku-4-5", "messages": _ASKED, "max_tokens": 64}
KINDS = {
    "chat": Kind("openai", "OpenAI", "chat.completions", _CHAT),
    "completions": Kind("openai", "OpenAI", "completions", {"model": "gpt-3.5-turbo-instruct", "prompt": PROMPT}),
    "responses": Kind("openai", "OpenAI", "responses", {"model": "gpt-4o-mini", "input": PROMPT}),
    "azure": Kind("openai", "AzureOpenAI", "chat.completions", _CHAT, (("api_version", "2025-01-01-preview"),)),
    "messages": Kind("anthropic", "Anthropic", "messages", _MESSAGE),
    "beta messages": Kind("anthropic", "Anthropic", "beta.messages", _MESSAGE),
    "bedrock": Kind(
        "anthropic", "AnthropicBedrock", "messages", {**_MESSAGE, "model": "anthropic.claude-haiku-4-5-20251001-v1:0"},
        (("aws_region", "us-east-1"), ("aws_access_key", "local"), ("aws_secret_key", "local"), ("api_key", None)),
    ),
    "vertex": Kind(
        "anthropic", "AnthropicVertex", "messages", {**_MESSAGE, "model": "claude-haiku-4-5@20251001"},
        (("region", "us-east5"), ("project_id", "local"), ("access_token", "local"), ("api_key", None)),
    ),
    "groq": Kind("groq", "Groq", "chat.completions", _CHAT),
    "together": Kind("together", "Together", "chat.completions", _CHAT),
    "fireworks": Kind("fireworks", "Fireworks", "chat.completions", _CHAT),
    "cerebras": Kind("cerebras.cloud.sdk", "Cerebras", "chat.completions", _CHAT, (("warm_tcp_connection", False),)),
    "perplexity": Kind("perplexity", "Perplexity", "chat.completions", {**_CHAT, "model": "sonar"}),
}  # fmt: skip


class Caller:
    """A program that calls one API by one client, sync or async, and notes what it sees."""

    def __init__(self, kind: Kind, url: str, mode: str, **options: Any) -> None:
        self.kind = kind
        self.is_async = mode == "async"
        self.seen: list[Any] = []
        self._url = url
        self._options = options
        self.client: Any = None
        self.arguments: dict[str, Any] = kind.arguments

    # --- the client ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Make the client. Within the event loop that it will run in."""
        module = importlib.import_module(self.kind.module)
        http = flavour(self.kind.module)
        name = f"Async{self.kind.client}" if self.is_async else self.kind.client
        given = {
            "api_key": "local",
            "base_url": self._url,
            "max_retries": 0,
            "timeout": 20,
            "http_client": http.AsyncClient(verify=False) if self.is_async else http.Client(verify=False),
            **dict(self.kind.more),
            **self._options,
        }
        kind = getattr(module, name)
        known = inspect.signature(kind).parameters  # older versions know fewer
        self.client = kind(**{key: value for key, value in given.items() if value is not None and key in known})

    def method(self, *paths: str) -> Any:
        """The first of these methods that this version of the library has; the test is skipped if it has none."""
        for path in paths:
            found = self.client
            for name in path.split("."):
                found = getattr(found, name, None)
            if found is not None:
                return found
        return pytest.skip(f"this version of {self.kind.module} has no {paths[0]}")

    @property
    def methods(self) -> Any:
        """The object that holds `create` and its variants."""
        return self.method(self.kind.methods)

    async def create(self, **more: Any) -> Any:
        """The plain call."""
        return await self.get(self.methods.create(**self.arguments, **more))

    # --- sync and async alike -------------------------------------------------------------------------------------

    async def get(self, value: Any) -> Any:
        """The value, awaited if it is to be."""
        return await value if hasattr(value, "__await__") else value

    async def each(self, stream: Any) -> AsyncIterator[Any]:
        """The items of an iterable of either sort, to their end."""
        if self.is_async and hasattr(stream, "__aiter__"):
            async for item in stream:
                yield item
        else:
            for item in stream:
                yield item

    async def some(self, stream: Any, number: int) -> None:
        """The first so many items, by a loop that is left: whatever it iterates over is let go of."""
        if self.is_async and hasattr(stream, "__aiter__"):
            async for item in stream:
                self.look(item)
                number -= 1
                if not number:
                    break
        else:
            for item in stream:
                self.look(item)
                number -= 1
                if not number:
                    break

    async def look_at_each(self, stream: Any) -> None:
        """Note every item of a stream."""
        async for item in self.each(stream):
            self.look(item)

    @asynccontextmanager
    async def within(self, opened: Any) -> AsyncGenerator[Any]:
        """A `with` block of either sort."""
        if self.is_async and hasattr(opened, "__aenter__"):
            async with opened as value:
                yield value
        else:
            with opened as value:
                yield value

    # --- what is seen ---------------------------------------------------------------------------------------------

    def look(self, value: Any) -> None:
        """Note the type and the content of something that came back."""
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        self.seen.append((kind, _content(value)))

    def look_at_kind(self, value: Any) -> None:
        """Note the type alone: of streams and responses, whose text holds addresses."""
        self.seen.append(f"{type(value).__module__}.{type(value).__qualname__}")

    def run(self, way: Callable[[Caller], Coroutine[Any, Any, None]]) -> list[Any]:
        """Call in one of the ways; what was seen."""
        if self.is_async:
            asyncio.run(self._observed(way))
            return self.seen
        try:
            self._observed(way).send(None)
        except StopIteration:
            return self.seen
        raise AssertionError("a sync client made its caller wait for an event loop")

    async def _observed(self, way: Callable[[Caller], Awaitable[None]]) -> None:
        self.open()
        try:
            await way(self)
        except Exception as error:  # noqa: BLE001  # whatever the caller would see
            self.seen.append((f"{type(error).__module__}.{type(error).__qualname__}", str(error)))
        finally:
            await self.get(self.client.close())
            del self.client


def _content(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is None:
        return repr(value)
    try:
        return dump(mode="json", exclude_unset=True, warnings=False)
    except TypeError:  # models of anthropic 0.44 that were never validated
        return repr(value)


def flavour(module: str) -> Any:
    """The HTTP library that a client library is built on: httpx, or httpx2."""
    base = importlib.import_module(f"{module}._base_client")
    return getattr(base, "httpx2", None) or base.httpx
