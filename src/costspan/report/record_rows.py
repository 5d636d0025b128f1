"""Single records for machines: CSV, and JSON a line, written as they are read, in constant memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from costspan.facts.usage import CACHE_READ, CACHE_WRITE, INPUT, OUTPUT, REASONING
from costspan.report.as_data import no_formula
from costspan.report.naming import harmless
from costspan.report.plain import members, plain
from costspan.report.values import UsageRecord

#: The counts that have a column of their own; `units` has all of them.
_COUNTS: Final = {f"{unit}_tokens": unit for unit in (INPUT, OUTPUT, CACHE_READ, CACHE_WRITE, REASONING)}
_ROWS_AT_ONCE: Final = 500


def columns() -> tuple[str, ...]:
    """The names of the columns."""
    return (*(name for name in members(UsageRecord) if name != "units"), *_COUNTS, "units")


def cells(one: UsageRecord) -> list[Any]:
    """The values of a line."""
    told = [getattr(one, name) for name in members(UsageRecord) if name != "units"]
    return [*told, *(one.units.get(unit) for unit in _COUNTS.values()), json.dumps(dict(one.units))]


def as_csv(records: Iterable[UsageRecord], *, is_terminal: bool = False) -> Iterator[str]:
    """A header and a line for each record. No name is a formula; on a terminal, none can steer."""
    page = io.StringIO()
    # Each text in quotes: readers take a lone carriage return for an end of a line.
    writer = csv.writer(page, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns())
    for some in batches(records, _ROWS_AT_ONCE):
        writer.writerows([_cell(each, is_terminal=is_terminal) for each in cells(one)] for one in some)
        yield page.getvalue()
        page.seek(0)
        page.truncate()
    yield page.getvalue()


def _cell(value: Any, *, is_terminal: bool) -> Any:
    told = plain(value)
    if not isinstance(told, str):
        return told
    return no_formula(harmless(told) if is_terminal else told)


def as_lines(records: Iterable[UsageRecord]) -> Iterator[str]:
    """A JSON object a line."""
    for some in batches(records, _ROWS_AT_ONCE):
        yield "".join(json.dumps(plain(one)) + "\n" for one in some)


def batches(records: Iterable[UsageRecord], most: int) -> Iterator[list[UsageRecord]]:
    """The records in lists of at most so many."""
    each = iter(records)
    while some := list(islice(each, most)):
        yield some
