"""How the budgets stand that the server was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from costspan.budgets.periods import MONTH
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
    if asked.served.budgets is None:
        raise RequestError(404, "no budgets here: the server was started without --budgets")
    time_zone, found = _seen(asked, asked.served.budgets)
    return Budgets(time_zone, tuple(map(_told, found)))


def on_page(asked: Asked) -> tuple[Sequence[BudgetStanding], BudgetStanding | None]:
    """The budgets, and the one in USD and of a month of which most is used; nothing where the server has none."""
    if asked.served.budgets is None:
        return (), None
    _, found = _seen(asked, asked.served.budgets)
    monthly = [one for one in found if one.budget.period == MONTH.name and one.budget.unit == USD]
    nearest = max(monthly, key=lambda one: one.used or 0, default=None)
    return tuple(map(_shown, found)), None if nearest is None else _shown(nearest)


def _shown(one: Standing) -> BudgetStanding:
    """As a person reads it: the period as a date."""
    return replace(_told(one), period=one.budget.span.shown(one.period))


def _seen(asked: Asked, file: Path) -> tuple[str, list[Standing]]:
    """The time zone of a file of budgets, and how those stand that the caller may see."""
    policy, now_ns = load(file), int(asked.moment.now_s * _NS)
    found = asked.moment.ask(lambda store: standings(policy, store, now_ns)) or standings(policy, None, now_ns)
    return policy.time_zone, [one for one in found if _is_for(one, asked.caller)]


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
