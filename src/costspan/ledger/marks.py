"""How far the sums of a ledger go: marks that are moved in the transaction that moves the sums."""

from __future__ import annotations

import sqlite3
from typing import Final

from costspan.ledger.migrations import has_sums

#: The last record that is in the sums, and the newest hour that they have.
SUMMED: Final = "summed"
NEWEST_HOUR: Final = "newest_hour"
#: Nanoseconds since the epoch: records that began before may be kept as sums of days only (rolled.py).
ROLLED: Final = "rolled"


def at(connection: sqlite3.Connection, name: str) -> int:
    """Where a mark stands; 0 before it was first set."""
    found = connection.execute("SELECT at FROM marks WHERE name = ?", (name,)).fetchone()
    return found[0] if found else 0


def set_mark(connection: sqlite3.Connection, name: str, place: int) -> None:
    """Move a mark."""
    connection.execute("INSERT INTO marks VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at", (name, place))


def behind(connection: sqlite3.Connection) -> int:
    """How many records at most lie beyond the mark; all of a file that has no sums."""
    (last,) = connection.execute("SELECT MAX(n) FROM records").fetchone()
    return max((last or 0) - (at(connection, SUMMED) if has_sums(connection) else 0), 0)
