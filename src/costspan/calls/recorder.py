"""Who is told about watched calls: what the engine asks of the one recorder it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from costspan.calls.engine import ObservedCall, Seller


class Sending(Protocol):
    """What tells the requests of an HTTP library from the calls that they are sent for."""

    def is_within(self) -> bool:
        """Whether a call that is not over is above this place, in this thread or in the one that had this done here."""
        ...

    def is_for(self, seller: Seller, body: Mapping[str, Any]) -> bool | None:
        """Whether a call that is made elsewhere asks just this there."""
        ...


class Recorder(Protocol):
    """Who is told about calls. It may keep what it likes in `observed.span` and `observed.token`."""

    def began(self, observed: ObservedCall) -> None:
        """A call is about to be made, in this thread and task."""

    @property
    def is_strict(self) -> bool:
        """Whether calls have to be admitted before they are made."""
        ...

    def admit(self, observed: ObservedCall) -> None:
        """The call that has begun is about to be sent. Raises BudgetExceeded where a hard budget refuses it."""

    def left(self, observed: ObservedCall) -> None:
        """The library's method has returned or raised, in the same thread and task."""

    def dropped(self, observed: ObservedCall) -> None:
        """The call is not to be counted, as it was made by another one or not at all."""

    def current(self) -> ObservedCall | None:
        """The call that is under way in this thread and task."""

    def told_apart(self) -> Sending:
        """Asked by who watches what libraries send: whose it is."""
        ...

    def adopted(self, observed: ObservedCall) -> None:
        """A span of the library's own for this call is current now: use it."""

    def finished(self, observed: ObservedCall) -> None:
        """`observed.call` is complete. May come from another thread, long after `left`."""

    def is_booked(self, provider: str, answer_id: str) -> bool:
        """Whether an answer that may come again has been booked in this process."""
        ...

    def handed_in(self, fetching: ObservedCall, ids: Sequence[str]) -> None:
        """A job has these ids: `fetching` handed it in, or asked how it stands. Whoever handed it in pays for its answers."""
