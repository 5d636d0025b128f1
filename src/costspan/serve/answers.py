"""What the API answers about usage: the figures of `costspan.usage()`, under the same names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from decimal import Decimal

from costspan.report.period import Period
from costspan.report.query import UnpricedModel, UsageRow, UsageTotals
from costspan.serve import parameters
from costspan.serve.asked import Asked

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class AskedPeriod:
    """The time that an answer is about: from (included) and to (not included); null is open."""

    asked: str
    start: datetime | None
    end: datetime | None
    time_zone: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """What was used this calendar month and in all time, and when the last call began."""

    this_month: UsageTotals
    all_time: UsageTotals
    last_used: datetime | None
    time_zone: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The sums of each group and of all calls that were chosen. `groups` says how many groups there are; `rows` may be
    the first of them. `days` are the calendar days of the period so far.
    """

    period: AskedPeriod
    by: tuple[str, ...]
    rows: tuple[UsageRow, ...]
    groups: int
    total: UsageTotals
    days: int
    unpriced: tuple[UnpricedModel, ...]


def tokens(asked: Asked) -> Tokens:
    """`GET /v1/usage/tokens`."""
    query = asked.query
    all_time, this_month = query.total(), query.this_month()
    return Tokens(_own(this_month, asked), _own(all_time, asked), query.last_used(), str(asked.time_zone))


def summary(asked: Asked) -> Summary:
    """`GET /v1/usage/summary`."""
    by = parameters.grouped(asked.values) if parameters.BY.name in asked.values else ("model",)
    period = asked.period()
    found = asked.query.summary(*by or ("total",), period=period, top=asked.values[parameters.TOP.name])
    rows = found.rows if by else ()
    return Summary(
        told(period, asked.time_zone), by, rows, found.groups if by else 0, _own(found.total, asked), found.days,
        found.unpriced,
    )  # fmt: skip


def told(period: Period, zone: tzinfo) -> AskedPeriod:
    """The period for an answer."""
    return AskedPeriod(period.text, _moment(period.start_ns, zone), _moment(period.end_ns, zone), str(zone))


def _moment(at_ns: int | None, zone: tzinfo) -> datetime | None:
    return None if at_ns is None else datetime.fromtimestamp(at_ns // _NS, zone)


def _own(totals: UsageTotals, asked: Asked) -> UsageTotals:
    """The totals without what the ledger lost, where that is not for all eyes: nobody knows whose it was."""
    return totals if asked.caller.sees_all else replace(totals, lost_calls=0, lost_usd=Decimal(0))
