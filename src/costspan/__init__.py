"""Costspan puts a price on every LLM call, without a change in the program that makes it.

The public names: `instrument` starts it in code, where no launcher does; `attribution` says who calls are for, `carry`
takes that along to where context does not reach, `current` tells it, `session_run` tells what a session costs, `usage` asks
the ledger, `flush` delivers what has finished so far.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from costspan.asking import usage
    from costspan.instrumentor import CostspanInstrumentor, flush, instrument
    from costspan.scope import attribution, carry, current, environment
    from costspan.scope.run import session_run

__all__ = [
    "CostspanInstrumentor",
    "attribution",
    "carry",
    "current",
    "environment",
    "flush",
    "instrument",
    "session_run",
    "usage",
]

_HOMES = {
    "attribution": "scope", "carry": "scope", "current": "scope", "environment": "scope",
    "session_run": "scope.run", "usage": "asking",
    "CostspanInstrumentor": "instrumentor", "flush": "instrumentor", "instrument": "instrumentor",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name with its first use: the entry points import this package in every process."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"costspan.{_HOMES[name]}"), name)
