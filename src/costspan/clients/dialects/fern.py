"""Watching libraries that Fern generated: every request leaves by `request` of one class (`HttpClient`), or by `stream`.

Both give the HTTP library's own response, before it is parsed. Retries are calls of `request` within itself, which carry
their number; errors are raised further up, out of our sight.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Any, Final

from costspan.calls.engine import ObservedCall
from costspan.calls.messages import NOTHING, text
from costspan.calls.points import PatchedClient, Point, Request
from costspan.clients.dialects import http_bodies

_PARAMETERS: Final = ("path", "method", "json", "retries")


class FernClient(PatchedClient):
    """A generated library, watched on behalf of a recorder."""

    def points(self) -> tuple[Point, ...]:
        """Both methods of both classes."""
        wrappers = {
            "HttpClient.request": self.whole(self._ask, self._answered),
            "AsyncHttpClient.request": self.whole_async(self._ask, self._answered),
            "HttpClient.stream": contextmanager(self._stream),
            "AsyncHttpClient.stream": asynccontextmanager(self._stream_async),
        }
        return tuple(Point(self.client.module, name, wrapper, _PARAMETERS) for name, wrapper in wrappers.items())

    def _ask(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        if "retries" in kwargs:  # asked again, within the call that is watched
            return None
        path, method = f"/{args[0] if args else kwargs['path']}", kwargs["method"]
        endpoint = self.client.endpoint(path, method)
        if endpoint is None:
            return self.passed_by(path, method)
        server = self.servers.at(instance.get_base_url(kwargs.get("base_url")))
        body = kwargs.get("json")
        if not isinstance(body, Mapping):
            body = NOTHING
        # What the caller gives beside the declared arguments: the library sends it in the body, and it wins.
        beside = (kwargs.get("request_options") or NOTHING).get("additional_body_parameters")
        if isinstance(beside, Mapping):
            body = {**body, **beside}
        return Request(endpoint, server, body, text(body.get("model")), body.get("stream") is True)

    def _stream(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Iterator[Any]:
        """In place of a context manager that sends the request when it is entered."""
        source = wrapped(*args, **kwargs)
        with ExitStack() as stack:
            enter = self.whole(self._ask, self._answered)
            yield enter(lambda *_, **__: stack.enter_context(source), instance, args, kwargs)

    async def _stream_async(
        self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any
    ) -> AsyncIterator[Any]:
        source = wrapped(*args, **kwargs)
        async with AsyncExitStack() as stack:
            enter = self.whole_async(self._ask, self._answered)
            yield await enter(lambda *_, **__: stack.enter_async_context(source), instance, args, kwargs)

    def _answered(self, observed: ObservedCall, response: Any) -> Any:
        """Who answered is told by where the request went: a variant of the client may have sent it elsewhere."""
        call, url = observed.call, response.request.url
        if url.host != call.host:
            server = self.servers.at(f"{url.scheme}://{url.netloc.decode()}{url.path}")
            call.provider, call.host, call.port = server.provider, server.host, server.port
            observed.is_direct = server.is_direct
        return http_bodies.take(observed, response)


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = FernClient
