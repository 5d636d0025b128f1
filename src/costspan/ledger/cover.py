"""What a question reads: sums where they answer it, records where they do not, with the same answer.

The sums of a slot count where all of it lies within the period, and within one of the groups in time that are asked for.
Of a day in another zone most hours lie within one day of UTC: it is that day less its other hours. What is left is read from
the records: slots at the edges, crowded ones, and what was booked after the sums were last moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from costspan.facts.attribution_words import ACCOUNT, SESSION
from costspan.ledger import places, rolled
from costspan.ledger.columns import COLUMNS
from costspan.ledger.store import Store
from costspan.ledger.sums import ACCOUNT_DAYS, COUNTS, DAYS, HOURS, LABELS, SLOT_NS

#: The words that sums do not answer: sessions are as many as calls, almost.
BY_RECORDS: Final = frozenset({SESSION})
# With more records than this beyond the sums (a ledger of an older costspan) each is looked at instead of looked up.
_MOST_BEYOND: Final = 100_000
_END_NS: Final = 2**63 - 1
# So many hours of a day, and more, are cheaper as the day less its other hours.
_MOST_HOURS: Final = 12
#: No slot of sums is longer.
LONGEST_NS: Final = max(SLOT_NS.values())


class Wanted(NamedTuple):
    """What a question is about: the words that it groups or chooses by, its period, whether two moments (in nanoseconds)
    always belong to one of its groups in time, and the only values of a session or account that it chooses. With `is_each` every
    sum is read by itself, where together they might leave 64 bits.
    """

    words: frozenset[str]
    start_ns: int | None = None
    end_ns: int | None = None
    is_one: Callable[[int, int], bool] | None = None
    only: Mapping[str, Sequence[str]] = {}
    is_each: bool = False


class Cell(NamedTuple):
    """The sums of slots, from the first to the one before `after`, which stand for a moment in time. Of a `sign` of -1 they are
    taken from the others of that moment.
    """

    grain: int
    first: int
    after: int
    at_ns: int
    sign: int = 1


class Source(NamedTuple):
    """What to read from: records, and sums of some slots."""

    store: Store
    records: str
    cells: Sequence[Cell] = ()
    is_each: bool = False

    @property
    def sql(self) -> str:
        """A piece of SQL to read from like `calls`; of its columns those of COLUMNS and of reports. A row stands for as many
        calls as its column `calls` says. It holds within the moment.
        """
        return self.of()

    def of(self, labels: str = "1", values: Sequence[object] = ()) -> str:
        """The same where `labels` is a condition that chooses label sets; of records it chooses none."""
        if not self.cells:
            return self.records
        chosen = "1"
        if labels != "1":
            table = self.store.kept(f"SELECT n FROM labels WHERE {labels}", values)  # noqa: S608 - words of the code
            chosen = f"s.label IN (SELECT n FROM {table})"  # noqa: S608
        if self.is_each:
            return f"{self.records} UNION ALL {_each_sum(self.cells, chosen)}"
        table = self.store.kept(_sums(self.cells, chosen))
        return f"{self.records} UNION ALL {_labelled(f'{table} AS s', 's.at_ns')}"

    @property
    def slots(self) -> int:
        """How many slots of sums are read."""
        return sum(cell.after - cell.first for cell in self.cells)


def source(store: Store, wanted: Wanted) -> Source:
    """What answers a question in the moment that the store is in. Raises LedgerError."""
    found = _source(store, wanted) if store.has_sums else Source(store, _records())
    return found._replace(records=found.records + rolled.sums(store, wanted.start_ns, wanted.end_ns))


def _source(store: Store, wanted: Wanted) -> Source:
    only = _only(store, wanted.only)
    if wanted.words & BY_RECORDS or not wanted.words <= COLUMNS.keys():
        return Source(store, _records(*only))
    cells, rest = _cover(store, wanted)
    mark = store.summed
    parts = [_records(f"n > {mark}", *only, looked_up=True)]
    parts.append(_records("n IN (SELECT n FROM unsummed)", f"n <= {mark}", *only, looked_up=True))
    if rest:
        parts.append(_stretches(rest, mark, only))
    return Source(store, " UNION ALL ".join(parts), cells, wanted.is_each)


def only_places(store: Store, only: Mapping[str, Sequence[str]]) -> str:
    """A condition on `n` that leaves out records which surely have none of the values; `1` where that is not known."""
    return " AND ".join(_only(store, only)) or "1"


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


def _sums(cells: Iterable[Cell], chosen: str) -> str:
    """The sums of cells, those of one label set at one moment together."""
    sums = ", ".join(f"SUM(t.sign * s.{name}) AS {name}" for name in COUNTS)
    return (
        f"SELECT t.at_ns, s.label, {sums} FROM {_in_cells(cells, chosen)}"  # noqa: S608 - own names and numbers, here and below
        " GROUP BY t.at_ns, s.label HAVING SUM(t.sign * s.calls)"
    )


def _each_sum(cells: Iterable[Cell], chosen: str) -> str:
    """The sums of cells, each as a call of its own; of cells without a sign."""
    length = " ".join(f"WHEN {grain} THEN {ns}" for grain, ns in SLOT_NS.items())
    return _labelled(_in_cells(cells, chosen), f"MAX(t.at_ns, s.slot * CASE s.grain {length} END)")


def _in_cells(cells: Iterable[Cell], chosen: str) -> str:
    values = ", ".join(str(tuple(cell)) for cell in cells)
    named = "column1 AS grain, column2 AS first, column3 AS after, column4 AS at_ns, column5 AS sign"
    return (
        f"(SELECT {named} FROM (VALUES {values})) AS t CROSS JOIN sums AS s"  # noqa: S608
        f" ON s.grain = t.grain AND s.slot >= t.first AND s.slot < t.after AND {chosen}"
    )


def _labelled(sums: str, at_ns: str) -> str:
    """Sums with the words of their label sets, as calls are read."""
    labels, counts = (", ".join(f"{of}.{name}" for name in names) for of, names in (("l", LABELS), ("s", COUNTS)))
    return (
        f"SELECT {at_ns} AS started_ns, NULL AS {SESSION}, {labels}, {counts}"  # noqa: S608
        f" FROM {sums} CROSS JOIN labels AS l ON l.n = s.label"
    )


# --- which sums count --------------------------------------------------------------------------------------------------


def _cover(store: Store, wanted: Wanted) -> tuple[list[Cell], list[tuple[int, int]]]:
    """The sums that count, and the stretches of time beside them."""
    cells: list[Cell] = []
    rest: list[tuple[int, int]] = []
    for one in _Slots(store, wanted).each():
        if isinstance(one, Cell):
            if cells and _goes_on(wanted, cells[-1], one):
                cells[-1] = cells[-1]._replace(after=one.after)
            else:
                cells.append(one)
        elif rest and rest[-1][1] == one[0]:
            rest[-1] = (rest[-1][0], one[1])
        else:
            rest.append(one)
    return cells, rest


def _goes_on(wanted: Wanted, before: Cell, one: Cell) -> bool:
    """Whether the second cell follows the first, in one group in time."""
    is_next = (before.grain, before.after, before.sign, one.sign) == (one.grain, one.first, 1, 1)
    return is_next and (wanted.is_one is None or wanted.is_one(before.at_ns, one.after * SLOT_NS[one.grain] - 1))


class _Slots:
    """The slots of a question: which of them have sums that count."""

    def __init__(self, store: Store, wanted: Wanted) -> None:
        self._store = store
        self._wanted = wanted
        self._start_ns = max(wanted.start_ns or 0, 0)
        self._end_ns = _END_NS if wanted.end_ns is None else wanted.end_ns
        self._of_day = ACCOUNT_DAYS if ACCOUNT in wanted.words else DAYS
        self._crowded = {*store.select("SELECT grain, slot FROM crowded")}

    def each(self) -> Iterator[Cell | tuple[int, int]]:
        """For each day with records in the period its sums, or hour by hour its sums or a stretch of its records."""
        length = SLOT_NS[DAYS]
        for day in self._days(self._start_ns // length, (self._end_ns - 1) // length):
            if self._counts(self._of_day, day):
                yield Cell(self._of_day, day, day + 1, day * length)
            else:
                yield from self._hours(day)

    def _days(self, first: int, last: int) -> Sequence[int]:
        """The days with records. Each is looked up after the one before: a day has thousands of sums."""
        found = self._store.select(
            "WITH RECURSIVE days(slot) AS (SELECT ? - 1 UNION ALL SELECT (SELECT MIN(slot) FROM sums"  # noqa: S608 - own numbers
            f" WHERE grain = {DAYS} AND sums.slot > days.slot AND sums.slot <= ?) FROM days WHERE slot IS NOT NULL)"
            " SELECT slot FROM days WHERE slot >= ?",
            (first, last, first),
        )
        crowded = (slot for grain, slot in self._crowded if grain == DAYS and first <= slot <= last)
        return sorted({*(slot for (slot,) in found), *crowded})

    def _hours(self, day: int) -> Iterator[Cell | tuple[int, int]]:
        length, hours = SLOT_NS[HOURS], range(day * 24, day * 24 + 24)
        counting = [hour for hour in hours if self._counts(HOURS, hour)] if self._of_day == DAYS else []
        most = self._most(day, counting)
        if most:
            at_ns = most[0] * length
            yield Cell(DAYS, day, day + 1, at_ns)
            for first, after in ((day * 24, most[0]), (most[-1] + 1, day * 24 + 24)):
                if first < after:
                    yield Cell(HOURS, first, after, at_ns, -1)
        for hour in hours:
            start_ns, end_ns = max(hour * length, self._start_ns), min((hour + 1) * length, self._end_ns)
            if hour in most or start_ns >= end_ns:
                continue
            yield Cell(HOURS, hour, hour + 1, start_ns) if hour in counting else (start_ns, end_ns)

    def _most(self, day: int, counting: Sequence[int]) -> range:
        """The hours of a day that are read as the day less the others: most of them, of one group in time."""
        nothing = range(0)
        middle = day * 24 + 12
        slots = [(DAYS, day), *((HOURS, hour) for hour in range(day * 24, day * 24 + 24))]
        if self._wanted.is_each or not self._crowded.isdisjoint(slots):
            return nothing
        length = SLOT_NS[HOURS]
        same = [
            hour for hour in counting if self._is_one(min(hour, middle) * length, (max(hour, middle) + 1) * length - 1)
        ]
        found = range(same[0], same[-1] + 1) if same else nothing
        return found if len(same) == len(found) and len(found) > _MOST_HOURS else nothing

    def _counts(self, grain: int, slot: int) -> bool:
        first_ns, after_ns = slot * SLOT_NS[grain], (slot + 1) * SLOT_NS[grain]
        is_within = first_ns >= self._start_ns and after_ns <= self._end_ns and (grain, slot) not in self._crowded
        return is_within and self._is_one(first_ns, after_ns - 1)

    def _is_one(self, first_ns: int, last_ns: int) -> bool:
        return self._wanted.is_one is None or self._wanted.is_one(first_ns, last_ns)


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

    def fill(table: str) -> None:
        blocks = store.each(f"SELECT first, digests FROM {word}_places ORDER BY first")  # noqa: S608 - own names
        wanted = {*map(places.digest, values)}
        beyond = store.each(f"SELECT n, {word} FROM records WHERE n > ?", (store.summed,))  # noqa: S608
        numbers = {*places.places(blocks, values), *(n for n, value in beyond if places.digest(value) in wanted)}
        store.select(f"CREATE TABLE {table} (n INTEGER PRIMARY KEY)")
        store.connection.executemany(f"INSERT INTO {table} VALUES (?)", ((n,) for n in sorted(numbers)))  # noqa: S608

    return store.kept(f"where records of {word} lie", values, fill)
