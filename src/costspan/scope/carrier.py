"""Taking the current attribution along to another thread, task or process."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from costspan import guard
from costspan.facts.attribution import Attribution
from costspan.scope.session import Attributed, current

_F = TypeVar("_F", bound=Callable[..., Any])


def carry(function: _F) -> _F:
    """The function, to be called elsewhere and later, under the attribution that is current now.

    Exactly under that one: what is open now is open there, whatever was said where it runs.
    """
    if _runs_later(function):
        return Attributed(current(), is_exact=True)(function)
    carried = Carried(function, current())
    functools.update_wrapper(carried, function)
    return cast("_F", carried)


def _runs_later(function: Callable[..., Any]) -> bool:
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(kind(function) for kind in kinds)


class Carried:
    """A function with its attribution; it goes through a queue between processes as well."""

    def __init__(self, function: Callable[..., Any], said: Attribution) -> None:
        self._function = function
        self._said = said

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with Attributed(self._said, is_exact=True):
            return self._function(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return Carried, (self._function, self._said)


class Inherited:
    """An attribution in the luggage of a process object: unpacking it in the child puts it in place there.

    A child that is spawned gets its process object by pickle, in the thread that will run it, so this reaches every
    subclass of Process, with no patch in the child.
    """

    def __init__(self, said: Attribution) -> None:
        self._said = said

    def __reduce__(self) -> tuple[Any, ...]:
        return _inherit, tuple(self._said)


@guard.guarded("carry")
def _inherit(*words: str | None) -> None:
    Attributed(Attribution(*words), is_exact=True).__enter__()
