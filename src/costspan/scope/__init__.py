"""Saying who a call is for, and carrying it to where the call is made."""

from costspan.scope.session import attribution, current, defaults, environment

__all__ = ["attribution", "current", "defaults", "environment"]
