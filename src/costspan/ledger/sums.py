"""Sums of the records by hour or day and label set, so that a question reads thousands of sums and not millions of records.

They reach up to a mark: the sums are those of the records up to it, and what was booked after it, by whatever version of
costspan, is read from the records. Sums and mark are moved in one transaction.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from costspan import guard
from costspan.facts.attribution_words import ACCOUNT, SESSION, WORDS
from costspan.facts.money import UNKNOWN_SELLER
from costspan.facts.recent import Recent
from costspan.ledger import places
from costspan.ledger.marks import NEWEST_HOUR, SUMMED, at, behind, set_mark

#: What sums are kept by, as columns of `calls` and of `labels`.
LABELS: Final = (
    *(word for word in WORDS if word != SESSION), "provider", "host", "client", "operation", "request_model",
    "response_model", "outcome", "quality", "unpriced_reason", "unpriced_detail",
)  # fmt: skip
_COUNTED: Final = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_nano_usd",
)  # fmt: skip
#: What is added up.
COUNTS: Final = ("calls", *_COUNTED)

#: The grains: slots of a day or an hour of UTC since the epoch, and of a day by account too.
DAYS, HOURS, ACCOUNT_DAYS = range(3)
_HOUR_NS: Final = 3_600 * 10**9
SLOT_NS: Final = {DAYS: 24 * _HOUR_NS, HOURS: _HOUR_NS, ACCOUNT_DAYS: 24 * _HOUR_NS}

# A writer sums up when so many records lie beyond the mark, and so many at once at most: 20 ms.
_DUE: Final = 4_000
_AT_ONCE: Final = 5_000
# A slot whose label sets have fewer calls each is crowded: its sums would take much room and save little time, so its
# records are read instead. Of a slot that is not over yet this is said only when it has very many sets. Where they are as
# many as the calls, so that the next slots would be no better, every eighth is tried again.
_CALLS_EACH: Final = {DAYS: 6, HOURS: 3, ACCOUNT_DAYS: 3}
_MANY: Final = {DAYS: 5_000, HOURS: 1_000, ACCOUNT_DAYS: 5_000}
_TRIED_AGAIN: Final = 8
# Larger numbers are left to the records, so that sums stay within 64 bits. In nano-USD it is a call of 1,100 USD.
_LARGEST: Final = 2**40
_ALL: Final = " + ".join(f"COALESCE({column}, 0)" for column in _COUNTED)
_WITHIN: Final = " AND ".join(f"COALESCE({column}, 0) BETWEEN -{_LARGEST} AND {_LARGEST}" for column in _COUNTED)
#: Holds for records that can be summed: with a time, and whole numbers of an ordinary size.
IS_ORDINARY: Final = (
    f"(typeof(started_ns) = 'integer' AND started_ns >= 0 AND typeof({_ALL}) = 'integer' AND {_WITHIN})"
)

_IN_RANGE: Final = "FROM records WHERE n > ? AND n <= ?"
#: The counts of a group of records, in the order of COUNTS.
COUNTED_SUMS: Final = "COUNT(*), " + ", ".join(f"COALESCE(SUM({column}), 0)" for column in _COUNTED)
_BY_HOUR: Final = f"SELECT started_ns / {_HOUR_NS}, kind, NULL, {COUNTED_SUMS} {_IN_RANGE}"
_BY_ACCOUNT: Final = f"SELECT started_ns / {24 * _HOUR_NS}, kind, {ACCOUNT}, {COUNTED_SUMS} {_IN_RANGE}"
_LEAVE_OUT: Final = f"INSERT INTO unsummed SELECT n {_IN_RANGE} AND {IS_ORDINARY} IS NOT 1"
_ADD: Final = (
    f"INSERT INTO sums (grain, slot, label, {', '.join(COUNTS)}) VALUES (?, ?, ?{', ?' * len(COUNTS)})"  # noqa: S608
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in COUNTS)}"
)
_LABELS_OF_KIND: Final = (
    f"SELECT {', '.join('NULL' if name == ACCOUNT else name for name in LABELS)} FROM kinds WHERE n = ?"  # noqa: S608
)
_INSERT_LABEL: Final = f"INSERT INTO labels (key, {', '.join(LABELS)}) VALUES (?{', ?' * len(LABELS)})"  # noqa: S608
_ACCOUNT: Final = LABELS.index(ACCOUNT)
_HOST, _REASON, _DETAIL = (LABELS.index(name) for name in ("host", "unpriced_reason", "unpriced_detail"))
_KEPT: Final = 16_384

_Slot: TypeAlias = tuple[int, int]
#: By label set (the number of `Sums._shared`) and account: the counts.
_Cells: TypeAlias = dict[tuple[int, Any], Sequence[int]]


class Sums:
    """The sums of one open ledger, for whoever writes it. Every method is to be called within a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._unseen = _DUE  # of the first writing it is not known what others left
        self.forget()

    def forget(self) -> None:
        """What was made in a transaction that is rolled back is not there."""
        self._kinds: Recent[int, int] = Recent(_KEPT)
        self._sets: dict[Sequence[Any], int] = {}
        self._shared: list[Sequence[Any]] = []
        self._labels: Recent[tuple[int, Any], int] = Recent(_KEPT)

    def keep_up(self, written: int) -> None:
        """After so many records were written: sum up what lies beyond the mark, where that is much. A fault of the sums
        leaves them as they were: the records count.
        """
        self._unseen += written
        if self._unseen < _DUE:
            return
        connection = self._connection
        connection.execute("SAVEPOINT sums")
        try:
            is_left = behind(connection) >= _DUE and self.fold(_AT_ONCE)
            self._unseen = _DUE if is_left else 0
        except (sqlite3.Error, OverflowError, ValueError) as fault:
            if not connection.in_transaction:
                raise
            self.forget()
            self._unseen = 0
            connection.execute("ROLLBACK TO sums")
            guard.stopped("ledger.sums", fault)
        connection.execute("RELEASE sums")

    def fold(self, most: int) -> bool:
        """Sum up to so many of the records beyond the mark; whether more are left."""
        connection = self._connection
        if len(self._shared) > _KEPT:
            self.forget()
        mark = at(connection, SUMMED)
        last = _last(connection, mark, most)
        if last is None:
            return False
        self.add(*self._groups(mark, last))
        _place(connection, mark, last)
        set_mark(connection, SUMMED, last)
        return behind(connection) > 0

    def begin_anew(self) -> None:
        """Have nothing summed; `fold` goes through all records again."""
        for table in ("sums", "crowded", "unsummed", *(f"{word}_places" for word in places.PLACED)):
            self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - own names
        self._connection.execute("DELETE FROM marks WHERE name IN (?, ?)", (SUMMED, NEWEST_HOUR))
        self.forget()

    def _groups(self, mark: int, last: int) -> Sequence[Sequence[tuple[Any, ...]]]:
        """The records after the mark by hour and kind, and by day, kind and account; odd ones are noted and left out."""
        try:
            found = self._grouped(mark, last, "1")
            if all(map(_is_ordinary, found[0])):
                return found
        except sqlite3.OperationalError as fault:
            if "integer overflow" not in str(fault):
                raise
        self._connection.execute(_LEAVE_OUT, (mark, last))
        return self._grouped(mark, last, IS_ORDINARY)

    def _grouped(self, mark: int, last: int, condition: str) -> list[list[tuple[Any, ...]]]:
        ask = self._connection.execute
        return [
            ask(f"{question} AND {condition} GROUP BY 1, 2, 3", (mark, last)).fetchall()
            for question in (_BY_HOUR, _BY_ACCOUNT)
        ]

    def add(self, by_hour: Iterable[tuple[Any, ...]], by_account: Iterable[tuple[Any, ...]]) -> None:
        """Add records in groups: by hour and kind, and by day, kind and account."""
        cells: dict[_Slot, _Cells] = {}
        for hour, kind, _, *counts in by_hour:
            labels = self.set_of(kind)
            if labels is not None:  # a record without a kind is in no answer
                _add(cells.setdefault((HOURS, hour), {}), (labels, None), counts)
                _add(cells.setdefault((DAYS, hour // 24), {}), (labels, None), counts)
        for day, kind, account, *counts in by_account:
            labels = self.set_of(kind)
            if labels is not None:
                _add(cells.setdefault((ACCOUNT_DAYS, day), {}), (labels, account), counts)
        self._write(cells)

    def _write(self, cells: Mapping[_Slot, _Cells]) -> None:
        """Add to the sums, but for slots that are crowded, or turn out to be."""
        before = at(self._connection, NEWEST_HOUR)
        newest = max((slot for grain, slot in cells if grain == HOURS), default=0)
        for (grain, slot), of_slot in sorted(cells.items()):
            is_new = slot > (before if grain == HOURS else before // 24)
            is_over = slot < (newest if grain == HOURS else newest // 24)
            if self._is_crowded(grain, slot):
                continue
            calls = sum(counts[0] for counts in of_slot.values())
            follows = is_new and slot % _TRIED_AGAIN and self._is_crowded(grain, slot - 1)
            if follows or (is_new and is_over and is_too_many(grain, len(of_slot), calls, is_over=True)):
                self._crowd(grain, slot)
                continue
            rows = ((grain, slot, self.label(*key), *counts) for key, counts in of_slot.items())
            self._connection.executemany(_ADD, sorted(rows))
            self._weigh(grain, slot, is_over=is_over)
        if newest > before:
            set_mark(self._connection, NEWEST_HOUR, newest)
            self._weigh(HOURS, before, is_over=True)
            if newest // 24 > before // 24:
                for grain in (DAYS, ACCOUNT_DAYS):
                    self._weigh(grain, before // 24, is_over=True)

    def _is_crowded(self, grain: int, slot: int) -> bool:
        is_in = "SELECT 1 FROM crowded WHERE grain = ? AND slot = ?"
        return self._connection.execute(is_in, (grain, slot)).fetchone() is not None

    def _weigh(self, grain: int, slot: int, *, is_over: bool) -> None:
        question = "SELECT COUNT(*), SUM(calls) FROM sums WHERE grain = ? AND slot = ?"
        sets, calls = self._connection.execute(question, (grain, slot)).fetchone()
        if sets and is_too_many(grain, sets, calls, is_over=is_over):
            self._crowd(grain, slot)

    def _crowd(self, grain: int, slot: int) -> None:
        """Give up the sums of a slot: its records are read."""
        self._connection.execute("DELETE FROM sums WHERE grain = ? AND slot = ?", (grain, slot))
        self._connection.execute("INSERT OR IGNORE INTO crowded VALUES (?, ?)", (grain, slot))

    def set_of(self, kind: int) -> int | None:
        """The number, in this process, of the labels of a kind without account; None where there is no such kind."""
        found = self._kinds.get(kind)
        if found is not None:
            return found
        row = self._connection.execute(_LABELS_OF_KIND, (kind,)).fetchone()
        if row is None:
            return None
        values = list(row)
        if values[_REASON] != UNKNOWN_SELLER:  # only of these it is asked at which host
            values[_HOST] = values[_DETAIL] = None
        return self._kinds.keep(kind, self._number(tuple(values)))

    def _number(self, labels: Sequence[Any]) -> int:
        number = self._sets.get(labels)
        if number is None:
            number = self._sets[labels] = len(self._shared)
            self._shared.append(labels)
        return number

    def label(self, shared: int, account: Any) -> int:
        """The number of a label set with an account; written when it is met first."""
        number = self._labels.get((shared, account))
        if number is None:
            values = self._shared[shared]
            values = (*values[:_ACCOUNT], account, *values[_ACCOUNT + 1 :])
            key = hashlib.blake2b(json.dumps(values).encode(), digest_size=16).digest()
            found = self._connection.execute("SELECT n FROM labels WHERE key = ?", (key,)).fetchone()
            number = found[0] if found else self._connection.execute(_INSERT_LABEL, (key, *values)).lastrowid or 0
            self._labels.keep((shared, account), number)
        return number


def _is_ordinary(group: Sequence[Any]) -> bool:
    """Whether all records of a group had a time, and whole numbers that add up to no large ones."""
    hour, _, _, calls, *counts = group
    return type(hour) is int and hour > 0 and all(type(one) is int and abs(one) <= _LARGEST * calls for one in counts)


def _add(cells: _Cells, key: tuple[int, Any], counts: Sequence[int]) -> None:
    found = cells.get(key)
    cells[key] = counts if found is None else [a + b for a, b in zip(found, counts, strict=True)]


def is_too_many(grain: int, sets: int, calls: int, *, is_over: bool) -> bool:
    """Whether so many label sets of so many calls make a slot crowded."""
    return sets * _CALLS_EACH[grain] > calls and (is_over or sets > _MANY[grain])


def _last(connection: sqlite3.Connection, mark: int, most: int) -> int | None:
    """The last of so many records after the mark; None where there is none."""
    question = "SELECT MAX(n) FROM (SELECT n FROM records WHERE n > ? ORDER BY n LIMIT ?)"
    return connection.execute(question, (mark, most)).fetchone()[0]


def _place(connection: sqlite3.Connection, mark: int, last: int) -> None:
    """Note where the sessions and accounts of the records after the mark lie."""
    found = connection.execute(
        f"SELECT n, {', '.join(places.PLACED)} {_IN_RANGE} ORDER BY n",
        (mark, last),
    ).fetchall()
    numbers, *columns = zip(*found, strict=True)
    for name, values in zip(places.PLACED, columns, strict=True):
        connection.executemany(f"INSERT INTO {name}_places VALUES (?, ?)", places.blocks(numbers, values))  # noqa: S608
