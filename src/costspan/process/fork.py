"""The one fork protocol: what rests before a fork, goes on after it in the parent, and begins anew in the child.

Registered once, by the entry point, when costspan is installed. No other module registers fork handlers: one that is
registered while another thread forks would have its second half run without its first, and the handlers of two modules
would take locks in an order that neither of them knows (docs/decisions/0042-one-fork-protocol.md).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, NamedTuple

from costspan import guard

#: How long a fork waits for everything of costspan's to rest, all participants together.
PATIENCE_S: Final = 0.05


class Participant(NamedTuple):
    """What one part does about a fork. Every function is called on the thread that forks, guarded by itself."""

    #: The place under which a fault of this participant is counted.
    place: str
    #: In the child, where no other thread is left: begin anew. It may be called without `before`.
    after_in_child: Callable[[], object]
    #: Rest, until the moment given (of `time.monotonic`) at the latest; True if `after_in_parent` is to be called.
    before: Callable[[float], bool | None] | None = None
    after_in_parent: Callable[[], object] | None = None


_participants: Callable[[], Sequence[Participant]] = tuple
_is_registered = False
# Of two threads that fork at once, one waits for the other; re-entrant, because a signal's code may fork within a fork.
_one_fork = threading.RLock()
#: By thread: what is to be called when its fork is over, with its place, one list for each fork under way.
_resting: Final[dict[int, list[list[tuple[str, Callable[[], object]]]]]] = {}


def watch_forks(participants: Callable[[], Sequence[Participant]]) -> None:
    """Have the participants told of every fork from now on: before it in their order, after it in the reverse order.

    In the child they begin anew in their order. They are asked for at each fork: parts are built after the start.
    """
    global _participants, _is_registered  # noqa: PLW0603  # one process, one protocol
    _participants = participants
    if not _is_registered and hasattr(os, "register_at_fork"):
        _is_registered = True
        os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def unwatch_forks() -> None:
    """The opposite of watch_forks, as far as Python allows: its handlers stay, and have nobody to tell."""
    global _participants  # noqa: PLW0603
    _participants = tuple


@guard.guarded("fork.before")
def _before() -> None:
    give_up_s = monotonic() + PATIENCE_S
    resting: list[tuple[str, Callable[[], object]]] = []
    _resting.setdefault(threading.get_ident(), []).append(resting)
    if not _one_fork.acquire(timeout=PATIENCE_S):
        return
    resting.append(("fork.one", _one_fork.release))
    for place, _, before, after_in_parent in _participants():
        if before is not None and guard.guarded(place)(before)(give_up_s) and after_in_parent is not None:
            resting.append((place, after_in_parent))


@guard.guarded("fork.parent")
def _after_in_parent() -> None:
    here = threading.get_ident()
    forks = _resting.get(here)
    if not forks:  # costspan was installed while this thread was forking
        return
    resting = forks.pop()
    if not forks:
        del _resting[here]
    while resting:
        place, go_on = resting.pop()
        guard.guarded(place)(go_on)()


@guard.guarded("fork.child")
def _after_in_child() -> None:
    global _one_fork  # noqa: PLW0603  # a thread that is not here may hold it
    _one_fork = threading.RLock()
    _resting.clear()
    for participant in _participants():
        guard.guarded(participant.place)(participant.after_in_child)()
