"""ledger/journal.py: what stands in a journal is booked by whoever comes next, once; what is damaged is named."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.facts.call import Call
from costspan.facts.money import ESTIMATED, LOCAL, Cost
from costspan.facts.usage import Usage
from costspan.ledger import intake, journal, kept_calls, rows
from costspan.ledger.faults import NewerError, UnreadableError
from costspan.ledger.journal import Journal
from costspan.ledger.store import Store
from costspan.ledger.writer import LedgerWriter
from ledger_calls import UNPRICED, booked, call, write


class Tier(str):  # noqa: SLOT000  a client library's own class of text
    """What `marshal` refuses."""


def begun(path: Path) -> Journal:
    own = Journal()
    own.begin(path, "Europe/Berlin")
    return own


def dead(own: Journal) -> None:
    """As after the end of its process: nobody holds the lock."""
    own.forget()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def own(path: Path) -> Generator[Journal]:
    made = begun(journal.beside(path))
    yield made
    made.forget()


def found_in(path: Path) -> list[Call]:
    with journal.opened(path) as found:
        assert found is not None
        assert found.unread == 0
        return [each for _, each in found.calls]


TEXT = st.one_of(st.none(), st.text(max_size=40))
COUNT = st.integers(0, 2**70)


@given(
    session=TEXT, request_model=TEXT, tier=st.one_of(TEXT, st.text().map(Tier)), error_type=TEXT, response_id=TEXT,
    price=st.sampled_from([None, UNPRICED, Cost(2**62, ESTIMATED, LOCAL, "v", 7)]),
    usage=st.one_of(st.none(), st.builds(Usage, input=COUNT, output=COUNT, complete=st.booleans())),
    parts=st.lists(st.tuples(TEXT, st.builds(Usage, input=COUNT)), max_size=2).map(tuple),
    finish_reasons=st.lists(st.text(max_size=9), max_size=2).map(tuple), unread=st.sampled_from([(), ("a.b", "c")]),
    is_fetchable=st.booleans(), http_status=st.sampled_from([None, 200]), duration_s=st.floats(0, 1e9),
)  # fmt: skip
def test_a_call_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, **changed: Any) -> None:
    """With the very rows that it would have had in the ledger."""
    made = call(**changed)
    own = begun(tmp_path_factory.mktemp("one") / "1.journal")
    own.hold(made)
    place = own.path
    assert place is not None
    dead(own)
    (again,) = found_in(place)
    assert rows.mended(rows.kind(again, "20261120")) == rows.mended(rows.kind(made, "20261120"))
    assert rows.mended(rows.record(again, 1)) == rows.mended(rows.record(made, 1))


def test_what_was_released_is_gone_and_its_slot_is_free(own: Journal) -> None:
    """The file holds no more slots than calls ever waited at once."""
    assert own.path is not None
    for _ in range(5_000):
        one, other = call(), call()
        own.hold(one)
        own.hold(other)
        own.release([one, other])
    left = call()
    own.hold(left)
    assert own.path.stat().st_size < 4 * journal.SLOT_BYTES
    place = own.path
    dead(own)
    assert [each.id for each in found_in(place)] == [left.id]


def test_more_calls_than_slots_wait_in_memory(own: Journal) -> None:
    """None takes the place of another, and none is refused."""
    calls = [call() for _ in range(journal.SLOTS + 10)]
    for each in calls:
        own.hold(each)
    own.release(calls)
    for each in calls[:3]:
        own.hold(each)
    own.hold(call(session="s" * 3_000))  # does not fit
    place = own.path
    assert place is not None
    dead(own)
    assert sorted(each.id for each in found_in(place)) == [each.id for each in calls[:3]]


def test_threads_hold_and_release_at_once(own: Journal) -> None:
    """Every call that is held and not released stands there, whole."""
    kept: list[str] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        for turn in range(300):
            made = call(id=f"{number}-{turn}")
            own.hold(made)
            if turn % 10:
                own.release([made])
            else:
                with lock:
                    kept.append(made.id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    place = own.path
    assert place is not None
    dead(own)
    assert sorted(each.id for each in found_in(place)) == sorted(kept)


@pytest.mark.parametrize("who", ["reader", "writer"])
def test_whoever_comes_next_books_what_a_dead_process_left(path: Path, own: Journal, who: str) -> None:
    """With the days of its own time zone; a call that stands in the ledger already is not booked again."""
    write(path, call(id="written"))
    own.hold(call(id="written"))
    own.hold(call(id="left", started_ns=call().started_ns + 11 * 3_600 * 10**9 + 1))  # 23:00 in UTC
    dead(own)
    if who == "reader":
        intake.read(path).close()
    else:
        write(path, call(id="later"))
    assert [each for each in booked(path) if each != "later"] == ["written", "left"]
    assert booked(path, "day")[booked(path).index("left")] == "20261121"
    assert journal.waiting(path) == []


def test_a_living_process_keeps_its_journal(path: Path, own: Journal) -> None:
    """It is about to write the call itself."""
    write(path, call(id="first"))
    own.hold(call(id="mine"))
    intake.read(path).close()
    assert booked(path) == ["first"]
    assert journal.waiting(path) == [own.path]


def test_a_writer_releases_what_it_has_written(path: Path) -> None:
    """By the ledger, by a side file, or as lost; at its end the journal goes."""
    writer = LedgerWriter(path)
    first, refused, last = call(), call(), call()
    writer.hold(first)
    writer.take([first])
    writer.hold(refused)
    writer.lose([refused], "too many")
    writer.hold(last)
    assert writer.unwritten.held == [last.id]
    writer.take([last])
    writer.close()
    assert journal.waiting(path) == []
    assert len(booked(path)) == 2


def test_what_a_writer_could_not_write_stays_for_the_next(path: Path) -> None:
    """The part that writes is broken, the program ends: the next one books the call."""
    writer = LedgerWriter(path)
    writer.hold(call(id="held"))
    writer.close()
    assert len(journal.waiting(path)) == 1
    writer.unwritten.forget()
    write(path, call(id="later"))
    assert sorted(booked(path)) == ["held", "later"]


def test_a_slot_that_was_being_written_is_no_call(own: Journal) -> None:
    """Killed within it, the caller has not seen the call return."""
    own.hold(call(id="whole"))
    own.hold(call(id="torn"))
    place = own.path
    assert place is not None
    with place.open("r+b") as file:
        file.seek(2 * journal.SLOT_BYTES + 40)
        file.write(b"\0\0\0\0")
    dead(own)
    assert [each.id for each in found_in(place)] == ["whole"]


@pytest.mark.parametrize("head", [b"", b"{", b"[]", b'{"costspan": "records"}\n', b'{"costspan": "journal"}\n'])
def test_a_file_that_is_no_journal_is_set_aside(path: Path, own: Journal, head: bytes) -> None:
    """Kept for whoever wants to look, and looked at once."""
    own.hold(call(id="in it"))
    place = own.path
    assert place is not None
    dead(own)
    with place.open("r+b") as file:
        file.write(head.ljust(journal.SLOT_BYTES, b"\0"))
    with pytest.raises(UnreadableError), journal.opened(place):
        pass
    write(path, call(id="later"))
    assert booked(path) == ["later"]
    assert journal.waiting(path) == []
    (aside,) = path.parent.glob("ledger.db.corrupt-journal-*")
    assert b"in it" in aside.read_bytes()


def test_slots_that_hold_no_call_are_counted(path: Path, own: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could be read is booked; the ledger says that something was lost."""

    def odd(*_: object) -> tuple[str]:
        return ("no call",)

    own.hold(call(id="whole"))
    with monkeypatch.context() as patched:
        patched.setattr(kept_calls, "_values", odd)
        own.hold(call(id="odd"))
    dead(own)
    write(path, call(id="later"))
    assert sorted(booked(path)) == ["later", "whole"]
    with Store.read(path) as store:
        assert store.select("SELECT records FROM losses") == [(1,)]


def test_a_journal_of_a_newer_version_waits_for_it(path: Path, own: Journal) -> None:
    place = own.path
    assert place is not None
    own.hold(call())
    dead(own)
    with place.open("r+b") as file:
        head = json.loads(file.readline())
        file.seek(0)
        file.write(json.dumps(head | {"version": 2}).encode() + b"\n")
    with pytest.raises(NewerError), journal.opened(place):
        pass
    write(path, call())
    assert len(booked(path)) == 1
    assert journal.waiting(path) == [place]


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give a file away")
def test_a_journal_of_another_user_is_not_read(own: Journal) -> None:
    """`marshal` trusts what it reads."""
    place = own.path
    assert place is not None
    dead(own)
    os.chown(place, 12_345, -1)
    with journal.opened(place) as found:
        assert found is None


def test_a_full_disk_stops_no_call(own: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call waits in memory alone; the slot is free for the next."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "pwrite", full)
        own.hold(call())
    assert own.held == []
    own.hold(replace(call(), id="next"))
    assert own.held == ["next"]


def test_a_child_has_nothing_of_its_parents(path: Path) -> None:
    """It begins a journal of its own, and does not let go of the parent's lock."""
    writer = LedgerWriter(path)
    writer.hold(call(id="parent"))
    pid = os.fork()
    if not pid:
        writer.forget()
        writer.hold(call(id="child"))
        os._exit(len(writer.unwritten.held))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert len(journal.waiting(path)) == 2
    intake.take_in_all(path)
    assert booked(path) == ["child"]
    assert journal.waiting(path) == [writer.unwritten.path]
    writer.unwritten.forget()


def test_a_journal_that_has_ended_is_closed(own: Journal) -> None:
    """Once no thread is at it; who switches costspan on and off leaves no descriptors open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    held = call()
    own.hold(held)
    own.end()
    assert own.is_open
    own.release([held])
    own.end()
    assert not own.is_open
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1
    own.hold(call())
    own.end()
    assert own.held == []


def test_a_child_does_not_keep_its_parents_lock(path: Path) -> None:
    """Once the parent is dead, whoever comes next books what it left, whether the child lives or not."""
    writer = LedgerWriter(path)
    writer.hold(call(id="parent"))
    done_read, done = os.pipe()
    ready, ready_write = os.pipe()
    pid = os.fork()
    if not pid:
        writer.forget()
        os.close(done)
        os.write(ready_write, b"1")
        os.read(done_read, 1)
        os._exit(0)
    os.read(ready, 1)
    writer.unwritten.forget()  # the parent ends
    try:
        write(path, call(id="later"))
        assert sorted(booked(path)) == ["later", "parent"]
    finally:
        os.close(done)
        os.waitpid(pid, 0)
        for each in (done_read, ready, ready_write):
            os.close(each)
