"""Who is told about watched calls: what the engine asks of the one recorder it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from costspan.calls.engine import ObservedCall


class Recorder(Protocol):
    """Who is told about calls. It may keep what it likes in `observed.span` and `observed.token`."""

    def began(self, observed: ObservedCall) -> None:
        """A call is about to be made, in this thread and task."""

    def left(self, observed: ObservedCall) -> None:
        """The library's method has returned or raised, in the same thread and task."""

    def current(self) -> ObservedCall | None:
        """The call that is under way in this thread and task."""

    def adopted(self, observed: ObservedCall) -> None:
        """A span of the library's own for this call is current now: use it."""

    def finished(self, observed: ObservedCall) -> None:
        """`observed.call` is complete. May come from another thread, long after `left`."""
