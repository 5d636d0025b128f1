"""Taking the current attribution along to another thread, task or process."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from costspan import guard
from costspan.scope.session import Attributed, carried

_F = TypeVar("_F", bound=Callable[..., Any])


def carry(function: _F) -> _F:
    """The function, to be called elsewhere and later, under the attribution that is current now.

    Exactly under that one: what is open now is open there, whatever was said where it runs.
    """
    whose = carried()
    if _runs_later(function):
        return whose(function)
    taken = Carried(function, whose)
    functools.update_wrapper(taken, function)
    return cast("_F", taken)


def _runs_later(function: Callable[..., Any]) -> bool:
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(kind(function) for kind in kinds)


class Carried:
    """A function with its attribution; it goes through a queue between processes as well."""

    def __init__(self, function: Callable[..., Any], whose: Attributed) -> None:
        self._function = function
        self._whose = whose

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._whose.again():
            return self._function(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return Carried, (self._function, self._whose)


class Inherited:
    """An attribution in the luggage of a process object: unpacking it in the child puts it in place there.

    A child that is spawned gets its process object by pickle, in the thread that will run it, so this reaches every
    subclass of Process, with no patch in the child.
    """

    def __init__(self, whose: Attributed) -> None:
        self._whose = whose

    def __reduce__(self) -> tuple[Any, ...]:
        return _inherit, (self._whose,)


@guard.guarded("carry")
def _inherit(whose: Attributed) -> None:
    whose.__enter__()
