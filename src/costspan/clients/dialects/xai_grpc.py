"""Watching xAI's library at the calls of gRPC that it makes: within its own span, so that this is the span of the call.

gRPC makes an object for each method of a connection, of one class for whole answers and of one for streams, and the same
again for asyncio. All libraries over gRPC have these classes in common; what is not of the client's endpoints passes through.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any, Final

from costspan import guard
from costspan.calls import items
from costspan.calls.engine import ObservedCall
from costspan.calls.messages import fields, text
from costspan.calls.points import PatchedClient, Point, Request, Wrapper
from costspan.clients import xai_body

_SYNC: Final = "grpc._interceptor"
_ASYNC: Final = "grpc.aio._channel"
#: Of whom a method is, where the client was made before costspan was installed.
_HOST: Final = "api.x.ai"
#: What of the client holds methods, and the name by which each keeps where it sends.
_SERVICES: Final = ("chat", "image", "video", "batch")
_PLACE: Final = "_costspan_place"


class XaiClient(PatchedClient):
    """xAI's library, watched on behalf of a recorder."""

    def points(self) -> tuple[Point, ...]:
        """Where clients are made, and where their methods are called."""
        whole, streamed = self.whole(self._ask, _follow), self._streamed
        later, streamed_later = self.whole_async(self._ask, _follow), self._streamed_async
        called = ("request", "timeout")
        return (
            Point(self.client.module, "BaseClient.__init__", _placing, ("api_host",)),
            Point(_SYNC, "_UnaryUnaryMultiCallable.__call__", self._own(whole), called),
            Point(_SYNC, "_UnaryStreamMultiCallable.__call__", self._own(streamed), called),
            Point(_ASYNC, "UnaryUnaryMultiCallable.__call__", self._own(later), called),
            Point(_ASYNC, "UnaryStreamMultiCallable.__call__", self._own(streamed_later), called),
        )

    def left(self, observed: ObservedCall, error: BaseException | None = None) -> None:
        """The errors of gRPC are told by their code: their class is the same for all."""
        if error is not None:
            _note_code(observed, error)
        super().left(observed, error)

    def _streamed(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        """A stream: gRPC sends its request when the method is called, which is within the call, or not at all if that is refused."""
        return self._generated(self._ask_stream, _events(wrapped, args, kwargs), instance, args, kwargs)

    def _streamed_async(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        """The same for asyncio."""
        return self._async_events(self._ask_stream, _events_async(wrapped, args, kwargs), instance, args, kwargs)

    def _own(self, wrapper: Wrapper) -> Wrapper:
        """The wrapper for the methods of this client's endpoints: others give objects of gRPC that have more to them."""

        def chosen(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
            if not self.is_active or self.client.endpoint(_method(instance), "post") is None:
                return wrapped(*args, **kwargs)
            return wrapper(wrapped, instance, args, kwargs)

        return chosen

    def _ask(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        endpoint = self.client.endpoint(_method(instance), "post")
        above = self.recorder.current()
        if endpoint is None or (above is not None and above.is_open and above.endpoint is endpoint):
            return None  # interceptors of a stream are such objects, too, within one another
        request = args[0] if args else kwargs["request"]
        server = self.servers.at(f"https://{fields(instance).get(_PLACE, _HOST)}")
        return Request(endpoint, server, {"request": request}, text(getattr(request, "model", None)) or None)

    def _ask_stream(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        request = self._ask(instance, args, kwargs)
        if request is not None:
            request.is_stream = True
        return request


def _events(wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Iterator[Any]:
    yield from wrapped(*args, **kwargs)


async def _events_async(wrapped: Callable[..., Any], args: Any, kwargs: Any) -> AsyncIterator[Any]:
    async with aclosing(aiter(wrapped(*args, **kwargs))) as events:
        async for event in events:
            yield event


def _follow(observed: ObservedCall, response: Any) -> Any:
    if observed.endpoint.each:
        observed.claim()
        for later in xai_body.answers(response, observed.body["request"]):
            items.take(observed, later)
    else:
        observed.answered(observed.endpoint.read(response))
    return response


def _method(instance: Any) -> str:
    name = instance._method
    return name.decode() if isinstance(name, bytes) else name


def _placing(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    """In place of what makes a client: its methods keep where they send."""
    result = wrapped(*args, **kwargs)
    if "api_host" in kwargs:
        _place(instance, kwargs["api_host"])
    return result


@guard.guarded_positional("calls.place")
def _place(client: Any, host: str) -> None:
    for name in _SERVICES:
        for method in fields(fields(fields(client).get(name)).get("_stub")).values():
            setattr(method, _PLACE, host)


@guard.guarded_positional("calls.error")
def _note_code(observed: ObservedCall, error: BaseException) -> None:
    code: Any = getattr(error, "code", None)
    told: Any = code() if callable(code) else None
    observed.call.error_type = text(getattr(told, "name", None))


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = XaiClient
