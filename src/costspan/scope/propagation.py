"""Where work leaves its thread or process: patched, so that the attribution goes along by itself.

Only ours goes along, nothing else of the OpenTelemetry context: the attribution and, for those who watch what is sent below a
call (`install_carry(calls=True)`), the call that is open. A thread and a process carry what was current when
they were started; a task given to a pool, what was current when it was given. The workers of a pool carry nothing:
they outlive the scope in which the first task happened to start them.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import wrapt

from costspan import guard
from costspan.facts.attribution import NOBODY
from costspan.process.imports import when_imported
from costspan.scope.carrier import Carried, Inherited
from costspan.scope.session import Attributed, carried_along

if TYPE_CHECKING:
    from types import ModuleType

# Threads and processes that these packages start are workers, which run the tasks of many.
_POOLS: Final = ("concurrent.futures", "multiprocessing", "socketserver", "anyio", "joblib", "loky")
_LUGGAGE: Final = "_costspan_attribution"

_Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]


def _start_thread(wrapped: Callable[..., Any], thread: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    _pack_thread(thread)
    return wrapped(*args, **kwargs)


@guard.guarded("carry")
def _pack_thread(thread: Any) -> None:
    whose = carried_along(calls=_state.takes_calls)
    is_told = getattr(thread, "_context", None) is not None  # Thread(context=...), from Python 3.14 on
    if whose is not None and _state.is_on and not is_told and not _is_worker(thread):
        setattr(thread, _LUGGAGE, whose)


def _run_thread(wrapped: Callable[..., Any], thread: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    whose: Attributed | None = thread.__dict__.pop(_LUGGAGE, None)
    if whose is None:
        return wrapped(*args, **kwargs)
    context: Any = getattr(thread, "_context", None)
    if context is None:
        with whose:
            return wrapped(*args, **kwargs)
    context.run(whose.__enter__)  # from Python 3.14 on a thread runs in a context that was made when it was started
    try:
        return wrapped(*args, **kwargs)
    finally:
        context.run(whose.__exit__, None, None, None)


def _give_task(wrapped: Callable[..., Any], _pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    args, kwargs = _pack_task(args, kwargs) or (args, kwargs)
    return wrapped(*args, **kwargs)


@guard.guarded("carry")
def _pack_task(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    whose = carried_along(calls=_state.takes_calls)
    if not _state.is_on or whose is None:
        return None
    if args:
        return (Carried(args[0], whose), *args[1:]), kwargs
    return (args, {**kwargs, "func": Carried(kwargs["func"], whose)}) if "func" in kwargs else None


def _start_process(wrapped: Callable[..., Any], process: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if _state.is_on and _is_worker(process):
        with Attributed(NOBODY, is_exact=True):
            return wrapped(*args, **kwargs)
    _pack_process(process)
    try:
        return wrapped(*args, **kwargs)
    finally:
        process.__dict__.pop(_LUGGAGE, None)


@guard.guarded("carry")
def _pack_process(process: Any) -> None:
    whose = carried_along()
    if whose is not None and _state.is_on:
        setattr(process, _LUGGAGE, Inherited(whose))


@guard.guarded("carry")
def _is_worker(started: Any) -> bool:
    target: Any = getattr(started, "_target", None)
    named: Any = started.__class__ if target is None else target
    module: object = getattr(named, "__module__", None)
    return isinstance(module, str) and any(module == pool or module.startswith(f"{pool}.") for pool in _POOLS)


# `Thread._bootstrap_inner` is private, and the same from Python 3.10 to 3.14: `run` would miss the subclasses with a
# `run` of their own, and show in their tracebacks.
_POINTS: Final[tuple[tuple[str, str, str, _Wrapper], ...]] = (
    ("threading", "Thread", "start", _start_thread),
    ("threading", "Thread", "_bootstrap_inner", _run_thread),
    ("concurrent.futures.thread", "ThreadPoolExecutor", "submit", _give_task),
    ("concurrent.futures.process", "ProcessPoolExecutor", "submit", _give_task),
    *(
        ("multiprocessing.pool", "Pool", method, _give_task)
        for method in ("apply_async", "map", "map_async", "starmap", "starmap_async", "imap", "imap_unordered")
    ),
    ("multiprocessing.process", "BaseProcess", "start", _start_process),
)


#: gevent starts its greenlets with an empty context, and tells who asks of each that is spawned.
_GREENLETS: Final = "gevent"


@guard.guarded("carry")
def _spawn(greenlet: Any) -> None:
    whose = carried_along(calls=_state.takes_calls)
    function = getattr(greenlet, "_run", None)
    is_thread = isinstance(getattr(function, "__self__", None), threading.Thread)  # gevent's kind of one: as above
    if whose is not None and _state.is_on and not is_thread and greenlet.gr_context is None:
        context = contextvars.Context()
        context.run(whose.__enter__)
        greenlet.gr_context = context


@guard.guarded("carry")
def _follow_greenlets(module: Any) -> None:
    if _state.is_on:
        module.Greenlet.add_spawn_callback(_spawn)  # into a set


class _State:
    def __init__(self) -> None:
        self.is_on = False
        self.takes_calls = False
        self.awaited: set[str] = set()
        self.patched: dict[tuple[str, str, str], Any] = {}


_state: Final = _State()


def install_carry(*, calls: bool = False) -> None:
    """Carry the attribution along by itself from now on. A module that is not imported yet is patched when it is.

    With `calls`, threads and tasks know of the watched call that is open where they were started, for as long as it is.
    """
    _state.is_on, _state.takes_calls = True, calls
    for name in dict.fromkeys(module for module, *_ in _POINTS):
        when_imported(name, _patch_module, _state.awaited)
    when_imported(_GREENLETS, _follow_greenlets, _state.awaited)


def remove_carry() -> None:
    """Carry nothing along any more, and take the patches out, except where somebody has wrapped them since."""
    _state.is_on = False
    if _GREENLETS in sys.modules:
        sys.modules[_GREENLETS].Greenlet.remove_spawn_callback(_spawn)
    for (module, owner, method), wrapper in tuple(_state.patched.items()):
        holder: Any = getattr(sys.modules[module], owner)
        if holder.__dict__.get(method) is wrapper:
            setattr(holder, method, wrapper.__wrapped__)
            del _state.patched[module, owner, method]


@guard.guarded("carry")
def _patch_module(module: ModuleType) -> None:
    for name, owner, method, wrapper in _POINTS:
        if name == module.__name__ and _state.is_on and (name, owner, method) not in _state.patched:
            _patch(module, owner, method, wrapper)


def _patch(module: ModuleType, owner: str, method: str, wrapper: _Wrapper) -> None:
    if not hasattr(getattr(module, owner, None), method):
        guard.tell_once(
            f"carry:{owner}.{method}",
            "costspan: %s.%s.%s is not there in this Python, so the attribution is not carried along by it; "
            "wrap what you start with costspan.carry()",
            module.__name__,
            owner,
            method,
        )
        return
    made = wrapt.wrap_function_wrapper(module, f"{owner}.{method}", wrapper)
    _state.patched[module.__name__, owner, method] = made
