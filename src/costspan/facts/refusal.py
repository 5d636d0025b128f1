"""The one exception of costspan that a caller may see: a hard budget, which he declared himself, refuses a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

#: Why a call was refused: it does not fit; its cost has no upper bound; the store of reservations cannot be asked, and
#: the budget says `on_failure: closed`.
LIMIT: Final = "limit"
UNBOUNDED: Final = "unbounded"
UNAVAILABLE: Final = "unavailable"


class BudgetExceeded(Exception):  # noqa: N818 - it says what happened, as callers write it in `except`
    """A hard budget refuses a call, or a reservation. Nothing was sent and nothing was charged.

    `budget` is its name in budgets.yaml, `unit` says what `limit`, `spent`, `reserved`, `asked` and `would_fit` are
    amounts of: `usd` (Decimal), `tokens` or `requests` (whole numbers). `value` is the value of `each`, where the budget has
    that. `reserved` is held for calls under way. `asked` is the upper bound of this call, `would_fit` the
    largest one that would be granted now. `resets_at` is when the period ends, None where that is not by the calendar.
    `reason` is `limit`, `unbounded` (the call has no upper bound, as its model has no price) or `unavailable` (the store of
    reservations cannot be asked): then the amounts are None.
    """

    def __init__(
        self, message: str, *, budget: str, unit: str = "usd", value: str | None = None,
        limit: Decimal | int | None = None, spent: Decimal | int | None = None, reserved: Decimal | int | None = None,
        asked: Decimal | int | None = None, would_fit: Decimal | int | None = None, resets_at: datetime | None = None,
        reason: str = LIMIT,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.budget = budget
        self.unit = unit
        self.value = value
        self.limit = limit
        self.spent = spent
        self.reserved = reserved
        self.asked = asked
        self.would_fit = would_fit
        self.resets_at = resets_at
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        """Exceptions of workers reach whoever waits for them by pickle."""
        return _remade, (type(self), self.args[0], vars(self))


def _remade(kind: type[BudgetExceeded], message: str, values: dict[str, object]) -> BudgetExceeded:
    made = kind(message, budget="")
    vars(made).update(values)
    return made
