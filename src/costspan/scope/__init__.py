"""Saying who a call is for, and carrying it to where the call is made."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from costspan.scope.run import begin_anew
from costspan.scope.session import (
    attribution,
    before_fork,
    begin_in_runs,
    call_above,
    current,
    defaults,
    environment,
    forget_defaults,
    is_counted,
    read_defaults,
    without_baggage,
)

if TYPE_CHECKING:
    from costspan.scope.baggage import from_baggage, install_baggage, to_baggage, uninstall_baggage
    from costspan.scope.carrier import carry
    from costspan.scope.classify import SPAN_FILLS, add_resolver, from_span, remove_resolver
    from costspan.scope.propagation import install_carry, remove_carry

__all__ = [
    "SPAN_FILLS",
    "add_resolver",
    "attribution",
    "before_fork",
    "begin_anew",
    "begin_in_runs",
    "call_above",
    "carry",
    "current",
    "defaults",
    "environment",
    "forget_defaults",
    "from_baggage",
    "from_span",
    "install_baggage",
    "install_carry",
    "is_counted",
    "read_defaults",
    "remove_carry",
    "remove_resolver",
    "to_baggage",
    "uninstall_baggage",
    "without_baggage",
]

_HOMES = {
    "baggage": ("from_baggage", "install_baggage", "to_baggage", "uninstall_baggage"),
    "propagation": ("install_carry", "remove_carry"),
    "carrier": ("carry",),
    "classify": ("SPAN_FILLS", "add_resolver", "from_span", "remove_resolver"),
}


def __getattr__(name: str) -> Any:
    """Load what few programs use with its first use: this package is imported at the start of every process."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"costspan.scope.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
