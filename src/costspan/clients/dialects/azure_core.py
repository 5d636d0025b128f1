"""Watching libraries of Azure, which send every request by `run` of one class (`Pipeline`), or of its asynchronous twin.

All libraries of Azure have that class in common; what is not of the client's endpoints passes through. It gives the HTTP
response before it is parsed: an answer that the library refuses is booked. Retries are below; errors it raises further up,
out of our sight.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import weakref
from typing import Any, Final
from urllib.parse import urlsplit

from costspan.calls.engine import ObservedCall
from costspan.calls.messages import NOTHING, asked, fields, text
from costspan.calls.points import PatchedClient, Point, Request
from costspan.clients.dialects import http_bodies, http_tap, http_wires

_MODULE: Final = "azure.core.pipeline._base"


class AzureClient(PatchedClient):
    """A library of Azure, watched on behalf of a recorder."""

    def points(self) -> tuple[Point, ...]:
        """The method of both classes."""
        wrapper, twin = self.whole(self._ask, _take), self.whole_async(self._ask, _take)
        return (
            Point(_MODULE, "Pipeline.run", wrapper, ("request",)),
            Point(f"{_MODULE}_async", "AsyncPipeline.run", twin, ("request",)),
        )

    def _ask(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        sent = args[0] if args else kwargs["request"]
        path = urlsplit(sent.url).path
        endpoint = self.client.endpoint(path, sent.method)
        if endpoint is None:
            return self.passed_by(path, sent.method)
        content = getattr(sent, "content", None)
        if isinstance(content, str):
            content = content.encode()
        body = fields(asked(content)) if isinstance(content, bytes) else NOTHING
        is_stream = bool(kwargs.get("stream"))
        return Request(endpoint, self.servers.at(sent.url), body, text(body.get("model")), is_stream)


def _take(observed: ObservedCall, result: Any) -> Any:
    response = result.http_response
    if http_tap.is_refused(observed, response.status_code, response.headers):
        return result
    tap = http_bodies.of(observed, response.headers)
    if isinstance(response._content, bytes):
        tap.take_decoded(response._content)
        tap.end_decoded()
    else:
        _read_along(tap, response)
    return result


def _read_along(tap: http_bodies.Tap, response: Any) -> None:
    """The body is read by a method of the response, once: this response has one of its own in its place.

    Nothing of the response keeps what looks at the body alive: a stream that is let go of ends with whoever reads it.
    """
    pieces, close, watching = response.iter_bytes, response.close, weakref.ref(tap)

    def iter_bytes(**kwargs: Any) -> Any:
        del response.iter_bytes
        return http_wires.along(tap, pieces(**kwargs))

    def closing() -> Any:
        found = watching()
        if found is not None:
            found.close()
        return close()

    response.iter_bytes, response.close = iter_bytes, closing


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = AzureClient
