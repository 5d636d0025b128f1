"""A finalizer or the code of a signal may come by while its own thread holds any lock of costspan: nothing waits for itself."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import faulthandler
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import ways
from caller import KINDS, Caller
from costspan import attribution, guard, instrumentor, names
from costspan.emit.pipeline import Pipeline
from costspan.ledger.opener import LazyLedger
from costspan.ledger.writer import LedgerWriter
from exits.running import rows
from provider import Provider
from watching import Watched

#: Far beyond what a call takes: a thread that is not through by then waits for itself.
_DEADLOCK_S: Final = 60


def _writer(pipeline: Pipeline) -> LedgerWriter:
    assert isinstance(pipeline.ledger, LazyLedger)
    assert pipeline.ledger._writer is not None
    return pipeline.ledger._writer


#: Every lock that finishing a call, an export or a flush takes, by the part that holds it. Those of `process` are in
#: test_exits.py and test_fork.py; `ledger.claims` waits for its own no longer than 0.1 s.
LOCKS: dict[str, Callable[[Pipeline], Any]] = {
    "guard": lambda _: guard._lock,
    "connect": lambda _: instrumentor._lock,
    "prices": lambda pipeline: pipeline.recorder.prices._loading,
    "totals": lambda pipeline: pipeline.totals.lock,
    "sessions": lambda pipeline: pipeline.sessions.lock if pipeline.sessions is not None else None,
    "durations": lambda pipeline: pipeline.durations.lock if pipeline.durations is not None else None,
    "rate limits": lambda pipeline: pipeline.rate_limits._lock,
    "dispatcher, one batch": lambda pipeline: pipeline.dispatcher._draining,
    "dispatcher, between two": lambda pipeline: pipeline.dispatcher._turnstile,
    "ledger": lambda pipeline: _writer(pipeline).lock,
    "ledger, losses": lambda pipeline: _writer(pipeline)._counting,
}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("held", LOCKS)
def test_a_call_may_finish_while_its_thread_holds_a_lock(
    held: str, mode: str, provider: Provider, tmp_path: Path
) -> None:
    """Called, flushed and collected in the middle of whatever holds the lock; afterwards every sum is right."""
    found: dict[str, float] = {}

    def work(watched: Watched) -> None:
        pipeline = instrumentor.pipeline
        assert pipeline is not None
        with LOCKS[held](pipeline), attribution(session="tuesday"):
            Caller(KINDS["chat"], provider.url, mode).run(ways.kept)
            guard.count("a test")
            guard.tell_once(f"{held} {mode}", "a test")
            instrumentor.flush()
            watched.total(names.COST_USD)
            _writer(pipeline).lose([], "a test")
        found["requests"] = watched.total(names.REQUESTS)
        found["durations"] = sum(point.count for point in watched.points(names.DURATION_S))
        cost_nano_usd = round(watched.total(names.COST_USD) * 1e9)
        assert pipeline.sessions is not None
        sessions = pipeline.sessions.changed_since(0)
        found["sessions"] = sum(spent.nano_usd for _, _, spent in sessions) == cost_nano_usd > 0

    with Watched(ledger=str(tmp_path / "ledger.db")) as watched:
        _through(lambda: work(watched))
    assert found == {"requests": 1, "durations": 1, "sessions": True}
    assert len(rows(tmp_path / "ledger.db")) == 1


def _through(work: Callable[[], object]) -> None:
    """Do it on a thread that can be given up: one that waits for itself would hold up all tests."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_DEADLOCK_S)
    if thread.is_alive():
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        pytest.fail("a thread waits for itself")


def test_what_comes_in_the_middle_of_an_addition_is_added_after_it(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code of a signal may call an LLM between any two lines: no sum is read before and written after another's."""
    within: list[str] = []
    with Watched() as watched:
        assert instrumentor.pipeline is not None
        totals = instrumentor.pipeline.totals
        day: Any = totals._day

        def interrupted(*arguments: Any) -> Any:
            if not within:
                within.append("a second call")
                _whole(provider)
                within.append(f"{sum(sum(entry.outcomes.values()) for entry in totals.by_labels.values())} added")
            return day(*arguments)

        monkeypatch.setattr(totals, "_day", interrupted)
        _whole(provider)
        assert within == ["a second call", "1 added"]
        assert watched.total(names.REQUESTS) == 2
        assert not totals._put_off


def _whole(provider: Provider) -> None:
    Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
