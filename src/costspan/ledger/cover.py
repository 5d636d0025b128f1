"""What a question reads: sums where they answer it, records where they do not, with the same answer.

The sums of a slot count where all of it lies within the period, and within one of the groups in time that are asked for.
What is left is read from the records: slots at the edges, crowded ones, and what was booked after the sums were last moved.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from costspan.facts.attribution_words import ACCOUNT, SESSION
from costspan.ledger import places
from costspan.ledger.columns import COLUMNS
from costspan.ledger.store import Store
from costspan.ledger.sums import ACCOUNT_DAYS, COUNTS, DAYS, HOURS, LABELS, SLOT_NS

#: The words that sums do not answer: sessions are as many as calls, almost.
BY_RECORDS: Final = frozenset({SESSION})
# With more records than this beyond the sums (a ledger of an older costspan) each is looked at instead of looked up.
_MOST_BEYOND: Final = 100_000
_END_NS: Final = 2**63 - 1
_tables: Final = itertools.count()
#: No slot of sums is longer.
LONGEST_NS: Final = max(SLOT_NS.values())


class Wanted(NamedTuple):
    """What a question is about: the words that it groups or chooses by, its period, whether two moments (in nanoseconds)
    always belong to one of its groups in time, and the only values of a session or account that it chooses.
    """

    words: frozenset[str]
    start_ns: int | None = None
    end_ns: int | None = None
    is_one: Callable[[int, int], bool] | None = None
    only: Mapping[str, Sequence[str]] = {}


class Source(NamedTuple):
    """A piece of SQL to read from like `calls`; of its columns those of COLUMNS and of reports. A row stands for as many
    calls as its column `calls` says. `each` reads every sum by itself, where together they might leave 64 bits.
    """

    sql: str
    each: str
    #: How many stretches of sums are read.
    sums: int = 0


def source(store: Store, wanted: Wanted) -> Source:
    """What answers a question in the moment that the store is in. Raises LedgerError."""
    if not store.has_sums:
        return Source(_records(), _records())
    only = _only(store, wanted.only)
    if wanted.words & BY_RECORDS or not wanted.words <= COLUMNS.keys():
        return Source(_records(*only), _records(*only))
    cells, rest = _cover(store, wanted)
    mark = store.summed
    parts = [_records(f"n > {mark}", *only, looked_up=True)]
    parts.append(_records("n IN (SELECT n FROM unsummed)", f"n <= {mark}", *only, looked_up=True))
    if rest:
        parts.append(_stretches(rest, mark, only))
    together, each = ([_sums(cells, is_together=is_together)] if cells else [] for is_together in (True, False))
    return Source(" UNION ALL ".join(parts + together), " UNION ALL ".join(parts + each), len(cells))


def only_places(store: Store, only: Mapping[str, Sequence[str]]) -> str:
    """A condition on `n` that leaves out records which surely have none of the values; `1` where that is not known."""
    return " AND ".join(_only(store, only)) or "1"


def is_empty(store: Store) -> bool:
    """Whether no call is known."""
    ((found,),) = store.select("SELECT EXISTS (SELECT 1 FROM records)")
    return not found


def first_ns(store: Store) -> int | None:
    """When the first call began."""
    ((first,),) = store.select("SELECT MIN(started_ns) FROM records")
    return first


# --- what is read ------------------------------------------------------------------------------------------------------


def _records(*conditions: str, looked_up: bool = False) -> str:
    # With a sign before it SQLite does not go by the index of that column.
    started = "+started_ns AS started_ns" if looked_up or conditions else "started_ns"
    columns = ", ".join((started, SESSION, *LABELS, "1 AS calls", *COUNTS[1:]))
    return f"SELECT {columns} FROM calls WHERE {' AND '.join(conditions) or '1'}"  # noqa: S608 - own names and numbers


def _stretches(stretches: Iterable[tuple[int, int]], mark: int, only: Sequence[str]) -> str:
    columns = ", ".join(f"c.{name}" for name in ("started_ns", SESSION, *LABELS))
    counts = ", ".join(f"c.{name}" for name in COUNTS[1:])
    values = ", ".join(f"({start}, {end})" for start, end in stretches)
    conditions = [f"n <= {mark}", "n NOT IN (SELECT n FROM unsummed)", *only]
    sign = "+" if only else ""
    return (
        f"SELECT {columns}, 1 AS calls, {counts} FROM (SELECT column1 AS first, column2 AS last FROM (VALUES {values})) AS t"  # noqa: S608
        f" CROSS JOIN calls AS c WHERE {sign}c.started_ns >= t.first AND {sign}c.started_ns < t.last"
        f" AND {' AND '.join(f'c.{one}' for one in conditions)}"
    )


def _sums(cells: Iterable[tuple[int, int, int]], *, is_together: bool = False) -> str:
    """The sums of stretches; together, those of one label set in one stretch are one row."""
    values = ", ".join(map(str, cells))
    stretches = f"(SELECT column1 AS grain, column2 AS first, column3 AS last FROM (VALUES {values})) AS t"  # noqa: S608 - own numbers
    found = "sums AS s ON s.grain = t.grain AND s.slot >= t.first AND s.slot < t.last"
    labels = ", ".join(f"l.{name}" for name in LABELS)
    counts = ", ".join(f"s.{name}" for name in COUNTS)
    slot = " ".join(f"WHEN {grain} THEN {length}" for grain, length in SLOT_NS.items())
    if is_together:
        sums = ", ".join(f"SUM(s.{name}) AS {name}" for name in COUNTS)
        stretches = (
            f"(SELECT t.grain, t.first AS slot, s.label, {sums} FROM {stretches} CROSS JOIN {found}"  # noqa: S608
            " GROUP BY t.grain, t.first, s.label) AS s"
        )
    else:
        stretches = f"{stretches} CROSS JOIN {found}"
    return (
        f"SELECT s.slot * CASE s.grain {slot} END AS started_ns, NULL AS {SESSION}, {labels}, {counts}"  # noqa: S608
        f" FROM {stretches} CROSS JOIN labels AS l ON l.n = s.label"
    )


# --- which sums count --------------------------------------------------------------------------------------------------


def _cover(store: Store, wanted: Wanted) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
    """The stretches of sums (grain, first slot, the one after the last), and the stretches of time beside them."""
    cells: list[tuple[int, int, int]] = []
    rest: list[tuple[int, int]] = []
    start_ns = wanted.start_ns or 0
    end_ns = _END_NS if wanted.end_ns is None else wanted.end_ns
    for grain, slot in _slots(store, wanted, max(start_ns, 0), end_ns):
        if grain is not None:
            begun = cells[-1][1] if cells and cells[-1][0] == grain and cells[-1][2] == slot else slot
            if begun < slot and _is_one(wanted, grain, begun, slot):
                cells[-1] = (grain, begun, slot + 1)
            else:
                cells.append((grain, slot, slot + 1))
            continue
        length = SLOT_NS[HOURS]
        first, last = max(slot * length, start_ns), min((slot + 1) * length, end_ns)
        if rest and rest[-1][1] == first:
            rest[-1] = (rest[-1][0], last)
        else:
            rest.append((first, last))
    return cells, rest


def _is_one(wanted: Wanted, grain: int, first: int, last: int) -> bool:
    """Whether slots from the first to the last lie within one group in time."""
    length = SLOT_NS[grain]
    return wanted.is_one is None or wanted.is_one(first * length, (last + 1) * length - 1)


def _slots(store: Store, wanted: Wanted, start_ns: int, end_ns: int) -> Iterator[tuple[int | None, int]]:
    """For each day with records in the period: the day's sums, or hour by hour its sums or (None) its records."""
    of_day = ACCOUNT_DAYS if ACCOUNT in wanted.words else DAYS
    crowded = {*store.select("SELECT grain, slot FROM crowded")}

    def counts(grain: int, slot: int) -> bool:
        first, after = slot * SLOT_NS[grain], (slot + 1) * SLOT_NS[grain]
        is_within = first >= start_ns and after <= end_ns and (grain, slot) not in crowded
        return is_within and _is_one(wanted, grain, slot, slot)

    length = SLOT_NS[DAYS]
    days = store.select(
        f"SELECT slot FROM sums WHERE grain = {DAYS} AND slot >= ? AND slot <= ? UNION"  # noqa: S608 - own numbers
        f" SELECT slot FROM crowded WHERE grain = {DAYS} AND slot >= ? AND slot <= ? ORDER BY 1",
        (start_ns // length, (end_ns - 1) // length) * 2,
    )
    for (day,) in days:
        if counts(of_day, day):
            yield of_day, day
            continue
        for hour in range(day * 24, day * 24 + 24):
            if of_day == DAYS and counts(HOURS, hour):
                yield HOURS, hour
            elif hour * SLOT_NS[HOURS] < end_ns and (hour + 1) * SLOT_NS[HOURS] > start_ns:
                yield None, hour


# --- where records of a session or an account lie ------------------------------------------------------------------------


def _only(store: Store, only: Mapping[str, Sequence[str]]) -> list[str]:
    if not store.has_sums or store.beyond > _MOST_BEYOND:
        return []
    return [
        f"n IN (SELECT n FROM {_found(store, word, values)})"  # noqa: S608 - own names
        for word, values in only.items()
        if word in places.PLACED
    ]


def _found(store: Store, word: str, values: Sequence[str]) -> str:
    """A table of the numbers of the records that may have one of the values."""
    table = f"temp.places_{next(_tables)}"
    blocks = store.each(f"SELECT first, digests FROM {word}_places ORDER BY first")  # noqa: S608 - own names
    wanted = {*map(places.digest, values)}
    beyond = store.each(f"SELECT n, {word} FROM records WHERE n > ?", (store.summed,))  # noqa: S608
    numbers = {*places.places(blocks, values), *(n for n, value in beyond if places.digest(value) in wanted)}
    store.select(f"CREATE TABLE {table} (n INTEGER PRIMARY KEY)")
    store.connection.executemany(f"INSERT INTO {table} VALUES (?)", ((n,) for n in sorted(numbers)))  # noqa: S608
    return table
