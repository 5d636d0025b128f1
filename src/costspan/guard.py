"""Where a fault of ours stops: counted, told once a place, raised again under test. The caller never sees it.

BudgetExceeded is no fault: it passes.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from costspan.facts import foreign
from costspan.facts.refusal import BudgetExceeded

_log: Final = logging.getLogger("costspan")
# Re-entrant, like every lock of costspan that a finalizer or a signal's code may come to while its thread holds it.
_lock = threading.RLock()
_R = TypeVar("_R")

#: Faults by place since the start of the process (health metric `costspan.errors`).
faults: Final[dict[str, int]] = {}
#: Parts that could not be set up, and why. Each is off alone (health metric `costspan.degraded`).
degraded: Final[dict[str, str]] = {}
#: Set by tests: a fault is raised instead of stopped.
raise_again = False
_told: Final[set[str]] = set()
_MOST_TOLD: Final = 1_000


def fault(place: str, error: BaseException) -> None:
    """What a guard does with an exception that it caught: under test it is raised again."""
    if raise_again:
        raise error
    stopped(place, error)


def stopped(place: str, fault: BaseException) -> None:
    """Count a fault at a place, and tell about the first one there."""
    count(place)
    if _is_first(f"fault:{place}"):
        _log.warning("costspan: a fault in %s was stopped, your program goes on: %s", place, _in_words(fault))
        _log.debug("costspan: the fault in %s", place, exc_info=fault)


def _in_words(fault: BaseException) -> str:
    """Its class and the beginning of what it says, which may be text from outside."""
    try:
        said = foreign.text(str(fault))
    except Exception:  # noqa: BLE001  # a foreign class may fail to say anything
        said = None
    return f"{type(fault).__name__}: {said}" if said else type(fault).__name__


def part(name: str, make: Callable[[], _R]) -> _R | None:
    """What `make` makes of one part; None where that fails: this part is off, says so, and the others go on."""
    try:
        return make()
    except Exception as fault:
        if raise_again:
            raise
        count(f"part.{name}")
        degrade(name, _in_words(fault))
        _log.debug("costspan: the fault in %s", name, exc_info=fault)
        return None


def degrade(name: str, reason: str) -> None:
    """Note that a part is off in this process, and tell it once."""
    degraded[name] = reason
    tell_once(f"part:{name}", "costspan: %s: off in this process, everything else goes on: %s", name, reason)


def count(place: str) -> None:
    """Count what went wrong at a place."""
    with _lock:
        faults[place] = faults.get(place, 0) + 1


def tell_once(key: str, sentence: str, *words: object) -> bool:
    """Log a warning the first time that `key` comes; True if it did."""
    is_first = _is_first(key)
    if is_first:
        _log.warning(sentence, *words)
    return is_first


def _is_first(key: str) -> bool:
    with _lock:
        if key in _told or len(_told) >= _MOST_TOLD:
            return False
        _told.add(key)
        return True


def forget() -> None:
    """In a forked child: the faults were the parent's, and the lock may be held by a thread that is not here."""
    global _lock  # noqa: PLW0603  # one lock a process
    _lock = threading.RLock()
    faults.clear()


def each(parts: Iterable[tuple[str, Callable[..., object]]], value: object) -> None:
    """Hand a value to every part in turn. What one raises is stopped and counted at its place, and stops no other."""
    for place, take in parts:
        try:
            take(value)
        except Exception as fault:  # noqa: PERF203  # each part has a guard of its own
            if raise_again:
                raise
            stopped(place, fault)


def guarded(place: str) -> Callable[[Callable[..., _R]], Callable[..., _R | None]]:
    """A decorator: what the function raises is stopped here, and the function answers None instead."""

    def decorate(function: Callable[..., _R]) -> Callable[..., _R | None]:
        @functools.wraps(function)
        def guarded_function(*args: Any, **kwargs: Any) -> _R | None:
            try:
                return function(*args, **kwargs)
            except BudgetExceeded:  # no fault: the caller is to get it
                raise
            except Exception as fault:
                if raise_again:
                    raise
                stopped(place, fault)
                return None

        return guarded_function

    return decorate


def guarded_positional(place: str) -> Callable[[Callable[..., _R]], Callable[..., _R | None]]:
    """The same for what every call passes through: positional arguments only, at half the price."""

    def decorate(function: Callable[..., _R]) -> Callable[..., _R | None]:
        @functools.wraps(function)
        def guarded_function(*args: Any) -> _R | None:
            try:
                return function(*args)
            except BudgetExceeded:  # no fault: the caller is to get it
                raise
            except Exception as fault:
                if raise_again:
                    raise
                stopped(place, fault)
                return None

        return guarded_function

    return decorate
