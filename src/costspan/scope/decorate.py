"""Functions, coroutines and generators that run under an attribution, each still of its own kind."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    class Whose(Protocol):
        """An attribution to run under."""

        def again(self) -> AbstractContextManager[object]:
            """A scope for one run."""
            ...

        def turns(self) -> AbstractContextManager[object]:
            """A scope to be entered at every turn of one generator."""
            ...


_F = TypeVar("_F", bound=Callable[..., Any])


def bound(function: _F, whose: Whose) -> _F:
    """The function, its calls made under an attribution."""
    foreign: Any = function
    if isinstance(foreign, (staticmethod, classmethod)):
        return type(foreign)(bound(foreign.__func__, whose))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType, reportUnknownVariableType, reportReturnType]
    if inspect.iscoroutinefunction(function):
        made = _coroutine_function(function, whose)
    elif inspect.isgeneratorfunction(function):
        made = _generator_function(function, whose)
    elif inspect.isasyncgenfunction(function):
        made = _async_generator_function(function, whose)
    else:
        made = _plain_function(function, whose)
    return cast("_F", functools.wraps(function)(made))


def _plain_function(function: Callable[..., Any], whose: Whose) -> Callable[..., Any]:
    def attributed(*args: Any, **kwargs: Any) -> Any:
        with whose.again():
            result = function(*args, **kwargs)
        return _still_to_run(result, whose)

    return attributed


def _still_to_run(result: Any, whose: Whose) -> Any:
    # Another decorator may hide that a function is async or a generator; what came back tells.
    made = _BY_RESULT.get(cast("Any", type(result)))
    return result if made is None else made(lambda: result, whose)()


def _coroutine_function(function: Callable[..., Any], whose: Whose) -> Callable[..., Any]:
    async def attributed(*args: Any, **kwargs: Any) -> Any:
        with whose.again():
            return await function(*args, **kwargs)

    return attributed


def _generator_function(function: Callable[..., Any], whose: Whose) -> Callable[..., Any]:
    def attributed(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        turning: Generator[Any, Any, Any] = cast("Any", _Turning(function(*args, **kwargs), whose.turns()))
        return (yield from turning)

    return attributed


class _Turning:
    """A generator whose every turn is taken under an attribution; `yield from` does the rest of the protocol."""

    def __init__(self, body: Generator[Any, Any, Any], turn: AbstractContextManager[object]) -> None:
        self._body = body
        self._turn = turn

    def __iter__(self) -> _Turning:
        return self

    def __next__(self) -> Any:
        with self._turn:
            return next(self._body)

    def send(self, value: Any) -> Any:
        with self._turn:
            return self._body.send(value)

    def throw(self, *fault: Any) -> Any:
        with self._turn:
            return self._body.throw(*fault)

    def close(self) -> None:
        with self._turn:
            self._body.close()


def _async_generator_function(function: Callable[..., Any], whose: Whose) -> Callable[..., Any]:
    async def attributed(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        body = function(*args, **kwargs)
        turn = whose.turns()
        resume = body.__anext__()
        try:
            while True:
                try:
                    with turn:
                        item = await resume
                except StopAsyncIteration:
                    return
                try:
                    resume = body.asend((yield item))
                except GeneratorExit:
                    raise
                # Whatever is thrown in is the body's to answer.
                except BaseException as fault:  # noqa: BLE001
                    resume = body.athrow(fault)
        finally:
            with turn:
                await body.aclose()

    return attributed


_BY_RESULT: Final = {
    CoroutineType: _coroutine_function,
    GeneratorType: _generator_function,
    AsyncGeneratorType: _async_generator_function,
}
