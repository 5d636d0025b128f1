"""What was used and what it cost: one question to the ledger, one answer with rows and a total."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo
from typing import Final, NamedTuple

from costspan.facts.attribution_words import ACCOUNT
from costspan.facts.money import UNKNOWN_SELLER
from costspan.ledger import cover, rolled
from costspan.ledger.columns import COLUMNS, IS_CALL
from costspan.ledger.faults import LedgerError
from costspan.ledger.store import Store
from costspan.report import period, words
from costspan.report.values import CacheSavings

OK: Final = "ok"
NO_LEDGER: Final = "no_ledger"
NO_RECORDS: Final = "no_records"
NOTHING: Final = "nothing_in_filters"
STATES: Final = (OK, NO_LEDGER, NO_RECORDS, NOTHING)

_NS: Final = 1_000_000_000
_HOSTS_NAMED: Final = 3
_UNPRICED: Final = "unpriced_reason IS NOT NULL"
_TOKENS: Final = "COALESCE(input_tokens, 0) + COALESCE(output_tokens, 0)"
_SUMS: Final = (
    f"SUM(CASE WHEN {IS_CALL} THEN calls END)", "SUM(input_tokens)", "SUM(output_tokens)", "SUM(cache_read_tokens)", "SUM(cache_write_tokens)",
    "SUM(reasoning_tokens)", "SUM(cost_nano_usd)",
    "SUM(CASE WHEN quality = 'estimated' THEN cost_nano_usd END)",
    "SUM(CASE WHEN quality = 'incomplete' THEN cost_nano_usd END)",
    f"SUM(CASE WHEN {_UNPRICED} AND {IS_CALL} THEN calls END)",
    f"SUM(CASE WHEN {_UNPRICED} THEN {_TOKENS} END)",
    f"SUM(CASE WHEN NOT ({IS_CALL}) THEN calls END)",
    f"SUM(CASE WHEN NOT ({IS_CALL}) THEN cost_nano_usd END)",
    f"SUM(CASE WHEN {_UNPRICED} AND NOT ({IS_CALL}) THEN calls END)",
)  # fmt: skip
_SUM_NAMES: Final = tuple(f"s{number}" for number in range(len(_SUMS)))
# Sums of so many slots and more are read for the label sets that are meant alone.
_MANY_SLOTS: Final = 200


class Question(NamedTuple):
    """What is asked: groups (words of words.py), filters, a period, the time zone of its days."""

    groups: tuple[str, ...] = ()
    filters: tuple[words.Filter, ...] = ()
    period: period.Period = period.ALL
    zone: tzinfo = timezone.utc


class Totals(NamedTuple):
    """Sums over calls, and over items that are no call. `estimated_nano_usd`, `incomplete_nano_usd` and `items_nano_usd` are parts
    of `nano_usd`.
    """

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
    items: int = 0
    items_nano_usd: int = 0
    unpriced_items: int = 0

    @property
    def records(self) -> int:
        """How many calls and items."""
        return self.requests + self.items

    def minus(self, other: Iterable[int]) -> Totals:
        """What is left without the other, column by column."""
        return Totals(*[mine - theirs for mine, theirs in zip(self, other, strict=True)])

    @property
    def priced_requests(self) -> int:
        """The calls that an average of the cost is over: all but those without a price. A failed call costs nothing, and is one."""
        return self.requests - self.unpriced_requests

    @property
    def has_price(self) -> bool:
        """False where nothing at all has a price: then the cost is unknown, not zero."""
        return not self.records or self.unpriced_requests + self.unpriced_items < self.records

    @property
    def is_lower_bound(self) -> bool:
        """Whether more was spent than `nano_usd` says: calls or items without a price, or with a price for a part only."""
        return bool(self.unpriced_requests or self.unpriced_items or self.incomplete_nano_usd)


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


class Rows:
    """The rows of a report, the dearest or the first one first. They lie in a table beside the ledger and are read from
    it each time they are gone through: memory does not grow with their number.
    """

    def __init__(self, store: Store | None = None, table: str = "", question: Question | None = None) -> None:
        self._store = store
        self._question = question or Question()
        self._table = table
        self._count: int = store.select(f"SELECT COUNT(*) FROM {table}")[0][0] if store else 0  # noqa: S608

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        return self.first(None)

    def first(self, count: int | None) -> Iterator[Row]:
        """So many of them, or all."""
        if self._store is None:
            return
        keys = [f"k{number}" for number in range(len(self._question.groups))]
        # Added to 0, a sum is a number, where it is beyond 64 bits and lies there as text too.
        order = ["s6 + 0 DESC", "s10 + 0 DESC", "s0 DESC", *[f"COALESCE({key}, '')" for key in keys]]
        if _is_in_time(self._question):
            order.insert(0, "k0")
        sql = f"SELECT {', '.join([*keys, *_SUM_NAMES])} FROM {self._table} ORDER BY {', '.join(order)} LIMIT ?"  # noqa: S608
        for found in self._store.each(sql, (self._count if count is None else count,)):
            yield Row(tuple(map(_text, found[: len(keys)])), Totals(*map(int, found[len(keys) :])))


@dataclass(slots=True)
class Report:
    """The answer. `start_ns` and `end_ns` are what the averages go over, `days` how many calendar days that is so far;
    `lost` what the ledger could not take.
    """

    question: Question
    state: str
    path: str
    rows: Rows = field(default_factory=Rows)
    total: Totals = field(default_factory=Totals)
    start_ns: int | None = None
    end_ns: int | None = None
    now_s: float = 0.0
    days: int = 0
    unpriced: list[Unpriced] = field(default_factory=list[Unpriced])
    #: For hosts of which nobody said whose prices count: the sentence that says how to say it.
    unknown_sellers: list[str] = field(default_factory=list[str])
    #: Of the unpriced calls, how many the settings of now would give a price; they stay as they were booked.
    priced_now: int = 0
    lost_records: int = 0
    lost_nano_usd: int = 0
    #: Sentences on calls that are not in this ledger.
    notices: list[str] = field(default_factory=list[str])
    #: What a provider's cache saved; None where no call used one, or nobody asked.
    cache: CacheSavings | None = None


def ask(store: Store, question: Question, now_s: float, *, is_brief: bool = False) -> Report:
    """The answer of a ledger, which has to stay open while its rows are read; `is_brief` without the models that have no price.
    Raises LedgerError if it cannot be read.
    """
    asked = question.period
    report = Report(question, OK, str(store.path), start_ns=asked.start_ns, end_ns=asked.end_ns, now_s=now_s)
    store.define("FOLDED", words.folded, 1)
    store.define("TIME_WORD", functools.lru_cache(4096)(functools.partial(_time_word, question.zone)), 2)
    with store.at_one_moment():
        wanted = words.wanted(question.groups, question.filters, question.period, question.zone)
        report.rows, report.total, source = _rows(store, question, wanted)
        if not report.total.records:
            report.state = NO_RECORDS if rolled.is_empty(store) else NOTHING
        if report.start_ns is None:
            report.start_ns = rolled.first_ns(store)
        report.days = _days(report)
        if report.total.unpriced_requests and not is_brief:
            report.unpriced = _unpriced(store, question, source)
            if any(one.reason == UNKNOWN_SELLER for one in report.unpriced):
                report.unknown_sellers = _unknown_sellers(store, question, source)
        report.lost_records, report.lost_nano_usd = losses(store, question.period)
        report.notices += rolled.notices(store, asked.start_ns)
    return report


def _rows(store: Store, question: Question, wanted: cover.Wanted) -> tuple[Rows, Totals, cover.Source]:
    """The rows, their total, and what they were read from."""
    source = cover.source(store, wanted)
    names = ", ".join(f"SUM({name})" for name in _SUM_NAMES)
    try:
        table = _summed_up(store, question, source, "SUM")
        (total,) = store.select(f"SELECT {names} FROM {table}")  # noqa: S608 - words of our own
    except LedgerError as fault:
        if "integer overflow" not in str(fault):
            raise
        # A sum beyond 64 bits; counts of a faulty server can do that. SUM_EXACTLY is slow, and has no such limit.
        source = cover.source(store, wanted._replace(is_each=True))
        table = _summed_up(store, question, source, "SUM_EXACTLY")
        (total,) = store.select(f"SELECT {names.replace('SUM', 'SUM_EXACTLY')} FROM {table}")  # noqa: S608
    return Rows(store, table, question), Totals(*[int(value or 0) for value in total]), source


def narrowed(source: cover.Source, question: Question) -> str:
    """A piece of SQL to read from. Where many sums are to be read it is asked first which label sets are meant."""
    is_long = source.slots > _MANY_SLOTS or ACCOUNT in {*question.groups, *(one.word for one in question.filters)}
    meant = words.conditions(question.filters if is_long and source.cells else (), period.ALL)
    return source.of(meant.sql, meant.values)


def _summed_up(store: Store, question: Question, source: cover.Source, function: str) -> str:
    """The table of the rows: the keys k0, k1, ..., the sums s0, s1, ... Made once in one moment, whoever asks again."""
    condition = words.conditions(question.filters, question.period)
    asked_of = narrowed(source, question)
    keys = [
        f"TIME_WORD('{word}', {words.QUARTER})" if word in words.TIMES else COLUMNS[word] for word in question.groups
    ]
    sums = [f"COALESCE({one.replace('SUM(', function + '(')}, 0)" for one in _SUMS]
    columns = [f"{one} AS k{number}" for number, one in enumerate(keys)]
    columns += [f"{one} AS {name}" for one, name in zip(sums, _SUM_NAMES, strict=True)]
    grouped = f"GROUP BY {', '.join(str(number + 1) for number in range(len(keys)))}" if keys else "GROUP BY NULL"
    sql = f"SELECT {', '.join(columns)} FROM ({asked_of}) WHERE {condition.sql} {grouped}"  # noqa: S608 - words of our own

    def make(table: str) -> None:
        store.select(f"CREATE TABLE {table} AS {sql}", condition.values)

    return store.kept(sql, (*condition.values, repr(question.zone)), make)


def _time_word(zone: tzinfo, word: str, quarter: int | None) -> str | None:
    return None if quarter is None else words.time_word(word, quarter, zone)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _is_in_time(question: Question) -> bool:
    return bool(question.groups) and question.groups[0] in words.TIMES


def _days(report: Report) -> int:
    """Calendar days of the period so far; of an open one, from the first record on."""
    start_ns, end_ns, zone = report.start_ns, report.end_ns, report.question.zone
    if start_ns is None:
        return 0
    last_s = report.now_s if end_ns is None else min(report.now_s, (end_ns - 1) // _NS)
    first = datetime.fromtimestamp(start_ns // _NS, zone).date()
    last = datetime.fromtimestamp(last_s, zone).date()
    return max((last - first).days + 1, 1)


def _unpriced(store: Store, question: Question, source: cover.Source) -> list[Unpriced]:
    condition = words.conditions(question.filters, question.period)
    asked_of = narrowed(source, question)
    found = store.select(
        f"SELECT provider, {COLUMNS['model']}, unpriced_reason, SUM(calls), CAST(TOTAL({_TOKENS}) AS INTEGER)"  # noqa: S608
        f" FROM ({asked_of}) WHERE {condition.sql} AND {_UNPRICED} AND {IS_CALL} GROUP BY 1, 2, 3 ORDER BY 5 DESC, 4 DESC, 2",
        condition.values,
    )
    return [Unpriced(*values) for values in found]


def _unknown_sellers(store: Store, question: Question, source: cover.Source) -> list[str]:
    """A sentence for each host, those with the most tokens first."""
    condition = words.conditions(question.filters, question.period)
    asked_of = narrowed(source, question)
    found = store.select(
        f"SELECT MAX(unpriced_detail) FROM ({asked_of}) WHERE {condition.sql} AND unpriced_reason = '{UNKNOWN_SELLER}'"  # noqa: S608
        f" AND unpriced_detail IS NOT NULL GROUP BY host ORDER BY TOTAL({_TOKENS}) DESC, host LIMIT {_HOSTS_NAMED}",
        condition.values,
    )
    return [detail for (detail,) in found]


def losses(store: Store, asked: period.Period) -> tuple[int, int]:
    """How many records the ledger could not take in a period, and their cost in nano-USD."""
    found = store.select(
        "SELECT COALESCE(SUM(records), 0), COALESCE(SUM(nano_usd), 0) FROM losses"
        " WHERE noted_ns >= COALESCE(?, noted_ns) AND noted_ns < COALESCE(?, noted_ns + 1)",
        (asked.start_ns, asked.end_ns),
    )
    return found[0][0], found[0][1]
