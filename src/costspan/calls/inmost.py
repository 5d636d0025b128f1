"""Taking the place of a function for whoever holds it: on its class, on an instance, in a closure of other software.

The function object stays, its code is exchanged: an attribute of a class reaches only those who look it up there, and
who wrapped the method before us has it already. What a taken function did is done by a copy of it. Of a function that a
decorator made, the one that it keeps can be exchanged.
"""
# pyright: basic
# The code below runs in the namespace of foreign modules, where its names are put.

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, Final

#: In place of the function: (the function as it was, bound; instance; args; kwargs).
Wrapper = Callable[[Callable[..., Any], Any, Any, Any], Any]


def _sync(self: Any, *args: Any, **kwargs: Any) -> Any:
    return _costspan_sync(_costspan_sync_inmost.__get__(self), self, args, kwargs)  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


async def _async(self: Any, *args: Any, **kwargs: Any) -> Any:
    return await _costspan_async(_costspan_async_inmost.__get__(self), self, args, kwargs)  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


_CODE: Final = {"sync": _sync.__code__, "async": _async.__code__}


def of(method: Any) -> types.FunctionType | None:
    """The function within all wrappers of a method, if its place can be taken."""
    function = inspect.unwrap(method)
    if type(function) is types.FunctionType and not function.__code__.co_freevars:
        return function
    return None


def cell(method: Any, name: str) -> types.CellType | None:
    """Where a decorator keeps the function that it decorates: in the closure of the function that it made of it."""
    while method is not None:
        names: tuple[str, ...] = getattr(getattr(method, "__code__", None), "co_freevars", ())
        if name in names:
            return method.__closure__[names.index(name)]
        method = getattr(method, "__wrapped__", None)  # others have put theirs around it
    return None


def take(function: types.FunctionType, wrapper: Wrapper) -> None:
    """Have `wrapper` called in place of a function: one function of each kind, sync and async, in a module."""
    inmost = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    inmost.__kwdefaults__ = function.__kwdefaults__
    inmost.__qualname__, inmost.__doc__ = function.__qualname__, function.__doc__
    inmost.__annotations__ = function.__annotations__
    kind = "async" if inspect.iscoroutinefunction(function) else "sync"
    # They stay there when the function is given back: a coroutine that has not begun may still ask for them.
    function.__globals__.update({f"_costspan_{kind}": wrapper, f"_costspan_{kind}_inmost": inmost})
    function.__wrapped__ = inmost  # type: ignore[attr-defined]  # its signature and its source are what they were
    function.__code__ = _CODE[kind]


def give_back(function: types.FunctionType) -> None:
    """Have a function do again what it did."""
    inmost = vars(function).pop("__wrapped__", None)
    if inmost is not None:
        function.__code__ = inmost.__code__
