"""ledger/writer.py: whatever happens to the file, the program goes on and nothing is lost without being counted."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from costspan import guard
from costspan.facts.usage import Usage
from costspan.ledger import inspection, sidefile
from costspan.ledger.faults import LedgerError
from costspan.ledger.intake import read
from costspan.ledger.quarantine import move_aside
from costspan.ledger.store import Store
from costspan.ledger.writer import LedgerWriter
from costspan.process.fork import Participant, unwatch_forks, watch_forks
from forking import in_child
from ledger_calls import COST, UNPRICED, booked, call, write
from places import SUPPORT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def writer(path: Path) -> Iterator[LedgerWriter]:
    writer = LedgerWriter(path, patience_s=0)
    yield writer
    writer.close()


def counts(writer: LedgerWriter) -> tuple[int, int, int]:
    return writer.written, writer.queued, writer.lost


def losses(path: Path) -> list[tuple[int, int, str]]:
    with Store.read(path) as store:
        return store.select("SELECT records, nano_usd, reason FROM losses")


@contextlib.contextmanager
def told_of_forks(*writers: LedgerWriter) -> Generator[None]:
    """What the entry point sees to: these writers rest while this process forks."""
    watch_forks(
        lambda: [Participant("w", each.forget, each.before_fork, each.after_fork_in_parent) for each in writers]
    )
    yield
    unwatch_forks()


def test_nothing_is_opened_before_the_first_record(tmp_path: Path) -> None:
    """A program that makes no call leaves no trace on the disk."""
    writer = LedgerWriter(tmp_path / "new" / "ledger.db")
    writer.flush()
    writer.close()
    assert list(tmp_path.iterdir()) == []


def test_calls_are_written_in_the_order_they_came(path: Path, writer: LedgerWriter) -> None:
    """A batch is one transaction, and a taken call is in the file at once."""
    writer.take([call(id="a"), call(id="b")])
    writer.take([call(id="c")])
    assert booked(path) == ["a", "b", "c"]
    assert counts(writer) == (3, 0, 0)


def test_a_duplicate_is_not_counted_as_written(path: Path, writer: LedgerWriter) -> None:
    """`written` says how many records the file gained."""
    writer.take([call(id="a"), call(id="a"), call(id="b")])
    assert (booked(path), writer.written) == (["a", "b"], 2)


@pytest.fixture
def blocker(path: Path, writer: LedgerWriter) -> Iterator[sqlite3.Connection]:
    """Another program that holds the write lock of a ledger with one record in it."""
    writer.take([call(id="first")])
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    yield blocker
    blocker.close()


def test_a_lock_is_waited_for(path: Path, blocker: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process's short transaction delays the record, no more."""
    patient = LedgerWriter(path, patience_s=60)

    def let_go(_: float) -> None:
        blocker.execute("ROLLBACK")

    monkeypatch.setattr(time, "sleep", let_go)
    patient.take([call(id="second")])
    assert counts(patient) == (1, 0, 0)
    patient.close()
    assert booked(path) == ["first", "second"]


def test_a_lock_that_stays_is_given_up_and_tried_again(
    path: Path, blocker: sqlite3.Connection, writer: LedgerWriter
) -> None:
    """Records wait while another program keeps the file locked, and are all written when it lets go."""
    writer.take([call(id="second")])
    writer.take([call(id="third")])
    assert (counts(writer), writer.fault) == ((1, 2, 0), "database is locked")
    blocker.execute("ROLLBACK")
    writer.flush()
    assert (counts(writer), writer.fault) == ((3, 0, 0), "")
    assert booked(path) == ["first", "second", "third"]


def test_a_lock_is_told_when_it_does_not_pass(
    blocker: sqlite3.Connection, writer: LedgerWriter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A crowd of programs that write at once is no fault; a file that stays locked is one, and is told once."""
    assert blocker.in_transaction
    for now_s, told in ((1.0, 0), (9.0, 0), (12.0, 1), (30.0, 1)):
        monkeypatch.setattr(time, "monotonic", lambda now_s=now_s: now_s)
        writer.take([call()])
        assert caplog.text.count("cannot be written (database is locked)") == told


def test_a_full_disk_keeps_what_fits_the_backlog(path: Path, writer: LedgerWriter) -> None:
    """When there is no more room the records wait; with room again, none is missing and none is double."""
    writer.take([call(id="first")])
    connection = writer._store.connection if writer._store else None
    assert connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    calls = [call() for _ in range(200)]
    writer.take(calls)
    assert (counts(writer), writer.fault) == ((1, 200, 0), "database or disk is full")
    connection.execute("PRAGMA max_page_count = 100000")
    writer.flush()
    assert counts(writer) == (201, 0, 0)
    assert booked(path) == ["first", *[one.id for one in calls]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)  # noqa: S607


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    """The program goes on on a full disk, the loss is counted in records and money, and told when there is room."""
    path = small_disk / "ledger.db"
    writer = LedgerWriter(path, backlog=50)
    for _ in range(20):
        writer.take([call() for _ in range(100)])
    assert writer.fault in {"database or disk is full", "disk I/O error"}
    assert writer.written + writer.queued + writer.lost == 2_000
    assert (writer.queued, writer.lost_nano_usd) == (50, writer.lost * COST.nano_usd)
    written, lost = writer.written, writer.lost
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)  # noqa: S607
    writer.close()
    assert counts(writer) == (written + 50, 0, lost)
    assert len(booked(path)) == written + 50
    assert [(records, nano) for records, nano, _ in losses(path)] == [(lost, lost * COST.nano_usd)]


def test_what_does_not_fit_the_backlog_is_counted_and_told(tmp_path: Path) -> None:
    """The loss is known at once, and stands in the file as soon as there is one."""
    (tmp_path / "place").write_text("a file where a directory should be")
    path = tmp_path / "place" / "ledger.db"
    writer = LedgerWriter(path, backlog=3)
    writer.take([call() for _ in range(4)])
    writer.take([call(price=UNPRICED)])
    assert (counts(writer), writer.lost_nano_usd) == ((0, 3, 2), COST.nano_usd)
    (tmp_path / "place").unlink()
    writer.close()
    assert (counts(writer), len(booked(path))) == ((3, 0, 2), 3)
    ((records, nano_usd, reason),) = losses(path)
    assert (records, nano_usd) == (2, COST.nano_usd)
    assert "place" in reason


def test_a_batch_larger_than_the_backlog_is_written(path: Path) -> None:
    """The backlog bounds what waits, not what can be written."""
    writer = LedgerWriter(path, backlog=3)
    writer.take([call() for _ in range(10)])
    assert counts(writer) == (10, 0, 0)
    writer.close()


def test_what_waits_at_the_end_is_lost_and_counted(tmp_path: Path) -> None:
    """At the end of the program the last attempt counts."""
    (tmp_path / "place").write_text("a file where a directory should be")
    writer = LedgerWriter(tmp_path / "place" / "ledger.db")
    writer.take([call()])
    writer.close()
    assert (counts(writer), writer.lost_nano_usd) == ((0, 0, 1), COST.nano_usd)


def without_rights(work: Callable[[], object]) -> int:
    """Run the work in a child that obeys the modes of files, as root does not."""

    def as_nobody() -> None:
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        work()

    return in_child(as_nobody)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that a child without rights can reach: those of pytest are the user's alone."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


@pytest.mark.parametrize(
    ("file_mode", "directory_mode", "fault"),
    [
        (0o444, 0o777, "attempt to write a readonly database"),
        (0o444, 0o555, "attempt to write a readonly database"),
        (0o000, 0o777, "unable to open database file"),
        (None, 0o555, "Permission denied"),
    ],
)
def test_a_file_or_directory_without_rights(
    open_place: Path, file_mode: int | None, directory_mode: int, fault: str
) -> None:
    """Where writing is not allowed the records wait, and the reason is said in SQLite's words."""
    path = open_place / "place" / "ledger.db"
    path.parent.mkdir()
    if file_mode is not None:
        write(path, call())
        path.chmod(file_mode)
    path.parent.chmod(directory_mode)

    def take() -> None:
        writer = LedgerWriter(path)
        writer.take([call(), call()])
        assert counts(writer) == (0, 2, 0)
        assert fault in writer.fault

    try:
        assert without_rights(take) == 0
    finally:
        path.parent.chmod(0o755)


def sound_ledger(path: Path) -> bytes:
    write(path, *[call(session=f"s{number}") for number in range(500)])
    return path.read_bytes()


BROKEN: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("text",            lambda _: b"this is not a database, but a note of somebody\n" * 100),
    ("first page gone", lambda whole: bytes(4096) + whole[4096:]),
    ("all other pages gone", lambda whole: whole[:4096] + os.urandom(len(whole) - 4096)),
    ("cut off",         lambda whole: whole[: len(whole) // 2]),
]  # fmt: skip


@pytest.mark.parametrize(("story", "broken"), BROKEN, ids=[story for story, _ in BROKEN])
def test_a_corrupt_file_is_moved_aside_and_a_new_one_begun(
    path: Path, caplog: pytest.LogCaptureFixture, story: str, broken: Callable[[bytes], bytes]
) -> None:
    """The old file is kept for whoever can repair it, the new one takes the record, and the log says both."""
    content = broken(sound_ledger(path))
    path.write_bytes(content)
    writer = LedgerWriter(path)
    writer.take([call(id="after")])
    writer.close()
    assert (counts(writer), booked(path)) == ((1, 0, 0), ["after"]), story
    (aside,) = path.parent.glob("ledger.db.corrupt-*")
    assert aside.read_bytes() == content
    assert f"is corrupt (file is not a database); it was moved to {aside}" in caplog.text or "malformed" in caplog.text


def test_a_file_that_breaks_while_the_program_runs(path: Path, writer: LedgerWriter) -> None:
    """The records of the batch that met the damage are in the new file."""
    writer.take([call(id="before")])
    writer.release()
    path.write_bytes(b"gone" * 5_000)
    writer.take([call(id="after")])
    assert (booked(path), counts(writer)) == (["after"], (2, 0, 0))


def test_a_sound_file_is_not_moved_aside(path: Path) -> None:
    """Of two processes that met the damage, the second finds the new file and leaves it."""
    write(path, call(id="kept"))
    assert move_aside(path) is None
    assert booked(path) == ["kept"]


def test_two_corrupt_files_in_one_second_keep_their_names(path: Path) -> None:
    """Nothing that was moved aside is ever written over."""
    names: set[Path | None] = set()
    for number in range(3):
        path.write_bytes(b"%d no database" % number * 100)
        names.add(move_aside(path))
    assert len(names - {None}) == 3


def test_a_file_that_is_moved_away_is_begun_again(path: Path, writer: LedgerWriter) -> None:
    """Whoever rotates or deletes the ledger of a running program loses no later record."""
    writer.take([call(id="a")])
    path.rename(path.with_name("old.db"))
    writer.take([call(id="b")])
    assert booked(path) == ["b"]


def test_the_database_of_another_program_takes_no_records(path: Path, writer: LedgerWriter) -> None:
    """A mistaken path costs the records, never the other program's data."""
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    writer.take([call()])
    assert (counts(writer), writer.fault) == ((0, 1, 0), "it is a SQLite database of another program")
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    other.close()


ODD: list[tuple[str, dict[str, Any], str, Any]] = [
    # what is odd             the call                                  column           what is kept
    ("a NUL",                 {"session": "a\0b"},                      "session",       "a\0b"),
    ("a lone surrogate",      {"session": "a\ud800b"},                  "session",       "a?b"),
    ("a surrogate in a kind", {"team": "\udfff"},                       "team",          "?"),
    ("a megabyte",            {"session": "x" * 1_000_000},             "session",       "x" * 1_000_000),
    ("an object",             {"session": ["no", "text"]},              "session",       "['no', 'text']"),
    ("a list in a kind",      {"task_type": ["no", "text"]},            "task_type",     "['no', 'text']"),
    ("a number",              {"account": 7},                           "account",       "7"),
    ("a count beyond 64 bit", {"usage": {"input": 2**70}},              "input_tokens",  None),
    ("a cost beyond 64 bit",  {"price": replace(COST, nano_usd=2**63)}, "cost_nano_usd", None),
    ("no number",             {"duration_s": float("nan")},             "duration_s",    None),
    ("no provider",           {"provider": None},                       "provider",      None),
]  # fmt: skip


@pytest.mark.parametrize(("story", "changed", "column", "kept"), ODD, ids=[story for story, *_ in ODD])
def test_odd_values_are_kept_as_well_as_can_be(
    path: Path, writer: LedgerWriter, story: str, changed: dict[str, Any], column: str, kept: object
) -> None:
    """A value that SQLite refuses is mended; the call is booked, and so are those beside it."""
    if "usage" in changed:
        changed = {"usage": Usage(changed["usage"])}
    writer.take([call(id="before"), call(id="odd", **changed), call(id="after")])
    assert booked(path) == ["before", "odd", "after"], story
    assert (booked(path, column)[1], counts(writer)) == (kept, (3, 0, 0))


def test_a_record_of_which_no_row_can_be_made_is_lost_alone(
    path: Path, writer: LedgerWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not hold up the others for ever, and it is counted."""
    monkeypatch.setattr(guard, "raise_again", False)
    broken: Any = call()
    broken.attribution = None
    writer.take([call(id="before"), broken, call(id="after")])
    assert (booked(path), counts(writer)) == (["before", "after"], (2, 0, 1))


def test_a_fault_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the file and the reason, and is not filled by a fault that stays."""
    (tmp_path / "place").write_text("")
    writer = LedgerWriter(tmp_path / "place" / "ledger.db")
    with caplog.at_level(logging.WARNING, "costspan"):
        for _ in range(5):
            writer.take([call()])
    assert len(caplog.records) == 1
    writer.close()
    assert "no side file beside the ledger" in caplog.text
    assert f"calls that could not be kept in the ledger {tmp_path}/place/ledger.db and are lost: 5" in caplog.text
    assert f"the ledger {tmp_path}/place/ledger.db cannot be written" in caplog.text


def test_a_directory_is_no_ledger(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is named as what it is, by whoever writes and by whoever reads; what waits beside it stays there."""
    place = tmp_path / "place"
    place.mkdir()
    writer = LedgerWriter(place)
    writer.take([call()])
    writer.close()
    assert f"the ledger {place} cannot be written" in caplog.text
    assert "is a directory" in caplog.text
    with pytest.raises(LedgerError, match="is a directory, and no ledger"):
        read(place)
    assert "cannot be booked yet" in caplog.text
    assert len(sidefile.waiting(place)) == 1
    assert "is a directory" in inspection.has_room(place)


def test_many_processes_write_one_file(path: Path) -> None:
    """Every record of every process is there, once."""
    pids: list[int] = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                writer = LedgerWriter(path, patience_s=60)
                for batch in range(10):
                    writer.take([call(id=f"{os.getpid()}-{batch}-{number}") for number in range(20)])
                status = writer.queued + writer.lost
            finally:
                os._exit(status)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0, 0]
    assert len(booked(path)) == 800


def test_a_forked_child_begins_anew(path: Path, writer: LedgerWriter, tmp_path: Path) -> None:
    """The child has no part in the parent's counts, backlog and open file; both go on writing."""
    writer.take([call(id="parent 1")])
    waiting = LedgerWriter(tmp_path / "place" / "ledger.db")
    (tmp_path / "place").write_text("a file where a directory should be")
    waiting.take([call(id="the parent's")])

    def work() -> None:
        assert counts(writer) == counts(waiting) == (0, 0, 0)
        writer.take([call(id="child")])
        assert counts(writer) == (1, 0, 0)
        writer.close()

    with told_of_forks(writer, waiting):
        assert in_child(work) == 0
    writer.take([call(id="parent 2")])
    assert booked(path) == ["parent 1", "child", "parent 2"]
    assert (counts(writer), counts(waiting)) == ((2, 0, 0), (0, 1, 0))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are listed in /proc")
def _handles(path: Path) -> list[str]:
    """What this process holds open of a ledger: the file, and what SQLite has beside it."""
    ends = [os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()]
    return [end for end in ends if end.startswith(str(path.resolve()))]


def test_no_handle_of_the_file_crosses_a_fork(writer: LedgerWriter) -> None:
    """SQLite's locks belong to a process: an inherited handle would let two of them write at once.

    It is closed at the moment of the fork, not by the child: closing there would take the parent's locks away.
    """
    found: list[list[str]] = []

    def look(_: float) -> None:
        found.append(_handles(writer.path))

    in_order = [
        Participant("w", writer.forget, writer.before_fork, writer.after_fork_in_parent), Participant("look", int, look),
    ]  # fmt: skip

    def work() -> None:
        assert not _handles(writer.path)

    writer.take([call()])
    assert _handles(writer.path)
    watch_forks(lambda: in_order)
    try:
        assert in_child(work) == 0
    finally:
        unwatch_forks()
    assert found == [[]]


def test_forget_drops_an_inherited_handle(path: Path, writer: LedgerWriter) -> None:
    """Where C code forked past our hook, the child closes what it inherited and opens its own."""
    writer.take([call(id="a")])
    inherited = writer._store
    writer.forget()
    assert inherited
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        inherited.connection.execute("SELECT 1")
    writer.take([call(id="b")])
    assert (booked(path), counts(writer)) == (["a", "b"], (1, 0, 0))


FORKING_UNDER_LOAD = """
import os, sys, threading
from pathlib import Path
from ledger_calls import NOON_NS, call
from costspan.calls.engine import new_id
from costspan.emit.dispatcher import CallDispatcher
from costspan.ledger.writer import LedgerWriter
from costspan.process.fork import Participant, watch_forks

writer = LedgerWriter(Path(sys.argv[1]), patience_s=60)
dispatcher = CallDispatcher([("ledger", writer.take)])
watch_forks(lambda: [Participant("p", p.forget, p.before_fork, p.after_fork_in_parent) for p in (dispatcher, writer)])
stop, made = threading.Event(), 0

def work():
    global made
    while not stop.is_set():
        for _ in range(20):
            dispatcher.put(call(id=new_id(NOON_NS)))
        made += 20
        dispatcher.drain()

thread = threading.Thread(target=work)
thread.start()
for number in range(25):
    pid = os.fork()
    if pid == 0:
        dispatcher.put(call(id=new_id(NOON_NS), session=f"child {number}"))
        dispatcher.close()
        writer.close()
        os._exit(writer.lost)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
thread.join()
dispatcher.close()
writer.close()
print(made, writer.lost)
"""


def script(text: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(SUPPORT), "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    command = [sys.executable, "-c", text, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60, **more)


def test_a_fork_in_the_middle_of_a_write(path: Path) -> None:
    """A thread is writing while others are forked off: no child waits for ever, no record is missing."""
    ran = script(FORKING_UNDER_LOAD, str(path))
    assert ran.returncode == 0, ran.stderr
    made, lost = map(int, ran.stdout.split())
    last = LedgerWriter(path)
    last.take([call(id="last")])  # and takes in what a child put down that could not write
    last.close()
    sessions = booked(path, "session")
    assert (len(sessions), lost) == (made + 25 + 1, 0)
    assert {f"child {number}" for number in range(25)} <= set(sessions)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


KILLED = """
import os, signal, sys
from pathlib import Path
from ledger_calls import call
from costspan.ledger.writer import LedgerWriter

writer = LedgerWriter(Path(sys.argv[1]))
writer.take([call(id=f"taken {number}") for number in range(100)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_taken_survives_a_kill(path: Path) -> None:
    """A record is safe from the end of its process as soon as `take` returns."""
    assert script(KILLED, str(path)).returncode == -signal.SIGKILL
    assert len(booked(path)) == 100
    write(path, call(id="later"))
    assert len(booked(path)) == 101


def test_threads_may_share_a_writer(path: Path, writer: LedgerWriter) -> None:
    """A flush at exit may meet a take on the background thread."""

    def work(name: str) -> None:
        for number in range(20):
            writer.take([call(id=f"{name}-{number}")])
            writer.flush()

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(booked(path)), counts(writer)) == (80, (80, 0, 0))
