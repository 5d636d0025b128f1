"""What cannot hold together in a budgets.yaml: within one budget, and between two that are for the same calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from costspan.budgets.policy import REFUSE, Mistake

if TYPE_CHECKING:
    from costspan.budgets.policy import Budget

_FULL_PERCENT: Final = 100


def of_refusals(read: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys of one budget that contradict what it says of refusing, each with what was expected."""
    overage, hard = read.get("overage"), read.get("hard")
    if hard and overage:
        yield "overage", "is true beside `hard: true`: a budget that refuses has no overage; expected one of both"
    if hard is False and overage is False:
        yield "hard", "is false beside `overage: false`: without overage calls have to be refused; expected true"
    is_hard = bool(hard) or overage is False
    if not is_hard and "on_failure" in read:
        yield "on_failure", "is for budgets that refuse: expected `hard: true` beside it"
    refusing = [each.percent for each in read.get("thresholds", ()) if REFUSE in each.actions]
    if refusing and not is_hard:
        yield "thresholds", f"refuse at {refusing[0]:f} in a soft budget: expected `hard: true` beside them"
    elif refusing and refusing[-1] > _FULL_PERCENT:
        yield "thresholds", f"refuse at {refusing[-1]:f}, which is never reached: a hard budget refuses at 100"


def found(limits: Sequence[Budget]) -> list[Mistake]:
    """Of limits of the same unit on the same calls in the same period, the ones that others make void.

    Two limits that only warn are both kept where they have different owners: each is told about his own.
    """
    mistakes: list[Mistake] = []
    for index, limit in enumerate(limits):
        for other in limits[:index]:
            if _same_calls(limit, other) and (said := _against(limit, other)):
                mistakes.append(Mistake(*limit.place, said))
                break
    return mistakes


def _same_calls(one: Budget, other: Budget) -> bool:
    return (one.unit, one.period, one.each) == (other.unit, other.period, other.each) and _scope(one) == _scope(other)


def _scope(budget: Budget) -> dict[str, frozenset[str]]:
    return {word: frozenset(values) for word, values in budget.scope.items()}


def _against(limit: Budget, other: Budget) -> str:
    """What is wrong between a limit and an earlier one on the same calls; empty where both have a meaning."""
    named = f"`{other.declared}` in line {other.place[0]}"
    if limit.hard and other.hard:
        return f"is a second hard limit on the calls of {named}: the lower refuses; expected one of both"
    if limit.hard:
        is_void = (limit.refuses_from or 0) < other.limit
        return (
            f"refuses below the limit of {named}, which is never reached then; expected one of both" if is_void else ""
        )
    if other.hard:
        is_void = (other.refuses_from or 0) < limit.limit
        return (
            f"is never reached: {named} refuses the same calls before; expected less, or one of both" if is_void else ""
        )
    if limit.limit != other.limit and limit.owner == other.owner:
        return f"is not the limit that {named} has on the same calls, for the same owner; expected one of both"
    return ""
