"""Answers from the ledger's file, as plain values."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from costspan.facts import cost_items
from costspan.facts.attribution_words import ACCOUNT, SESSION, WORDS
from costspan.facts.money import usd
from costspan.facts.periods import NS_PER_S
from costspan.ledger import rolled
from costspan.ledger.store import Store
from costspan.pricing import Prices
from costspan.report import record
from costspan.report.glances import first_used_ns, last_used_ns, newest, without_word
from costspan.report.moment import Moment
from costspan.report.period import ALL
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

_R = TypeVar("_R")


class OfLedger:
    """A `Source` over a file: each answer is read as the ledger stands then, or all of them as it stands at one `moment`.

    `refresh` is called before each question, `prices` where one needs them. A ledger that does not exist yet has no calls.
    """

    def __init__(
        self,
        path: Path,
        refresh: Callable[[], object],
        prices: Callable[[], Prices],
        moment: Moment | None = None,
    ) -> None:
        self.path = path
        self._moment = moment
        self._refresh = refresh
        self._prices = prices

    def now_s(self) -> float:
        """The time of the moment, else of the clock."""
        return self._moment.now_s if self._moment else time.time()

    def apart(self) -> OfLedger:
        """The same file, read anew for each answer."""
        return OfLedger(self.path, self._refresh, self._prices)

    def summary(self, question: Question, top: int | None, *, is_brief: bool) -> UsageSummary:
        """The sums of each group, and of all."""
        found = self._ask(question, lambda report: _summary(report, top), is_brief=is_brief)
        return found or UsageSummary((), 0, _totals(Totals()), 0, ())

    def cache_savings(self, question: Question) -> CacheSavings:
        """By the list prices of now."""
        return self._read(lambda store: saved(store, question, self._prices, self.now_s())) or NOTHING

    def daily(self, question: Question) -> tuple[UsageDay, ...]:
        """The sums of each day, of `all` from the first record on."""
        return self._ask(question, _days, is_brief=True) or ()

    def records(self, question: Question, limit: int, after: str | None) -> UsagePage:
        """Some calls, the newest first."""
        asked = question.period
        found = self._read(
            lambda store: (
                *record.page(store, question.filters, asked, limit, after),
                rolled.notices(store, asked.start_ns),
            )
        )
        records, following, said = found or ((), None, ())
        return UsagePage(tuple(map(_record, records)), following, said)

    def last_used(self, question: Question) -> datetime | None:
        """When the last call began."""
        return _moment(self._read(lambda store: last_used_ns(store, question.filters)))

    def first_used(self, question: Question) -> datetime | None:
        """When the first call began."""
        return _moment(self._read(lambda store: first_used_ns(store, question.filters)))

    def lost(self) -> tuple[int, Decimal]:
        """What the ledger could not take."""
        calls, nano_usd = self._read(lambda store: losses(store, ALL)) or (0, 0)
        return calls, usd(nano_usd)

    def notices(self, question: Question) -> tuple[str, ...]:
        """Sentences on days that are kept as sums only."""
        return self._read(lambda store: rolled.notices(store, question.period.start_ns)) or ()

    def unattributed(self, question: Question) -> Mapping[str, int]:
        """How many calls lack each word."""
        found = self._read(lambda store: without_word(store, question.filters, question.period))
        return MappingProxyType(found or dict.fromkeys(WORDS, 0))

    def newest(self, question: Question) -> Mapping[str, Sequence[str | None]]:
        """The sessions and accounts of the last calls."""
        found = self._read(lambda store: newest(store, question.filters, question.period))
        return MappingProxyType(found or {SESSION: [], ACCOUNT: []})

    def _ask(self, question: Question, answer: Callable[[Report], _R], *, is_brief: bool = False) -> _R | None:
        return self._read(lambda store: answer(ask(store, question, self.now_s(), is_brief=is_brief)))

    def _read(self, answer: Callable[[Store], _R]) -> _R | None:
        self._refresh()
        if self._moment:
            return self._moment.ask(answer)
        with Moment(self.path) as moment:
            return moment.ask(answer)


def _summary(report: Report, top: int | None) -> UsageSummary:
    asked = report.question.groups
    rows = tuple(
        UsageRow(MappingProxyType(dict(zip(asked, row.key, strict=True))), _totals(row.totals))
        for row in report.rows.first(top)
    )
    return UsageSummary(
        rows,
        len(report.rows),
        _totals(report.total, report),
        report.days,
        tuple(UnpricedModel(*one) for one in report.unpriced),
        tuple(report.notices),
    )


def _days(report: Report) -> tuple[UsageDay, ...]:
    found = {date.fromisoformat(row.key[0]): _totals(row.totals) for row in report.rows if row.key[0] is not None}
    if report.start_ns is not None:
        first = datetime.fromtimestamp(report.start_ns // NS_PER_S, report.question.zone).date()
        for number in range(report.days):
            found.setdefault(first + timedelta(days=number), _totals(Totals()))
    return tuple(UsageDay(day, totals) for day, totals in sorted(found.items()))


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
    nano_usd, is_stream = found["cost_nano_usd"], found["is_stream"]
    taken["started_at"] = _moment(found["started_ns"])
    taken["is_stream"] = None if is_stream is None else bool(is_stream)
    taken["cost_usd"] = None if nano_usd is None else usd(nano_usd)
    is_item = found["client"] == cost_items.CLIENT
    taken["kind"] = found["operation"] if is_item else cost_items.CALL
    taken["instance"] = found["request_model"] if is_item else None
    taken["units"] = MappingProxyType(record.units_of(found))
    return UsageRecord(**taken)


def _moment(at_ns: int | None) -> datetime | None:
    if at_ns is None:
        return None
    whole_s, rest_ns = divmod(at_ns, NS_PER_S)
    return datetime.fromtimestamp(whole_s, timezone.utc) + timedelta(microseconds=rest_ns // 1_000)
