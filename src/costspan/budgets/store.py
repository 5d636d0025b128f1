"""Reservations: what every store of them promises, whoever keeps it.

A store counts, for each key of a budget, what is spent and what is reserved, in slots of time. For a hold that it grants,
`spent + reserved <= limit` is true afterwards, however many processes ask at once. Amounts are whole numbers: nano-USD,
tokens or requests; moments are nanoseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

#: How long reservations outlast the last sign of life of the process that holds them, where it cannot be seen that it
#: lives. A process gives such signs three times as often.
EXPIRY_S: Final = 60.0
HELD: Final = "held"
COMMITTED: Final = "committed"
RELEASED: Final = "released"
EXPIRED: Final = "expired"


class StoreUnavailableError(Exception):
    """The store cannot be asked now: locked for too long, unreadable, away. The message is a sentence with the way out."""


class ReservationError(ValueError):
    """What was asked of a reservation cannot be done in its state. Nothing was changed. The message names its key."""


class Hold(NamedTuple):
    """So much of one budget. `since` is the first slot that counts against `limit`, `slot` the one it is booked in."""

    budget: str
    since: int
    slot: int
    limit: int
    amount: int


class Granted(NamedTuple):
    """All holds stand. `state` is not HELD where the key was used before, and what it reserved is over."""

    key: str
    transaction: str
    state: str = HELD


class Refused(NamedTuple):
    """No hold stands, as this one does not fit. `would_fit` is the largest amount that would be granted."""

    hold: Hold
    spent: int
    reserved: int

    @property
    def would_fit(self) -> int:
        """What is left of the limit."""
        return max(0, self.hold.limit - self.spent - self.reserved)


class ClockBehind(NamedTuple):
    """The clock of this process is behind a moment that the store has seen: ask again with holds of that moment."""

    now_ns: int


class Spent(NamedTuple):
    """What a call has spent of one budget, and the slot of the moment in which it began."""

    budget: str
    slot: int
    amount: int


class Reserved(NamedTuple):
    """One reservation as it is listed; `holds` are amounts by key of a budget, `pid` the process that made it."""

    key: str
    transaction: str
    state: str
    label: str
    made_ns: int
    pid: int
    is_alive: bool
    holds: Mapping[str, int]


class ReservationStore(Protocol):
    """Every method may raise StoreUnavailableError. Safe from any thread."""

    def reserve(
        self, key: str, holds: Sequence[Hold], now_ns: int, *, label: str = "", parent: str | None = None,
        transaction: str = "",
    ) -> Granted | Refused | ClockBehind:  # fmt: skip
        """Hold all or nothing. `transaction` is the id that goes with the key. The same key again gives what the first time gave, and holds nothing more.

        What the `parent`, an open reservation, holds of the same slots goes over to this one first. Raises
        ReservationError where another process holds the key.
        """
        ...

    def settle(self, key: str, spent: Iterable[Spent], *, is_recorded: bool) -> None:
        """The call that held `key` is over: its holds are let go of and what it spent is booked, whatever became of them.

        `is_recorded` says that the ledger will have the call under this key, so that it is not counted once more from there.
        What the call did not need of its parent's goes back to that, while it is open.
        """
        ...

    def book(self, calls: Iterable[tuple[str, Sequence[Spent]]], *, is_recorded: bool) -> None:
        """Calls that held nothing, by their keys."""
        ...

    def commit(self, key: str, amounts: Mapping[str, int]) -> None:
        """A reservation comes to so much in all, by key of a budget, its calls included; the rest is let go of.

        Raises ReservationError for one that is over, another process's, and for amounts above what it reserved or below what
        its calls have spent.
        """
        ...

    def extend(self, key: str, holds: Sequence[Hold], now_ns: int) -> Granted | Refused | ClockBehind:
        """Hold so much more. Raises ReservationError as `commit` does."""
        ...

    def release(self, key: str) -> None:
        """Let go of what a reservation holds. What its calls have spent stays booked. Raises ReservationError."""
        ...

    def standing(self, budget: str, since: int) -> tuple[int, int]:
        """What is spent and reserved in all slots from `since` on."""
        ...

    def crossed(self, budget: str, slot: int, threshold: str) -> bool:
        """Whether nobody noted before that this threshold is crossed in this slot. From now on somebody has."""
        ...

    def reservations(self) -> list[Reserved]:
        """All that is held, the oldest first."""
        ...

    def clear(self, key: str) -> bool:
        """Let go of a reservation whoever holds it; False where there is none."""
        ...

    def keep_alive(self) -> int:
        """Say that this process lives, and let go of what ended ones hold; how many reservations that were."""
        ...

    def close(self) -> None:
        """Let go of the connection; the next question makes a new one."""
        ...
