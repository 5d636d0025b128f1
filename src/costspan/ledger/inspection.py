"""The state of a ledger's file, for whoever asks whether all is well."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from costspan.ledger.faults import LedgerError
from costspan.ledger.place import NotAFile, check
from costspan.ledger.sidefile import waiting
from costspan.ledger.store import Store

_UNREAD: Final = """
    SELECT provider, unread, COUNT(*) FROM calls WHERE unread IS NOT NULL GROUP BY provider, unread
    ORDER BY COUNT(*) DESC, provider, unread LIMIT 10
"""


@dataclass(slots=True)
class Inspection:
    """What was found. `fault` is empty for a sound file; `set_aside` are corrupt files that were moved aside;
    `unread` are usage fields that were not understood: provider, names of fields, how many calls.
    """

    path: Path
    is_there: bool = False
    fault: str = ""
    size_bytes: int = 0
    mode: int = 0
    journal: str = ""
    records: int = 0
    last_ns: int | None = None
    lost_records: int = 0
    lost_nano_usd: int = 0
    lost_reason: str = ""
    unread: tuple[tuple[str, str, int], ...] = ()
    set_aside: tuple[Path, ...] = ()
    #: Side files with records that no process has booked yet.
    waiting: tuple[Path, ...] = ()


def examine(path: Path) -> Inspection:
    """The inspection of the ledger at `path`. Reads the whole file; changes nothing; raises nothing for a bad file."""
    found = Inspection(path, set_aside=tuple(sorted(path.parent.glob(f"{path.name}.corrupt-*"))))
    found.waiting = tuple(waiting(path))
    if not path.exists():
        return found
    found.is_there = True
    try:
        _measure(found)
        with Store.read(path) as store:
            _ask(found, store)
    except (LedgerError, OSError) as fault:
        found.fault = str(fault)
    return found


def _measure(found: Inspection) -> None:
    status = found.path.stat()
    found.mode = stat.S_IMODE(status.st_mode)
    log = Path(f"{found.path}-wal")
    found.size_bytes = status.st_size + (log.stat().st_size if log.exists() else 0)


def _ask(found: Inspection, store: Store) -> None:
    ((verdict,),) = store.select("PRAGMA quick_check(1)")
    if verdict != "ok":
        found.fault = f"the ledger {found.path} is corrupt: {verdict}"
        return
    ((found.journal,),) = store.select("PRAGMA journal_mode")
    ((found.records, found.last_ns),) = store.select("SELECT COUNT(*), MAX(started_ns) FROM records")
    losses = store.select("SELECT COALESCE(SUM(records), 0), COALESCE(SUM(nano_usd), 0) FROM losses")
    found.lost_records, found.lost_nano_usd = losses[0]
    for (reason,) in store.select("SELECT reason FROM losses ORDER BY n DESC LIMIT 1"):
        found.lost_reason = reason
    found.unread = tuple((provider, names, number) for provider, names, number in store.select(_UNREAD))


def has_room(path: Path) -> str:
    """Why a ledger cannot be begun or written at `path`; empty where it can. Tries nothing that leaves a trace."""
    try:
        check(path)
    except NotAFile as reason:
        return str(reason)
    if path.exists():
        return "" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else f"{path} may not be written"
    place = path.parent
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        return f"{place} is no directory"
    return "" if os.access(place, os.W_OK) else f"{place} may not be written"
