"""Watching an HTTP library itself, where a program or a client library that is not watched asks a model with it.

Of all that passes, only requests at the endpoints of the `compatible` APIs, at hosts whose seller is known, are calls; and
none below a watched call, which counts by itself whatever it sends.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

from costspan.calls.description import Endpoint
from costspan.calls.engine import ObservedCall
from costspan.calls.messages import fields, parsed, text
from costspan.calls.points import Options, PatchedClient, Point, Request
from costspan.calls.servers import Server
from costspan.clients import compatible
from costspan.clients.dialects import http_bodies
from costspan.facts.call import Answer
from costspan.facts.sellers import UNKNOWN, VENDOR

if TYPE_CHECKING:
    from costspan.calls.description import Client
    from costspan.calls.recorder import Recorder

_FIRST_REFUSAL: Final = 300


class HttpTap(PatchedClient):
    """An HTTP library, watched on behalf of a recorder."""

    #: Whether only requests to known sellers are calls: most that an HTTP library sends asks no model.
    needs_seller = True

    def __init__(self, client: Client, recorder: Recorder, options: Options = Options()) -> None:  # noqa: B008  # a constant
        super().__init__(client, recorder, options)
        self.sending = recorder.told_apart()

    def asked(self, method: str, url: str, sent: Any) -> Request | None:
        """The request, if it is one of those; `sent` is its body: JSON as text or bytes, an object, or what none is read of."""
        place = urlsplit(url)
        endpoint = self.client.endpoint(place.path, method)
        if endpoint is None:
            return None
        if self.sending.is_within():
            return None
        key = (place.scheme, place.netloc, place.path)
        server = self.servers.known(key, lambda: self._server(place, endpoint))
        if self.needs_seller and server.provider == UNKNOWN:
            return None
        body = _body(sent)
        if self.sending.is_for(server, body):
            return None
        return Request(endpoint, server, body, text(body.get("model")), is_stream=body.get("stream") is True)

    def _server(self, place: SplitResult, endpoint: Endpoint) -> Server:
        """The vendor of a library is nobody here; where the user says that it answers, the protocol's is meant."""
        told = self.servers.told(place.hostname or "", place.port, place.path)
        vendor = compatible.VENDORS.get(endpoint.path, self.client.provider)
        return self.servers.found(place, vendor if told == VENDOR else None)


def _body(sent: Any) -> Mapping[str, Any]:
    if isinstance(sent, str):
        sent = sent.encode("utf-8", "replace")
    return fields(parsed(sent) if isinstance(sent, bytes) else sent if isinstance(sent, Mapping) else None)


def is_refused(observed: ObservedCall, status: int, headers: Any) -> bool:
    """Note what a response begins with; whether that is all there is to it, as the server refused."""
    observed.headers = headers
    observed.call.http_status = status
    if status < _FIRST_REFUSAL:
        return False
    observed.answered(Answer(error=str(status)))
    return True


class HttpxTap(HttpTap):
    """httpx, and httpx2, whose clients send everything by one method."""

    def points(self) -> tuple[Point, ...]:
        """The method of both clients: what it gives has been read already, or is still to be read."""
        module = self.client.module
        return (
            Point(module, "Client.send", self.whole(self._ask, _take), ("request",)),
            Point(module, "AsyncClient.send", self.whole_async(self._ask, _take), ("request",)),
        )

    def _ask(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        request = args[0] if args else kwargs["request"]
        return self.asked(request.method, str(request.url), getattr(request, "_content", None))


def _take(observed: ObservedCall, response: Any) -> Any:
    if not is_refused(observed, response.status_code, response.headers):
        http_bodies.follow(observed, response)
    return response


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = HttpxTap
