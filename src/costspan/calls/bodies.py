"""Responses that the caller reads himself (`with_raw_response`, `with_streaming_response`): the bytes he reads tell.

A body that is already in memory is read at once. One that is not is read along: whatever way of reading the caller
chooses goes through `iter_bytes` of the response, and so do the library's own parsers.
"""
# pyright: basic
# Proxies of foreign objects fight strict checking.

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter_ns
from typing import Any, Final

from costspan import guard
from costspan.calls.engine import StreamWatch, Watch
from costspan.calls.messages import fields, parsed

_LARGEST_BODY: Final = 32 * 1024 * 1024
_EVENT_STREAM: Final = "text/event-stream"
_EVENTS_BEGIN: Final = (b"data:", b"event:")


def follow(watch: Watch, response: Any) -> None:
    """Watch an httpx response until its body is known."""
    if watch.endpoint.request_usage is not None:
        watch.answered(None)
    elif hasattr(response, "_content"):
        watch.answered(_read_whole(watch, response.content))
    else:
        _read_along(watch, response)


@guard.guarded("calls.read_body")
def _read_whole(watch: Watch, body: bytes) -> Any:
    message = parsed(body)
    return None if message is None else watch.endpoint.read(message)


def _read_along(watch: Watch, response: Any) -> None:
    tap = Tap(StreamWatch.following(watch), is_events=_EVENT_STREAM in response.headers.get("content-type", ""))
    own = weakref.ref(response)
    response.iter_bytes = _tapped(own, tap, "iter_bytes")
    response.iter_raw = _tapped(own, tap, "iter_raw")
    response.aiter_bytes = _async_tapped(own, tap, "aiter_bytes")
    response.aiter_raw = _async_tapped(own, tap, "aiter_raw")
    response.close = _closing(own, tap)
    response.aclose = _async_closing(own, tap)


class Tap:
    """Bytes on their way to the caller: server-sent events, of which the watch keeps the first and the last, or a body.

    A body is kept whole until its end. One that begins as events do is taken for events, whatever the server calls it.
    """

    def __init__(self, watch: StreamWatch, *, is_events: bool) -> None:
        self.watch = watch
        self.is_events = watch.call.is_stream = is_events
        self.is_reading = False  # somebody iterates
        self.is_running = False  # the response is at work for him, and may close itself
        self.held = b""  # what he has not got yet: the beginning of an event that may be ours alone
        self._rest = b""
        self._skips_blank = False
        self._chunks: list[bytes] = []
        self._size = 0

    @guard.guarded("calls.read_body")
    def take(self, chunk: bytes) -> bytes | None:
        """A piece passes by. What the caller gets now, if it is not just what is held back and this."""
        if not self.is_events and not self._size and chunk.startswith(_EVENTS_BEGIN):
            self.is_events = self.watch.call.is_stream = True
        return self._take_events(chunk) if self.is_events else self._keep(chunk)

    @guard.guarded("calls.read_body")
    def end(self) -> None:
        """The body is over."""
        if self.is_events:
            self._is_swallowed(self._rest + self.held)
            self.watch.ended()
        else:
            self.watch.answered(_read_whole(self.watch, b"".join(self._chunks)))

    def _keep(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= _LARGEST_BODY:
            self._chunks.append(chunk)

    def _take_events(self, chunk: bytes) -> bytes | None:
        *lines, rest = (self._rest + self.held + chunk).split(b"\n")
        passed = [line + b"\n" for line in lines if not self._is_swallowed(line)]
        if not self.watch.asked:
            self._rest = rest
            return None
        self.held = rest
        return b"".join(passed)

    def _is_swallowed(self, line: bytes) -> bool:
        """Whether this line belongs to the event that nobody but we asked for: its data, or the blank after it."""
        if line.startswith(b"data:"):
            data = line[5:].strip()
            self._event(data)
            self._skips_blank = self.watch.asked and b'"usage"' in data and _is_usage_alone(data)
            return self._skips_blank
        is_skipped = self._skips_blank and not line.strip()
        self._skips_blank = False
        return is_skipped

    def _event(self, data: bytes) -> None:
        watch = self.watch
        if data == b"[DONE]":
            watch.ended()
        elif data.startswith(b"{"):
            watch.count += 1
            if watch.count == 1:
                watch.first_ns = perf_counter_ns()
            (watch.head if watch.count <= StreamWatch.HEAD else watch.tail).append(data)


def _is_usage_alone(data: bytes) -> bool:
    """Whether this is the event that a chat stream has only for those who ask for usage."""
    said = fields(parsed(data))
    return not said.get("choices", True) and said.get("usage") is not None


def _tapped(own: Callable[[], Any], tap: Tap, name: str) -> Callable[..., Iterator[bytes]]:
    def iterate(*args: Any, **kwargs: Any) -> Iterator[bytes]:
        response = own()
        source = getattr(type(response), name)(response, *args, **kwargs)
        if tap.is_reading:  # iter_bytes reads iter_raw: tap the outer one
            return source
        return _passing(tap, source)

    return iterate


def _passing(tap: Tap, source: Iterator[bytes]) -> Iterator[bytes]:
    tap.is_reading = tap.is_running = True
    try:
        for chunk in source:
            tap.is_running = False
            passed = tap.take(chunk)
            if passed is None:
                passed, tap.held = tap.held + chunk, b""
            if passed:
                yield passed
            tap.is_running = True
    except GeneratorExit:
        tap.watch.dropped()
        raise
    except BaseException as error:
        tap.watch.broken(error)
        raise
    finally:
        tap.is_reading = tap.is_running = False
    tap.end()
    if tap.held:
        yield tap.held


def _async_tapped(own: Callable[[], Any], tap: Tap, name: str) -> Callable[..., AsyncIterator[bytes]]:
    def iterate(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        response = own()
        source = getattr(type(response), name)(response, *args, **kwargs)
        if tap.is_reading:
            return source
        return _async_passing(tap, source)

    return iterate


async def _async_passing(tap: Tap, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    tap.is_reading = tap.is_running = True
    try:
        async for chunk in source:
            tap.is_running = False
            passed = tap.take(chunk)
            if passed is None:
                passed, tap.held = tap.held + chunk, b""
            if passed:
                yield passed
            tap.is_running = True
    except GeneratorExit:
        tap.watch.dropped()
        raise
    except BaseException as error:
        tap.watch.broken(error)
        raise
    finally:
        tap.is_reading = tap.is_running = False
    tap.end()
    if tap.held:
        yield tap.held


def _closing(own: Callable[[], Any], tap: Tap) -> Callable[[], None]:
    def close() -> None:
        if not tap.is_running:
            tap.watch.closed()
        response = own()
        if response is not None:
            type(response).close(response)

    return close


def _async_closing(own: Callable[[], Any], tap: Tap) -> Callable[[], Any]:
    async def aclose() -> None:
        if not tap.is_running:
            tap.watch.closed()
        response = own()
        if response is not None:
            await type(response).aclose(response)

    return aclose
