"""The one list of outputs: what an output is told of calls, flush, end and fork, whoever it is."""
# pyright: basic
# It acts a fork out, by the handlers that Python would call.

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

import ways
from budgeted import NOTHING_LEFT, budgeted
from caller import KINDS, Caller
from costspan import assembly, instrumentor
from costspan.emit import pipeline
from costspan.emit.outputs import BOOKED, FINISHED, QUEUED, Output
from costspan.process import fork
from provider import Provider
from watching import Watched

#: In the order in which they hear of a call.
EVERY = (
    ("emit.spans", FINISHED), ("budgets.settle", FINISHED), ("emit.ratelimits", FINISHED),
    ("emit.totals", BOOKED), ("metrics.sessions", BOOKED), ("outbox.journal", BOOKED), ("ledger.journal", BOOKED),
    ("emit.dispatcher", BOOKED),
    ("emit.outbox", QUEUED), ("budgets.keeper", QUEUED), ("ledger", QUEUED), ("sdk.readers", QUEUED), ("metrics.durations", QUEUED), ("emit.overflow", QUEUED),
    ("emit.estimates", QUEUED), ("emit.events", QUEUED),
)  # fmt: skip
#: Those that hold something of their process: calls, sums, files, locks.
HOLDING = {
    "emit.ratelimits", "emit.totals", "emit.dispatcher", "metrics.sessions", "emit.outbox", "ledger", "sdk.readers",
    "metrics.durations", "budgets.keeper", "emit.estimates",
}  # fmt: skip


def test_every_output_stands_in_the_list(tmp_path: Path) -> None:
    """In the order in which it hears of calls; the dispatcher before the ledger, as a fork takes their locks."""
    with budgeted(tmp_path, NOTHING_LEFT):
        parts = instrumentor.pipeline
        assert parts is not None
        outputs = [output for output in parts.outputs if output.name not in {"notes", "reach"}]
        assert tuple((output.name, output.when) for output in outputs) == EVERY
        assert {output.name for output in outputs if output.after_fork} == HOLDING
        resting = [place for place, _, before, _ in parts.participants() if before]
        assert resting == ["fork.dispatcher", "fork.outbox", "fork.keeper", "fork.ledger", "fork.runs"]


@pytest.mark.parametrize("when", [FINISHED, BOOKED, QUEUED])
def test_an_output_of_the_list_is_told_everything(
    when: str, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new one needs its row and nothing else: calls by its `when`, flush, fork, end."""
    told: list[str] = []

    def note(what: str, *_: Any) -> bool:
        told.append(what)
        return True

    new = Output("new", when, *(functools.partial(note, what) for what in Output._fields[2:]))
    own: Any = pipeline.Pipeline._at_once
    if when == QUEUED:
        monkeypatch.setattr(assembly, "_notices", lambda *_: [new])
    else:
        monkeypatch.setattr(pipeline.Pipeline, "_at_once", lambda *given: [*own(*given), new])
    with Watched(ledger="off") as watched:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        watched.call()
        assert sorted(told) == ["flush", "take"]
        told.clear()
        fork._before()
        fork._after_in_parent()
        assert told == ["before_fork", "after_fork_in_parent"]
        fork._before()
        fork._after_in_child()
        assert told[2:] == ["before_fork", "after_fork"]
    assert told[4:] == ["close"]
