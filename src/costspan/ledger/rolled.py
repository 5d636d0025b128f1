"""Sums of days whose records were given up (compacting.py), for questions: each day of UTC stands at its noon.

So a day counts on the date that it has in every zone from -11 to +11 hours.
"""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Final

from costspan.facts.attribution_words import SESSION
from costspan.ledger.marks import ROLLED, at
from costspan.ledger.migrations import has_rolled
from costspan.ledger.store import Store
from costspan.ledger.sums import COUNTS, DAYS, LABELS, SLOT_NS

DAY_NS: Final = SLOT_NS[DAYS]
_NOON_NS: Final = DAY_NS // 2
_SUMS: Final = (
    f"SELECT s.slot * {DAY_NS} + {_NOON_NS} AS started_ns, NULL AS {SESSION},"  # noqa: S608 - own names and numbers, here and below
    f" {', '.join(f'l.{name}' for name in LABELS)}, {', '.join(f's.{name}' for name in COUNTS)}"
    " FROM rolled AS s CROSS JOIN labels AS l ON l.n = s.label"
)


def until_ns(store: Store) -> int:
    """Records that began before this moment may be kept as sums of days only; 0 where all are kept."""
    return at(store.connection, ROLLED) if has_rolled(store.connection) else 0


def refusal(started_ns: int, until: int) -> str | None:
    """Why a record from outside is not taken into a ledger with this `until_ns`; None where it is."""
    if started_ns >= until:
        return None
    return f"started before {_date(until)}: of that time the ledger keeps sums of days, and this record may be in them already"


def sums(store: Store, start_ns: int | None, end_ns: int | None) -> str:
    """A piece of SQL to be added to what is read: the days that begin or end in a period; empty where there are none."""
    if (start_ns or 0) >= until_ns(store):
        return ""
    last = "" if end_ns is None else f" AND s.slot <= {end_ns // DAY_NS}"
    return f" UNION ALL {_SUMS} WHERE s.slot >= {(start_ns or 0) // DAY_NS}{last}"


def notices(store: Store, start_ns: int | None) -> tuple[str, ...]:
    """Sentences on what is no longer known of a period that begins then; none where all is."""
    until = until_ns(store)
    if (start_ns or 0) >= until:
        return ()
    said = (
        f"Before {_date(until)} the ledger keeps sums of whole days of UTC (`costspan ledger compact`): single calls, sessions and hours of that time "
        "are not known. A day is counted at 12:00 UTC, without a session."
    )
    return (said,)


def _date(ns: int) -> date:
    return datetime.fromtimestamp(ns // 10**9, timezone.utc).date()


def calls(store: Store) -> int:
    """Of how many calls only sums of days are kept."""
    return store.select("SELECT COALESCE(SUM(calls), 0) FROM rolled")[0][0] if until_ns(store) else 0


def is_empty(store: Store) -> bool:
    """Whether no call is known."""
    ((found,),) = store.select("SELECT EXISTS (SELECT 1 FROM records)")
    return not found and not until_ns(store)


def first_ns(store: Store) -> int | None:
    """When the first call began; noon of its day where only the sum of that is kept."""
    ((first,),) = store.select("SELECT MIN(started_ns) FROM records")
    if not until_ns(store):
        return first
    ((slot,),) = store.select("SELECT MIN(slot) FROM rolled")
    return min(ns for ns in (first, slot * DAY_NS + _NOON_NS) if ns is not None)


def last_ns(store: Store) -> int | None:
    """When the last call began: the newest record is always there."""
    return store.select("SELECT MAX(started_ns) FROM records")[0][0]
