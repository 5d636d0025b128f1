"""What a program asks the ledger: the queries of the command line, with answers as plain values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from costspan.facts import cost_items
from costspan.facts.attribution_words import ACCOUNT, SESSION, WORDS
from costspan.facts.money import usd
from costspan.ledger import rolled
from costspan.ledger.store import Store
from costspan.pricing import Prices
from costspan.report import record
from costspan.report.glances import first_used_ns, last_used_ns, newest, without_word
from costspan.report.moment import Moment
from costspan.report.period import ALL, Period, parse
from costspan.report.savings import NOTHING, saved
from costspan.report.usage import Question, Report, Totals, ask, losses
from costspan.report.values import (
    CacheSavings,
    UnpricedModel,
    UsageDay,
    UsagePage,
    UsageRecord,
    UsageRow,
    UsageSummary,
    UsageTotals,
)
from costspan.report.words import TIMES, Filter, groups

_NS: Final = 1_000_000_000
_DAY: Final = TIMES[0]
_MOST_AT_ONCE: Final = 1_000
_R = TypeVar("_R")


class UsageQuery:
    """Questions about the calls that some filters choose; each method reads the ledger as it stands then, or all of them as it
    stands at one `moment`.

    `refresh` is called before each question, `prices` where one needs them. All methods raise LedgerError for a ledger that cannot be read, and
    ValueError with what was expected for a mistaken word, period or number. One that does not exist yet has no calls.
    May be shared by threads.
    """

    def __init__(
        self,
        path: Path,
        filters: tuple[Filter, ...],
        zone: tzinfo,
        refresh: Callable[[], object],
        prices: Callable[[], Prices],
        moment: Moment | None = None,
    ) -> None:
        self.path = path
        self._moment = moment
        self._filters = filters
        self._zone = zone
        self._refresh = refresh
        self._prices = prices

    def total(self, period: str | Period = "all") -> UsageTotals:
        """The sums of a period, in the words of the command line: `this-month`, `7d`, `2026-11`, `2026-11-03..2026-11-10`."""
        found = self._ask((), period, lambda report: _totals(report.total, report), is_brief=True)
        return found or _totals(Totals())

    def this_month(self) -> UsageTotals:
        """The sums of the calendar month so far."""
        return self.total("this-month")

    def within(self, month_usd: Decimal | float | str) -> bool:
        """Whether the calendar month has cost at most so many USD so far; what has no price cannot be counted."""
        limit = _amount(month_usd)
        return self.this_month().cost_usd <= limit

    def last_used(self) -> datetime | None:
        """When the last call began, in UTC; None where there is none."""
        found = self._read(lambda store: last_used_ns(store, self._filters))
        return None if found is None else _moment(found)

    def first_used(self) -> datetime | None:
        """When the first call began, in UTC; None where there is none."""
        found = self._read(lambda store: first_used_ns(store, self._filters))
        return None if found is None else _moment(found)

    def by(self, *words: str, period: str | Period = "all", top: int | None = None) -> tuple[UsageRow, ...]:
        """The sums of each group, the most expensive first (in the order of time, where the first word is one): of all
        groups, or of the first `top`.
        """
        asked = _checked(words, top)
        return self._ask(asked, period, lambda report: _rows(asked, report, top), is_brief=True) or ()

    def summary(self, *words: str, period: str | Period = "all", top: int | None = None) -> UsageSummary:
        """What `by` and `total` say, of one moment, with the models that have no price."""
        asked = _checked(words, top)
        found = self._ask(asked, period, lambda report: _summary(asked, report, top))
        return found or UsageSummary((), 0, _totals(Totals()), 0, ())

    def cache_savings(self, period: str | Period = "all") -> CacheSavings:
        """What reading input from a provider's cache saved in a period, by the list prices of now."""
        question = Question((), self._filters, self._period(period), self._zone)
        return self._read(lambda store: saved(store, question, self._prices, self._now_s())) or NOTHING

    def daily(self, period: str | Period = "30d") -> tuple[UsageDay, ...]:
        """The sums of each calendar day of the period so far, days without a call included; of `all`, from the first
        record on.
        """
        return self._ask((_DAY,), period, self._days, is_brief=True) or ()

    def _days(self, report: Report) -> tuple[UsageDay, ...]:
        found = {date.fromisoformat(row.key[0]): _totals(row.totals) for row in report.rows if row.key[0] is not None}
        if report.start_ns is not None:
            first = datetime.fromtimestamp(report.start_ns // _NS, self._zone).date()
            for number in range(report.days):
                found.setdefault(first + timedelta(days=number), _totals(Totals()))
        return tuple(UsageDay(day, totals) for day, totals in sorted(found.items()))

    def records(self, period: str | Period = "all", *, limit: int = 100, after: str | None = None) -> UsagePage:
        """Up to `limit` (at most 1,000) calls of a period, the newest first; `after` is the `next` of the page before."""
        if not 1 <= limit <= _MOST_AT_ONCE:
            raise ValueError(f"limit={limit!r}: expected a number from 1 to {_MOST_AT_ONCE}")
        asked = self._period(period)
        found = self._read(
            lambda store: (
                *record.page(store, self._filters, asked, limit, after),
                rolled.notices(store, asked.start_ns),
            )
        )
        records, following, said = found or ((), None, ())
        return UsagePage(tuple(map(_record, records)), following, said)

    def each(self, period: str | Period = "all") -> Iterator[UsageRecord]:
        """All calls of a period, the newest first, in constant memory; the ledger is let go of between some and the next."""
        asked, after = self._period(period), None
        alone = UsageQuery(self.path, self._filters, self._zone, self._refresh, self._prices)
        while True:
            some = alone.records(asked, limit=_MOST_AT_ONCE, after=after)
            yield from some
            if some.next is None:
                return
            after = some.next

    def lost(self) -> tuple[int, Decimal]:
        """How many calls the ledger could not take in all time, whoever they were for, and what they cost in USD."""
        calls, nano_usd = self._read(lambda store: losses(store, ALL)) or (0, 0)
        return calls, usd(nano_usd)

    def notices(self, period: str | Period = "all") -> tuple[str, ...]:
        """What the ledger no longer knows of a period: sentences on days that are kept as sums only. Totals by session or by hour, and
        lists of calls, lack those days.
        """
        asked = self._period(period)
        return self._read(lambda store: rolled.notices(store, asked.start_ns)) or ()

    def unattributed(self, period: str | Period = "all") -> Mapping[str, int]:
        """For each word of the attribution, how many calls of a period have none."""
        asked = self._period(period)
        found = self._read(lambda store: without_word(store, self._filters, asked))
        return MappingProxyType(found or dict.fromkeys(WORDS, 0))

    def newest(self, period: str | Period = "all") -> Mapping[str, Sequence[str | None]]:
        """The sessions and accounts of the last 1,000 calls of a period, the newest first."""
        asked = self._period(period)
        found = self._read(lambda store: newest(store, self._filters, asked))
        return MappingProxyType(found or {SESSION: [], ACCOUNT: []})

    def _ask(
        self, asked: tuple[str, ...], period: str | Period, answer: Callable[[Report], _R], *, is_brief: bool = False
    ) -> _R | None:
        question = Question(asked, self._filters, self._period(period), self._zone)
        return self._read(lambda store: answer(ask(store, question, self._now_s(), is_brief=is_brief)))

    def _now_s(self) -> float:
        return self._moment.now_s if self._moment else time.time()

    def _period(self, said: str | Period) -> Period:
        return said if isinstance(said, Period) else parse(said, self._zone, self._now_s())

    def _read(self, answer: Callable[[Store], _R]) -> _R | None:
        self._refresh()
        if self._moment:
            return self._moment.ask(answer)
        with Moment(self.path) as moment:
            return moment.ask(answer)


def _checked(words: tuple[str, ...], top: int | None) -> tuple[str, ...]:
    if top is not None and top < 1:
        raise ValueError(f"top={top!r}: expected a number from 1 on")
    return groups(words)


def _rows(asked: tuple[str, ...], report: Report, top: int | None) -> tuple[UsageRow, ...]:
    return tuple(
        UsageRow(MappingProxyType(dict(zip(asked, row.key, strict=True))), _totals(row.totals))
        for row in report.rows.first(top)
    )


def _summary(asked: tuple[str, ...], report: Report, top: int | None) -> UsageSummary:
    return UsageSummary(
        _rows(asked, report, top),
        len(report.rows),
        _totals(report.total, report),
        report.days,
        tuple(UnpricedModel(*one) for one in report.unpriced),
        tuple(report.notices),
    )


def _totals(sums: Totals, report: Report | None = None) -> UsageTotals:
    return UsageTotals(
        calls=sums.requests,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cache_read_tokens=sums.cache_read_tokens,
        cache_write_tokens=sums.cache_write_tokens,
        reasoning_tokens=sums.reasoning_tokens,
        cost_usd=usd(sums.nano_usd),
        estimated_usd=usd(sums.estimated_nano_usd),
        incomplete_usd=usd(sums.incomplete_nano_usd),
        unpriced_calls=sums.unpriced_requests,
        unpriced_tokens=sums.unpriced_tokens,
        lost_calls=report.lost_records if report else 0,
        lost_usd=usd(report.lost_nano_usd if report else 0),
        items=sums.items,
        items_usd=usd(sums.items_nano_usd),
        unpriced_items=sums.unpriced_items,
    )


def _record(found: record.Record) -> UsageRecord:
    taken: dict[str, Any] = {name: found.get(name) for name in UsageRecord.__slots__}
    nano_usd, started_ns, is_stream = found["cost_nano_usd"], found["started_ns"], found["is_stream"]
    taken["started_at"] = None if started_ns is None else _moment(started_ns)
    taken["is_stream"] = None if is_stream is None else bool(is_stream)
    taken["cost_usd"] = None if nano_usd is None else usd(nano_usd)
    is_item = found["client"] == cost_items.CLIENT
    taken["kind"] = found["operation"] if is_item else cost_items.CALL
    taken["instance"] = found["request_model"] if is_item else None
    taken["units"] = MappingProxyType(record.units_of(found))
    return UsageRecord(**taken)


def _moment(at_ns: int) -> datetime:
    whole_s, rest_ns = divmod(at_ns, _NS)
    return datetime.fromtimestamp(whole_s, timezone.utc) + timedelta(microseconds=rest_ns // 1_000)


def _amount(said: Decimal | float | str) -> Decimal:
    """An amount in USD that a program says; a float by its shortest decimal text."""
    try:
        amount = Decimal(str(said))
    except ArithmeticError:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or isinstance(said, bool):
        raise ValueError(f"month_usd={said!r}: expected an amount in USD, from 0 on")
    return amount
