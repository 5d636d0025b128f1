"""Watching Google's library, which sends every request through four methods of one class (`_api_client`).

They are the narrowest place: each round of automatic function calling and each hop of a continued answer passes it,
while the public methods return the last one's usage. An answer comes as the text of its JSON, and in versions before 1.21
as an object.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from costspan.calls import items
from costspan.calls.engine import ObservedCall
from costspan.calls.messages import NOTHING, fields
from costspan.calls.points import PatchedClient, Point, Request
from costspan.calls.servers import Server
from costspan.clients.dialects import http_bodies, speakeasy
from costspan.clients.dialects.google_live import LiveSessions

_CLASS: Final = "BaseApiClient"
_INTERACTIONS: Final = "google.genai._gaos.basesdk"
_PARAMETERS: Final = ("http_method", "path", "request_dict", "http_options")
_DESTINATION: Final = "destination"
_VERTEX: Final = "gcp.vertex_ai"
#: Before the name of a model in a path; what else stands there (`tunedModels/`, `endpoints/`) belongs to the name.
_MODELS: Final = "models/"


class GoogleApiClient(PatchedClient):
    """Google's library, watched on behalf of a recorder."""

    def points(self) -> tuple[Point, ...]:
        """The four methods, in the library's own module."""
        wrappers = {
            "request": self.whole(self._ask, _take),
            "async_request": self.whole_async(self._ask, _take),
            "request_streamed": self.generated(self._ask_stream),
            "async_request_streamed": self.generated_async(self._ask_stream),
        }
        of_files = {
            "download_file": self.whole(self._ask_file, _take_file),
            "async_download_file": self.whole_async(self._ask_file, _take_file),
        }
        of_interactions = {
            "BaseSDK.do_request": self.whole(self._ask_interaction, http_bodies.take),
            "AsyncBaseSDK.do_request_async": self.whole_async(self._ask_interaction, http_bodies.take),
        }
        sessions = (LiveSessions(self, socket, self._server) for socket in self.client.sockets)
        return (
            *(point for each in sessions for point in each.points()),
            *(
                Point(self.client.module, f"{_CLASS}.{name}", wrapper, _PARAMETERS)
                for name, wrapper in wrappers.items()
            ),
            *(
                Point(self.client.module, f"{_CLASS}.{name}", wrapper, ("path",), is_optional=True)
                for name, wrapper in of_files.items()
            ),
            *(
                Point(_INTERACTIONS, name, wrapper, ("request",), is_optional=True)
                for name, wrapper in of_interactions.items()
            ),
        )

    def _ask(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        asked = {**dict(zip(_PARAMETERS, args, strict=False)), **kwargs}
        path: str = asked["path"]
        endpoint = self.client.endpoint(f"/{path}", asked["http_method"])
        if endpoint is None:
            return self.passed_by(f"/{path}", asked["http_method"])
        body = asked.get("request_dict")
        if endpoint.each:
            body = items.body_of(self.client.segment(f"/{path}"))
        server = self._server(instance, _base_url(asked.get("http_options")))
        return Request(endpoint, server, body if isinstance(body, Mapping) else NOTHING, _model(path))

    def _server(self, instance: Any, base: str | None = None) -> Server:
        """Who answers a client, at an address that is given for one request, or at its own."""
        base = base or _base_url(fields(instance).get("_http_options")) or ""
        return self.servers.at(base, _VERTEX if instance.vertexai else None)

    def _ask_file(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """A file may be one of results: told by its lines."""
        named = dict(zip(("path", "http_options"), args, strict=False))
        request = self._ask(instance, (), {**kwargs, **named, "http_method": "get"})
        if request is not None:
            request.body = {**request.body, _DESTINATION: kwargs.get(_DESTINATION)}
        return request

    def _ask_interaction(self, _: Any, __: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Interactions leave by a library of their own, which Speakeasy generated."""
        return speakeasy.request_of(self, kwargs["request"])

    def _ask_stream(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        request = self._ask(instance, args, kwargs)
        if request is not None:
            request.is_stream = True
        return request


def _base_url(options: Any) -> str | None:
    """The address in options, which a caller may also give for one request, as an object or as a dictionary."""
    return fields(options).get("base_url")


def _model(path: str) -> str:
    """`models/<model>:generateContent`, on Vertex AI with the publisher before it, or a project and a region."""
    name = path.partition("?")[0].rpartition(":")[0]
    before, found, model = name.rpartition(_MODELS)
    return model if found and (not before or before.endswith("/")) else name


def _take(observed: ObservedCall, result: Any) -> Any:
    observed.headers = fields(result).get("headers")
    if observed.endpoint.each:
        items.within(observed, result)
        return result
    observed.answered(observed.endpoint.read(result))
    return result


def _take_file(observed: ObservedCall, content: Any) -> Any:
    """What the caller gets, or what was written where he said; a stream of his is not read."""
    destination = observed.body.get(_DESTINATION)
    if isinstance(content, bytes):
        http_bodies.take_text(observed, content)
    elif isinstance(destination, (str, os.PathLike)):
        http_bodies.take_file(observed, destination)
    else:
        observed.claim()
    return content


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = GoogleApiClient
