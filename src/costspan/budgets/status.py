"""How each budget stands, from the ledger: what is spent, of which limit, and where the pace leads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Final

from costspan.budgets.policy import REQUESTS, TOKENS, USD
from costspan.facts.call import REFUSED
from costspan.facts.money import NANO_PER_USD
from costspan.facts.periods import zone
from costspan.ledger import cover
from costspan.ledger.columns import COLUMNS, IS_CALL

if TYPE_CHECKING:
    from costspan.budgets.periods import Stretch
    from costspan.budgets.policy import Budget, Policy
    from costspan.ledger.store import Store

#: What of a call counts, by the unit of the limit. A call that was refused was not made.
AMOUNT_OF: Final = {
    USD: "coalesce(cost_nano_usd, 0)",
    TOKENS: "coalesce(input_tokens, 0) + coalesce(output_tokens, 0)",
    REQUESTS: f"(outcome IS NOT '{REFUSED}' AND {IS_CALL})",
}


@dataclass(frozen=True)
class Standing:
    """One limit at one moment. `counted` is what is spent in nano-USD, tokens or calls, `value` is the value of `each`.

    `unpriced` calls have no cost: with them, `spent` of a budget in USD is a lower bound.
    """

    budget: Budget
    stretch: Stretch
    value: str | None
    counted: int
    calls: int
    unpriced: int

    @property
    def period(self) -> str:
        """The label of the period."""
        return self.stretch.label

    @property
    def elapsed(self) -> float:
        """The part of the period that is over."""
        return self.stretch.elapsed

    @property
    def spent(self) -> float:
        """What is spent, in the budget's unit."""
        return self.counted / NANO_PER_USD if self.budget.unit == USD else float(self.counted)

    @property
    def limit(self) -> float:
        """The budget's limit, in its unit."""
        return float(self.budget.limit)

    @property
    def over(self) -> float:
        """What is spent above the limit, in the budget's unit."""
        above = max(self.counted - self.budget.counted(self.budget.limit), 0)
        return float(above / NANO_PER_USD if self.budget.unit == USD else above)

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
        crossed = self.budget.reached(self.counted)
        return f"{crossed[-1].percent:f}" if crossed else None


def standings(policy: Policy, ledger: Store | None, now_ns: int) -> list[Standing]:
    """How all budgets stand. Without a ledger nothing was spent. Raises LedgerError."""
    time_zone = zone(policy.time_zone)
    return [standing for budget in policy.budgets for standing in _standings(budget, ledger, time_zone, now_ns)]


def _standings(budget: Budget, ledger: Store | None, time_zone: tzinfo, now_ns: int) -> list[Standing]:
    stretch = budget.span.around(time_zone, now_ns)
    rows: list[tuple[Any, ...]] = _ask(ledger, budget, stretch) if ledger else []
    if not rows and not budget.each:
        rows = [(None, 0, 0, 0)]
    return [Standing(budget, stretch, *row) for row in rows]


def _ask(ledger: Store, budget: Budget, stretch: Stretch) -> list[tuple[Any, ...]]:
    named: frozenset[str] = frozenset([*budget.scope, budget.each] if budget.each else budget.scope)
    only = {word: list(map(str, chosen)) for word, chosen in budget.scope.items()}
    with ledger.at_one_moment():
        asked_of = cover.source(ledger, cover.Wanted(named, stretch.start_ns, stretch.end_ns, only=only)).sql
        return ledger.select(*_question(budget, asked_of, stretch))


def _question(budget: Budget, asked_of: str, stretch: Stretch) -> tuple[str, list[object]]:
    each = COLUMNS[budget.each] if budget.each else "NULL"
    amount = f"({AMOUNT_OF[budget.unit]}) * calls" if budget.unit == REQUESTS else AMOUNT_OF[budget.unit]
    chosen, values = conditions(budget)
    question = (
        f"SELECT {each}, coalesce(sum({amount}), 0), coalesce(sum(({IS_CALL}) * calls), 0),"  # noqa: S608
        f" coalesce(sum(CASE WHEN unpriced_reason IS NOT NULL THEN calls END), 0) FROM ({asked_of}) "
        f"WHERE started_ns >= ? AND started_ns < ?{chosen} GROUP BY 1 ORDER BY 2 DESC, 1"  # words of the code; values are bound
    )
    return question, [stretch.start_ns, stretch.end_ns, *values]


def conditions(budget: Budget) -> tuple[str, list[object]]:
    """SQL that chooses the calls of a budget, to follow other conditions, and its values."""
    chosen, values = "", list[object]()
    for word, named in budget.scope.items():
        chosen += f" AND {COLUMNS[word]} IN ({', '.join('?' * len(named))})"
        values += named
    return chosen + (f" AND {COLUMNS[budget.each]} IS NOT NULL" if budget.each else ""), values
