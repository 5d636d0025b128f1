"""Watching requests: its session sends by one method, and every way to read a response goes through another."""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from costspan import guard
from costspan.calls.beside import Beside
from costspan.calls.engine import ObservedCall
from costspan.calls.points import Point, Request
from costspan.clients.dialects import http_bodies
from costspan.clients.dialects.http_tap import HttpTap, is_refused

#: The attribute by which a response is known here.
_MARK: Final = "_self_costspan"


class RequestsTap(HttpTap):
    """requests, watched on behalf of a recorder."""

    def points(self) -> tuple[Point, ...]:
        """Where requests are sent, and where their responses are read and closed."""
        closing = Beside(before=_closing)
        return (
            Point(self.client.module, "Session.send", self.whole(self._ask, _take), ("request",)),
            Point("requests.models", "Response.iter_content", _reading),
            Point("requests.models", "Response.close", closing.whole),
        )

    def _ask(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        request = args[0] if args else kwargs["request"]
        return self.asked(request.method, request.url, request.body)


def _take(observed: ObservedCall, response: Any) -> Any:
    if not is_refused(observed, response.status_code, response.headers):
        tap = http_bodies.of(observed, response.headers)
        if isinstance(response._content, bytes):
            tap.take_decoded(response._content)
            tap.end_decoded()
        else:
            setattr(response, _MARK, tap)
    return response


def _closing(response: Any, _: Any, __: Any) -> None:
    tap = getattr(response, _MARK, None)
    if tap is not None:
        tap.close()


def _reading(wrapped: Callable[..., Any], response: Any, args: Any, kwargs: Any) -> Any:
    """In place of `iter_content`: its pieces, read along. It may be left and called again to read on."""
    pieces = wrapped(*args, **kwargs)
    tap = getattr(response, _MARK, None)
    return pieces if tap is None or not tap.observed.is_open else _along(tap, pieces, response)


def _along(tap: Any, pieces: Iterator[Any], response: Any) -> Iterator[Any]:
    with tap:
        for piece in pieces:
            _take_piece(tap, piece, response)
            yield piece


@guard.guarded_positional("calls.read_body")
def _take_piece(tap: Any, piece: Any, response: Any) -> None:
    tap.take_decoded(piece if isinstance(piece, bytes) else piece.encode(response.encoding or "utf-8", "replace"))


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = RequestsTap
