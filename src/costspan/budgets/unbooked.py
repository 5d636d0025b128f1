"""What calls have spent that the store could not be told, where no ledger has it: kept in memory until it can."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from time import time_ns

from costspan.budgets.store import ReservationStore, Spent
from costspan.calls.engine import new_id

Booking = tuple[str, Sequence[Spent]]


class Unbooked:
    """Spend of finished calls. It takes as much memory as there are budgets, not calls."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        #: What the store may have, as the answer was lost: told again as it was, so that it can see that it does.
        self._batches: deque[list[Booking]] = deque()
        self._sums: dict[tuple[str, int], int] = {}

    def keep(self, calls: Sequence[Booking], *, is_unsure: bool) -> None:
        """Keep what could not be booked."""
        with self._lock:
            if is_unsure:
                self._batches.append(list(calls))
                return
            for _, spent in calls:
                for budget, slot, amount in spent:
                    self._sums[budget, slot] = self._sums.get((budget, slot), 0) + amount

    def deliver(self, store: ReservationStore) -> set[str]:
        """Book all of it; the keys of budgets that this changed. Raises StoreUnavailableError, and then keeps what is left."""
        changed: set[str] = set()
        with self._lock:
            sums, self._sums = self._sums, {}
            if sums:
                self._batches.append([(new_id(time_ns()), [Spent(*place, amount) for place, amount in sums.items()])])
            while self._batches:
                batch = self._batches[0]
                store.book(batch, is_recorded=False)
                self._batches.popleft()
                changed |= {spent.budget for _, each in batch for spent in each}
        return changed

    @property
    def is_empty(self) -> bool:
        """Whether the store knows all."""
        return not self._batches and not self._sums
