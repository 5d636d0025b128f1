"""ledger/migrations.py: steps are applied once, by one process, and only to a ledger."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from costspan.ledger import migrations
from costspan.ledger.migrations import APPLICATION_ID, STEPS, ForeignFile, migrate


def opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def shape(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_an_empty_file_becomes_a_ledger(tmp_path: Path) -> None:
    """All steps are taken, the file says whose it is, and a second time changes nothing."""
    connection = opened(tmp_path / "ledger.db")
    migrate(connection)
    before = shape(connection)
    migrate(connection)
    assert (pragma(connection, "user_version"), pragma(connection, "application_id")) == (len(STEPS), APPLICATION_ID)
    assert shape(connection) == before
    connection.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are taken together or not at all: the error is told, and the file stays at its step."""
    connection = opened(tmp_path / "ledger.db")
    migrate(connection)
    before = shape(connection)
    monkeypatch.setattr(migrations, "STEPS", (*STEPS, ("CREATE TABLE half (x)", "CREATE TABLE half (x)")))
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(connection)
    assert shape(connection) == before
    assert pragma(connection, "user_version") == len(STEPS)
    connection.close()


def test_a_later_step_is_added_to_an_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the steps that a file lacks are taken, and its records stay."""
    connection = opened(tmp_path / "ledger.db")
    migrate(connection)
    connection.execute("INSERT INTO records (id, started_ns) VALUES ('kept', 1)")
    monkeypatch.setattr(migrations, "STEPS", (*STEPS, ("ALTER TABLE records ADD COLUMN later TEXT",)))
    migrate(connection)
    assert connection.execute("SELECT id, later FROM records").fetchall() == [("kept", None)]
    connection.close()


def test_a_newer_file_is_left_as_it_is(tmp_path: Path) -> None:
    """A ledger that a newer costspan has stepped forward is not stepped back."""
    connection = opened(tmp_path / "ledger.db")
    migrate(connection)
    connection.execute(f"PRAGMA user_version = {len(STEPS) + 3}")
    migrate(connection)
    assert pragma(connection, "user_version") == len(STEPS) + 3
    connection.close()


@pytest.mark.parametrize("made_by", ["CREATE TABLE theirs (x)", "PRAGMA application_id = 7", "PRAGMA user_version = 4"])
def test_the_database_of_another_program_is_not_touched(tmp_path: Path, made_by: str) -> None:
    """Whoever points the ledger at another program's database must not find our tables in it."""
    connection = opened(tmp_path / "other.db")
    connection.execute(made_by)
    before = shape(connection)
    with pytest.raises(ForeignFile, match="another program"):
        migrate(connection)
    assert shape(connection) == before
    connection.close()


def test_of_many_processes_at_once_one_takes_the_steps(tmp_path: Path) -> None:
    """Each connection finds a whole ledger after its `migrate`, whoever took the steps."""
    faults: list[Exception] = []
    together = threading.Barrier(8)

    def start() -> None:
        connection = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None, timeout=30)
        together.wait()
        try:
            migrate(connection)
            connection.execute("SELECT count(*) FROM calls").fetchone()
        except sqlite3.Error as fault:
            faults.append(fault)
        connection.close()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
