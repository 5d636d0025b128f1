"""What a process leaves behind for `costspan usage` and `doctor`: small notes on what is not in the ledger, and why.

One file a fact, in `notes` within the user's data directory, for the user alone, written over by whoever has the same
to say: there are as many as there are names below and libraries in a table. A note holds when, the name of the
program's file, and the fact; nothing of a call. A process whose calls are all in the default ledger leaves none.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Any, Final, cast

from costspan.ledger.place import NoHome, data_directory

#: Where the record of calls went that no default ledger has.
RECORD: Final = "record"
#: A library that is not watched was imported; by module.
UNWATCHED: Final = "not-watched"
#: `costspan run` started a program.
STARTED: Final = "started"
#: A Python without costspan imported a client library below `costspan run`.
ELSEWHERE: Final = "without-costspan"
#: Labels of the counters went to `other`.
OVERFLOW: Final = "overflow"

_LONGEST: Final = 200
_LARGEST: Final = 10_000


def directory(environ: Mapping[str, str]) -> Path:
    """Where the notes lie. Raises NoHome."""
    return data_directory(environ) / "notes"


def leave(kind: str, name: str = "", **facts: str | int) -> None:
    """Write one note, in the place of the one with the same name. Where that is not possible, nothing is left."""
    note = {"at": round(time(), 3), "program": program(), **{key: _cut(fact) for key, fact in facts.items()}}
    with contextlib.suppress(OSError, NoHome):
        place = directory(os.environ)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = place / f".{os.getpid()}"
        with os.fdopen(os.open(written, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            json.dump({"kind": kind, "name": name, **note}, file)
        written.replace(place / (f"{kind}.{name}" if name else kind))


def forget(kind: str, name: str = "") -> None:
    """Take a note away."""
    with contextlib.suppress(OSError, NoHome):
        (directory(os.environ) / (f"{kind}.{name}" if name else kind)).unlink(missing_ok=True)


def found(environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """The notes that can be read, the latest first."""
    notes: list[dict[str, Any]] = []
    with contextlib.suppress(OSError, NoHome):
        for path in sorted(directory(environ).glob("[!.]*")):
            note = _read(path)
            if note is not None:
                notes.append(note)
    return sorted(notes, key=lambda note: -note["at"])


def _read(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        with path.open(encoding="utf-8") as file:
            note: Any = json.loads(file.read(_LARGEST))
        if isinstance(note, dict) and isinstance(note.get("at"), int | float) and isinstance(note.get("kind"), str):  # pyright: ignore[reportUnknownMemberType]
            return cast("dict[str, Any]", note)
    return None


def program() -> str:
    """The name of the file that this process runs, without its place and its arguments."""
    first = sys.argv[0] if sys.argv else ""
    name = Path(first).name
    return "python" if name in {"", "-c", "-m"} else str(_cut(name))


def _cut(fact: str | int) -> str | int:
    return fact if isinstance(fact, int) else "".join(sign for sign in fact if sign.isprintable())[:_LONGEST]
