"""What a program asks: the queries of the command line, checked here and answered by a ledger's file or by a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Final

from costspan.report import record
from costspan.report.period import ALL, Period, parse
from costspan.report.source import Source
from costspan.report.usage import Question
from costspan.report.values import CacheSavings, UsageDay, UsagePage, UsageRecord, UsageRow, UsageSummary, UsageTotals
from costspan.report.words import TIMES, Filter, groups

_DAY: Final = TIMES[0]
_MOST_AT_ONCE: Final = 1_000


class UsageQuery:
    """Questions about the calls that some filters choose; each method asks the source anew.

    All methods raise LedgerError where the ledger cannot be read or the server not asked, and ValueError with what was expected for a
    mistaken word, period or number. May be shared by threads.
    """

    def __init__(self, source: Source, filters: tuple[Filter, ...], zone: tzinfo) -> None:
        self._source = source
        self._filters = filters
        self._zone = zone

    def __repr__(self) -> str:
        chosen = " ".join(f"{one.word}{one.sign}{one.value}" for one in self._filters)
        return f"<UsageQuery of {chosen or 'all calls'}: ask .total(), .this_month(), .by('model'), .records()>"

    def total(self, period: str | Period = "all") -> UsageTotals:
        """The sums of a period, in the words of the command line: `this-month`, `7d`, `2026-11`, `2026-11-03..2026-11-10`."""
        return self._source.summary(self._question(period), None, is_brief=True).total

    def this_month(self) -> UsageTotals:
        """The sums of the calendar month so far."""
        return self.total("this-month")

    def within(self, month_usd: Decimal | float | str) -> bool:
        """Whether the calendar month has cost at most so many USD so far; what has no price cannot be counted."""
        limit = _amount(month_usd)
        return self.this_month().cost_usd <= limit

    def last_used(self) -> datetime | None:
        """When the last call began, in UTC; None where there is none."""
        return self._source.last_used(self._question(ALL))

    def first_used(self) -> datetime | None:
        """When the first call began, in UTC; None where there is none."""
        return self._source.first_used(self._question(ALL))

    def by(self, *words: str, period: str | Period = "all", top: int | None = None) -> tuple[UsageRow, ...]:
        """The sums of each group, the most expensive first (in the order of time, where the first word is one): of all
        groups, or of the first `top`.
        """
        asked = _checked(words, top)
        return self._source.summary(self._question(period, asked), top, is_brief=True).rows

    def summary(self, *words: str, period: str | Period = "all", top: int | None = None) -> UsageSummary:
        """What `by` and `total` say, of one moment, with the models that have no price."""
        asked = _checked(words, top)
        return self._source.summary(self._question(period, asked), top, is_brief=False)

    def cache_savings(self, period: str | Period = "all") -> CacheSavings:
        """What reading input from a provider's cache saved in a period, by the list prices of now."""
        return self._source.cache_savings(self._question(period))

    def daily(self, period: str | Period = "30d") -> tuple[UsageDay, ...]:
        """The sums of each calendar day of the period so far, days without a call included; of `all`, from the first
        record on.
        """
        return self._source.daily(self._question(period, (_DAY,)))

    def records(self, period: str | Period = "all", *, limit: int = 100, after: str | None = None) -> UsagePage:
        """Up to `limit` (at most 1,000) calls of a period, the newest first; `after` is the `next` of the page before."""
        if not 1 <= limit <= _MOST_AT_ONCE:
            raise ValueError(f"limit={limit!r}: expected a number from 1 to {_MOST_AT_ONCE}")
        if after is not None:
            record.place(after)
        return self._source.records(self._question(period), limit, after)

    def each(self, period: str | Period = "all") -> Iterator[UsageRecord]:
        """All calls of a period, the newest first, in constant memory; the ledger is let go of between some and the next."""
        asked, after = self._period(period), None
        alone = UsageQuery(self._source.apart(), self._filters, self._zone)
        while True:
            some = alone.records(asked, limit=_MOST_AT_ONCE, after=after)
            yield from some
            if some.next is None:
                return
            after = some.next

    def lost(self) -> tuple[int, Decimal]:
        """How many calls the ledger could not take in all time, whoever they were for, and what they cost in USD."""
        return self._source.lost()

    def notices(self, period: str | Period = "all") -> tuple[str, ...]:
        """What the ledger no longer knows of a period: sentences on days that are kept as sums only. Totals by session or by hour, and
        lists of calls, lack those days.
        """
        return self._source.notices(self._question(period))

    def unattributed(self, period: str | Period = "all") -> Mapping[str, int]:
        """For each word of the attribution, how many calls of a period have none."""
        return self._source.unattributed(self._question(period))

    def newest(self, period: str | Period = "all") -> Mapping[str, Sequence[str | None]]:
        """The sessions and accounts of the last 1,000 calls of a period, the newest first."""
        return self._source.newest(self._question(period))

    def _question(self, period: str | Period, asked: tuple[str, ...] = ()) -> Question:
        return Question(asked, self._filters, self._period(period), self._zone)

    def _period(self, said: str | Period) -> Period:
        return said if isinstance(said, Period) else parse(said, self._zone, self._source.now_s())


def _checked(words: tuple[str, ...], top: int | None) -> tuple[str, ...]:
    if top is not None and top < 1:
        raise ValueError(f"top={top!r}: expected a number from 1 on")
    return groups(words)


def _amount(said: Decimal | float | str) -> Decimal:
    """An amount in USD that a program says; a float by its shortest decimal text."""
    try:
        amount = Decimal(str(said))
    except ArithmeticError:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or isinstance(said, bool):
        raise ValueError(f"month_usd={said!r}: expected an amount in USD, from 0 on")
    return amount
