"""Whether the sums of a ledger are those of its records, and how they are made anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from costspan.facts.attribution_words import ACCOUNT
from costspan.facts.money import UNKNOWN_SELLER
from costspan.ledger.faults import LedgerError
from costspan.ledger.migrations import ForeignFile
from costspan.ledger.store import Store
from costspan.ledger.sums import ACCOUNT_DAYS, COUNTS, DAYS, HOURS, LABELS, SLOT_NS

_AT_ONCE: Final = 10_000
_OF_ONE_SELLER: Final = ("host", "unpriced_detail")
_COUNTED: Final = ", ".join(f"COALESCE(SUM({name}), 0) AS {name}" for name in COUNTS)
_NAMES: Final = ", ".join(("slot", *LABELS))


class Difference(NamedTuple):
    """A slot whose sums are not those of its records: the grain, when it begins, calls and nano-USD by each."""

    grain: int
    start_ns: int
    calls: int
    nano_usd: int
    calls_by_sums: int
    nano_usd_by_sums: int


def rebuild(path: Path) -> None:
    """Make the sums of a ledger anew from its records, which answer meanwhile. Raises LedgerError with a sentence."""
    try:
        with Store.open(path) as store:
            store.begin_sums_anew()
            while store.sum_up(_AT_ONCE):
                pass
    except (sqlite3.Error, OSError, ForeignFile) as fault:
        raise LedgerError(f"the sums of {path} cannot be made now: {fault}") from fault


def differences(store: Store) -> list[Difference]:
    """The slots whose sums are not exactly those of the records, label set by label set. Reads the whole ledger."""
    if not store.has_sums:
        return []
    with store.at_one_moment():
        store.select("DROP TABLE IF EXISTS temp.by_records")
        store.select(f"CREATE TABLE temp.by_records AS {_by_records(store.summed)}")
        return [one for grain in (DAYS, HOURS, ACCOUNT_DAYS) for one in _of_grain(store, grain)]


def _by_records(mark: int) -> str:
    """The records that are in sums, by hour and label set."""
    length = SLOT_NS[HOURS]
    named = ", ".join(
        f"CASE WHEN unpriced_reason = '{UNKNOWN_SELLER}' THEN {name} END AS {name}" if name in _OF_ONE_SELLER else name
        for name in LABELS
    )
    return (
        f"SELECT started_ns / {length} AS slot, {named}, COUNT(*) AS calls,"  # noqa: S608 - own names and numbers, here and below
        f" {', '.join(f'SUM({name}) AS {name}' for name in COUNTS[1:])}"
        f" FROM calls WHERE n <= {mark} AND n NOT IN (SELECT n FROM unsummed) GROUP BY {', '.join(map(str, range(1, len(LABELS) + 2)))}"
    )


def _of_grain(store: Store, grain: int) -> Iterator[Difference]:
    per = SLOT_NS[grain] // SLOT_NS[HOURS]
    named = ", ".join(f"NULL AS {ACCOUNT}" if name == ACCOUNT and grain != ACCOUNT_DAYS else name for name in LABELS)
    expected = (
        f"SELECT slot / {per} AS slot, {named}, {_COUNTED} FROM temp.by_records"  # noqa: S608
        f" WHERE slot / {per} NOT IN (SELECT slot FROM crowded WHERE grain = {grain})"
        f" GROUP BY {', '.join(map(str, range(1, len(LABELS) + 2)))}"
    )
    found = (
        f"SELECT {_NAMES}, {_COUNTED} FROM sums JOIN labels ON labels.n = label WHERE grain = {grain}"  # noqa: S608
        f" GROUP BY {_NAMES}"
    )
    differing = "SELECT slot FROM (SELECT * FROM {} EXCEPT SELECT * FROM {})"
    either = f"{differing.format('e', 'f')} UNION {differing.format('f', 'e')}"
    totals = "SELECT slot, SUM(calls) AS calls, SUM(cost_nano_usd) AS cost FROM {} GROUP BY slot"
    question = (
        f"WITH e AS ({expected}), f AS ({found}) SELECT d.slot, COALESCE(a.calls, 0), COALESCE(a.cost, 0),"  # noqa: S608
        f" COALESCE(b.calls, 0), COALESCE(b.cost, 0) FROM ({either}) AS d"
        f" LEFT JOIN ({totals.format('e')}) AS a ON a.slot = d.slot LEFT JOIN ({totals.format('f')}) AS b ON b.slot = d.slot"
        " ORDER BY d.slot"
    )
    for slot, *amounts in store.select(question):
        yield Difference(grain, slot * SLOT_NS[grain], *amounts)
