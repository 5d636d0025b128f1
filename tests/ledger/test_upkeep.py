"""`costspan ledger`: what check and backup say of a ledger, whole or not."""

from __future__ import annotations

import re
import sqlite3
import stat
from pathlib import Path
from unittest import mock

import pytest
from click.testing import CliRunner, Result

from costspan.cli import doctor
from costspan.cli.commands import costspan
from costspan.facts.periods import Periods
from costspan.ledger import sums
from costspan.ledger.inspection import examine
from costspan.ledger.store import Store
from costspan.settings import Settings
from ledger_calls import booked, call, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of 12 calls, 8 of which are in its sums."""
    path = tmp_path / "ledger.db"
    with mock.patch.object(sums, "_DUE", 8), Store.open(path) as store:
        store.append([call() for _ in range(8)], Periods())
        store.append([call() for _ in range(4)], Periods())
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(costspan, ["ledger", *map(str, words)])


def told(path: Path) -> list[str]:
    """What `costspan doctor` says of the sums."""
    found = doctor.the_ledger(examine(path), Settings.read({}), {})
    return [each.sentence for each in found if re.search(r"\bsums?\b (?:of|were)", each.sentence)]


def test_a_sound_ledger(path: Path) -> None:
    """It is said what was compared, and what is in no sum yet."""
    said = run("check", "--ledger", path)
    assert (said.exit_code, said.stdout.splitlines()[1]) == (
        0,
        "its sums are those of its records; 4 records are in no sum yet",
    )
    assert "is sound: 12 records" in said.stdout


def test_wrong_sums_are_named_and_made_anew(path: Path) -> None:
    """Each slot with both amounts, the way out, and exit code 1; then they are right."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE sums SET cost_nano_usd = cost_nano_usd + 1 WHERE grain = 1")
    said = run("check", "--ledger", path)
    assert said.exit_code == 1
    assert said.stderr.splitlines() == [
        "from 2026-11-20T12:00+00:00: 8 calls of 0.005563200 USD by the records, 8 of 0.005563201 USD by the sums",
        "1 sum is not that of the records: `costspan ledger check --rebuild` makes them anew",
    ]
    assert told(path) == [
        "1 sum of days or hours differs from the records, so that `costspan usage` may show wrong figures: `costspan ledger check --rebuild` makes them anew"
    ]
    said = run("check", "--rebuild", "--ledger", path)
    assert (said.exit_code, said.stdout.splitlines()[1]) == (
        0,
        "its sums are those of its records; 0 records are in no sum yet",
    )


def test_a_large_ledger_is_not_compared_by_doctor(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what does it instead; a small one with right sums is told nothing of them."""
    assert told(path) == []
    monkeypatch.setattr(doctor, "_MOST_COMPARED", 11)
    assert told(path) == ["its sums were not compared with its 12 records: `costspan ledger check` does it"]


@pytest.mark.parametrize("command", ["check", "backup"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "no ledger yet"), (b"not a database, but long enough to be one" * 99, "not a database")],
)
def test_no_ledger(tmp_path: Path, command: str, content: bytes | None, sentence: str) -> None:
    """A sentence and exit code 1; and no copy is left."""
    path = tmp_path / "ledger.db"
    if content is not None:
        path.write_bytes(content)
    said = run(command, *([tmp_path / "copy.db"] if command == "backup" else []), "--ledger", path)
    assert said.exit_code == 1
    assert sentence in said.stderr
    assert not (tmp_path / "copy.db").exists()
    assert not list(tmp_path.glob("*.part"))


def test_a_backup_is_the_ledger_at_one_moment(path: Path, tmp_path: Path) -> None:
    """While another connection writes: whole, sound, for the user alone, and a ledger to go on with."""
    copy = tmp_path / "copy.db"
    with Store.open(path) as writer:
        writer.connection.execute("BEGIN IMMEDIATE")
        writer.connection.execute("DELETE FROM records")
        said = run("backup", copy, "--ledger", path)
        writer.connection.execute("ROLLBACK")
    assert (said.exit_code, said.stdout) == (0, f"{copy}: 12 records\n")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert booked(copy) == booked(path)
    assert run("check", "--ledger", copy).exit_code == 0
    write(copy, call())
    assert len(booked(copy)) == 13


def test_a_backup_replaces_nothing(path: Path, tmp_path: Path) -> None:
    """A file of that name stays as it is."""
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    said = run("backup", copy, "--ledger", path)
    assert (said.exit_code, said.stderr) == (1, f"Error: {copy} is there already: expected the name of a new file\n")
    assert copy.read_text() == "mine"
