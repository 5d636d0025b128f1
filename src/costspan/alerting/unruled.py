"""Which budgets' spend no Prometheus rule can see, and why: the counters do not have what the rule would have to read."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from costspan.alerting import periods
from costspan.budgets.policy import COUNTED_DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from costspan.budgets.policy import Budget, Policy


def ruled(policy: Policy) -> Policy:
    """The policy with those budgets that rules can watch."""
    return dataclasses.replace(policy, budgets=tuple(budget for budget in policy.budgets if not why_not(budget)))


def unruled(policy: Policy) -> Iterator[tuple[Budget, str]]:
    """The other budgets, each with the reason."""
    for budget in policy.budgets:
        if reason := why_not(budget):
            yield budget, reason


def why_not(budget: Budget) -> str:
    """Why no rule can watch a budget; empty where one does."""
    words = {*budget.scope, *([budget.each] if budget.each else [])}
    if uncounted := sorted(words - COUNTED_DIMENSIONS.keys()):
        return f"counters do not carry the {' and the '.join(uncounted)}"
    rules = periods.of(budget.period)
    if rules is None:
        return f"counters cannot tell exactly what is spent {budget.span.every}"
    return "" if budget.unit in rules.spent else f"no counter of {budget.unit} is kept by {budget.span.noun}"
