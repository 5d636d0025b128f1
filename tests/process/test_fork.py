"""process/fork.py: one protocol, in one order, bounded in time, whatever a participant does."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Final

import openai
import pytest

from answers import completion
from budgeted import ask, budgeted
from caller import flavour
from costspan import guard
from costspan.emit.dispatcher import CallDispatcher
from costspan.facts.call import Call
from costspan.ledger.faults import NoLedger
from costspan.process import fork
from costspan.process.fork import Participant, unwatch_forks, watch_forks
from costspan.process.threads import is_another
from exits.running import run
from forking import in_child, in_new_process
from ledger_calls import booked, call
from store_servers import until

HTTP: Final = flavour("openai")
#: What a fork may take longer than one without costspan.
AT_MOST_S: Final = 0.2
#: The same where other processes keep the machine busy: two modules that took their locks in opposite orders took longer.
A_LOCK_S: Final = 0.9


@contextlib.contextmanager
def watching(*participants: Participant) -> Generator[None]:
    """A process whose forks these are told of."""
    watch_forks(lambda: participants)
    try:
        yield
    finally:
        unwatch_forks()


def noting(told: list[str], name: str, *, rests: bool = True) -> Participant:
    def before(_: float) -> bool:
        told.append(f"{name} rests")
        return rests

    return Participant(
        f"fork.{name}", lambda: told.append(f"{name} begins"), before, lambda: told.append(f"{name} goes on")
    )


def test_they_rest_in_order_and_go_on_in_the_reverse_order() -> None:
    """Locks are taken in one order everywhere, and let go of the other way round; the child begins in that order."""
    told: list[str] = []

    def check() -> None:
        assert told == ["one rests", "two rests", "one begins", "two begins"]

    with watching(noting(told, "one"), noting(told, "two")):
        assert in_child(check) == 0
    assert told == ["one rests", "two rests", "two goes on", "one goes on"]


def test_who_did_not_rest_is_not_told_to_go_on() -> None:
    """A lock that was not taken must not be released."""
    told: list[str] = []
    with watching(noting(told, "one"), noting(told, "two", rests=False)):
        assert in_child() == 0
    assert told == ["one rests", "two rests", "one goes on"]


@pytest.mark.parametrize("when", ["before", "after_in_parent", "after_in_child"])
def test_one_that_fails_stops_no_other(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python would print `Exception ignored in` on the user's standard error, and the locks would stay shut."""
    monkeypatch.setattr(guard, "raise_again", False)

    def fail(*_: object) -> bool:
        raise OSError("no luck")

    told: list[str] = []
    failing = noting([], "failing")._replace(**{when: fail})

    def check() -> None:
        assert told == ["one rests", "two rests", "one begins", "two begins"]

    with watching(noting(told, "one"), failing, noting(told, "two")):
        assert in_child(check) == 0
    assert told == ["one rests", "two rests", "two goes on", "one goes on"]


def test_all_together_rest_until_one_moment() -> None:
    """However many they are, a fork waits no longer."""
    moments_s: list[float] = []

    def before(give_up_s: float) -> bool:
        moments_s.append(give_up_s)
        time.sleep(0.002)
        return False

    part = Participant("fork.noting", lambda: None, before)
    with watching(part, part, part):
        assert in_child() == 0
    assert len(moments_s) == 3
    assert len(set(moments_s)) == 1


def test_a_child_has_no_fork_under_way() -> None:
    """Not its own, nor that of a thread which is not there: it can fork at once."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with fork._one_fork:
            is_held.set()
            is_over.wait()

    def check() -> None:
        assert fork._resting == {}
        assert fork._one_fork.acquire(blocking=False)

    holder = threading.Thread(target=hold)
    with watching(noting([], "one")):
        holder.start()
        assert is_held.wait(60)
        status = in_child(check)
        is_over.set()
        holder.join()
    assert status == 0


def test_a_fork_that_began_before_costspan_is_let_be() -> None:
    """Installed by one thread while another forks, only the second half of the protocol runs there."""
    told: list[str] = []
    with watching(noting(told, "one")):
        fork._after_in_parent()
        assert (told, fork._resting) == ([], {})
        fork._after_in_child()
    assert told == ["one begins"]


def test_what_is_connected_during_a_fork_begins_anew_in_the_child() -> None:
    """The child asks for the participants again: its copy of a part that was made meanwhile is the parent's too."""
    told: list[str] = []
    participants: list[Participant] = []

    def connect(_: float) -> bool:
        participants.append(noting(told, "new"))
        return False

    def check() -> None:
        assert told == ["new begins"]

    participants.append(Participant("fork.maker", lambda: None, connect))
    watch_forks(lambda: list(participants))
    try:
        assert in_child(check) == 0
    finally:
        unwatch_forks()
    assert told == []


def test_a_fork_within_a_fork_releases_what_each_has_taken() -> None:
    """The code of a signal may fork while this thread prepares to."""
    in_new_process(fork_within_a_fork)


def fork_within_a_fork() -> None:
    lock = threading.RLock()
    depth: list[int] = []

    def before(_: float) -> bool:
        lock.acquire()
        depth.append(1)
        if len(depth) == 1:
            assert in_child() == 0
        return True

    with watching(Participant("fork.nested", lambda: None, before, lock.release)):
        assert in_child() == 0
    assert len(depth) == 2
    assert in_thread(lambda: lock.acquire(blocking=False)) is True


def in_thread(work: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def timed(work: Callable[[], object]) -> float:
    began_s = time.monotonic()
    work()
    return time.monotonic() - began_s


def slow_batch(is_under_way: threading.Event, is_over: threading.Event, refuse: Any = None) -> CallDispatcher:
    """Another thread passes a batch on, which takes as long as it takes."""

    def take(_: object) -> None:
        is_under_way.set()
        is_over.wait()

    dispatcher = CallDispatcher([("slow", take)], refuse)
    dispatcher.put(call())
    assert is_under_way.wait(60)
    return dispatcher


@pytest.mark.parametrize("forks", [1, 3])
def test_a_fork_waits_for_a_slow_batch_no_longer_than_said(forks: int) -> None:
    """Whoever holds a lock of costspan's, for however long, and however many threads fork at once."""
    in_new_process(fork_during_a_slow_batch, forks)


def fork_during_a_slow_batch(forks: int) -> None:
    is_under_way, is_over = threading.Event(), threading.Event()
    dispatcher = slow_batch(is_under_way, is_over)
    took_s: list[float] = []
    part = Participant("fork.dispatcher", dispatcher.forget, dispatcher.before_fork, dispatcher.after_fork_in_parent)
    with watching(part):
        before_s = timed(fork._before)
        fork._after_in_parent()
        threads = [threading.Thread(target=lambda: took_s.append(timed(in_child))) for _ in range(forks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    is_over.set()
    dispatcher.close()
    assert fork.PATIENCE_S <= before_s < AT_MOST_S
    assert len(took_s) == forks


def test_a_caller_waits_no_longer_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a batch takes and however much waits: a caller gives way for a moment, and beyond that is refused."""
    is_under_way, is_over = threading.Event(), threading.Event()
    refused: list[Call] = []

    def refuse(calls: Sequence[Call], _: str) -> None:
        refused.extend(calls)

    dispatcher = slow_batch(is_under_way, is_over, refuse)
    monkeypatch.setattr("costspan.emit.dispatcher._MOST_WAITING", 100)
    monkeypatch.setattr("costspan.emit.dispatcher._MOST_KEPT", 110)
    dispatcher._most_waiting = 100
    took_s = [timed(lambda: dispatcher.put(call())) for _ in range(120)]
    assert max(took_s[:100]) < 0.01 or sorted(took_s[:100])[90] < 0.01
    assert (len(dispatcher._waiting), len(refused)) == (110, 10)
    assert sorted(took_s[100:])[10] < 0.1
    is_over.set()
    dispatcher.close()
    assert len(dispatcher._waiting) == 0


_BUDGETS: Final = """
anomaly: {do: [log]}
budgets:
  - {name: all, period: day, limit_usd: 1000}
"""


def test_no_thread_of_ours_is_there_at_a_fork(tmp_path: Path) -> None:
    """From Python 3.12 on a program that forks is warned where there is one. Afterwards they are there again."""
    in_new_process(fork_with_every_thread, str(tmp_path))


def fork_with_every_thread(folder: str) -> None:
    ours: list[list[str]] = []
    os.register_at_fork(before=lambda: ours.append(names_of_ours()))  # asked last, as it is registered first
    setattr(fork, "PATIENCE_S", 20)  # noqa: B010  # final: on a busy machine a thread may need longer to end than a fork waits
    if sys.version_info >= (3, 12):
        warnings.simplefilter("error")
    http = HTTP.Client(transport=HTTP.MockTransport(answer))
    with budgeted(Path(folder), _BUDGETS):
        client = openai.OpenAI(api_key="local", http_client=http)
        for _ in range(6):
            ask(client)
            assert names_of_ours() == ["costspan", "costspan-anomalies", "costspan-budgets"]
            assert in_child() == 0
        until(lambda: number_booked(Path(folder) / "ledger.db") == 6)  # by the thread: nobody flushes
    assert ours == [[]] * 6


def answer(_: Any) -> Any:
    return HTTP.Response(200, json=completion())


def test_a_thread_that_is_another_runs_and_is_of_the_system() -> None:
    """With gevent a thread has the id of the one that asks; one that has not begun, or has ended, is not there to be ended."""
    may_end = threading.Event()
    running = threading.Thread(target=may_end.wait)
    assert not is_another(running)
    running.start()
    assert is_another(running)
    running._native_id = threading.get_native_id()  # type: ignore[attr-defined]  # as gevent has it
    assert not is_another(running)
    may_end.set()
    running.join()
    assert not any(map(is_another, (running, threading.current_thread(), None)))


def number_booked(ledger: Path) -> int:
    try:
        return len(booked(ledger))
    except NoLedger:
        return 0


def names_of_ours() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("costspan"))


def test_a_fork_comes_between_two_batches() -> None:
    """A queue that never empties does not starve it: the next batch waits for the fork."""
    batches: list[int] = []

    def take(calls: Any) -> None:
        batches.append(len(calls))
        time.sleep(0.001)

    dispatcher = CallDispatcher([("slow", take)])
    for _ in range(100_000):
        dispatcher._waiting.append(call())
    dispatcher.put(call())
    while not batches:
        time.sleep(0.001)
    assert dispatcher.before_fork(time.monotonic() + 60)
    taken = len(batches)
    time.sleep(0.05)
    assert (len(batches), sum(batches) < 100_000) == (taken, True)
    dispatcher.after_fork_in_parent()
    dispatcher._waiting.clear()
    dispatcher.close()


def test_forks_under_load(tmp_path: Path) -> None:
    """Threads that call without a pause while the program forks: every call is kept, no fork waits for a lock."""
    outcome = run("fork_under_load", tmp_path)
    assert (outcome.status, outcome.complaints) == (0, "")
    assert len(outcome.requests) == len({row["id"] for row in outcome.rows})
    bare_s, ours_s = map(float, (tmp_path / "forks").read_text().split())
    assert ours_s < bare_s + A_LOCK_S


def test_no_thread_of_ours_loads_a_module(tmp_path: Path) -> None:
    """A child that is in_child meanwhile could never load it: the lock of that module stays shut there."""
    outcome = run("load_no_module_late", tmp_path)
    assert (outcome.status, outcome.complaints) == (0, "")
