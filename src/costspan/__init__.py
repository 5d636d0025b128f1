"""Costspan puts a price on every LLM call, without a change in the program that makes it.

The public names: `instrument` starts it in code, where no launcher does; `attribution` says who calls are for, `carry`
takes that along to where context does not reach, `current` tells it, `session_run` tells what a session costs, `usage` asks
the ledger, `estimate` tells what a call will cost, `flush` delivers what has finished so far. `reserve` holds a part of hard budgets, which refuse by
`BudgetExceeded`; `on_budget` is told of thresholds, `on_anomaly` of what costs more than usual. `record` and `uptime` book what costs money and is no call.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from costspan.asking import usage
    from costspan.budgets.crossings import BudgetCrossing, on_budget
    from costspan.budgets.reservation import Reservation
    from costspan.budgets.store import ReservationError
    from costspan.budgets.watch import SpendAnomaly, on_anomaly
    from costspan.estimating import estimate
    from costspan.facts.refusal import BudgetExceeded
    from costspan.forecast.estimate import Estimate
    from costspan.forecast.request import EstimateError
    from costspan.instrumentor import CostspanInstrumentor, flush, instrument
    from costspan.recording import record, uptime
    from costspan.reserving import reserve
    from costspan.scope import attribution, carry, current, environment
    from costspan.scope.run import session_run

__all__ = [
    "BudgetCrossing",
    "BudgetExceeded",
    "CostspanInstrumentor",
    "Estimate",
    "EstimateError",
    "Reservation",
    "ReservationError",
    "SpendAnomaly",
    "attribution",
    "carry",
    "current",
    "environment",
    "estimate",
    "flush",
    "instrument",
    "on_anomaly",
    "on_budget",
    "record",
    "reserve",
    "session_run",
    "uptime",
    "usage",
]

_HOMES = {
    "attribution": "scope", "carry": "scope", "current": "scope", "environment": "scope",
    "session_run": "scope.run", "usage": "asking",
    "Estimate": "forecast.estimate", "EstimateError": "forecast.request", "estimate": "estimating",
    "BudgetCrossing": "budgets.crossings", "on_budget": "budgets.crossings", "BudgetExceeded": "facts.refusal",
    "SpendAnomaly": "budgets.watch", "on_anomaly": "budgets.watch",
    "Reservation": "budgets.reservation", "ReservationError": "budgets.store", "reserve": "reserving",
    "record": "recording", "uptime": "recording",
    "CostspanInstrumentor": "instrumentor", "flush": "instrumentor", "instrument": "instrumentor",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name with its first use: the entry points import this package in every process."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"costspan.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names, for those who complete them: they are not loaded yet."""
    return __all__
