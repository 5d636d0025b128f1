"""Streams: an iterator of ours in front of the library's own, so that the caller keeps the library's object.

Per event: count it and keep it among the last few. Nothing is read before the stream is over.
"""
# pyright: basic
# Proxies of foreign objects fight strict checking.

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Iterator
from time import perf_counter_ns
from typing import Any

from costspan import guard
from costspan.calls.engine import StreamWatch, Watch


def follow(watch: Watch, stream: Any) -> Any:
    """The same stream, watched."""
    if watch.endpoint.each:
        return _follow_each(watch, stream)
    followed = StreamWatch.following(watch)
    source = stream._iterator
    is_plain = not (followed.asked or followed.native)
    if hasattr(source, "__anext__"):
        events: Any = AsyncEvents(followed, source) if is_plain else AsyncSwallowing(followed, source)
    else:
        events = _events(followed, source) if is_plain else _swallowing(followed, source)
    stream._iterator = events
    followed.reader = weakref.ref(events)
    response = getattr(stream, "response", None) or getattr(stream, "http_response", None)
    if response is not None:
        _watch_closing(followed, response, events)
    return stream


def _events(watch: StreamWatch, source: Iterator[Any]) -> Iterator[Any]:
    """The library's events, counted. What a finished or abandoned stream is asked for stands in these variables.

    A stream has hundreds of events, so they are taken in pairs: counting one costs as much as keeping it. The last
    three are `before`, `former`, `last`; or, if `last` is None, between the two of a pair, `before` and `former`.
    """
    head = watch.head
    pairs: list[None] = []
    before = former = last = None
    try:
        for event in source:
            if not head:
                watch.first_ns = perf_counter_ns()
            head.append(event)
            yield event
            if len(head) == StreamWatch.HEAD:
                break
        for former in source:
            pairs.append(None)
            before, last = last, None
            yield former
            for last in source:
                yield last
                break
    except GeneratorExit:
        watch.keep(len(pairs), before, former, last)
        watch.dropped()
        raise
    except BaseException as error:
        watch.keep(len(pairs), before, former, last)
        watch.broken(error)
        raise
    watch.keep(len(pairs), before, former, last)
    watch.ended()


@guard.guarded_positional("calls.event")
def _begin(watch: StreamWatch, head: list[Any], event: Any) -> None:
    if not head:
        watch.first_ns = perf_counter_ns()
    head.append(event)


def _swallowing(watch: StreamWatch, source: Iterator[Any]) -> Iterator[Any]:
    """The same for a stream whose usage we asked for: the event that nobody else expects is kept from the caller.

    And for a stream within a span of the library's own, which is told the cost before it ends.
    """
    try:
        for event in source:
            _note(watch, event)
            if not (watch.asked and _is_usage_alone(event)):
                yield event
    except GeneratorExit:
        watch.dropped()
        raise
    except BaseException as error:
        watch.broken(error)
        raise
    watch.ended()


@guard.guarded_positional("calls.event")
def _note(watch: StreamWatch, event: Any) -> None:
    """Keep an event."""
    watch.count += 1
    if watch.count <= StreamWatch.HEAD:
        _begin(watch, watch.head, event)
    else:
        watch.tail.append(event)
    _tell(watch, event)


@guard.guarded("calls.event")
def _tell(watch: StreamWatch, event: Any) -> None:
    """After its last usage, a stream within a span of the library's own is over for us: the span ends any moment."""
    if watch.native and watch.endpoint.ends is not None and watch.endpoint.ends(event):
        watch.ended()


def _is_usage_alone(event: Any) -> bool:
    """Whether this is the event that a chat stream has only for those who ask for usage."""
    return not getattr(event, "choices", True) and getattr(event, "usage", None) is not None


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
    """The library's asynchronous events, counted.

    An object, not an asynchronous generator: the event loop would put off the end of an abandoned generator, or
    never get to it.
    """

    def __init__(self, watch: StreamWatch, source: AsyncIterator[Any]) -> None:
        self._watch = watch
        self._source = source
        self._keep = watch.tail.append

    @property
    def gi_running(self) -> bool:
        """Whether the library's generator is at work for the caller just now."""
        return getattr(self._source, "ag_running", False)

    def __aiter__(self) -> AsyncEvents:
        return self

    async def __anext__(self) -> Any:
        try:
            event = await anext(self._source)
        except StopAsyncIteration:
            self._watch.ended()
            raise
        except BaseException as error:
            self._watch.broken(error)
            raise
        watch = self._watch
        watch.count += 1
        if watch.count > StreamWatch.HEAD:
            self._keep(event)
        else:
            _begin(watch, watch.head, event)
        return event

    async def aclose(self) -> None:
        """Close the library's iterator, as the caller would have."""
        self._watch.closed()
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class AsyncSwallowing(AsyncEvents):
    """The same for what `_swallowing` is for."""

    async def __anext__(self) -> Any:
        while True:
            event = await super().__anext__()
            _tell(self._watch, event)
            if not (self._watch.asked and _is_usage_alone(event)):
                return event


@guard.guarded_positional("calls.close")
def _note_closing(running: Any, watched: StreamWatch | None) -> None:
    if watched is not None and not getattr(running, "gi_running", False):
        watched.closed()


def _watch_closing(watch: StreamWatch, response: Any, events: Any) -> None:
    """Learn of a response that is closed from outside, while our iterator is not running.

    Weak references only: an abandoned stream must not be kept alive by its watch.
    """
    own, reader, watching = weakref.ref(response), weakref.ref(events), weakref.ref(watch)
    if isinstance(events, AsyncEvents):

        async def aclose() -> None:
            _note_closing(reader(), watching())
            closing = own()
            if closing is not None:
                await type(closing).aclose(closing)

        response.aclose = aclose
    else:

        def close() -> None:
            _note_closing(reader(), watching())
            closing = own()
            if closing is not None:
                type(closing).close(closing)

        response.close = close
