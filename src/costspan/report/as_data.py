"""A report for machines: JSON and CSV. Amounts are exact decimal text in USD, and null where no price is known."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from typing import Any, Final

from costspan.report.amounts import share, usd, usd_each
from costspan.report.usage import Report, Totals

#: The columns after the groups, in the order in which they stay.
COLUMNS: Final = (
    "requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "cost_usd", "share_of_cost", "cost_per_request_usd", "cost_per_day_usd",
    "estimated_usd", "incomplete_usd", "unpriced_requests", "unpriced_tokens",
)  # fmt: skip
_NS: Final = 1_000_000_000


def as_json(report: Report) -> str:
    """The whole report as one JSON object (docs/usage.md describes it)."""
    return json.dumps(_object(report), indent=2)


def as_csv(report: Report) -> str:
    """One line per group with a header; no totals line, so that a sum over a column is right."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*report.question.groups, *COLUMNS])
    for row in report.rows:
        values = _numbers(row.totals, report)
        writer.writerow([*row.key, *[values[column] for column in COLUMNS]])
    return text.getvalue()


def _object(report: Report) -> dict[str, Any]:
    question = report.question
    return {
        "state": report.state,
        "ledger": report.path,
        "period": {
            "asked": question.period.text,
            "from": _moment(question.period.start_ns, report),
            "to": _moment(question.period.end_ns, report),
            "time_zone": str(question.zone),
            "days": report.days,
        },
        "filters": [{"word": word, "value": value or None} for word, value in question.filters],
        "groups": list(question.groups),
        "rows": [
            {**dict(zip(question.groups, row.key, strict=True)), **_numbers(row.totals, report)} for row in report.rows
        ],
        "total": _numbers(report.total, report),
        "is_lower_bound": report.total.is_lower_bound,
        "unpriced": [unpriced._asdict() for unpriced in report.unpriced],
        "lost": {"records": report.lost_records, "usd": usd(report.lost_nano_usd)},
    }


def _moment(at_ns: int | None, report: Report) -> str | None:
    return None if at_ns is None else datetime.fromtimestamp(at_ns // _NS, report.question.zone).isoformat()


def _numbers(totals: Totals, report: Report) -> dict[str, int | str | None]:
    cost = totals.nano_usd if totals.has_price else None
    return {
        "requests": totals.requests,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "cache_read_tokens": totals.cache_read_tokens,
        "cache_write_tokens": totals.cache_write_tokens,
        "reasoning_tokens": totals.reasoning_tokens,
        "cost_usd": None if cost is None else usd(cost),
        "share_of_cost": None if cost is None else share(cost, report.total.nano_usd),
        "cost_per_request_usd": None if cost is None else usd_each(cost, totals.requests),
        "cost_per_day_usd": None if cost is None else usd_each(cost, report.days),
        "estimated_usd": usd(totals.estimated_nano_usd),
        "incomplete_usd": usd(totals.incomplete_nano_usd),
        "unpriced_requests": totals.unpriced_requests,
        "unpriced_tokens": totals.unpriced_tokens,
    }
