"""An estimate waits in a scope for the call that it is of, which then carries it in its record."""

from __future__ import annotations

from costspan.facts.call import Call
from costspan.guard import guarded_positional
from costspan.scope.run import Run


@guarded_positional("scope.estimate")
def note_estimate(call: Call) -> None:
    """Give a call that is about to be booked what was estimated of it, by the innermost scope that waits for it."""
    if call.runs is not None and call.answer.usage is not None:
        any(_noted(run, call) for run in reversed(call.runs.runs))


def _noted(run: Run, call: Call) -> bool:
    """Whether an estimate waited for the call: the first answered call of the model takes it, once."""
    if not run.awaited or run.awaited[-1][0] != call.request_model:
        return False
    try:
        _, call.estimate = run.awaited.pop()
    except IndexError:  # another thread was first
        return False
    return True
