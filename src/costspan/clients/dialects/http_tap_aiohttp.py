"""Watching aiohttp: its session sends by one method, and every way to read a body takes its pieces out of one buffer."""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from costspan import guard
from costspan.calls.beside import Beside
from costspan.calls.engine import ObservedCall
from costspan.calls.points import Point, Request
from costspan.clients.dialects import http_bodies
from costspan.clients.dialects.http_tap import HttpTap, is_refused

_PARAMETERS: Final = ("method", "str_or_url")


class _Buffer(deque[bytes]):
    """The buffer of a body that is read along. A body has no other place to keep that in."""

    tap: Any = None


class AiohttpTap(HttpTap):
    """aiohttp, watched on behalf of a recorder."""

    def points(self) -> tuple[Point, ...]:
        """Where requests are sent; where bodies are read, and break; where responses are closed."""
        module, streams, response = self.client.module, "aiohttp.streams", "aiohttp.client_reqrep"
        closing, breaking = Beside(before=_closing).whole, Beside(before=_breaking).whole
        return (
            Point(module, "ClientSession._request", self.whole_async(self._ask, _take), _PARAMETERS),
            Point(streams, "StreamReader._read_nowait_chunk", _reading),
            Point(streams, "StreamReader.set_exception", breaking),
            Point(response, "ClientResponse.close", closing),
            Point(response, "ClientResponse.release", closing),
        )

    def _ask(self, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        asked = {**dict(zip(_PARAMETERS, args, strict=False)), **kwargs}
        url, base = asked["str_or_url"], getattr(session, "_base_url", None)
        if base is not None:
            url = session._build_url(url)
        sent = asked.get("json")
        return self.asked(asked["method"], str(url), asked.get("data") if sent is None else sent)


def _take(observed: ObservedCall, response: Any) -> Any:
    if is_refused(observed, response.status, response.headers):
        return response
    content = response.content
    tap = http_bodies.of(observed, response.headers)
    buffer = getattr(content, "_buffer", None)
    if buffer is None:  # there is no body
        tap.end_decoded()
        return response
    content._buffer = _Buffer(buffer)
    content._buffer.tap = tap
    content.on_eof(lambda: _ended(content))
    # The connection outlives a response that is let go of, and breaks the body.
    weakref.finalize(response, tap.observed.dropped).atexit = False
    return response


def _tap(content: Any) -> Any:
    return getattr(getattr(content, "_buffer", None), "tap", None)


@guard.guarded_positional("calls.read_body")
def _ended(content: Any) -> None:
    """The body is over when the last of it has come, and has been read."""
    if content.at_eof():
        _tap(content).end_decoded()


def _reading(wrapped: Callable[..., Any], content: Any, args: Any, kwargs: Any) -> Any:
    """In place of what takes the next piece out of the buffer."""
    piece = wrapped(*args, **kwargs)
    tap = _tap(content)
    if tap is not None:
        tap.take_decoded(piece)
        _ended(content)
    return piece


def _breaking(content: Any, args: Any, kwargs: Any) -> None:
    tap = _tap(content)
    if tap is not None:
        tap.observed.broken(args[0] if args else kwargs["exc"])


def _closing(response: Any, _: Any, __: Any) -> None:
    tap = _tap(response.content)
    if tap is not None:
        tap.close()


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = AiohttpTap
