"""How the calls went, and whether the figures can be trusted."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from costspan.ledger.sidefile import waiting
from costspan.report.answers import LedgerState, Stats
from costspan.serve.answers import own, told
from costspan.serve.asked import Asked

_NANO = Decimal("1e-9")


def stats(asked: Asked) -> Stats:
    """`GET /v1/stats`."""
    period, query = asked.period(), asked.query
    outcomes = query.summary("outcome", period=period)
    total, days = outcomes.total, outcomes.days
    return Stats(
        told(period, asked.time_zone), own(total, asked), days,
        total.calls / days if days else None, _each(total.cost_usd, days), _each(total.cost_usd - total.items_usd, total.calls),
        query.last_used(), outcomes.rows, query.by("quality", period=period), query.unattributed(period), _state(asked),
        outcomes.notices,
    )  # fmt: skip


def _each(amount: Decimal, number: int) -> Decimal | None:
    return (amount / number).quantize(_NANO, ROUND_HALF_EVEN) if number else None


def _state(asked: Asked) -> LedgerState | None:
    path = asked.served.ledger
    if not asked.caller.sees_all:
        return None
    return LedgerState(path.stat().st_size if path.exists() else 0, len(list(waiting(path))))
