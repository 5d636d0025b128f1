"""Watching libraries that Speakeasy generated: each request leaves by one method of one class (`BaseSDK`), sync or async.

It gives the HTTP library's own response, before that is parsed: an answer that the library refuses is booked. Its retries
are below; errors it raises further up, out of our sight.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from typing import Any, Final

from costspan.calls import items
from costspan.calls.messages import NOTHING, asked, fields, text
from costspan.calls.points import PatchedClient, Point, Request
from costspan.clients.dialects import http_bodies

#: Where a request names the model, or the agent whose model answers.
_MODEL: Final = ("model", "agent", "agent_id")


class SpeakeasyClient(PatchedClient):
    """A generated library, watched on behalf of a recorder."""

    def points(self) -> tuple[Point, ...]:
        """The method of each module in which a version or a variant of the library has the class."""
        wrappers = {
            "do_request": self.whole(self._ask, http_bodies.take),
            "do_request_async": self.whole_async(self._ask, http_bodies.take),
        }
        return tuple(
            Point(module, f"BaseSDK.{name}", wrapper, ("request",))
            for module in self.client.modules
            for name, wrapper in wrappers.items()
        )

    def _ask(self, _: Any, __: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        return request_of(self, kwargs["request"])


def request_of(patched: PatchedClient, sent: Any) -> Request | None:
    """What an HTTP request asks for, if it is one that costs."""
    endpoint = patched.client.endpoint(sent.url.path, sent.method)
    if endpoint is None:
        return patched.passed_by(sent.url.path, sent.method)
    server = patched.servers.at(f"{sent.url.scheme}://{sent.url.netloc.decode()}{sent.url.path}")
    # A form with a file in it is sent piece by piece, and is not there to be read.
    body = fields(asked(getattr(sent, "_content", b""))) if endpoint.method == "post" else NOTHING
    if endpoint.each:
        body = items.body_of(patched.client.segment(sent.url.path))
    model = next((name for key in _MODEL if (name := text(body.get(key)))), None)
    return Request(endpoint, server, body, model, bool(body.get("stream")))


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = SpeakeasyClient
