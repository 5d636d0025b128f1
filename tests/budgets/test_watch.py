"""Anomalies while programs run: told once over all processes, on a thread of costspan's, which looks seldom and rests at a fork."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openai
import pytest

import costspan
from budgeted import ask, budgeted
from costspan import SpendAnomaly, guard, instrumentor, names
from costspan.budgets import watch
from costspan.budgets.anomalies import Anomalies
from costspan.budgets.opening import store_beside
from costspan.budgets.policy import Anomaly
from costspan.budgets.reading import load
from costspan.budgets.sqlite_store import SqliteStore
from costspan.budgets.watch import Watch
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.facts.usage import Usage
from costspan.ledger.store import Store
from forking import in_child
from ledger_calls import at_ns, call, write
from places import ROOT
from provider import Provider
from store_servers import until

UTC = ZoneInfo("UTC")
NOW_NS = at_ns("2026-11-20 14:50")
HOUR_NS = 3_600 * 10**9
TOLD = Anomaly(actions=("log", "callback"))


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[SpendAnomaly]:
    """What the callback hears; what is told once a process is told in each test."""
    monkeypatch.setattr(watch, "_callbacks", list[Any]())
    heard: list[SpendAnomaly] = []
    costspan.on_anomaly(heard.append)
    return heard


def weeks(now_ns: int, nano_usd: int = 9 * 10**9) -> Iterator[Call]:
    """A dollar at this time of each of ten days before, and of the last minute something else."""
    more = {"response_id": None, "session": None}
    for day in range(1, 11):
        yield call(started_ns=now_ns - day * 24 * HOUR_NS, price=Cost(10**9, "exact"), **more)
    yield call(started_ns=now_ns - 60 * 10**9, price=Cost(nano_usd, "exact"), **more)


def loop(now_ns: int, *, every_s: int = 10) -> list[Call]:
    """A session that calls faster and faster with growing prompts."""
    return [
        call(started_ns=now_ns - 1_800 * 10**9 + (number if number < 12 else 12 + (number - 12) / 6) * every_s * 10**9,
             session="loop", usage=Usage(input=1_000 + number), price=Cost(10**6, "exact"), response_id=None)
        for number in range(24)
    ]  # fmt: skip


class Machine:
    """Processes of one machine, with a clock of their own."""

    def __init__(self, folder: Path, calls: Sequence[Call]) -> None:
        self.ledger, self.now_ns = folder / "ledger.db", NOW_NS
        write(self.ledger, *calls)

    def process(self, anomaly: Anomaly = TOLD) -> Watch:
        """What looks in one of them."""
        store = SqliteStore(store_beside(self.ledger))
        return Watch(self.ledger, anomaly, UTC, store, now_ns=lambda: self.now_ns)

    def later(self, seconds: float) -> None:
        """Time goes by."""
        self.now_ns += round(seconds * 10**9)


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("Anomaly: ")]


HOUR_SAID = (
    "Anomaly: team search spent 9.02 USD in the hour from 2026-11-20 14:00, 9.0 times the usual 1.00 USD (by 10 days before)."
    " Its calls: costspan usage --by task_type,model --where team==search --since 2026-11-20T14:00:00+00:00 --until"
    " 2026-11-20T15:00:00+00:00"
)
LOOP_SAID = (
    "Anomaly: session loop of task type research is in a loop: 24 calls in 2 min, prompts growing from 1,000 to 1,023 tokens,"
    " for 0.02 USD, calls coming faster and faster. Its calls: costspan usage --by model,hour --where session==loop"
    " --where task_type==research --where model==gpt-5.4-mini --since 2026-11-20T14:20:00+00:00 --until"
    " 2026-11-20T14:22:19+00:00"
)


def test_each_anomaly_is_told_once_by_one_process(
    tmp_path: Path, told: list[SpendAnomaly], caplog: pytest.LogCaptureFixture
) -> None:
    """By a line in the log with the command that shows its calls, and by the callback with all of it as values."""
    machine = Machine(tmp_path, [*weeks(NOW_NS), *loop(NOW_NS)])
    processes = [machine.process(), machine.process()]
    for _ in range(3):
        for process in processes:
            process.look()
        machine.later(61)
    assert _lines(caplog) == [HOUR_SAID, LOOP_SAID]
    hour, one = told
    assert (one.kind, one.session, one.task_type, one.model, one.unit, one.amount, one.usual, one.cost_usd) == (
        "loop", "loop", "research", "gpt-5.4-mini", "requests", 24, None, Decimal("0.024"),
    )  # fmt: skip
    assert (hour.kind, hour.team, hour.session, hour.unit, hour.amount, hour.usual) == (
        "hour", "search", None, "usd", Decimal("9.024"), Decimal(1),
    )  # fmt: skip
    assert (hour.ended_at - hour.began_at).total_seconds() == 3_600
    # The next hour is another one, in whichever process.
    write(machine.ledger, *weeks(NOW_NS + HOUR_NS))
    machine.later(HOUR_NS / 10**9)
    later = machine.process()
    later.look()
    assert [each.began_at.hour for each in told[2:]] == [15]
    # Counted by whoever told it, and by nobody else.
    assert [one.counted for one in (*processes, later)] == [
        {("hour", "search", None): 1, ("loop", None, "research"): 1}, {}, {("hour", "search", None): 1},
    ]  # fmt: skip


def test_one_process_of_the_machine_looks_and_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a minute, less often where looking takes long; one that ended while it looked is taken over from."""
    machine = Machine(tmp_path, loop(NOW_NS))
    looks, took_s = list[int](), 0.0
    clock = iter(range(10**6))

    def count(*_: Any) -> Anomalies:
        looks.append(machine.now_ns)
        return Anomalies((), ())

    monkeypatch.setattr(watch, "anomalies", count)
    monkeypatch.setattr(watch, "monotonic", lambda: next(clock) * took_s)
    processes = [machine.process() for _ in range(3)]

    def minutes(number: int) -> int:
        looks.clear()
        for _ in range(number * 6):
            for process in processes:
                process.look()
            machine.later(10)
        return len(looks)

    assert minutes(10) == 10
    took_s = 6.0  # a fiftieth: five minutes
    assert minutes(10) == 2
    machine.later(300)
    monkeypatch.setattr(processes[0], "_found", _killed)
    monkeypatch.setattr(processes[0]._store, "take_in", _killed_after_its_turn(processes[0]))
    with pytest.raises(KeyboardInterrupt):
        processes[0].look()
    del processes[0]
    took_s = 0.0
    assert minutes(9) == 0
    assert minutes(2) >= 1
    machine.later(-7 * 86_400)  # the clock steps back
    assert minutes(1) == 1


def _killed(_: int) -> Any:
    raise KeyboardInterrupt


def _killed_after_its_turn(process: Watch) -> Any:
    """Books the turn and nothing after it, as a process that is killed."""
    first, takes = process._store.take_in, iter([True])

    def take_in(*told: Any) -> bool:
        return first(*told) if next(takes, None) else False

    return take_in


def test_what_is_said_is_what_the_file_wants(
    tmp_path: Path, told: list[SpendAnomaly], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log, the callback, or both; a callback that raises is logged, and a ledger that cannot be read is told."""
    Machine(tmp_path / "a", list(weeks(NOW_NS))).process(Anomaly(actions=("log",))).look()
    assert (len(_lines(caplog)), told) == (1, [])
    alerted = Machine(tmp_path / "f", list(weeks(NOW_NS))).process(Anomaly(actions=("alert",)))
    alerted.look()
    assert (len(_lines(caplog)), told, alerted.counted) == (1, [], {("hour", "search", None): 1})
    monkeypatch.setattr(guard, "raise_again", False)

    def broken(_: SpendAnomaly) -> None:
        raise ZeroDivisionError

    costspan.on_anomaly(broken)
    Machine(tmp_path / "b", list(weeks(NOW_NS))).process(Anomaly(actions=("alert", "callback"))).look()
    assert (len(_lines(caplog)), len(told), guard.faults["anomalies.callback"]) == (1, 1, 1)
    told.clear()
    plan = load(ROOT / "examples" / "budgets" / "plan-unlimited.yaml").anomaly
    Machine(tmp_path / "d", list(weeks(NOW_NS, 4_999_999_999))).process(plan).look()  # its floor is 5 USD
    Machine(tmp_path / "e", list(weeks(NOW_NS, 5 * 10**9))).process(plan).look()
    assert (len(_lines(caplog)), [each.amount for each in told]) == (2, [5])
    machine = Machine(tmp_path / "c", list(weeks(NOW_NS)))
    machine.ledger.write_text("no database")
    machine.process().look()
    assert "anomalies cannot be looked for (the ledger" in caplog.text
    assert guard.faults["anomalies.unavailable"] == 1


def test_a_fork_does_not_wait_for_a_long_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The question is interrupted, at a fork and at the end of the process; nothing is said of that, and the look comes again."""
    machine = Machine(tmp_path, loop(NOW_NS))
    begun, looks = threading.Event(), list[bool]()

    def long_question(ledger: Store, *_: Any) -> Anomalies:
        looks.append(True)
        begun.set()
        ledger.select("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
        return Anomalies((), ())

    monkeypatch.setattr(watch, "anomalies", long_question)
    monkeypatch.setattr(watch, "_LOOK_S", 0.001)
    process = machine.process()
    process.start()
    assert begun.wait(60)
    before_s = time.monotonic()
    assert process.before_fork(before_s + 10)
    assert time.monotonic() - before_s < 5
    process.after_fork_in_parent()
    until(lambda: not process._ledger)
    begun.clear()
    machine.later(60 * 60)
    assert begun.wait(60)
    thread = process._looker.thread
    process.close()
    assert thread is not None
    thread.join(60)
    assert not thread.is_alive()
    assert len(looks) == 2
    assert "anomalies" not in caplog.text


def test_more_kinds_of_work_than_are_counted_apart_are_counted_as_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many teams strangers name."""
    monkeypatch.setattr(watch, "_MOST_COUNTED", 1)
    process = Machine(tmp_path, [*weeks(NOW_NS), *loop(NOW_NS)]).process()
    process.look()
    assert process.counted == {("hour", "search", None): 1, ("loop", "other", "other"): 1}


def test_nothing_is_watched_where_nobody_wants_it(tmp_path: Path) -> None:
    """No thread, where the file says nothing of anomalies."""
    with budgeted(tmp_path, "max_usd_per_session: 1\n"):
        keeper = instrumentor.pipeline and instrumentor.pipeline.keeper
        assert keeper
        assert keeper.watch is None
        assert "costspan-anomalies" not in {thread.name for thread in threading.enumerate()}


def _watch_of_the_process() -> Watch:
    keeper = instrumentor.pipeline and instrumentor.pipeline.keeper
    assert keeper
    assert keeper.watch
    return keeper.watch


def test_a_program_tells_of_its_machine(
    provider: Provider, tmp_path: Path, told: list[SpendAnomaly], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """On its own thread, with real time; a forked child that looks, too, has nothing to tell, and no thread is left at the end."""
    monkeypatch.setattr(watch, "_LOOK_S", 0.02)
    monkeypatch.setattr(watch, "_BETWEEN_S", 0)
    hour_ns = time.time_ns() // HOUR_NS * HOUR_NS  # all of it within one hour, whatever the time is
    write(tmp_path / "ledger.db", *weeks(hour_ns + 61 * 10**9))
    with (
        budgeted(tmp_path, "anomaly: {do: [log, callback]}\n") as watched,
        caplog.at_level(logging.WARNING, "costspan"),
    ):
        until(lambda: told)
        (found,) = watched.points(names.ANOMALIES)
        assert (found.value, dict(found.attributes)) == (
            1, {names.ANOMALY_KIND: "hour", names.TEAM: "search", names.TASK_TYPE: "unknown"},
        )  # fmt: skip
        _watch_of_the_process()._looker.every_s = 3_600  # the turn is the child's
        with openai.OpenAI(api_key="local", base_url=provider.url, max_retries=0) as client:

            def work() -> None:
                told.clear()
                found = _watch_of_the_process()
                found._looker.every_s = 0.02
                ask(client)
                costspan.flush()
                assert found._looker.thread
                assert found._looker.thread.is_alive()
                until(lambda: found._told.young)
                assert (told, found.counted) == ([], {})

            assert in_child(work) == 0
        assert (len(told), len(_lines(caplog)), told[0].amount) == (1, 1, 9)
    assert "costspan-anomalies" not in {thread.name for thread in threading.enumerate()}
    with budgeted(tmp_path, "anomaly: {}\n", ledger="off"):
        pass
    assert "`anomaly:` of the budgets is not watched by this program" in caplog.text
