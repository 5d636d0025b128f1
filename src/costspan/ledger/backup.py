"""A copy of a ledger while programs write to it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from costspan.ledger import intake, private
from costspan.ledger.faults import LedgerError


def back_up(ledger: Path, target: Path) -> int:
    """Copy a ledger as it is at one moment, with what waited beside it; how many records the copy has.

    Raises NoLedger, and LedgerError with a sentence; then there is no copy, and nothing that was there is changed.
    """
    try:
        with private.new_file(target) as being_made, intake.read(ledger) as store:
            connection = sqlite3.connect(being_made)
            try:
                store.copy_to(connection)
                (records,) = connection.execute("SELECT COUNT(*) FROM records").fetchone()
            finally:
                connection.close()
    except FileExistsError as fault:
        raise LedgerError(f"{target} is there already: expected the name of a new file") from fault
    except (sqlite3.Error, OSError) as fault:
        raise LedgerError(f"the ledger {ledger} cannot be copied to {target}: {fault}") from fault
    return int(records)
