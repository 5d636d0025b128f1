"""What the API answers about usage: the figures of `costspan.usage()`, under the same names."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Final

from costspan.report import savings
from costspan.report.answers import AskedPeriod, Daily, NewestWords, Summary, Tokens, UsageSpan
from costspan.report.period import Period
from costspan.report.values import UsagePage, UsageTotals
from costspan.serve import parameters
from costspan.serve.asked import Asked
from costspan.serve.parameters import Parameter, whole
from costspan.serve.problems import RequestError, mistaken

_NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _NS
_MOST_DAYS: Final = 3_700
_MOST_RECORDS: Final = 1_000
_SAYING_WHEN: Final = (parameters.FROM, parameters.PERIOD, parameters.UNTIL)
LIMIT: Final = Parameter(
    "limit", "So many records at most.", whole(1, _MOST_RECORDS),
    {"type": "integer", "minimum": 1, "maximum": _MOST_RECORDS}, default="100",
)  # fmt: skip
AFTER: Final = Parameter("after", "Go on after a page: its `next`.")


def tokens(asked: Asked) -> Tokens:
    """`GET /v1/usage/tokens`."""
    query = asked.query
    all_time, this_month = query.total(), query.this_month()
    return Tokens(
        own(this_month, asked), own(all_time, asked), query.last_used(), str(asked.time_zone), query.notices()
    )


def summary(asked: Asked) -> Summary:
    """`GET /v1/usage/summary`."""
    by = parameters.grouped(asked.values) if parameters.BY.name in asked.values else ("model",)
    period = asked.period()
    found = asked.query.summary(*by or ("total",), period=period, top=asked.values[parameters.TOP.name])
    rows = found.rows if by else ()
    return Summary(
        told(period, asked.time_zone), by, rows, found.groups if by else 0, own(found.total, asked), found.days,
        found.unpriced, asked.query.cache_savings(period) if savings.is_used(found.total) else savings.NOTHING, found.notices,
    )  # fmt: skip


def span(asked: Asked) -> UsageSpan:
    """`GET /v1/usage/span`."""
    return UsageSpan(asked.query.first_used(), asked.query.last_used())


def newest(asked: Asked) -> NewestWords:
    """`GET /v1/usage/newest`."""
    found = asked.query.newest(asked.period())
    return NewestWords(**{word: tuple(values) for word, values in found.items()})


def daily(asked: Asked) -> Daily:
    """`GET /v1/usage/daily`."""
    period = asked.period("30d")
    now_ns = int(asked.moment.now_s * _NS)
    end_ns = min(period.end_ns or now_ns, now_ns)
    if period.start_ns is not None and end_ns - period.start_ns > _MOST_DAYS * _DAY_NS:
        expected = f"a period of at most {_MOST_DAYS:,} days"
        name = next(each.name for each in _SAYING_WHEN if each.name in asked.values)
        raise RequestError(400, f"{name} is too far back: expected {expected}", field=name, expected=expected)
    return Daily(told(period, asked.time_zone), asked.query.daily(period), asked.query.notices(period))


def records(asked: Asked) -> UsagePage:
    """`GET /v1/usage/records`."""
    period, values = asked.period(), asked.values
    after = values.get(AFTER.name)
    try:
        return asked.query.records(period, limit=values[LIMIT.name], after=after)
    except ValueError:
        raise mistaken(AFTER.name, str(after), "what came as `next` with the page before") from None


def told(period: Period, zone: tzinfo) -> AskedPeriod:
    """The period for an answer."""
    return AskedPeriod(period.text, _moment(period.start_ns, zone), _moment(period.end_ns, zone), str(zone))


def _moment(at_ns: int | None, zone: tzinfo) -> datetime | None:
    return None if at_ns is None else datetime.fromtimestamp(at_ns // _NS, zone)


def own(totals: UsageTotals, asked: Asked) -> UsageTotals:
    """The totals without what the ledger lost, where that is not for all eyes: nobody knows whose it was."""
    return totals if asked.caller.sees_all else replace(totals, lost_calls=0, lost_usd=Decimal(0))
