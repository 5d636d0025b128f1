"""The figures of the page, asked from the ledger: what the calls come to, by day, by a word, and what can be chosen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

from costspan.facts.attribution_words import SOURCE, SOURCES, TASK_TYPE, TEAM
from costspan.ledger import rolled
from costspan.ledger.sidefile import waiting
from costspan.report import notices, savings
from costspan.report.period import Period
from costspan.report.values import UsageDay, UsagePage, UsageRow, UsageSummary, UsageTotals
from costspan.report.words import TIMES
from costspan.serve.answers import own
from costspan.serve.asked import Asked
from costspan.serve.page_before import before
from costspan.serve.page_choice import CALL, GROUPS, MODEL, PROVIDER, QUALITY, Choice
from costspan.serve.page_words import tokens
from costspan.serve.problems import mistaken

#: So many rows has the table, and so many values a list of the form.
MOST_ROWS: Final = 50
_MOST_VALUES: Final = 60
#: So many bars has a chart: beyond that a bar is a week, and then a month.
MOST_BARS: Final = 100
_MOST_DAYS: Final = 3_700
_DAY: Final = TIMES[0]
_NS: Final = 1_000_000_000


@dataclass(frozen=True)
class Span:
    """The sums of one or more calendar days."""

    first: date
    last: date
    totals: UsageTotals


@dataclass(frozen=True)
class Trust:
    """How sure the figures are: calls by the quality of their amount, calls without each word, files that wait to be booked
    (None for whoever does not see all), sentences on calls that are not counted, or not here.
    """

    qualities: Sequence[UsageRow]
    unattributed: Mapping[str, int]
    waiting: int | None
    not_counted: Sequence[str]


@dataclass(frozen=True)
class Figures:
    """Everything that the page shows of a choice. `step` is what a bar stands for: a day, a week or a month; `before` are the sums
    of the time before, `saved` is None where no cache was used; `is_unused` says that there is no call at all.
    """

    period: Period
    summary: UsageSummary
    before: UsageTotals | None
    month: UsageTotals
    step: str
    spans: Sequence[Span]
    values: Mapping[str, Sequence[str | None]]
    is_unused: bool
    calls: UsagePage
    trust: Trust
    saved: str | None
    sources: Mapping[date, Sequence[int]]

    @property
    def total(self) -> UsageTotals:
        """The sums of all calls of the choice."""
        return self.summary.total


def figures(choice: Choice, asked: Asked, everything: Asked) -> Figures:
    """The figures of a choice. `everything` asks for all calls of its time that may be seen."""
    period, query = asked.period(), asked.query
    earlier = before(period, asked.time_zone, asked.moment.now_s)
    summary = query.summary(*GROUPS[choice.by], period=period, top=MOST_ROWS)
    first = everything.query.first_used()
    step, spans = bars(asked, first)
    return Figures(
        period=period,
        summary=replace(summary, total=own(summary.total, asked)),
        before=None if earlier is None else own(query.total(earlier), asked),
        month=own(query.this_month(), asked),
        step=step,
        spans=spans,
        values=_values(choice, everything, period),
        is_unused=first is None,
        calls=_calls(choice, asked, period),
        trust=_trust(asked, period),
        saved=savings.sentence(query.cache_savings(period)) if savings.is_used(summary.total) else None,
        sources=_sources(asked, period),
    )


def bars(asked: Asked, first: datetime | None) -> tuple[str, Sequence[Span]]:
    """What a bar stands for, and the bars of the calls asked for, of a ledger that begins with the moment `first`."""
    return steps(asked.query.daily(_bounded(asked.period(), first, asked.moment.now_s)))


def _sources(asked: Asked, period: Period) -> Mapping[date, Sequence[int]]:
    """The tokens of each day by who initiated the calls: each of SOURCES, then all others; of nothing where there is one alone."""
    rows = [row for row in asked.query.by(_DAY, SOURCE, period=period) if row.totals.calls]  # items have no initiator
    if len({row.words[SOURCE] for row in rows}) < 2:  # noqa: PLR2004 - more than one
        return {}
    found: dict[date, list[int]] = {}
    for row in rows:
        day, source = date.fromisoformat(row.words[_DAY] or ""), row.words[SOURCE]
        sums = found.setdefault(day, [0] * (len(SOURCES) + 1))
        sums[SOURCES.index(source) if source in SOURCES else -1] += tokens(row.totals)
    return found


def _calls(choice: Choice, asked: Asked, period: Period) -> UsagePage:
    if choice.by != CALL:
        return UsagePage((), None)
    try:
        return asked.query.records(period, limit=MOST_ROWS, after=choice.after or None)
    except ValueError:
        raise mistaken("after", choice.after, "what the link to the next calls says") from None


def _trust(asked: Asked, period: Period) -> Trust:
    query = asked.query
    files = len(waiting(asked.served.ledger)) if asked.caller.sees_all else None
    return Trust(query.by(QUALITY, period=period), query.unattributed(period), files, _not_counted(asked, period))


def _not_counted(asked: Asked, period: Period) -> Sequence[str]:
    """What programs of this user left behind, for whoever sees all of their ledger."""
    if not (asked.served.is_own and asked.caller.sees_all):
        return ()
    moment, path = asked.moment, asked.served.ledger
    last_ns = moment.ask(rolled.last_ns)
    return [
        said.replace("`", "") for said in notices.of(os.environ, moment.now_s, period, last_ns=last_ns, ledger=path)
    ]


def steps(days: Sequence[UsageDay]) -> tuple[str, Sequence[Span]]:
    """What a bar stands for, and the bars: days, or where they are many weeks (from their Monday), or months."""
    found: list[Span] = []
    for step, key in _STEPS.items():
        found = [_span(list(some)) for _, some in groupby(days, lambda one, key=key: key(one.day))]
        if len(found) <= MOST_BARS:
            return step, found
    return _LONGEST, found[-MOST_BARS:]


_LONGEST: Final = "year"
_STEPS: Final[Mapping[str, Callable[[date], object]]] = {
    "day": lambda day: day,
    "week": lambda day: day - timedelta(days=day.weekday()),
    "month": lambda day: (day.year, day.month),
    _LONGEST: lambda day: day.year,
}


def _span(days: Sequence[UsageDay]) -> Span:
    return Span(days[0].day, days[-1].day, added(one.totals for one in days))


def added(some: Iterable[UsageTotals]) -> UsageTotals:
    """The sum of some sums."""
    found = list(some)
    columns: dict[str, Any] = {
        each.name: sum((getattr(one, each.name) for one in found), getattr(_NOTHING, each.name))
        for each in fields(UsageTotals)
    }
    return UsageTotals(**columns)


_NOTHING: Final = UsageTotals(0, 0, 0, 0, 0, 0, Decimal(0), Decimal(0), Decimal(0), 0, 0)


def _bounded(period: Period, first: datetime | None, now_s: float) -> Period:
    """The period without the years before the first call: nobody looks at a bar for each day since 1678."""
    start_ns = period.start_ns
    if start_ns is None or (now_s - start_ns / _NS) < timedelta(days=_MOST_DAYS).total_seconds():
        return period
    first_s = now_s if first is None else first.timestamp()
    return period._replace(start_ns=max(start_ns, int(first_s) * _NS))


def _values(choice: Choice, everything: Asked, period: Period) -> Mapping[str, Sequence[str | None]]:
    """What each list of the form offers: names of the data in this time, the most expensive first; models of the provider alone.
    Of sessions and accounts, which may be many, those of the last calls.
    """
    query = everything.query
    sold = [
        (row.words[PROVIDER], row.words[MODEL])
        for row in query.by(PROVIDER, MODEL, period=period, top=10 * _MOST_VALUES)
    ]
    of_provider = [
        model for provider, model in sold if PROVIDER not in choice.words or provider == choice.words[PROVIDER]
    ]
    found: dict[str, list[str | None]] = {PROVIDER: [provider for provider, _ in sold], MODEL: of_provider}
    for word in (TEAM, TASK_TYPE, SOURCE):
        found[word] = [row.words[word] for row in query.by(word, period=period, top=_MOST_VALUES)]
    found.update({word: list(values) for word, values in query.newest(period).items()})
    chosen = {word: [choice.words[word]] if word in choice.words else [] for word in found}
    return {word: tuple(dict.fromkeys([*chosen[word], *found[word]]))[:_MOST_VALUES] for word in found}
