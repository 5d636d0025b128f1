"""How each budget stands, from the ledger: what is spent, of which limit, and where the pace leads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING

from costspan.budgets.periods import PERIODS
from costspan.budgets.policy import TOKENS
from costspan.facts.money import NANO_PER_USD
from costspan.facts.periods import zone
from costspan.ledger.columns import COLUMNS

if TYPE_CHECKING:
    from costspan.budgets.policy import Budget, Policy
    from costspan.ledger.store import Store


@dataclass(frozen=True)
class Standing:
    """One budget at one moment. `spent` and `limit` are in USD or tokens, `value` is the value of `each`.

    `unpriced` calls have no cost: with them, `spent` of a budget in USD is a lower bound.
    """

    budget: Budget
    period: str
    value: str | None
    spent: float
    calls: int
    unpriced: int
    elapsed: float

    @property
    def limit(self) -> float:
        """The budget's limit, in its unit."""
        return float(self.budget.limit)

    @property
    def used(self) -> float | None:
        """Spend divided by limit; None where the limit is zero."""
        return round(self.spent / self.limit, 10) if self.limit else None

    @property
    def projected(self) -> float | None:
        """What will be spent at the end of the period at this pace; None in its first moment."""
        return self.spent / self.elapsed if self.elapsed else None

    @property
    def crossed(self) -> str | None:
        """The highest threshold that is crossed, in percent."""
        reached = float("inf") if self.used is None and self.spent else (self.used or 0.0) * 100
        crossed = [percent for percent in self.budget.thresholds if float(percent) <= round(reached, 8)]
        return f"{crossed[-1]:f}" if crossed else None


def standings(policy: Policy, ledger: Store | None, now_ns: int) -> list[Standing]:
    """How all budgets stand. Without a ledger nothing was spent. Raises LedgerError."""
    time_zone = zone(policy.time_zone)
    return [standing for budget in policy.budgets for standing in _standings(budget, ledger, time_zone, now_ns)]


def _standings(budget: Budget, ledger: Store | None, time_zone: tzinfo, now_ns: int) -> list[Standing]:
    period, start_ns, end_ns, elapsed = PERIODS[budget.period].around(time_zone, now_ns)
    rows = ledger.select(*_question(budget, start_ns, end_ns)) if ledger else []
    if not rows and not budget.each:
        rows = [(None, 0, 0, 0)]
    return [
        Standing(budget, period, value, _amount(budget, spent), calls, unpriced, elapsed)
        for value, spent, calls, unpriced in rows
    ]


def _question(budget: Budget, start_ns: int, end_ns: int) -> tuple[str, list[object]]:
    amount = "coalesce(input_tokens, 0) + coalesce(output_tokens, 0)" if budget.unit == TOKENS else "cost_nano_usd"
    each = COLUMNS[budget.each] if budget.each else "NULL"
    conditions, values = ["started_ns >= ?", "started_ns < ?"], list[object]([start_ns, end_ns])
    for word, chosen in budget.scope.items():
        conditions.append(f"{COLUMNS[word]} IN ({', '.join('?' * len(chosen))})")
        values += chosen
    if budget.each:
        conditions.append(f"{each} IS NOT NULL")
    question = (
        f"SELECT {each}, coalesce(sum({amount}), 0), count(*), count(unpriced_reason) FROM calls "  # noqa: S608
        f"WHERE {' AND '.join(conditions)} GROUP BY 1 ORDER BY 2 DESC, 1"  # only words of the code; values are bound
    )
    return question, values


def _amount(budget: Budget, spent: int) -> float:
    return float(spent) if budget.unit == TOKENS else spent / NANO_PER_USD
