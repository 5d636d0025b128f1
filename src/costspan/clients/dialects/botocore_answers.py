"""What a caller of AWS's library is still to read: events on their way into a stream, a body as he reads it.

Events are taken as they arrive, before the library parses them. Of a body that nobody reads, the headers are known.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from costspan import guard
from costspan.calls.observed_stream import Look, ObservedStream
from costspan.facts.call import Answer
from costspan.facts.usage import Usage

#: The attribute by which a stream or a body is known here. Beginning like this, proxies keep it to themselves.
MARK: Final = "_self_costspan"
_FAULTS: Final = frozenset({"error", "exception"})


class Events(ObservedStream):
    """A call whose answer is an event stream."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.sum: Answer | None = None

    def look(self) -> Look | None:
        """Every event is looked at before the library parses it: it may be a fault, which the library raises then."""
        return self._looked_at

    def _looked_at(self, event: Any) -> None:
        if self.endpoint.adds:
            self._add(event)
        if event.headers.get(":message-type") in _FAULTS:
            self.ended()

    @guard.guarded_positional("calls.event")
    def _add(self, event: Any) -> None:
        said = self.endpoint.read(event)
        if said is not None:
            self.sum = said if self.sum is None else self.endpoint.merge(self.sum, said)

    def answer_so_far(self) -> Answer | None:
        """What the events say that were kept, or all of them together."""
        if not self.endpoint.adds:
            return super().answer_so_far()
        if self.sum is not None and not self.sum.usage:
            self.sum.usage = None
        return self.sum

    def estimated(self, usage: Usage | None) -> Usage | None:
        """Of an agent's prompts nothing is known: no estimate would be near."""
        if self.endpoint.shown is not None:
            return super().estimated(usage)
        return None if usage is None else Usage(usage.counts, complete=False)


class Body(ObservedStream):
    """A call whose answer is a body that the caller may read, in pieces, or leave alone."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.call.is_stream = False
        self.chunks: list[bytes] = []
        self.size = 0
        self.came_ns = perf_counter_ns()

    def expect(self) -> None:
        """The headers are here: for most models, they say all that is charged."""
        self.note({"headers": dict(self.headers), "asked": self.body})
        self.first_ns = 0

    @guard.guarded("calls.read_body")
    def take(self, chunk: bytes, amt: int | None = None) -> None:
        """The caller has read a piece, and with it the whole, perhaps."""
        if not self._open or amt == 0:
            return
        self.chunks.append(chunk)
        self.size += len(chunk)
        if not chunk or amt is None or amt < 0 or str(self.size) == self.headers.get("content-length"):
            self.note(b"".join(self.chunks))
            self.chunks.clear()
            self.ended()

    def settle_now(self, outcome: str, ended: int | None = None) -> None:  # noqa: ARG002  # the base class's signature
        """The call was over when the headers came, whenever the body is read or let go of."""
        super().settle_now(outcome, self.came_ns)

    def estimated(self, usage: Usage | None) -> Usage | None:
        """Of a body that nobody read, what its headers say."""
        return usage


def closing(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    """In place of a `close`."""
    observed = getattr(instance, MARK, None)
    if observed is not None:
        observed.closed()
    return wrapped(*args, **kwargs)


def reading(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    """In place of a body's `read`."""
    observed = getattr(instance, MARK, None)
    if observed is None:
        return wrapped(*args, **kwargs)
    try:
        chunk = wrapped(*args, **kwargs)
    except BaseException as error:
        observed.broken(error)
        raise
    observed.take(chunk, *args, **kwargs)
    return chunk


async def reading_async(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    """The same for the asynchronous library."""
    observed = getattr(instance, MARK, None)
    if observed is None:
        return await wrapped(*args, **kwargs)
    try:
        chunk = await wrapped(*args, **kwargs)
    except BaseException as error:
        observed.broken(error)
        raise
    observed.take(chunk, *args, **kwargs)
    return chunk
