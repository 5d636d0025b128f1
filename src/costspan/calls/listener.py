"""Who is told about watched calls: what the engine asks of the one listener it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from costspan.calls.engine import Watch


class Listener(Protocol):
    """Who is told about calls. It may keep what it likes in `watch.span` and `watch.token`."""

    def began(self, watch: Watch) -> None:
        """A call is about to be made, in this thread and task."""

    def left(self, watch: Watch) -> None:
        """The library's method has returned or raised, in the same thread and task."""

    def current(self) -> Watch | None:
        """The watch of the call that is under way in this thread and task."""

    def adopted(self, watch: Watch) -> None:
        """A span of the library's own for this call is current now: use it."""

    def finished(self, watch: Watch) -> None:
        """`watch.call` is complete. May come from another thread, long after `left`."""
