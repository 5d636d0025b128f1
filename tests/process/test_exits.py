"""Every way of a process to end or to split: what of its spend is kept."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any, Final

import pytest

from costspan import names
from exits.running import BIN, DEADLOCK_S, Outcome, run
from exits.ways import WAYS, Way, table
from otlp_receiver import attributes, over_grpc, over_http
from stand_in_process import ROOT

DOCUMENT: Final = ROOT / "docs" / "exits.md"
#: SIGTERM, then SIGKILL: Docker's patience is ten seconds; two more for a machine that is busy with other tests.
DOCKERS_PATIENCE_S: Final = 12


def check_books(way: Way, outcome: Outcome) -> None:
    """The ledger has every call once, with its tokens; counters and events too, if need be later; spans what it says."""
    requests, booked, received = outcome.requests, outcome.rows, outcome.received
    kept = way.calls if way.exported is None else way.exported
    assert len(requests) == len({row["id"] for row in booked}) == way.calls
    assert received.total(names.REQUESTS.name) == len(received.events) == way.calls
    assert len(received.spans) == received.total(names.DURATION_S.name) == kept
    assert received.refused == []
    if way.exported is None:  # else one sends what another left, in its name
        assert all(len(processes) == 1 for processes in received.users.values()), "a connection serves one process"
    check_tokens(way, outcome)
    cost_usd = sum(row["cost_nano_usd"] for row in booked) / 1e9
    spans_usd = sum(attributes(span)[names.COST_AMOUNT] for span in received.spans)
    assert spans_usd == pytest.approx(cost_usd * kept / way.calls, rel=1e-9)
    for usd in (received.total(names.COST_USD.name), received.total(names.SESSION_COST_USD.name)):
        assert usd == pytest.approx(cost_usd, rel=1e-9)


def check_tokens(way: Way, outcome: Outcome) -> None:
    """To the token what was served; of a stream that was cut short, the same estimate everywhere."""
    for metric, column, unit in (
        (names.INPUT_TOKENS, "input_tokens", "input"), (names.OUTPUT_TOKENS, "output_tokens", "output"),
    ):  # fmt: skip
        booked = sum(row[column] for row in outcome.rows)
        assert outcome.received.total(metric.name) == booked
        if not way.streams:
            assert booked == sum(request[unit] for request in outcome.requests)
    assert sum(row["quality"] == "estimated" for row in outcome.rows) == way.streams


def name(way: Way) -> str:
    return way.program.replace(" ", "-")


@pytest.mark.parametrize("way", [way for ways in WAYS.values() for way in ways], ids=name)
def test_what_is_kept(tmp_path: Path, way: Way) -> None:
    """What was served stands in the ledger and in the sums over all processes, once; the program ends as it would."""
    command = way.program.split()[0]
    if command in {"gunicorn", "celery"} and shutil.which(command, path=str(BIN)) is None:
        pytest.skip(f"{command} is not installed")
    outcome = run(way.program, tmp_path, deliver=way.exported is not None)
    assert outcome.status == way.status, outcome.complaints
    if command not in {"exception", "interrupt", "celery"}:
        assert outcome.complaints == ""
    check_books(way, outcome)


DELTA: Final = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "DELTA"}
OTHERWISE: Final[list[Any]] = [
    # program               calls  receiver    environment
    ("fork_after_export",       5, over_http,  DELTA),
    ("process fork",            4, over_http,  DELTA),
    ("normal_end",              1, over_grpc,  {}),
    ("sigterm",                 1, over_grpc,  {}),
    ("fork_and_end",            4, over_grpc,  {}),
    ("fork_after_export",       5, over_grpc,  {}),
    ("process fork",            4, over_grpc,  {}),
    ("pool_terminated fork",    5, over_grpc,  {}),
    ("fork_after_export",       5, over_http,  {"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=mine"}),
]  # fmt: skip


@pytest.mark.parametrize(("program", "calls", "receiver", "environ"), OTHERWISE)
def test_however_it_is_exported(
    tmp_path: Path, program: str, calls: int, receiver: Any, environ: dict[str, Any]
) -> None:
    """As deltas, over gRPC, with an instance id of the user's own: the sums over all processes are the same."""
    outcome = run(program, tmp_path, receiver=receiver, **environ)
    assert outcome.status == (-signal.SIGTERM if program == "sigterm" else 0), outcome.complaints
    check_books(Way("", program, calls), outcome)


def test_a_call_that_a_signal_breaks_off_is_abandoned(tmp_path: Path) -> None:
    """The program's own handler raises: the call is booked without a price, for nobody said what it used."""
    outcome = run("sigterm_own_handler_during_call", tmp_path)
    assert (outcome.status, outcome.complaints) == (5, "")
    assert sorted((row["outcome"], row["cost_nano_usd"] is None) for row in outcome.rows) == [
        ("abandoned", True),
        ("ok", False),
    ]
    assert outcome.received.total(names.UNPRICED_REQUESTS.name) == 1


def test_a_stream_that_is_open_at_a_sudden_end_is_lost(tmp_path: Path) -> None:
    """The calls before it stand in the ledger; of the telemetry, what had been exported."""
    outcome = run("sigkill_with_open_stream", tmp_path)
    assert outcome.status == -signal.SIGKILL
    assert len(outcome.requests) == 3
    assert len(outcome.rows) == 2
    assert outcome.received.total(names.REQUESTS.name) == len(outcome.received.spans) == 1


def test_a_child_that_made_no_call_sends_nothing(tmp_path: Path) -> None:
    """`multiprocessing` starts children by the hundred; only those that called have something to deliver."""
    received = run("process_without_a_call", tmp_path).received
    assert received.instances(names.FOLDED.name) == received.instances(names.REQUESTS.name) == 1


@pytest.mark.parametrize("receiver", [over_http, over_grpc])
def test_a_fork_during_an_export_deadlocks_nobody(tmp_path: Path, receiver: Any) -> None:
    """The parent's exporter holds its lock while it waits for the Collector: the child exports meanwhile."""
    is_waiting, is_answered = threading.Event(), threading.Event()

    def hold_the_first() -> None:
        if not is_waiting.is_set():
            is_waiting.set()
            is_answered.wait(DEADLOCK_S)

    def talk(program: Any) -> None:
        assert is_waiting.wait(DEADLOCK_S)
        program.stdin.write("fork\n")
        program.stdin.flush()
        assert program.stdout.readline() == "joined\n"
        is_answered.set()

    protocol: dict[str, Any] = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"} if receiver is over_grpc else {}
    outcome = run("fork_during_export", tmp_path, receiver=lambda: receiver(hold_the_first), talk=talk, **protocol)
    assert outcome.status == 0
    assert all(
        "skipping fork() handlers" in line for line in outcome.complaints.splitlines()
    )  # gRPC says so, and works
    check_books(Way("", "fork_during_export", 2), outcome)


def test_a_collector_that_does_not_answer_cannot_hold_up_the_end(tmp_path: Path) -> None:
    """SIGTERM still ends the program, by the signal and before Docker would; the ledger has the call."""
    asked_s: list[float] = []
    is_over = threading.Event()

    def never_answer() -> None:
        asked_s.append(time.monotonic())
        is_over.wait(DEADLOCK_S)

    outcome = run("sigterm", tmp_path, receiver=lambda: over_http(never_answer))
    assert time.monotonic() - asked_s[0] < DOCKERS_PATIENCE_S
    is_over.set()
    assert outcome.status == -signal.SIGTERM
    assert len(outcome.rows) == len(outcome.requests) == 1


def test_the_documentation_shows_what_is_tested() -> None:
    """Its table is the one of exits/ways.py: `python scripts/show_exits.py` writes it."""
    assert table() in DOCUMENT.read_text()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_ends_by_a_sigterm_that_interrupts_nothing(method: str, tmp_path: Path) -> None:
    """A handler in Python runs when the main thread looks: it is sent there, or a pool waits for its worker for ever."""
    outcome = run(f"sigterm_passes_by {method}", tmp_path)
    assert (outcome.status, outcome.complaints) == (0, "")
    assert len(outcome.rows) == 1


def test_a_worker_outlives_the_sigterm_of_its_own_child(tmp_path: Path) -> None:
    """A forked child has its parent's file of signals until it begins anew; what comes to it is not its parent's."""
    outcome = run("sigterm_of_a_grandchild", tmp_path)
    assert (outcome.status, outcome.complaints) == (0, "")
