"""Watching lm15: its transports send everything by one method, and give a response whose body is still to be read."""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Any, Final
from urllib.parse import urlsplit

from costspan.calls.beside import Beside
from costspan.calls.engine import ObservedCall
from costspan.calls.messages import text
from costspan.calls.points import Point, Request
from costspan.clients.dialects import http_bodies
from costspan.clients.dialects.http_tap import HttpTap, is_refused

#: The attribute by which a response is known here.
_MARK: Final = "_self_costspan"


class Lm15(HttpTap):
    """lm15, and the copies of it that other libraries bring along, watched on behalf of a recorder."""

    needs_seller = False  # it asks models, and nothing else: a call at an unknown address is one, too

    def points(self) -> tuple[Point, ...]:
        """Where requests are sent, and where their responses are closed."""
        left = Beside(before=_left)
        packages = [module.rpartition(".")[0] for module in self.client.modules]
        return tuple(
            point
            for package in packages
            for point in (
                Point(f"{package}._sync", "StdlibTransport.stream", self.whole(self._ask, _take), ("request",)),
                Point(
                    f"{package}._async",
                    "StdlibAsyncTransport._do_stream",
                    self.whole_async(self._ask, _take_async),
                    ("request",),
                ),
                Point(f"{package}._types", "TransportResponse.close", left.whole),
                Point(f"{package}._types", "AsyncTransportResponse.aclose", left.whole_async),
            )
        )

    def _ask(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        sent = args[0] if args else kwargs["request"]
        path = urlsplit(sent.url).path
        if self.client.endpoint(path, sent.method) is None:
            return self.passed_by(path, sent.method)
        request = self.asked(sent.method, sent.url, sent.body)
        if request is not None and request.model is None:  # Google's paths name it
            request.model = text(self.client.segment(path))
        return request


def _begun(observed: ObservedCall, response: Any) -> http_bodies.Tap | None:
    """What reads a body along, if it is not a refusal."""
    headers = {name.lower(): value for name, value in response.headers}
    if is_refused(observed, response.status, headers):
        return None
    tap = http_bodies.of(observed, headers)
    setattr(response, _MARK, tap)
    return tap


def _take(observed: ObservedCall, response: Any) -> Any:
    tap = _begun(observed, response)
    if tap is not None:
        response._chunks = _along(tap, response._chunks)
    return response


def _take_async(observed: ObservedCall, response: Any) -> Any:
    tap = _begun(observed, response)
    if tap is not None:
        response._chunks = _along_async(tap, response._chunks)
    return response


def _along(tap: http_bodies.Tap, pieces: Any) -> Iterator[bytes]:
    with tap, closing(pieces):
        for piece in pieces:
            tap.take_decoded(piece)
            yield piece


async def _along_async(tap: http_bodies.Tap, pieces: Any) -> AsyncIterator[bytes]:
    with tap:
        async with aclosing(pieces):
            async for piece in pieces:
                tap.take_decoded(piece)
                yield piece


def _left(response: Any, _: Any, __: Any) -> None:
    tap = getattr(response, _MARK, None)
    if tap is not None:
        tap.close()


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = Lm15
