"""Reserving a part of hard budgets in code: the public function, and how it finds the budgets of this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from costspan import instrumentor
from costspan.facts.attribution_words import ACCOUNT, SESSION, SOURCE, TASK_TYPE, TEAM

if TYPE_CHECKING:
    from decimal import Decimal

    from costspan.budgets.reservation import Reservation
    from costspan.forecast.estimate import Estimate


def reserve(
    *, account: str | None = None, session: str | None = None, task_type: str | None = None, source: str | None = None,
    team: str | None = None, provider: str | None = None, model: str | None = None,
    amount_usd: Decimal | float | str | None = None, tokens: int | None = None, requests: int | None = None,
    estimate: Estimate | Mapping[str, Any] | None = None, key: str | None = None, label: str = "",
) -> Reservation:  # fmt: skip
    """Reserve so much of every hard budget that work for this account, team, ... concerns: all of them, or none.

    What is not said is that of the attribution around. `estimate` stands in place of amounts: of what `costspan.estimate` gave, the
    bound is reserved, and the call within that it is of is compared with it; of a request as a client library takes it, the most
    that it can come to (for the prices of `provider`, `openai` where none is said). The same `key` again gives the same
    reservation. Raises BudgetExceeded where it does not fit, ReservationError for mistakes.
    """
    from costspan import scope
    from costspan.budgets import reservation
    from costspan.budgets.counted import facts_of
    from costspan.budgets.store import ReservationError
    from costspan.facts.attribution import Attribution
    from costspan.forecast.estimate import Estimate

    pipeline = instrumentor.connect()
    keeper = pipeline.keeper if pipeline is not None else None
    if keeper is None or keeper.admission is None:
        raise ReservationError(
            "no hard budget is obeyed in this process: start costspan, with OTEL_COSTSPAN_BUDGETS as the path of a budgets.yaml "
            "that has one (`costspan docs enforcement`)"
        )
    said = {SESSION: session, TASK_TYPE: task_type, SOURCE: source, TEAM: team, ACCOUNT: account}
    who = Attribution(**said).over(scope.current())
    amounts = reservation.Amounts.of(amount_usd, tokens, requests)
    if isinstance(estimate, Estimate):
        amounts = reservation.Amounts({**_bound(estimate, amount_usd), **amounts})
        model = model or estimate.model
    elif estimate is not None:
        amounts = reservation.Amounts({**reservation.estimated(keeper.admission, estimate, provider), **amounts})
        model = model or estimate.get("model")
    if not amounts:
        raise ReservationError("nothing is to be reserved: say amount_usd, tokens, requests or estimate")
    found = reservation.reserved(keeper.admission, key, facts_of(who, provider, model), amounts, label)
    found.estimate = estimate if isinstance(estimate, Estimate) else None
    return found


def _bound(estimate: Estimate, amount_usd: Decimal | float | str | None) -> Mapping[str, int]:
    """What an estimate stays below. Raises ReservationError where its cost has no bound, and none is said."""
    from costspan.budgets.reservation import Amounts
    from costspan.budgets.store import ReservationError

    cost, tokens = estimate.bound.cost_usd, estimate.bound.tokens
    if cost is None and amount_usd is None:
        why = estimate.unpriced or ", ".join(estimate.left_out) or "the output has no limit: say max_output_tokens"
        raise ReservationError(
            f"the estimate of {estimate.model!r} has no upper bound of its cost ({why}): say amount_usd"
        )
    return Amounts.of(cost, sum(tokens.values()) if cost is not None else None, 1)
