"""A report for machines: JSON and CSV, row by row. Amounts are exact decimal text in USD, and null where no price is
known.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import IO, Any, Final

from costspan.report.amounts import share, usd, usd_each
from costspan.report.naming import harmless
from costspan.report.usage import Report, Row, Totals
from costspan.report.values import CacheSavings

#: The columns after the groups, in the order in which they stay.
COLUMNS: Final = (
    "requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "cost_usd", "share_of_cost", "cost_per_request_usd", "cost_per_day_usd",
    "estimated_usd", "incomplete_usd", "unpriced_requests", "unpriced_tokens",
    "items", "items_usd", "unpriced_items",
)  # fmt: skip
_NS: Final = 1_000_000_000
# What spreadsheets take for the beginning of a formula (https://owasp.org/www-community/attacks/CSV_Injection), the
# wide forms of East Asian keyboards included.
_FORMULA: Final = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def write_json(report: Report, out: IO[str], top: int | None = None) -> None:
    """Write the whole report as one JSON object (docs/usage.md describes it), a row to a line; of the rows
    the first `top`, the total is of all.
    """
    before, after = _frame(report)
    out.write(json.dumps(before, indent=2)[:-2] + ',\n  "rows": [')
    separator = "\n    "
    for row in report.rows.first(top):
        out.write(separator + json.dumps(_object(row, report)))
        separator = ",\n    "
    out.write("]" if separator == "\n    " else "\n  ]")
    out.write("," + json.dumps(after, indent=2)[1:] + "\n")


def write_csv(report: Report, out: IO[str], top: int | None = None) -> None:
    """Write one line per group with a header; no totals line, so that a sum over a column is right.

    A name that a spreadsheet would take for a formula gets an apostrophe before it. On a terminal, names cannot steer.
    """
    writer = csv.writer(_Lines(out), lineterminator="\r\n")
    writer.writerow([*report.question.groups, *COLUMNS])
    is_terminal = out.isatty()
    for row in report.rows.first(top):
        names = [_cell(name, is_terminal=is_terminal) for name in row.key]
        writer.writerow([*names, *_numbers(row.totals, report).values()])


class _Lines:
    """Ends lines as Unix does. The csv module is told otherwise, because it quotes what its line ends are made of, and
    readers take each of the two for an end.
    """

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def write(self, line: str) -> int:
        return self._out.write(line[:-2] + "\n")


def _cell(name: str | None, *, is_terminal: bool) -> str | None:
    if not name:
        return name
    return no_formula(harmless(name) if is_terminal else name)


def no_formula(name: str) -> str:
    """The name, with an apostrophe before one that a spreadsheet would take for a formula."""
    # It looks at what follows the spaces.
    return f"'{name}" if name.lstrip(" ")[:1] in _FORMULA else name


def _frame(report: Report) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stands before the rows and after them."""
    question = report.question
    before = {
        "state": report.state,
        "ledger": report.path,
        "period": {
            "asked": question.period.text,
            "from": _moment(question.period.start_ns, report),
            "to": _moment(question.period.end_ns, report),
            "time_zone": str(question.zone),
            "days": report.days,
        },
        "filters": [one.as_object() for one in question.filters],
        "groups": list(question.groups),
    }
    after = {
        "total": _numbers(report.total, report),
        "is_lower_bound": report.total.is_lower_bound,
        "cache": _cache(report.cache),
        "unpriced": [unpriced._asdict() for unpriced in report.unpriced],
        "lost": {"records": report.lost_records, "usd": usd(report.lost_nano_usd)},
        "notices": report.notices,
    }
    return before, after


def _cache(found: CacheSavings | None) -> dict[str, Any] | None:
    if found is None:
        return None
    saved_usd = None if found.saved_usd is None else f"{found.saved_usd:f}"
    return {**asdict(found), "saved_usd": saved_usd, "rates": found.rates}


def _object(row: Row, report: Report) -> dict[str, Any]:
    return {**dict(zip(report.question.groups, row.key, strict=True)), **_numbers(row.totals, report)}


def _moment(at_ns: int | None, report: Report) -> str | None:
    return None if at_ns is None else datetime.fromtimestamp(at_ns // _NS, report.question.zone).isoformat()


def _numbers(totals: Totals, report: Report) -> dict[str, int | str | None]:
    return dict(zip(COLUMNS, _values(totals, report), strict=True))


def _values(totals: Totals, report: Report) -> Iterator[int | str | None]:
    yield from totals[:6]
    if totals.has_price:
        cost = totals.nano_usd
        yield from (
            usd(cost),
            share(cost, report.total.nano_usd),
            usd_each(cost - totals.items_nano_usd, totals.priced_requests),
        )
        yield usd_each(cost, report.days)
    else:
        yield from (None, None, None, None)
    yield from (usd(totals.estimated_nano_usd), usd(totals.incomplete_nano_usd))
    yield from (totals.unpriced_requests, totals.unpriced_tokens)
    yield from (totals.items, usd(totals.items_nano_usd), totals.unpriced_items)
