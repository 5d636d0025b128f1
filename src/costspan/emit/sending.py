"""What HTTP libraries send: for a call that is watched above them, or a call of its own. Made where they are watched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.context import get_current

from costspan import guard, scope
from costspan.calls.engine import ObservedCall, Seller
from costspan.clients.libraries import HTTP_CLIENTS

#: Where protocols put who is asked, and what.
_MODEL: Final = "model"
_ASKED: Final = ("messages", "input", "prompt")


class Sending:
    """Knows the calls above, by the context or, behind a queue of the program's own, by what they ask."""

    def __init__(self) -> None:
        #: Calls whose request has not been seen on its way, from where they begin until their library has an answer.
        self._unsent: dict[int, ObservedCall] = {}

    def began(self, observed: ObservedCall) -> None:
        """A call is about to be made. Those of HTTP libraries are what is sent."""
        if observed.call.client not in HTTP_CLIENTS:
            self._unsent[id(observed.sign)] = observed

    def over(self, sign: object) -> None:
        """The call with this sign has its answer, or its request has been seen: another one is not for it."""
        self._unsent.pop(id(sign), None)

    def forget(self) -> None:
        """In a forked child: the calls under way are the parent's."""
        self._unsent.clear()

    def is_within(self) -> bool:
        """Whether a call that is not over is above this place, in this thread or in the one that had this done here."""
        sign = scope.call_above(get_current())
        if sign:
            self.over(sign)
        return bool(sign)

    @guard.guarded_positional("calls.sending")
    def is_for(self, seller: Seller, body: Mapping[str, Any]) -> bool:
        """Whether a call that is made elsewhere asks just this there."""
        return any(
            observed.is_open
            and (observed.call.host, observed.call.port) == (seller.host, seller.port)
            and _is_same(observed.body, body)
            for observed in list(self._unsent.values())
        )


def _is_same(asked: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    said = [name for name in _ASKED if name in sent]
    return bool(said) and all(asked.get(name) == sent.get(name) for name in (_MODEL, *said))
