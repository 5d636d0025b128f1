"""Streams: an iterator of ours in front of the library's own, so that the caller keeps the library's object.

Per event: count it and keep what may be needed (`StreamWatch.digest`). Nothing is read before the stream is over.
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
from costspan.calls.engine import Look, StreamWatch, Watch


def follow(watch: Watch, stream: Any) -> Any:
    """The same stream, watched."""
    if watch.endpoint.each:
        return _follow_each(watch, stream)
    followed = StreamWatch.following(watch)
    source = stream._iterator
    events: Any = (
        AsyncEvents(followed, source) if hasattr(source, "__anext__") else _events(followed, source, followed.look())
    )
    stream._iterator = events
    followed.reader = weakref.ref(events)
    response = getattr(stream, "response", None) or getattr(stream, "http_response", None)
    if response is not None:
        _watch_closing(followed, response)
    return stream


def _events(watch: StreamWatch, source: Iterator[Any], look: Look | None) -> Iterator[Any]:
    """The library's events, without the one that nobody but we asked for."""
    noted = filterfalse(watch.recent.append, source)  # `append` answers None: each event is noted, and passes
    is_each = watch.asked or watch.native
    try:
        for first in noted:
            watch.digest()
            batch = chain((first,), islice(noted, watch.BATCH))
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
        watch.dropped()
        raise
    except BaseException as error:
        watch.broken(error)
        raise
    watch.ended()


def _follow_each(watch: Watch, stream: Any) -> Any:
    """A list of answers, sent as a stream (the results of a batch): every item is a call of its own."""
    watch.claim()
    source = stream._iterator
    stream._iterator = _async_items(watch, source) if hasattr(source, "__anext__") else _items(watch, source)
    return stream


def _items(watch: Watch, source: Iterator[Any]) -> Iterator[Any]:
    for item in source:
        watch.item(item)
        yield item


async def _async_items(watch: Watch, source: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for item in source:
        watch.item(item)
        yield item


class AsyncEvents:
    """The library's asynchronous events, without the one that nobody but we asked for.

    An object, not an asynchronous generator: the event loop would put off the end of an abandoned generator, or
    never get to it.
    """

    def __init__(self, watch: StreamWatch, source: Any) -> None:
        self._watch = watch
        self._source = source
        self._recent = watch.recent
        self._limit = 1
        self._look = watch.look()
        self._is_each = watch.asked or watch.native
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


def _watch_closing(watch: StreamWatch, response: Any) -> None:
    """Learn of a response that is closed from outside, while our iterator is not running.

    Weak references only: an abandoned stream must not be kept alive by its watch.
    """
    watching = weakref.ref(watch)

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
