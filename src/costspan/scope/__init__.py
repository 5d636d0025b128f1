"""Saying who a call is for, and carrying it to where the call is made."""

from costspan.scope.baggage import from_baggage, install_baggage, to_baggage, uninstall_baggage, without_baggage
from costspan.scope.boundaries import install_carry, remove_carry
from costspan.scope.carrying import carry
from costspan.scope.classify import SPAN_FILLS, add_resolver, from_span, remove_resolver
from costspan.scope.session import attribution, current, defaults, environment, forget_defaults, read_defaults

__all__ = [
    "SPAN_FILLS",
    "add_resolver",
    "attribution",
    "carry",
    "current",
    "defaults",
    "environment",
    "forget_defaults",
    "from_baggage",
    "from_span",
    "install_baggage",
    "install_carry",
    "read_defaults",
    "remove_carry",
    "remove_resolver",
    "to_baggage",
    "uninstall_baggage",
    "without_baggage",
]
