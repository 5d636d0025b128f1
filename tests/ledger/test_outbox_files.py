"""ledger/outbox.py and locks.py: how long a file waits, whose it is, and when it is let go of."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from costspan.ledger import kept_calls, locks, outbox, outbox_lines
from costspan.ledger.journal import Journal
from ledger_calls import call

DAY_S = 86_400


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """An outbox of a process that is dead."""
    own = outbox.OwnFile(tmp_path)
    own.begin({"metrics": "http://127.0.0.1:1"})
    own.close()
    (path,) = outbox.files(tmp_path)
    return path


@pytest.fixture
def held(tmp_path: Path) -> Generator[Path]:
    """An outbox of a process that lives."""
    own = outbox.OwnFile(tmp_path)
    own.begin({"metrics": "http://127.0.0.1:1"})
    assert own.path is not None
    yield own.path
    own.close()


@pytest.mark.parametrize(("days", "is_let_go"), [(29, False), (31, True)])
def test_what_nobody_delivers_is_let_go_after_thirty_days(left: Path, days: int, *, is_let_go: bool) -> None:
    """As docs/exits.md promises; by name, so that it can be told."""
    now_s = left.stat().st_mtime + days * DAY_S
    assert list(outbox.prune(left.parent, now_s)) == ([left] if is_let_go else [])
    assert left.exists() != is_let_go


def test_what_a_living_process_writes_is_never_let_go(held: Path) -> None:
    """However long ago it wrote."""
    assert list(outbox.prune(held.parent, held.stat().st_mtime + 400 * DAY_S)) == []
    assert held.exists()


def test_what_a_process_had_only_begun_is_let_go(left: Path) -> None:
    """It was killed before the file had its name: nothing of it can be read."""
    begun = left.with_name("1-x.outbox.new")
    begun.write_bytes(b"{")
    assert list(outbox.prune(left.parent)) == []
    assert (begun.exists(), left.exists()) == (False, True)


def test_only_a_dead_process_is_delivered_for(left: Path, held: Path) -> None:
    """Its file is one deliverer's alone meanwhile."""
    with outbox.dead(held) as living, outbox.dead(left) as first, outbox.dead(left) as second:
        assert (living, second) == (None, None)
        assert first is not None


def test_a_file_that_has_been_removed_is_nobodys(tmp_path: Path) -> None:
    """Another deliverer was faster: between the opening of a file and its lock it may be gone."""
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        assert locks.take_if_there(descriptor)
        path.unlink()
        assert not locks.take_if_there(descriptor)
    finally:
        os.close(descriptor)


def test_it_waits_ten_minutes_before_it_is_told_of(left: Path, held: Path) -> None:
    """The next program delivers within that, if there is one; what lives is not waiting."""
    written_s = max(left.stat().st_mtime, held.stat().st_mtime)
    assert outbox.number_of_waiting(left.parent, written_s + 540) == 0
    assert outbox.number_of_waiting(left.parent, written_s + 660) == 1


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """An outbox with a call, whose process was killed before the slot of that call was emptied, and with another call held."""
    own, held = outbox.OwnFile(tmp_path), Journal()
    own.begin({"metrics": "http://127.0.0.1:1"})
    assert own.path is not None
    path = own.path
    held.begin(outbox.journal_of(path), "UTC")
    for each in (call(id="written"), call(id="held")):
        held.hold(each)
    own.append(outbox_lines.line(kept_calls.packed(call(id="written"), 1)))
    own.close()
    held.forget()
    return path


def test_what_stands_in_outbox_and_journal_is_one_call(killed: Path) -> None:
    """Both go when they are delivered."""
    with outbox.dead(killed) as file:
        assert file is not None
        assert [each.id for _, each in file.read().calls] == ["written", "held"]
        file.remove()
    assert list(killed.parent.iterdir()) == []


def test_an_outbox_is_set_aside_with_its_journal(killed: Path) -> None:
    """Whoever looks at one has to see the other."""
    with outbox.dead(killed) as file:
        assert file is not None
        file.set_aside()
    assert {path.name for path in killed.parent.iterdir()} == {
        f"corrupt-{killed.stem}.outbox",
        f"corrupt-{killed.stem}.journal",
    }


def test_a_journal_goes_when_its_outbox_has_gone(killed: Path) -> None:
    """A deliverer may end between the two; one with its outbox stays."""
    assert list(outbox.prune(killed.parent)) == []
    assert outbox.journal_of(killed).exists()
    killed.unlink()
    assert list(outbox.prune(killed.parent)) == []
    assert not outbox.journal_of(killed).exists()
