"""Thresholds: told once for each crossing and period, whichever process of the machine sees it first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeVar

from costspan import guard
from costspan.budgets.counted import Counted
from costspan.budgets.periods import DAY, MONTH, SESSION, WEEK
from costspan.budgets.policy import CALLBACK, LOG, Threshold
from costspan.budgets.store import ReservationStore
from costspan.facts.recent import Recent

_log: Final = logging.getLogger("costspan")
_MOST_TOLD: Final = 16_384
_FULL_PERCENT: Final = 100
_MONTHLY: Final = "Monthly"
_ADJECTIVES: Final = {DAY.name: "Daily", WEEK.name: "Weekly", MONTH.name: _MONTHLY, SESSION.name: "Session"}

_F = TypeVar("_F", bound=Callable[["BudgetCrossing"], object])


class BudgetCrossing(NamedTuple):
    """A budget has reached a threshold. `value` is the value of `each`; `spent` and `limit` are in `unit` (USD as Decimal).

    `threshold` is in percent of the limit; from 100 on the budget `is_exceeded`. `period` is its label (`20261129`, `202611`).
    """

    budget: str
    value: str | None
    unit: str
    threshold: Decimal
    spent: Decimal | int
    limit: Decimal
    period: str
    resets_at: datetime | None

    @property
    def is_exceeded(self) -> bool:
        """Whether the whole limit is spent."""
        return self.threshold >= _FULL_PERCENT


_callbacks: Final[list[Callable[[BudgetCrossing], object]]] = []


def on_budget(callback: _F) -> _F:
    """Have a function called when a budget reaches a threshold whose actions have `callback`; a decorator.

    One process of the machine calls it, once for each threshold and period, on a thread of costspan's. What it raises is logged.
    """
    _callbacks.append(callback)
    return callback


class Crossings:
    """Compares what is spent with the thresholds of the budgets."""

    def __init__(self, budgets: Sequence[Counted], store: ReservationStore) -> None:
        self._budgets = {budget.definition: budget for budget in budgets}
        self._store = store
        self._told: Recent[tuple[Any, ...], bool] = Recent(_MOST_TOLD)
        #: How many this process has told, by budget and threshold.
        self.counted: dict[tuple[str, Decimal], int] = {}

    def forget(self) -> None:
        """In a forked child: what was told is told, and counted by the parent."""
        self.counted = {}

    def look(self, keys: Iterable[str], now_ns: int) -> None:
        """Tell what the spend under these keys has reached. Raises StoreUnavailableError."""
        for key in keys:
            budget = self._budgets.get(key.partition("/")[0])
            if budget is None:
                continue
            spent, _ = self._store.standing(key, budget.since(now_ns))
            for threshold in budget.budget.reached(spent):
                self._reached(budget, key, threshold, spent, now_ns)

    def _reached(self, budget: Counted, key: str, threshold: Threshold, spent: int, now_ns: int) -> None:
        place = (key, budget.tells_once(now_ns), str(threshold.percent))
        if self._told.get(place):
            return
        is_first = self._store.crossed(*place)
        self._told.keep(place, value=True)
        if not is_first:
            return
        counted = budget.budget.name, threshold.percent
        self.counted[counted] = self.counted.get(counted, 0) + 1
        crossing = BudgetCrossing(
            budget.budget.name, budget.value(key), budget.budget.unit, threshold.percent, budget.shown(spent),
            budget.budget.limit, budget.stretch(now_ns).label, budget.resets_at(now_ns),
        )  # fmt: skip
        if LOG in threshold.actions:
            _tell(budget, crossing, spent)
        if CALLBACK in threshold.actions:
            for callback in _callbacks:
                guard.guarded("budgets.callback")(callback)(crossing)


def _tell(budget: Counted, crossing: BudgetCrossing, spent: int) -> None:
    span = budget.budget.span
    what = _ADJECTIVES.get(span.name, _MONTHLY if span.noun == MONTH.noun else f"{span.name} window")
    state = "exceeded" if crossing.is_exceeded else f"at {crossing.threshold:f} %"
    whose = f" of {budget.budget.each} {crossing.value}" if crossing.value else ""
    limit = budget.text(int(budget.budget.counted(budget.budget.limit)))
    _log.warning(
        "%s budget %s: budget %s%s has spent %s of %s (%s)",
        what, state, crossing.budget, whose, budget.text(spent), limit, span.shown(crossing.period),
    )  # fmt: skip
