"""Streams: an iterator of ours in front of the library's own, so that the caller keeps the library's object.

Per event: count it and keep what may be needed (`ObservedStream.digest`). Nothing is read before the stream is over.
"""
# pyright: basic
# Proxies of foreign objects fight strict checking.

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from costspan import guard
from costspan.calls.observed_stream import Look, ObservedStream


def passing(look: Look, noted: Iterator[Any]) -> Iterator[Any]:
    """The events without those that are ours alone (`ObservedStream.look`)."""
    for event in noted:
        try:
            if look(event):
                continue
        except Exception as fault:  # noqa: BLE001  # in line: a guard of its own is a call more for each event
            guard.fault("calls.look", fault)
        yield event


def events(
    observed: ObservedStream, source: Iterator[Any], passing: Callable[[Look, Iterator[Any]], Iterator[Any]] = passing
) -> Iterator[Any]:
    """The library's events, each noted, without those that are ours alone. A dialect may have a `passing` of its own."""
    look, noted = _look_of(observed), _noted(observed, source)
    return noted if look is None else passing(look, noted)


@guard.guarded_positional("calls.look")
def _look_of(observed: ObservedStream) -> Look | None:
    return observed.look()


def _noted(observed: ObservedStream, source: Iterator[Any]) -> Iterator[Any]:
    recent, limit = observed.recent, 1
    try:
        for event in source:
            recent.append(event)
            if len(recent) >= limit:
                observed.digest()
                limit = len(recent) + observed.BATCH
            yield event
    except GeneratorExit:
        observed.dropped()
        raise
    except BaseException as error:
        observed.broken(error)
        raise
    observed.ended()


class AsyncEvents:
    """The library's asynchronous events, without those that are ours alone (`ObservedStream.look`).

    An object, not an asynchronous generator: the event loop would put off the end of an abandoned generator, or
    never get to it.
    """

    def __init__(self, observed: ObservedStream, source: Any) -> None:
        self._watch = observed
        self._source = source
        self._recent = observed.recent
        self._limit = 1
        self._look = _look_of(observed)
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
                if look is not None:
                    try:
                        if look(event):
                            continue
                    except Exception as fault:  # noqa: BLE001  # as in `passing`
                        guard.fault("calls.look", fault)
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
