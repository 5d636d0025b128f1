"""Reservations: what every store of them promises, whoever keeps it.

A store counts, for each key of a budget, what is spent and what is reserved, in slots of time. For a hold that it grants,
`spent + reserved <= limit` is true afterwards, however many processes ask at once. Amounts are whole numbers: nano-USD,
tokens or requests; moments are nanoseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple, Protocol

#: How long reservations outlast the last sign of life of the process that holds them, where it cannot be seen that it
#: lives. A process gives such signs three times as often.
EXPIRY_S: Final = 60.0
HELD: Final = "held"
COMMITTED: Final = "committed"
RELEASED: Final = "released"
EXPIRED: Final = "expired"


class StoreUnavailableError(Exception):
    """The store cannot be asked now: locked for too long, unreadable, away. The message is a sentence with the way out.

    `is_unsure`: the store may have done what it was asked all the same, as its answer was lost.
    """

    def __init__(self, message: str, *, is_unsure: bool = False) -> None:
        super().__init__(message)
        self.is_unsure = is_unsure


class ReservationError(ValueError):
    """What was asked of a reservation cannot be done in its state. Nothing was changed. The message names its key."""


def not_there(key: str, done: str) -> ReservationError:
    """Nobody has made the reservation."""
    return ReservationError(f"there is no reservation {key!r} that could be {done}")


def is_over(key: str, done: str, state: str) -> ReservationError:
    """It was committed, released or has expired."""
    return ReservationError(f"the reservation {key!r} cannot be {done}: it was {state} before")


def not_here(key: str, done: str, whose: str) -> ReservationError:
    """Another process has made it."""
    return ReservationError(f"the reservation {key!r} cannot be {done} here: it belongs to another process ({whose})")


def held_elsewhere(key: str, whose: str) -> ReservationError:
    """Another process uses the key."""
    return ReservationError(f"{key!r} is reserved by another process ({whose}), and still open")


def below_used(key: str, budget: str, total: int, used: int) -> ReservationError:
    """Its calls have spent more than it is to come to."""
    return ReservationError(f"{key!r} cannot come to {total} in {budget}: its calls have spent {used}")


def above_held(key: str, budget: str, total: int, reserved: int) -> ReservationError:
    """It has not reserved so much."""
    return ReservationError(f"{key!r} cannot come to {total} in {budget}: it reserved {reserved}; extend it before")


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
    """The clock of this process is behind a moment that the store has seen, or not that of the server: ask again with
    holds of this moment.
    """

    now_ns: int


class Spent(NamedTuple):
    """What a call has spent of one budget, and the slot of the moment in which it began."""

    budget: str
    slot: int
    amount: int


class Reserved(NamedTuple):
    """One reservation as it is listed; `holds` are amounts by key of a budget, `pid` the process that made it, on `host`
    (empty where all processes are on this machine).
    """

    key: str
    transaction: str
    state: str
    label: str
    made_ns: int
    pid: int
    is_alive: bool
    holds: Mapping[str, int]
    host: str = ""


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

        The same again, after an answer that was lost, books nothing more.
        `is_recorded` says that the ledger will have the call under this key, so that it is not counted once more from there.
        What the call did not need of its parent's goes back to that, while it is open.
        """
        ...

    def book(self, calls: Iterable[tuple[str, Sequence[Spent]]], *, is_recorded: bool) -> None:
        """Calls that held nothing, by their keys. The same again, after an answer that was lost, books nothing more."""
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

    def looking(self) -> AbstractContextManager[None]:
        """What one thread asks in the background; it may ask where others are told that the store was away."""
        ...

    def close(self) -> None:
        """Let go of the connection; the next question makes a new one."""
        ...

    def before_fork(self, give_up_s: float) -> bool:
        """Come to rest; False where that takes longer than that moment of the monotonic clock."""
        ...

    def after_fork_in_parent(self) -> None:
        """Go on."""
        ...

    def forget(self) -> None:
        """In a forked child: what is held is the parent's, and so is the connection."""
        ...


class Books(Protocol):
    """What can be told what a ledger has. Every method may raise StoreUnavailableError."""

    def place(self, definition: str) -> tuple[int, str] | None:
        """How far the ledger has been read for a budget: number and id of a row; None before it has been read at all."""
        ...

    def take_in(
        self, definition: str, after: tuple[int, str] | None, upto: tuple[int, str], rows: Iterable[tuple[str, Spent]]
    ) -> bool:
        """Book rows of the ledger, by the ids of their calls, but for those that were booked before; an empty id is several.

        False where another process has read on from `after` meanwhile: nothing was booked.
        """
        ...


class SharedStore(ReservationStore, Books, Protocol):
    """Both."""
