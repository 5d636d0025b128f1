"""Streams: an iterator of ours in front of the library's own, so that the caller keeps the library's object.

Per event: count it and keep what may be needed (`ObservedStream.digest`). Nothing is read before the stream is over.
"""
# pyright: basic
# Proxies of foreign objects fight strict checking.

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Iterator
from itertools import chain, filterfalse, islice
from typing import Any

from costspan import guard
from costspan.calls import wires
from costspan.calls.engine import ObservedCall, ObservedStream


def follow(observed: ObservedCall, stream: Any) -> Any:
    """The same stream, watched."""
    if observed.endpoint.each:
        return _follow_each(observed, stream)
    followed = ObservedStream.following(observed)
    source = stream._iterator
    iterator: Any = AsyncEvents(followed, source) if hasattr(source, "__anext__") else events(followed, source)
    stream._iterator = iterator
    followed.reader = weakref.ref(iterator)
    response = getattr(stream, "response", None) or getattr(stream, "http_response", None)
    if response is not None:
        _watch_closing(followed, response)
    return stream


def events(observed: ObservedStream, source: Iterator[Any]) -> Iterator[Any]:
    """The library's events, without the one that nobody but we asked for."""
    noted = filterfalse(observed.recent.append, source)  # `append` answers None: each event is noted, and passes
    look = observed.look()
    is_each = observed.asked or observed.native
    try:
        for first in noted:
            observed.digest()
            batch = chain((first,), islice(noted, observed.BATCH))
            if look is None:
                yield from batch
                continue
            for event in batch:
                try:  # a call for each event would cost as much as all the rest
                    is_plain = not is_each and event.usage is None
                except AttributeError:
                    is_plain = False
                if is_plain or not look(event):
                    yield event
    except GeneratorExit:
        observed.dropped()
        raise
    except BaseException as error:
        observed.broken(error)
        raise
    observed.ended()


def _follow_each(observed: ObservedCall, stream: Any) -> Any:
    """A list of answers, sent as a stream (the results of a batch): every item is a call of its own."""
    observed.claim()
    source = stream._iterator
    stream._iterator = _async_items(observed, source) if hasattr(source, "__anext__") else _items(observed, source)
    return stream


def _items(observed: ObservedCall, source: Iterator[Any]) -> Iterator[Any]:
    for item in source:
        observed.item(item)
        yield item


async def _async_items(observed: ObservedCall, source: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for item in source:
        observed.item(item)
        yield item


class AsyncEvents:
    """The library's asynchronous events, without the one that nobody but we asked for.

    An object, not an asynchronous generator: the event loop would put off the end of an abandoned generator, or
    never get to it.
    """

    def __init__(self, observed: ObservedStream, source: Any) -> None:
        self._watch = observed
        self._source = source
        self._recent = observed.recent
        self._limit = 1
        self._look = observed.look()
        self._is_each = observed.asked or observed.native
        self._next = source.__anext__

    @property
    def gi_running(self) -> bool:
        """Whether the library's generator is at work for the caller just now."""
        return getattr(self._source, "ag_running", False)

    def __aiter__(self) -> AsyncEvents:
        return self

    async def __anext__(self) -> Any:
        recent = self._recent
        try:
            while True:
                event = await self._next()
                recent.append(event)
                if len(recent) >= self._limit:
                    self._watch.digest()
                    self._limit = len(recent) + self._watch.BATCH
                look = self._look
                if look is None:
                    return event
                try:
                    is_plain = not self._is_each and event.usage is None
                except AttributeError:
                    is_plain = False
                if is_plain or not look(event):
                    return event
        except StopAsyncIteration:
            self._watch.ended()
            raise
        except BaseException as error:
            self._watch.broken(error)
            raise

    async def aclose(self) -> None:
        """Close the library's iterator, as the caller would have."""
        self._watch.closed()
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()

    # As an asynchronous generator has them; a `__getattr__` would make each look at an attribute five times as dear.
    @property
    def ag_running(self) -> bool:
        """The same by the name that it has in an asynchronous generator."""
        return self.gi_running

    def asend(self, value: Any) -> Any:
        """Send a value into the library's iterator."""
        return self._source.asend(value)

    def athrow(self, *fault: Any) -> Any:
        """Raise a fault in the library's iterator."""
        return self._source.athrow(*fault)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._source.__reduce_ex__(protocol)


def _watch_closing(observed: ObservedStream, response: Any) -> None:
    """Learn of a response that is closed from outside, while our iterator is not running.

    Weak references only: an abandoned stream must not be kept alive by its observed.
    """
    watching = weakref.ref(observed)

    @guard.guarded_positional("calls.close")
    def closing() -> None:
        watched = watching()
        if watched is None:
            return
        running = watched.reader() if watched.reader is not None else None
        if wires.is_dropped():
            watched.dropped()
        elif not getattr(running, "gi_running", False):
            watched.closed()

    wires.attach(response, closing)
