"""What is allowed in a budgets.yaml and most likely meant otherwise: a budget that no traffic matches, a month without its first day."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final, NamedTuple

from costspan.facts.sellers import GATEWAYS, SELLERS, UNKNOWN
from costspan.ledger.columns import COLUMNS
from costspan.pricing.lookup import GATEWAYS as GATEWAY_NAMES
from costspan.pricing.lookup import TABLE_NAMES
from costspan.settings import OTEL_COSTSPAN_HOSTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from costspan.budgets.policy import Budget, Policy
    from costspan.ledger.store import Store

_PROVIDER: Final = "provider"
_PROVIDERS: Final = sorted(
    {UNKNOWN, *TABLE_NAMES, *GATEWAY_NAMES, *(provider for _, provider in (*SELLERS, *GATEWAYS))}
)
_EVERY_MONTH_HAS: Final = 28


class Doubt(NamedTuple):
    """What is doubtful, and the line and key of the limit that it is about."""

    line: int
    key: str
    said: str


def of_words(policy: Policy) -> Iterator[Doubt]:
    """What the file alone lets doubt: providers that no call is told to be of, and days that some months lack."""
    for budget in _once(policy.budgets):
        for name in budget.scope.get(_PROVIDER, ()):
            if name not in _PROVIDERS:
                close = difflib.get_close_matches(name, _PROVIDERS, 1)
                hint = f"; did you mean {close[0]}?" if close else ""
                yield _doubt(
                    budget, f"is for provider {name!r}; none is called so, unless {OTEL_COSTSPAN_HOSTS} names it{hint}"
                )
        day = budget.period.partition("-")[2]
        if day and int(day) > _EVERY_MONTH_HAS:
            yield _doubt(budget, f"begins on day {day}: in a month without it, on the last day of the month")


def of_ledger(policy: Policy, ledger: Store) -> Iterator[Doubt]:
    """Values of scopes that no call in the ledger has. Raises LedgerError."""
    for budget in _once(policy.budgets):
        for word, values in budget.scope.items():
            for value in values:
                asked = f"SELECT 1 FROM calls WHERE {COLUMNS[word]} = ? LIMIT 1"  # noqa: S608 - words of the code
                if not ledger.select(asked, [value]):
                    yield _doubt(budget, f"counts no call so far: none in the ledger has {word} {value!r}")


def _once(budgets: Iterable[Budget]) -> Iterable[Budget]:
    """One limit of each budget: all have the same scope and period."""
    first: dict[str, Budget] = {}
    for budget in budgets:
        first.setdefault(budget.declared, budget)
    return first.values()


def _doubt(budget: Budget, said: str) -> Doubt:
    return Doubt(*budget.place, f"{budget.declared} {said}")
