"""ledger/sidefile.py and ledger/intake.py: what the ledger cannot take waits beside it, and is booked once."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from test_writer import blocker, counts, losses, path, told_of_forks, writer

from costspan.ledger import intake, sidefile
from costspan.ledger.sidefile import SideFile
from costspan.ledger.writer import LedgerWriter
from forking import in_child
from ledger_calls import COST, booked, call, write

__all__ = ["blocker", "path", "writer"]


def corrupted(path: Path, change: Callable[[bytes], bytes]) -> None:
    (side,) = sidefile.waiting(path)
    side.write_bytes(change(side.read_bytes()))


def put_down(path: Path, *ids: str) -> None:
    """Leave these records in a side file, as a process does that ends while another one has the ledger locked."""
    write(path, call(id="first"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        writer = LedgerWriter(path, patience_s=0)
        writer.take([call(id=one) for one in ids])
        writer.close()
    assert counts(writer) == (0, 0, 0)


def test_what_a_lock_keeps_out_goes_to_a_side_file(path: Path, blocker: sqlite3.Connection) -> None:
    """Nothing is lost, memory is bounded, the file is the user's alone; booked with the first record after the lock."""
    writer = LedgerWriter(path, backlog=10, patience_s=0)
    ids = [f"{number:02}" for number in range(30)]
    for one in ids:
        writer.take([call(id=one)])
    assert counts(writer) == (0, 8, 0)
    (side,) = sidefile.waiting(path)
    assert stat.S_IMODE(side.stat().st_mode) == 0o600
    blocker.execute("ROLLBACK")
    writer.take([call(id="last")])
    assert (counts(writer), sidefile.waiting(path)) == ((31, 0, 0), [])
    assert sorted(booked(path)) == [*ids, "first", "last"]
    assert writer.written_nano_usd == 31 * COST.nano_usd
    writer.close()


@pytest.mark.parametrize("who", ["the next writer", "whoever reads"])
def test_whoever_comes_next_books_what_an_ended_process_left(path: Path, who: str) -> None:
    """The process that wrote a side file need not come back, and the record is whole."""
    put_down(path, "a", "b")
    if who == "whoever reads":
        intake.read(path).close()
    else:
        write_through(path, "next")
    assert booked(path)[:3] == ["first", "a", "b"] if who == "whoever reads" else {"a", "b"} < set(booked(path))
    columns = ("cost_nano_usd", "units", "session", "day", "input_tokens", "is_stream")
    assert len(set(booked(path, *columns))) == 1
    assert sidefile.waiting(path) == []


def write_through(path: Path, *ids: str) -> LedgerWriter:
    writer = LedgerWriter(path)
    writer.take([call(id=one) for one in ids])
    writer.close()
    return writer


def test_a_side_file_is_booked_once(path: Path) -> None:
    """A process that ended between booking it and removing it doubles nothing."""
    put_down(path, "a", "b")
    (side,) = sidefile.waiting(path)
    content = side.read_bytes()
    intake.read(path).close()
    side.write_bytes(content)
    intake.read(path).close()
    assert booked(path) == ["first", "a", "b"]


BAD_SIDE_FILES: list[tuple[str, Callable[[bytes], bytes], list[str], int, bool]] = [
    # what happened to it        the content                                      booked      lost  is kept
    ("cut off in a record",      lambda whole: whole[:-9],                        ["a"],         1, True),
    ("a line of something else", lambda whole: whole + b"hello\n",                ["a", "b"],    1, True),
    ("a record of odd values",   lambda whole: whole + b"[[{}], [1]]\n",          ["a", "b"],    1, True),
    ("no head",                  lambda whole: whole.split(b"\n", 1)[1],          [],            0, True),
    ("some other file",          lambda _: b"\0\1\2 binary",                      [],            0, True),
    ("an empty file",            lambda _: b"",                                   [],            0, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("story", "change", "kept", "lost", "is_kept"), BAD_SIDE_FILES, ids=[b[0] for b in BAD_SIDE_FILES]
)
def test_a_damaged_side_file(
    path: Path, story: str, change: Callable[[bytes], bytes], kept: list[str], lost: int, *, is_kept: bool
) -> None:
    """What can be read is booked, the rest is counted and kept aside, and nothing is tried for ever."""
    put_down(path, "a", "b")
    corrupted(path, change)
    intake.read(path).close()
    assert (sorted({*booked(path)} - {"first"}), story) == (kept, story)
    assert sum(records for records, _, _ in losses(path)) == lost
    assert sidefile.waiting(path) == []
    assert len(list(path.parent.glob("ledger.db.corrupt-spill-*"))) == is_kept


def test_a_side_file_of_a_newer_costspan_stays(path: Path) -> None:
    """With a column that this one does not know, it is for that one to book."""
    put_down(path, "a")
    corrupted(path, lambda whole: whole.replace(b'"record": [', b'"record": ["colour", '))
    intake.read(path).close()
    assert (booked(path), len(sidefile.waiting(path))) == (["first"], 1)


@pytest.mark.parametrize("what", ["another process writes it", "a link", "a directory", "a pipe"])
def test_a_side_file_that_is_not_to_be_had_is_let_be(path: Path, tmp_path: Path, what: str) -> None:
    """One that its process still has in hand is left to it; what was put there by somebody is not followed."""
    put_down(path, "a")
    (side,) = sidefile.waiting(path)
    with side.open("ab") as held:
        if what == "a link":
            side.rename(tmp_path / "elsewhere")
            side.symlink_to(tmp_path / "elsewhere")
        elif what == "a directory":
            side.unlink()
            side.mkdir()
        elif what == "a pipe":
            side.unlink()
            os.mkfifo(side)
        else:
            fcntl.flock(held, fcntl.LOCK_EX)
        writer = write_through(path, "next")
    assert (booked(path), counts(writer)) == (["first", "next"], (1, 0, 0))
    assert sidefile.waiting(path) == [side]


def test_side_files_have_a_limit(path: Path, monkeypatch: pytest.MonkeyPatch, blocker: sqlite3.Connection) -> None:
    """A ledger that stays locked does not fill the disk; what is too much is counted lost."""
    monkeypatch.setattr(sidefile, "_MOST_BYTES", 1_000)
    monkeypatch.setattr(sidefile, "_MOST_BYTES_IN_ALL", 20_000)
    writer = LedgerWriter(path, backlog=3, patience_s=0)
    for _ in range(200):
        writer.take([call()])
    files = sidefile.waiting(path)
    assert len(files) > 2
    assert sum(each.stat().st_size for each in files) < 25_000
    assert writer.lost > 0
    blocker.execute("ROLLBACK")
    writer.close()
    assert len(booked(path)) == 201 - writer.lost == 1 + writer.written
    assert (sidefile.waiting(path), [records for records, _, _ in losses(path)]) == ([], [writer.lost])


def test_a_full_disk_takes_no_half_of_a_side_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was put down before is whole, and what could not be put down is counted."""
    put_down(path, "a")
    (side,) = sidefile.waiting(path)
    whole = side.read_bytes()
    writing = os.write

    def fill(descriptor: int, content: bytes) -> int:
        if len(content) > 100:
            return writing(descriptor, content[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fill)
    writer = SideFile(path)
    writer._path = side
    with pytest.raises(OSError, match="No space left"):
        writer.append([((), ("x" * 120,))])
    assert side.read_bytes() == whole


def test_a_child_of_a_fork_amid_a_write_never_enters_sqlite(
    path: Path, writer: LedgerWriter, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread that wrote is not there to let go of SQLite's locks: the child's records go to a side file.

    Nothing waits and nothing is lost, so nothing is said: a busy machine does it to a worker now and then.
    """
    writer.take([call(id="first")])
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with writer.lock:
            is_held.set()
            is_over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()

    def work() -> None:
        writer.take([call(id="child")])
        writer.close()
        assert (counts(writer), len(sidefile.waiting(path))) == ((0, 0, 0), 1)
        said = [record.getMessage() for record in caplog.records if record.name == "costspan"]  # others may log as well
        assert (writer.fault, said) == ("", [])

    try:
        with told_of_forks(writer):
            assert in_child(work) == 0
    finally:
        is_over.set()
        thread.join()
    writer._looks_again_s = 0.0
    writer.take([call(id="later")])
    assert sorted(booked(path)) == ["child", "first", "later"]
