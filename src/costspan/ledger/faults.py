"""What can go wrong with the ledger's file, in words."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

LOCKED: Final = "locked"
CORRUPT: Final = "corrupt"
VALUE: Final = "value"
OTHER: Final = "other"

# By the words of SQLite, which have not changed in ten years: Python has error codes from 3.11 on only.
_LOCKED_WORDS: Final = ("is locked", "locking protocol", "is busy")
_CORRUPT_WORDS: Final = ("malformed", "not a database", "unsupported file format")
# What the making of a row and the binding of its values raise: attributes of the wrong type, lone surrogates (a
# ValueError), integers beyond 64 bits, foreign objects, a text beyond 1 GB.
VALUE_ERRORS: Final = (
    TypeError, AttributeError, ValueError, OverflowError,
    sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError,
)  # fmt: skip


class LedgerError(Exception):
    """The ledger cannot be read. The message is a sentence with the file and the way out."""


class NoLedger(LedgerError):  # noqa: N818 - a state, no fault: nothing has been recorded yet
    """There is no ledger yet."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"no ledger yet at {path}: no call of a program under costspan has been booked in it")


def kind(fault: Exception) -> str:
    """What sort of fault it is: LOCKED passes by waiting, CORRUPT by a new file, VALUE by mending the row."""
    words = str(fault)
    if isinstance(fault, sqlite3.DatabaseError):
        if any(word in words for word in _LOCKED_WORDS):
            return LOCKED
        if any(word in words for word in _CORRUPT_WORDS):
            return CORRUPT
    return VALUE if isinstance(fault, VALUE_ERRORS) else OTHER


class NewerError(Exception):
    """A file of a newer costspan, with what this one does not know: it stays for that one."""


class UnreadableError(Exception):
    """A file whose beginning does not say what it is."""
