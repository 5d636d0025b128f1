"""`costspan.reserve(estimate=...)` with what `costspan.estimate` gave: its bound is held, and its call carries it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

import costspan
from budgeted import MESSAGES, budgeted
from costspan import BudgetExceeded, ReservationError
from provider import Provider

_PLAN = """
budgets:
  - {name: plan, period: month, each: account, limit_usd: 1, hard: true, overage: false}
  - {name: tokens, period: month, each: account, limit_tokens: 2000000, hard: true, overage: false}
  - {name: calls, period: month, each: account, limit_requests: 2, hard: true, overage: false}
"""
ASKED: dict[str, Any] = {"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 1_000_000}


def fits(**amount: Any) -> Any:
    """What could still be reserved, where this is too much."""
    with pytest.raises(BudgetExceeded) as refused:
        costspan.reserve(account="acme", **amount)
    return refused.value.would_fit


def test_the_bound_of_an_estimate_is_reserved(tmp_path: Path, provider: Provider) -> None:
    """Of every budget in its unit, until the call has come; the call is compared. Without a bound there is nothing to hold."""
    with (
        budgeted(tmp_path, _PLAN) as watched,
        openai.OpenAI(api_key="k", base_url=provider.url, max_retries=0) as client,
    ):
        estimate = costspan.estimate(ASKED)
        assert estimate.bound.cost_usd is not None
        with costspan.reserve(account="acme", estimate=estimate) as reservation:
            assert set(reservation.budgets) == {"plan", "tokens", "calls"}
            assert fits(amount_usd=10) == 1 - estimate.bound.cost_usd
            assert fits(tokens=10**9) == 2_000_000 - sum(estimate.bound.tokens.values())
            assert fits(requests=9) == 1
            create: Any = client.chat.completions.create
            create(**{**ASKED, "max_tokens": 50})
            create(**{**ASKED, "max_tokens": 50})
        carried = [call.estimate is not None for call in watched.calls()]
        assert carried == [True, False]
        for mistaken, why in (
            (costspan.estimate(ASKED, model="nobodys"), "no upper bound of its cost .no price"),
            (costspan.estimate(ASKED, previous_response_id="x"), "what previous_response_id refers to"),
            (costspan.estimate(model="nobodys", messages=MESSAGES, provider="openai"), "say amount_usd"),
        ):
            with pytest.raises(ReservationError, match=why):
                costspan.reserve(account="other", estimate=mistaken)
            held = costspan.reserve(account="other", estimate=mistaken, amount_usd="0.1")
            assert "plan" in held.budgets
            held.release()
