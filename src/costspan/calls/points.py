"""The words for where a client library is watched, and the way of a call through such a point.

A dialect names its points, says what is asked (`Ask`) and follows what comes back (`Take`); this file begins the call,
runs the library's own function within it, and sees to it that the caller gets what he would have got without us.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, TypeAlias

from costspan import guard
from costspan.calls import streams
from costspan.calls.beside import Beside
from costspan.calls.engine import ObservedCall, begin
from costspan.calls.messages import NOTHING
from costspan.calls.observed_stream import ObservedStream
from costspan.calls.servers import Server, Servers

if TYPE_CHECKING:
    from costspan.calls.description import Client, Endpoint
    from costspan.calls.recorder import Recorder

#: In place of a function, as wrapt calls it: (the function, bound; instance; args; kwargs).
Wrapper: TypeAlias = Callable[[Callable[..., Any], Any, Any, Any], Any]


@dataclass(slots=True)
class Request:
    """What is asked of whom: `model` as the request names it, wherever it does."""

    endpoint: Endpoint
    server: Server
    body: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    model: str | None = None
    is_stream: bool = False


#: From instance, args and kwargs of the function: the request, or None for what costs nothing or is not ours.
Ask: TypeAlias = Callable[[Any, tuple[Any, ...], dict[str, Any]], "Request | None"]
#: Looks at what came back and finishes the call, or follows it until it is over. Gives what the caller is to get, of the
#: type that he would have got.
Take: TypeAlias = Callable[[ObservedCall, Any], Any]


class Point(NamedTuple):
    """A function that is watched: its module, its name there (`Class.method`) and what runs in its place.

    `parameters` are those that the wrapper relies on: where one is missing, the library has moved and is left alone.
    `is_inmost` takes the place of the function itself, within the wrappers of other software (`calls.inmost`).
    `cell` is the name by which a decorator keeps the function that it decorates: that one is watched, within what the
    decorator does, whoever holds the decorated function.
    `is_optional` points are passed over where they are not there: versions that lack them do without.
    """

    module: str
    name: str
    wrapper: Wrapper
    parameters: tuple[str, ...] = ()
    is_inmost: bool = False
    is_optional: bool = False
    cell: str | None = None


class Options(NamedTuple):
    """What the user's settings say to those who watch."""

    own_hosts: tuple[tuple[str, str], ...] = ()
    ask_usage: str = "known"
    #: Told that a function of a client library was used which costs and is not watched.
    missed: Callable[[str, str], object] | None = None


_NOTHING_CAME: Final = object()


class PatchedClient:
    """One client library, watched on behalf of a recorder. A dialect derives from it and names its `points`."""

    #: What a call is that was asked for as a stream.
    stream_kind: ClassVar[type[ObservedStream]] = ObservedStream

    def __init__(self, client: Client, recorder: Recorder, options: Options = Options()) -> None:  # noqa: B008  # a constant
        self.client = client
        self.recorder = recorder
        self.is_active = True
        self.servers = Servers(client.provider, options.own_hosts)
        self.missed = options.missed

    def points(self) -> tuple[Point, ...]:
        """Where the library is watched. Called once, when it has been imported."""
        raise NotImplementedError

    def uncounted_points(self) -> tuple[Point, ...]:
        """Functions that cost and are not counted: no call is seen of them, so their use is told of."""
        return tuple(
            Point(module, function, Beside(lambda *_, told=told: self._tell_uncounted(told)).whole, is_optional=True)
            for told, module, function in self.client.uncounted_functions
        )

    def passed_by(self, path: str, method: str) -> None:
        """A request has no endpoint: it is no call. Where it costs all the same, that is told."""
        told = self.client.uncounted_at(path, method)
        if told is not None:
            self._tell_uncounted(told)

    @guard.guarded_positional("calls.uncounted")
    def _tell_uncounted(self, told: str) -> None:
        if self.missed is not None and self.is_active:
            self.missed(self.client.name, told)

    def begin(self, request: Request) -> ObservedCall:
        """A call begins here and now: within its span, until `left`."""
        kind = self.stream_kind if request.is_stream else ObservedCall
        observed = begin(
            self.recorder,
            request.endpoint,
            self.client.name,
            request.server,
            request.body,
            kind,
            request.model,
        )
        observed.is_direct = request.server.is_direct
        self.recorder.began(observed)
        if self.recorder.is_strict:
            self.recorder.admit(observed)
        return observed

    @guard.guarded_positional("calls.begin")
    def begun(self, ask: Ask, instance: Any, args: Any, kwargs: Any) -> ObservedCall | None:
        """The call, if this is one."""
        if not self.is_active:
            return None
        request = ask(instance, args, kwargs)
        return None if request is None else self.begin(request)

    @guard.guarded_positional("calls.left")
    def left(self, observed: ObservedCall, error: BaseException | None = None) -> None:
        """The library's function has returned or raised."""
        if error is not None:
            observed.failed(error)
        self.recorder.left(observed)

    def taken(self, take: Take, observed: ObservedCall, result: Any) -> Any:
        """What the caller gets: what `take` makes of the result, or the result where that fails."""
        found = self._take(take, observed, result)
        if found is None:
            observed.answered(None)  # we failed to read it: it was answered all the same
            return result
        return found[0]

    @guard.guarded_positional("calls.answer")
    def _take(self, take: Take, observed: ObservedCall, result: Any) -> tuple[Any]:
        return (take(observed, result),)

    def whole(self, ask: Ask, take: Take) -> Wrapper:
        """For a function that answers, or gives a stream object, after the request has been sent."""

        def wrapper(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
            observed = self.begun(ask, instance, args, kwargs)
            if observed is None:
                return wrapped(*args, **kwargs)
            try:
                result = wrapped(*args, **kwargs)
            except BaseException as error:
                self.left(observed, error)
                raise
            self.left(observed)
            return self.taken(take, observed, result)

        return wrapper

    def whole_async(self, ask: Ask, take: Take) -> Wrapper:
        """The same for a coroutine function."""

        async def wrapper(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
            observed = self.begun(ask, instance, args, kwargs)
            if observed is None:
                return await wrapped(*args, **kwargs)
            try:
                result = await wrapped(*args, **kwargs)
            except BaseException as error:
                self.left(observed, error)
                raise
            self.left(observed)
            return self.taken(take, observed, result)

        return wrapper

    def generated(self, ask: Ask) -> Wrapper:
        """For a generator function that sends its request with the first `next`: what is never read was never asked."""

        def wrapper(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
            return self._generated(ask, wrapped(*args, **kwargs), instance, args, kwargs)

        return wrapper

    def _generated(self, ask: Ask, source: Iterator[Any], instance: Any, args: Any, kwargs: Any) -> Iterator[Any]:
        observed = self.begun(ask, instance, args, kwargs)
        if observed is None:
            yield from source
            return
        try:
            first = next(source, _NOTHING_CAME)
        except BaseException as error:
            self.left(observed, error)
            raise
        self.left(observed)
        rest = source if first is _NOTHING_CAME else chain((first,), source)
        yield from streams.events(ObservedStream.following(observed), rest)

    def generated_async(self, ask: Ask) -> Wrapper:
        """The same for a coroutine function that gives an asynchronous generator, or for one that is such a generator."""

        def wrapper(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
            source = wrapped(*args, **kwargs)
            if inspect.isawaitable(source):
                return self._generated_later(ask, source, instance, args, kwargs)
            return self._async_events(ask, source, instance, args, kwargs)

        return wrapper

    async def _generated_later(self, ask: Ask, awaited: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        observed = self.begun(ask, instance, args, kwargs)
        if observed is None:
            return await awaited
        try:
            source = await awaited
        except BaseException as error:
            self.left(observed, error)
            raise
        self.left(observed)
        followed = ObservedStream.following(observed)
        return self.taken(lambda _, result: streams.AsyncEvents(followed, aiter(result)), followed, source)

    async def _async_events(
        self, ask: Ask, source: AsyncIterator[Any], instance: Any, args: Any, kwargs: Any
    ) -> AsyncIterator[Any]:
        observed = self.begun(ask, instance, args, kwargs)
        if observed is None:
            async for event in source:
                yield event
            return
        try:
            first = await anext(source, _NOTHING_CAME)
        except BaseException as error:
            self.left(observed, error)
            raise
        self.left(observed)
        events = streams.AsyncEvents(ObservedStream.following(observed), _chained(first, source))
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()


async def _chained(first: Any, rest: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The events; closed, it closes what they come from, which may hold a lock or a connection until then."""
    try:
        if first is not _NOTHING_CAME:
            yield first
        async for event in rest:
            yield event
    finally:
        close = getattr(rest, "aclose", None)
        if close is not None:
            await close()
