"""Between an HTTP response and its connection: what passes there, and how it ends.

The response keeps its type, its methods and its attributes, as does the stream that it holds (`response.stream`); what
that one reads from is taken the place of. So a method that is kept alone works, and the response is pickled as ever.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import sys
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol

from costspan import guard
from costspan.calls.observed_stream import ObservedStream


class Reader(Protocol):
    """Who looks at what passes. Its methods never raise."""

    observed: ObservedStream
    is_running: bool

    def take(self, chunk: bytes) -> bytes | None:
        """A piece passes by: what the caller gets now, or None for the piece with what is held back."""

    def end(self) -> None:
        """The body is over."""

    def release(self, chunk: bytes) -> bytes:
        """What is held back, and this."""
        ...

    def take_decoded(self, chunk: bytes) -> bytes | None:
        """The three again, of a body that is compressed, as it comes out of its decoder."""

    def end_decoded(self) -> None:
        """Nothing more comes out of the decoder."""

    def release_decoded(self, chunk: bytes) -> bytes:
        """What is held back, and this."""
        ...


def attach(response: Any, closing: Callable[[], None], reader: Reader | None = None) -> None:
    """Have `closing` called when the response is closed, and `reader` see its bytes."""
    bound = response.stream
    holder, name = (bound, "_stream") if hasattr(bound, "_stream") else (response, "stream")
    inner = getattr(holder, name)
    kind = _AsyncWire if hasattr(inner, "__aiter__") else _Wire
    if holder is response:  # of the type that the response asks for
        kind = type(type(inner).__name__, (kind, type(inner)), {})
    setattr(holder, name, kind(inner, closing, reader))


class _Wire:
    def __init__(self, inner: Any, closing: Callable[[], None], reader: Reader | None) -> None:
        self._inner = inner
        self._closing = closing
        self._reader = reader

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._inner) if self._reader is None else _passing(self._reader, iter(self._inner))

    def close(self) -> None:
        self._closing()
        self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _AsyncWire(_Wire):
    def __aiter__(self) -> AsyncIterator[bytes]:
        source = self._inner.__aiter__()
        return source if self._reader is None else _AsyncPassing(self._reader, source)

    async def aclose(self) -> None:
        self._closing()
        await self._inner.aclose()


def along(reader: Reader, source: Any) -> Any:
    """The pieces of a body, of either sort, as the reader lets them pass."""
    return _AsyncPassing(reader, source) if hasattr(source, "__anext__") else _passing(reader, source)


def watch_closing(observed: ObservedStream, response: Any) -> None:
    """Learn of a response that is closed from outside, while our iterator is not running.

    Weak references only: an abandoned stream must not be kept alive by who watches it.
    """
    watching = weakref.ref(observed)

    @guard.guarded_positional("calls.close")
    def closing() -> None:
        watched = watching()
        if watched is None:
            return
        running = watched.reader() if watched.reader is not None else None
        if is_dropped():
            watched.dropped()
        elif not getattr(running, "gi_running", False):
            watched.closed()

    attach(response, closing)


def is_dropped() -> bool:
    """Whether a response is closed because the generator that read it is: it was let go of, in a finalizer perhaps."""
    return sys.exc_info()[0] is GeneratorExit


def _passing(reader: Reader, source: Iterator[bytes]) -> Iterator[bytes]:
    reader.is_running = True
    try:
        for chunk in source:
            reader.is_running = False
            passed = reader.take(chunk)
            if passed is None:
                passed = reader.release(chunk)
            if passed:
                yield passed
            reader.is_running = True
    except GeneratorExit:
        reader.observed.dropped()
        raise
    except BaseException as error:
        reader.observed.broken(error)
        raise
    finally:
        reader.is_running = False
    reader.end()
    rest = reader.release(b"")
    if rest:
        yield rest


class _AsyncPassing:
    """The same, as an object: the event loop would put off the end of an abandoned generator, or never get to it."""

    def __init__(self, reader: Reader, source: Any) -> None:
        self._reader = reader
        self._source = source
        self._is_over = False

    def __aiter__(self) -> _AsyncPassing:
        return self

    async def __anext__(self) -> bytes:
        reader = self._reader
        while not self._is_over:
            reader.is_running = True
            try:
                chunk = await self._source.__anext__()
            except StopAsyncIteration:
                self._is_over = True
                reader.is_running = False
                reader.end()
                rest = reader.release(b"")
                if rest:
                    return rest
                raise
            except BaseException as error:
                reader.is_running = False
                reader.observed.broken(error)
                raise
            reader.is_running = False
            passed = reader.take(chunk)
            if passed is None:
                passed = reader.release(chunk)
            if passed:
                return passed
        raise StopAsyncIteration

    # An asynchronous generator to who asks (`collections.abc`): httpx2 closes what it reads from if it is one.
    def asend(self, value: Any) -> Any:
        return self._source.asend(value)

    def athrow(self, *fault: Any) -> Any:
        return self._source.athrow(*fault)

    async def aclose(self) -> None:
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()


class Decoder:
    """In place of a response's own decoder, where the body is compressed: the reader sees what comes out of it."""

    def __init__(self, inner: Any, reader: Reader) -> None:
        self._inner = inner
        self._reader = reader

    def decode(self, data: bytes) -> Any:
        """What comes out of a piece."""
        return self._seen(self._inner.decode(data))

    def flush(self) -> Any:
        """What comes out when there is no more to come."""
        decoded = self._seen(self._inner.flush())
        self._reader.end_decoded()
        rest = self._reader.release_decoded(b"")
        return decoded if not rest else decoded + rest if isinstance(decoded, bytes) else [*decoded, rest]

    def _seen(self, decoded: Any) -> Any:
        if isinstance(decoded, bytes):
            return self._one(decoded)
        return [self._one(piece) for piece in decoded]  # httpx2 decodes into pieces

    def _one(self, piece: bytes) -> bytes:
        passed = self._reader.take_decoded(piece)
        return self._reader.release_decoded(piece) if passed is None else passed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
