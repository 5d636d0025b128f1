"""Switch an instrumentation that is already installed off and on, without its help.

What an instrumentation has patched shows as a difference between the client's classes before and after. Swapping
those attributes lets watched and unwatched calls alternate in one process, so that noise falls on both alike.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

_MISSING: Final = object()
_PACKAGES: Final = ("openai", "anthropic", "httpx", "httpx2")
_PARTS: Final = (
    "resources", "_client", "_base_client", "_streaming", "_response", "_legacy_response", "_transports")  # fmt: skip
_MODULES: Final = tuple(f"{package}.{part}" for package in _PACKAGES for part in _PARTS)


class Toggle:
    """Take it before the instrumentation is installed, and call `installed` after."""

    def __init__(self) -> None:
        self._before = [(owner, dict(vars(owner))) for owner in _owners()]
        self._changes: list[tuple[Any, str, Any, Any]] = []

    def installed(self) -> None:
        """Note what has changed."""
        for owner, before in self._before:
            after = dict(vars(owner))
            for name in before.keys() | after.keys():
                old, new = before.get(name, _MISSING), after.get(name, _MISSING)
                if old is not new and not (name.startswith("__") and name != "__stream__"):
                    self._changes.append((owner, name, old, new))
        self._before.clear()

    @property
    def patched(self) -> list[str]:
        """The places that were patched."""
        return sorted(f"{getattr(owner, '__qualname__', owner.__name__)}.{name}" for owner, name, _, _ in self._changes)

    def switch(self, *, on: bool) -> None:
        """Put the patched, or the original, attributes in place."""
        for owner, name, old, new in self._changes:
            value = new if on else old
            if value is not _MISSING:
                setattr(owner, name, value)
            elif name in vars(owner):
                delattr(owner, name)


def _owners() -> Iterator[Any]:
    """The modules and classes of the clients; openai and anthropic rewrite `__module__` of their public classes."""
    seen: set[int] = set()
    modules = [module for name, module in list(sys.modules.items()) if name.startswith(_MODULES) and module]
    for module in modules:
        for owner in (module, *[value for value in vars(module).values() if _is_client_class(value)]):
            if id(owner) not in seen:
                seen.add(id(owner))
                yield owner


def _is_client_class(value: object) -> bool:
    return isinstance(value, type) and (value.__module__ in _PACKAGES or value.__module__.startswith(_MODULES))
