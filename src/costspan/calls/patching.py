"""Putting wrappers into a client library that has been imported, taking it out again, never twice.

The entry point waits for the import: starting costspan imports no client library. A library whose methods have moved is
left alone, and said to be so (`degraded`).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

import wrapt

from costspan import guard
from costspan.calls import inmost
from costspan.calls.requests import PatchedClient

_CLASSES: Final = ("SyncAPIClient", "AsyncAPIClient")

#: What is watched now: (module, class, method) by client name; and why what could not be watched could not.
patched: Final[dict[str, list[tuple[str, str, str]]]] = {}
degraded: Final[dict[str, str]] = {}

_active: Final[dict[str, PatchedClient]] = {}
_taken: Final[dict[str, list[FunctionType]]] = {}


def install(patched_client: PatchedClient) -> None:
    """Watch a client library, which has been imported, from now on."""
    _active[patched_client.client.name] = patched_client
    _patch(patched_client, sys.modules[patched_client.client.module])


def remove(name: str) -> None:
    """Stop watching. What callers hold of the library keeps working: bound methods pass through."""
    patched_client = _active.pop(name, None)
    if patched_client is not None:
        patched_client.is_active = False
    for function in _taken.pop(name, []):
        inmost.give_back(function)
    for module, kind, method in patched.pop(name, []):
        holder: Any = getattr(sys.modules.get(module), kind, None)
        wrapper: Any = getattr(holder, "__dict__", {}).get(method)
        if isinstance(wrapper, wrapt.FunctionWrapper):
            setattr(holder, method, wrapper.__wrapped__)  # pyright: ignore[reportUnknownMemberType]


@guard.guarded("calls.patch")
def _patch(patched_client: PatchedClient, module: Any) -> None:
    name = patched_client.client.name
    if name in patched:
        return
    missing = [fault for kind in _CLASSES if (fault := _fault(getattr(module, kind, None), kind)) is not None]
    if missing:
        degraded[name] = "; ".join(missing)
        guard.tell_once(
            f"degraded:{name}",
            "costspan: calls of %s are not counted: %s. Its version may be newer than this costspan: see costspan doctor",
            name,
            degraded[name],
        )
        return
    patched[name] = []
    for kind in _CLASSES:
        holder = getattr(module, kind)
        is_async = inspect.iscoroutinefunction(inspect.unwrap(holder.request))
        _take(name, module, holder, "request", patched_client.request_async if is_async else patched_client.request)
        _wrap(name, module, holder, "_process_response", patched_client.responded)


def _fault(holder: Any, kind: str) -> str | None:
    """Why this class cannot be watched, or None if it can."""
    if holder is None:
        return f"there is no class {kind} where it was expected"
    for method, parameter in (("request", "options"), ("_process_response", "response")):
        function = getattr(holder, method, None)
        if function is None or parameter not in inspect.signature(function).parameters:
            return f"{kind}.{method}({parameter}=...) is not there"
    return None


def _take(name: str, module: Any, holder: type, method: str, wrapper: inmost.Wrapper) -> None:
    """Watch a method where others may have wrapped it before: on a subclass, on an instance."""
    function = inmost.of(getattr(holder, method))
    if function is None:
        _wrap(name, module, holder, method, wrapper)
        return
    inmost.take(function, wrapper)
    _taken.setdefault(name, []).append(function)
    patched[name].append((module.__name__, holder.__name__, method))


def _wrap(name: str, module: Any, holder: type, method: str, wrapper: Callable[..., Any]) -> None:
    original = vars(holder).get(method) or getattr(holder, method)
    setattr(holder, method, wrapt.FunctionWrapper(original, wrapper))
    patched[name].append((module.__name__, holder.__name__, method))
