"""How the budgets stand that the server was given."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from costspan.budgets.policy import USD
from costspan.budgets.reading import load
from costspan.budgets.status import Standing, standings
from costspan.facts.money import usd
from costspan.serve.asked import Asked, Caller
from costspan.serve.problems import RequestError

_NS = 1_000_000_000
_NANO = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class BudgetStanding:
    """One budget now; `spent`, `limit` and `projected` are in `unit`: usd, tokens or requests. `value` is the one of the word that the budget
    is for each of. `used` is the share of the limit, `crossed` the highest threshold that is passed, in percent. With
    `unpriced` calls, `spent` in USD is a lower bound.
    """

    budget: str
    value: str | None
    period: str
    unit: str
    spent: Decimal
    limit: Decimal
    used: float | None
    projected: Decimal | None
    crossed: str | None
    calls: int
    unpriced: int
    owner: str


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of the server's file, whose days and months are those of `time_zone`."""

    time_zone: str
    budgets: tuple[BudgetStanding, ...]


def budgets(asked: Asked) -> Budgets:
    """`GET /v1/budgets`."""
    file = asked.served.budgets
    if file is None:
        raise RequestError(404, "no budgets here: the server was started without --budgets")
    policy, now_ns = load(file), int(asked.moment.now_s * _NS)
    found = asked.moment.ask(lambda store: standings(policy, store, now_ns)) or standings(policy, None, now_ns)
    return Budgets(policy.time_zone, tuple(_told(one) for one in found if _is_for(one, asked.caller)))


def _is_for(one: Standing, caller: Caller) -> bool:
    """Whether every call that the budget counts is one that the caller may see."""
    return all(
        one.budget.scope.get(word) == (value,) or (one.budget.each == word and one.value == value)
        for word, value in caller.bounds.items()
    )


def _told(one: Standing) -> BudgetStanding:
    return BudgetStanding(
        one.budget.name, one.value, one.period, one.budget.unit, _spent(one), one.budget.limit, one.used,
        None if one.projected is None else _amount(one.projected), one.crossed, one.calls, one.unpriced, one.budget.owner,
    )  # fmt: skip


def _spent(one: Standing) -> Decimal:
    return usd(one.counted) if one.budget.unit == USD else Decimal(one.counted)


def _amount(said: float) -> Decimal:
    return Decimal(repr(said)).quantize(_NANO)
