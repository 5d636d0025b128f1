"""Putting wrappers into a client library that has been imported, taking it out again, never twice.

The entry point waits for the import: starting costspan imports no client library. A library whose methods have moved is
left alone, and said to be so (`degraded`).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import wrapt

from costspan import guard
from costspan.calls import inmost
from costspan.calls.points import PatchedClient, Point

#: What is watched now: (module, class, method) by client name; and why what could not be watched could not.
patched: Final[dict[str, list[tuple[str, str, str]]]] = {}
degraded: Final[dict[str, str]] = {}
#: Libraries, and functions of libraries, that a program uses and nobody watches; with their versions.
unwatched: Final[dict[str, str]] = {}

_active: Final[dict[str, PatchedClient]] = {}
#: What gives functions back that were not exchanged as attributes.
_taken: Final[dict[str, list[Callable[[], None]]]] = {}
#: Points in modules that the program has not imported so far, by client name.
_waiting: Final[dict[str, list[Point]]] = {}
#: Of which client and module the import is waited for. An import hook cannot be taken back: there is one, and it holds no point.
_hooked: Final[set[tuple[str, str]]] = set()


def install(patched_client: PatchedClient) -> None:
    """Watch a client library, which has been imported, from now on."""
    _active[patched_client.client.name] = patched_client
    _patch(patched_client)


def remove(name: str) -> None:
    """Stop watching. What callers hold of the library keeps working: bound methods pass through."""
    patched_client = _active.pop(name, None)
    if patched_client is not None:
        patched_client.is_active = False
    _waiting.pop(name, None)
    for give_back in _taken.pop(name, []):
        give_back()
    for module, kind, method in patched.pop(name, []):
        holder: Any = sys.modules.get(module)
        for part in kind.split(".") if kind else ():
            holder = getattr(holder, part, None)
        wrapper: Any = getattr(holder, "__dict__", {}).get(method)
        if isinstance(wrapper, wrapt.FunctionWrapper):
            setattr(holder, method, wrapper.__wrapped__)  # pyright: ignore[reportUnknownMemberType]


@guard.guarded("calls.patch")
def _patch(patched_client: PatchedClient) -> None:
    name = patched_client.client.name
    if name in patched:
        return
    every = (*patched_client.points(), *patched_client.uncounted_points())
    points = [point for point in every if not _waits(name, point)]
    faults = [fault for point in points if not point.is_optional and (fault := _fault(point)) is not None]
    if faults:
        _tell("calls", name, faults)
        return
    patched[name] = []
    for point in points:
        if _fault(point) is None:
            _put(name, point)


def _waits(name: str, point: Point) -> bool:
    """Whether a point's module has not been imported yet. Then it is patched once it is."""
    if point.module in sys.modules:
        return False
    waiting = _waiting.setdefault(name, [])
    if point not in waiting:
        waiting.append(point)
    if (name, point.module) not in _hooked:
        _hooked.add((name, point.module))
        wrapt.register_post_import_hook(partial(_patch_late, name, point.module), point.module)
    return True


@guard.guarded("calls.patch")
def _patch_late(name: str, module: str, _: Any) -> None:
    """A module of a library was imported after the library: the points of whoever watches it now."""
    waiting = _waiting.get(name, [])
    found = [point for point in waiting if point.module == module]
    _waiting[name] = [point for point in waiting if point not in found]
    if name not in patched:
        return
    faults = [fault for point in found if not point.is_optional and (fault := _fault(point)) is not None]
    for point in found:
        if _fault(point) is None:
            _put(name, point)
    if faults:
        _tell("some calls", name, faults)


def _tell(what: str, name: str, faults: list[str]) -> None:
    degraded[name] = "; ".join(dict.fromkeys(faults))
    guard.tell_once(
        f"degraded:{name}",
        "costspan: %s of %s are not counted: %s. Its version may be newer than this costspan: see costspan doctor",
        what,
        name,
        degraded[name],
    )


def _fault(point: Point) -> str | None:
    """Why this point cannot be watched, or None if it can."""
    try:
        holder, method = _found(point)
    except AttributeError:
        holder, method = None, ""
    if holder is None:
        return f"there is no class {point.name.rpartition('.')[0]} where it was expected"
    function = getattr(holder, method, None)
    if point.cell is not None:
        return None if inmost.cell(function, point.cell) is not None else f"{point.name} is not decorated as expected"
    named = f"{point.name}({', '.join(f'{parameter}=...' for parameter in point.parameters)})"
    if function is None or not set(point.parameters) <= set(inspect.signature(function).parameters):
        return f"{named} is not there"
    return None


def _found(point: Point) -> tuple[Any, str]:
    """The class or module that holds a function, and the function's name in it."""
    path, _, method = point.name.rpartition(".")
    holder: Any = sys.modules[point.module]
    for part in path.split(".") if path else ():
        holder = getattr(holder, part)
    return holder, method


def _put(name: str, point: Point) -> None:
    holder, method = _found(point)
    patched[name].append((point.module, point.name.rpartition(".")[0], method))
    taken = _taken.setdefault(name, [])
    function = inmost.of(getattr(holder, method)) if point.is_inmost else None
    if function is not None:  # where others may have wrapped it before: on a subclass, on an instance
        inmost.take(function, point.wrapper)
        taken.append(partial(inmost.give_back, function))
        return
    cell = inmost.cell(getattr(holder, method), point.cell) if point.cell is not None else None
    if cell is not None:
        decorated = cell.cell_contents
        cell.cell_contents = wrapt.FunctionWrapper(decorated, point.wrapper)
        taken.append(partial(setattr, cell, "cell_contents", decorated))
        return
    original = cast("dict[str, Any]", vars(holder)).get(method) or getattr(holder, method)
    setattr(holder, method, wrapt.FunctionWrapper(original, point.wrapper))
