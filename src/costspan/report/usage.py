"""What was used and what it cost: one question to the ledger, one answer with rows and a total."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo
from typing import Any, Final, NamedTuple

from costspan.ledger.faults import LedgerError
from costspan.ledger.store import Store
from costspan.report import period, words

OK: Final = "ok"
NO_LEDGER: Final = "no_ledger"
NO_RECORDS: Final = "no_records"
NOTHING: Final = "nothing_in_filters"
STATES: Final = (OK, NO_LEDGER, NO_RECORDS, NOTHING)

_NS: Final = 1_000_000_000
_UNPRICED: Final = "unpriced_reason IS NOT NULL"
_TOKENS: Final = "COALESCE(input_tokens, 0) + COALESCE(output_tokens, 0)"
_SUMS: Final = (
    "COUNT(*)", "SUM(input_tokens)", "SUM(output_tokens)", "SUM(cache_read_tokens)", "SUM(cache_write_tokens)",
    "SUM(reasoning_tokens)", "SUM(cost_nano_usd)",
    "SUM(CASE WHEN quality = 'estimated' THEN cost_nano_usd END)",
    "SUM(CASE WHEN quality = 'incomplete' THEN cost_nano_usd END)",
    f"SUM(CASE WHEN {_UNPRICED} THEN 1 END)",
    f"SUM(CASE WHEN {_UNPRICED} THEN {_TOKENS} END)",
)  # fmt: skip


class Question(NamedTuple):
    """What is asked: groups (words of words.py), filters, a period, the time zone of its days."""

    groups: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    period: period.Period = period.ALL
    zone: tzinfo = timezone.utc


class Totals(NamedTuple):
    """Sums over calls. `estimated_nano_usd` and `incomplete_nano_usd` are parts of `nano_usd`."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    nano_usd: int = 0
    estimated_nano_usd: int = 0
    incomplete_nano_usd: int = 0
    unpriced_requests: int = 0
    unpriced_tokens: int = 0

    def plus(self, other: Iterable[int]) -> Totals:
        """The sum of two, column by column."""
        return Totals(*[mine + theirs for mine, theirs in zip(self, other, strict=True)])

    @property
    def has_price(self) -> bool:
        """False where no call at all has a price: then the cost is unknown, not zero."""
        return not self.requests or self.unpriced_requests < self.requests

    @property
    def is_lower_bound(self) -> bool:
        """Whether more was spent than `nano_usd` says: calls without a price, or with a price for a part only."""
        return bool(self.unpriced_requests or self.incomplete_nano_usd)


class Row(NamedTuple):
    """The totals of one group; `key` has a value for each word of the question, None where nobody said."""

    key: tuple[str | None, ...]
    totals: Totals


class Unpriced(NamedTuple):
    """Calls of one model that have no price, and why."""

    provider: str | None
    model: str | None
    reason: str
    requests: int
    tokens: int


@dataclass(slots=True)
class Report:
    """The answer. `days` is over how many calendar days the averages go; `lost` what the ledger could not take."""

    question: Question
    state: str
    path: str
    rows: list[Row] = field(default_factory=list[Row])
    total: Totals = field(default_factory=Totals)
    days: int = 0
    unpriced: list[Unpriced] = field(default_factory=list[Unpriced])
    lost_records: int = 0
    lost_nano_usd: int = 0


def ask(store: Store, question: Question, now_s: float) -> Report:
    """The answer of a ledger. Raises LedgerError if it cannot be read."""
    report = Report(question, OK, str(store.path))
    report.rows = _rows(store, question)
    for row in report.rows:
        report.total = report.total.plus(row.totals)
    if not report.total.requests:
        has_records = store.select("SELECT EXISTS (SELECT 1 FROM records)")[0][0]
        report.state = NOTHING if has_records else NO_RECORDS
    report.rows.sort(key=_by_time if _is_in_time(question) else _by_cost)
    report.days = _days(store, question, now_s)
    if report.total.unpriced_requests:
        report.unpriced = _unpriced(store, question)
    report.lost_records, report.lost_nano_usd = _losses(store, question.period)
    return report


def _rows(store: Store, question: Question) -> list[Row]:
    in_time = any(word in words.TIMES for word in question.groups)
    columns = [words.COLUMNS[word] for word in question.groups if word in words.COLUMNS]
    if in_time:
        columns.append(words.QUARTER)
    sums: dict[tuple[str | None, ...], Totals] = {}
    for found in _summed(store, question, columns):
        key = _key(question, found[: len(columns)])
        sums[key] = sums.get(key, Totals()).plus([value or 0 for value in found[len(columns) :]])
    return [Row(key, totals) for key, totals in sums.items() if totals.requests]


def _summed(store: Store, question: Question, columns: list[str]) -> list[tuple[Any, ...]]:
    condition = words.conditions(question.filters, question.period)
    sql = f"SELECT {', '.join([*columns, *_SUMS])} FROM calls WHERE {condition.sql}"  # noqa: S608 - words of our own
    if columns:
        sql += f" GROUP BY {', '.join(str(number + 1) for number in range(len(columns)))}"
    try:
        return store.select(sql, condition.values)
    except LedgerError as fault:
        if "integer overflow" not in str(fault):
            raise
    # A sum beyond 64 bits; counts of a faulty server can do that. SUM_EXACTLY is slow, and has no such limit.
    exact = store.select(sql.replace("SUM(", "SUM_EXACTLY("), condition.values)
    first = len(columns)
    return [(*found[:first], *[int(value or 0) for value in found[first:]]) for found in exact]


def _key(question: Question, values: tuple[Any, ...]) -> tuple[str | None, ...]:
    plain = iter(values)
    return tuple(
        words.time_word(word, values[-1], question.zone) if word in words.TIMES else _text(next(plain))
        for word in question.groups
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _is_in_time(question: Question) -> bool:
    return bool(question.groups) and question.groups[0] in words.TIMES


def _by_time(row: Row) -> tuple[Any, ...]:
    return (row.key[0], *_by_cost(row))


def _by_cost(row: Row) -> tuple[Any, ...]:
    totals = row.totals
    return (-totals.nano_usd, -totals.unpriced_tokens, -totals.requests, [value or "" for value in row.key])


def _days(store: Store, question: Question, now_s: float) -> int:
    """Calendar days of the period so far; of an open one, from the first record on."""
    start_ns, end_ns = question.period.start_ns, question.period.end_ns
    if start_ns is None:
        (start_ns,) = store.select("SELECT MIN(started_ns) FROM records")[0]
    if start_ns is None:
        return 0
    last_s = now_s if end_ns is None else min(now_s, (end_ns - 1) // _NS)
    first = datetime.fromtimestamp(start_ns // _NS, question.zone).date()
    last = datetime.fromtimestamp(last_s, question.zone).date()
    return max((last - first).days + 1, 1)


def _unpriced(store: Store, question: Question) -> list[Unpriced]:
    condition = words.conditions(question.filters, question.period)
    found = store.select(
        f"SELECT provider, {words.COLUMNS['model']}, unpriced_reason, COUNT(*), CAST(TOTAL({_TOKENS}) AS INTEGER)"  # noqa: S608
        f" FROM calls WHERE {condition.sql} AND {_UNPRICED} GROUP BY 1, 2, 3 ORDER BY 5 DESC, 4 DESC, 2",
        condition.values,
    )
    return [Unpriced(*values) for values in found]


def _losses(store: Store, asked: period.Period) -> tuple[int, int]:
    found = store.select(
        "SELECT COALESCE(SUM(records), 0), COALESCE(SUM(nano_usd), 0) FROM losses"
        " WHERE noted_ns >= COALESCE(?, noted_ns) AND noted_ns < COALESCE(?, noted_ns + 1)",
        (asked.start_ns, asked.end_ns),
    )
    return found[0][0], found[0][1]
