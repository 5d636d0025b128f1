"""How the calls went, and whether the figures can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from costspan.ledger.sidefile import waiting
from costspan.report.values import UsageRow, UsageTotals
from costspan.serve.answers import AskedPeriod, own, told
from costspan.serve.asked import Asked

_NANO = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The ledger's file. `waiting_files` hold calls that could not be booked yet."""

    size_bytes: int
    waiting_files: int


@dataclass(frozen=True, slots=True)
class Stats:
    """The calls of a period: averages (null of nothing), how they ended, how sure the amounts are, how many have no word
    of the attribution. `ledger` is null for whoever does not see all; `notices` say what is not known of the period.
    """

    period: AskedPeriod
    total: UsageTotals
    days: int
    calls_per_day: float | None
    cost_usd_per_day: Decimal | None
    cost_usd_per_call: Decimal | None
    last_used: datetime | None
    outcomes: tuple[UsageRow, ...]
    qualities: tuple[UsageRow, ...]
    unattributed: Mapping[str, int]
    ledger: LedgerState | None
    notices: tuple[str, ...]


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
