"""Who hears of finished calls: one list of outputs, each with all that the pipeline asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from costspan.process.fork import Participant

#: When an output hears of a call: of every one that has finished; of every one that is booked, in the caller's thread;
#: of those in batches, on the thread of the dispatcher.
FINISHED: Final = "finished"
BOOKED: Final = "booked"
QUEUED: Final = "queued"


class Output(NamedTuple):
    """One that hears of finished calls, in the order of the list and under a guard of its own.

    `name` is the place under which its faults are counted. `take` gets an ObservedCall, a Call or a sequence of calls,
    as `when` says. `flush` returns when what was taken has been passed on; after `close` it may be asked to take all the same.
    The last three are the functions of a `Participant`.
    """

    name: str
    when: str
    take: Callable[[Any], object]
    flush: Callable[[], object] | None = None
    close: Callable[[], object] | None = None
    after_fork: Callable[[], object] | None = None
    before_fork: Callable[[float], bool] | None = None
    after_fork_in_parent: Callable[[], object] | None = None


def taking(outputs: Iterable[Output], when: str) -> list[tuple[str, Callable[[Any], object]]]:
    """What hears of calls at a time: name and function."""
    return [(output.name, output.take) for output in outputs if output.when == when]


def forking(outputs: Iterable[Output]) -> list[Participant]:
    """What the outputs do about a fork, in their order."""
    return [
        Participant(
            f"fork.{each.name.rpartition('.')[2]}", each.after_fork, each.before_fork, each.after_fork_in_parent
        )
        for each in outputs
        if each.after_fork is not None
    ]
