"""Watching client libraries whose every endpoint goes through one `request` method (`<library>._base_client`).

Seven libraries share that shape. Two methods of each of the two client classes are wrapped: `request`, which sees
what is asked and what comes back, and `_process_response`, which sees the HTTP response behind it.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from costspan import guard
from costspan.calls import items
from costspan.calls.description import Client, Endpoint
from costspan.calls.engine import begin
from costspan.calls.messages import NOTHING, text
from costspan.calls.points import Options, PatchedClient, Point
from costspan.calls.recorder import Recorder
from costspan.calls.servers import Server
from costspan.clients.dialects import asking, stainless_shapes
from costspan.clients.dialects.asking import Asking, Refusable, is_refused
from costspan.clients.dialects.stainless_call import StainlessCall, StainlessStream
from costspan.clients.dialects.stainless_sockets import Sockets

_Observed: TypeAlias = "StainlessCall | StainlessStream"
_CLASSES: Final = ("SyncAPIClient", "AsyncAPIClient")


class StainlessClient(PatchedClient):
    """One client library, watched on behalf of a recorder."""

    def __init__(self, client: Client, recorder: Recorder, options: Options = Options()) -> None:  # noqa: B008  # a constant
        super().__init__(client, recorder, options)
        self.ask_usage = options.ask_usage
        self.asking = Asking(options.ask_usage)
        self._shapes: dict[type, Callable[[_Observed, Any], Any]] = {}

    def points(self) -> tuple[Point, ...]:
        """Both classes of clients; `request` also where others have wrapped it before us."""
        module = self.client.module
        wrappers = {"SyncAPIClient": self.request, "AsyncAPIClient": self.request_async}
        of_requests = (
            point
            for kind in _CLASSES
            for point in (
                Point(module, f"{kind}.request", wrappers[kind], ("options",), is_inmost=True),
                Point(module, f"{kind}._process_response", self.responded, ("response",)),
            )
        )
        sockets = (Sockets(self, socket, self._server) for socket in self.client.sockets)
        return (*of_requests, *(point for socket in sockets for point in socket.points()))

    def request(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        """In place of `SyncAPIClient.request`."""
        observed, sent = self._begin(instance, args, kwargs) or (None, args)
        if observed is None:
            return wrapped(*args, **kwargs)
        if observed.asked:
            return self._asked(observed, wrapped, instance, (args, sent), kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            self.left(observed, error)
            raise
        self.left(observed)
        self._take(observed, result)
        return result

    def _asked(self, observed: _Observed, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        """With our question in it; and if the server refuses that, as the caller wrote it: he must not notice."""
        plain, asking_too = args
        with Refusable(observed):
            return self._made(observed, wrapped, asking_too, kwargs)
        result = self._made(observed, wrapped, plain, kwargs)
        self._note_refusal(observed, instance, plain[1])
        return result

    def _made(self, observed: _Observed, wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            if not is_refused(observed, error):
                self.left(observed, error)
            raise
        self.left(observed)
        self._take(observed, result)
        return result

    async def request_async(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        """In place of `AsyncAPIClient.request`."""
        observed, sent = self._begin(instance, args, kwargs) or (None, args)
        if observed is None:
            return await wrapped(*args, **kwargs)
        if observed.asked:
            return await self._asked_async(observed, wrapped, instance, (args, sent), kwargs)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            self.left(observed, error)
            raise
        self.left(observed)
        self._take(observed, result)
        return result

    async def _asked_async(
        self, observed: _Observed, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any
    ) -> Any:
        plain, asking_too = args
        with Refusable(observed):
            return await self._made_async(observed, wrapped, asking_too, kwargs)
        result = await self._made_async(observed, wrapped, plain, kwargs)
        self._note_refusal(observed, instance, plain[1])
        return result

    async def _made_async(self, observed: _Observed, wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            if not is_refused(observed, error):
                self.left(observed, error)
            raise
        self.left(observed)
        self._take(observed, result)
        return result

    @guard.guarded_positional("calls.begin")
    def _begin(
        self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[_Observed, tuple[Any, ...]] | None:
        if not self.is_active:
            return None
        options = args[1] if len(args) > 1 else kwargs["options"]
        endpoint = self.client.endpoint(options.url, options.method)
        if endpoint is None:
            return self.passed_by(options.url, options.method)
        server = self._server(instance, options.url)
        observed = self._watch(endpoint, server, options, kwargs)
        if self.client.native_tracer is not None:
            observed.native = getattr(instance, self.client.native_tracer, None) is not None
        if endpoint.asks_usage and observed.call.is_stream and len(args) > 1 and server.is_asked is not False:
            args = self._asking(observed, server, args, options)
        self.recorder.began(observed)
        if self.recorder.is_strict:
            self.recorder.admit(observed)
        return observed, args

    def _watch(self, endpoint: Endpoint, server: Server, options: Any, kwargs: dict[str, Any]) -> _Observed:
        body = options.json_data
        if type(body) is not dict and not isinstance(body, Mapping):
            body = NOTHING
        # The caller's `extra_body`: the library sends it in the body, and it wins.
        beside = getattr(options, "extra_json", None)
        if beside and isinstance(beside, Mapping):
            body = {**body, **beside}
        if endpoint.each:
            body = items.body_of(self.client.segment(options.url))
        kind = StainlessStream if kwargs.get("stream") else StainlessCall
        observed: Any = begin(self.recorder, endpoint, self.client.name, server, body, kind, text(body.get("model")))
        observed.is_direct = server.is_direct
        return observed

    def _asking(self, observed: _Observed, server: Server, args: tuple[Any, ...], options: Any) -> tuple[Any, ...]:
        place = (server.base, observed.call.request_model)
        is_asked = self.asking.is_asked(place, known=server.is_asked)
        if is_asked is False or asking.has_own_word(observed.body, getattr(options, "extra_json", None)):
            return args
        if is_asked is None:
            observed.at_end = functools.partial(self._note_end, place)
            return args
        asked = copy.copy(options)
        asked.json_data = asking.asking(observed.body)
        observed.asked = True
        return (args[0], asked, *args[2:])

    def _note_end(self, place: asking.Place, *, is_reported: bool) -> None:
        """A stream came to its end as the caller had asked for it: who reports usage unasked is not to be asked."""
        self.asking.learn(place, is_asked=not is_reported)

    @guard.guarded_positional("calls.refused")
    def _note_refusal(self, observed: _Observed, instance: Any, options: Any) -> None:
        server = self._server(instance, options.url)
        self.asking.refused((server.base, observed.call.request_model), server.host)

    def _server(self, instance: Any, asked: str = "") -> Server:
        """Who answers at the client's base URL, or at an address that is asked for in full."""
        url = instance.__dict__.get("_base_url")
        is_full = asked.startswith("http")
        key = (asked if is_full else id(url), type(instance))
        return self.servers.known(key, lambda: self._find_server(type(url)(asked) if is_full else url, type(instance)))

    def _find_server(self, url: Any, kind: type) -> Server:
        names = {parent.__name__ for parent in kind.__mro__}
        server = self.servers.found(url, next((found for name, found in self.client.classes if name in names), None))
        told = self.servers.told(server.host, server.port, str(getattr(url, "path", "") or ""))
        server.is_asked = self.ask_usage == "always" or asking.is_needed(
            server.host, server.provider if told else None, self.client.asks_usage_of
        )
        return server

    @guard.guarded_positional("calls.answer")
    def _take(self, observed: _Observed, result: Any) -> None:
        """Look at what came back, and follow it if it is not over yet."""
        if not observed.taken:
            observed.taken = True
            observed.response = None  # it may keep the stream alive that keeps the call
            if self._look(observed, result) is None:  # we failed to read it: it was answered all the same
                observed.answered(None)
                if observed.asked:  # and what we asked for stays in it: never again
                    self.asking.stop()

    @guard.guarded_positional("calls.answer")
    def _look(self, observed: _Observed, result: Any) -> bool:
        kind = type(result)
        take = self._shapes.get(kind)
        if take is None:
            take = self._shapes[kind] = stainless_shapes.of(kind)
        take(observed, result)
        return True

    def responded(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        """In place of `_process_response`: the observed call learns of the headers."""
        observed = self._note_response(instance, kwargs)
        if observed is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            observed.failed(error)
            raise
        if hasattr(result, "__await__"):
            return self._taken_later(observed, result)
        self._take(observed, result)
        return result

    async def _taken_later(self, observed: _Observed, awaited: Any) -> Any:
        try:
            result = await awaited
        except BaseException as error:
            observed.failed(error)
            raise
        self._take(observed, result)
        return result

    @guard.guarded_positional("calls.headers")
    def _note_response(self, instance: Any, kwargs: dict[str, Any]) -> _Observed | None:
        """Take the headers; the observed call, if what comes back is to be looked at here and not after `request`."""
        if not self.is_active:
            return None
        observed: Any = self.recorder.current()
        if observed is None or observed.call.client != self.client.name:
            return self._begin_late(instance, kwargs)
        observed.response = response = kwargs.get("response")
        observed.headers = getattr(response, "headers", None)
        if not observed.native:
            return None
        # The library's own span ends before `request` returns: what it is told, it is told here.
        self.recorder.adopted(observed)
        return observed

    def _begin_late(self, instance: Any, kwargs: dict[str, Any]) -> _Observed | None:
        """An observed call for one that did not come by `request`: whose place could not be taken, and others hide it."""
        options = kwargs["options"]
        endpoint = self.client.endpoint(options.url, options.method)
        if endpoint is None:
            return None
        observed = self._watch(endpoint, self._server(instance, options.url), options, kwargs)
        self.recorder.began(observed)
        self.recorder.left(observed)
        observed.response = response = kwargs.get("response")
        observed.headers = getattr(response, "headers", None)
        return observed


#: What this dialect watches a library with.
PATCHED_CLIENT: Final = StainlessClient
