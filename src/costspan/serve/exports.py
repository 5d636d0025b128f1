"""All records that were chosen, as a file: written as it is sent, in constant memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from costspan.facts.usage import CACHE_READ, CACHE_WRITE, INPUT, OUTPUT, REASONING
from costspan.report.as_data import no_formula
from costspan.report.values import UsageRecord
from costspan.serve import shapes
from costspan.serve.asked import Asked
from costspan.serve.parameters import Parameter, one_of
from costspan.serve.problems import RequestError

CSV: Final = "text/csv; charset=utf-8"
LINES: Final = "application/jsonl"
PARQUET: Final = "application/vnd.apache.parquet"
#: The counts that have a column of their own; `units` has all of them.
_COUNTS: Final = {f"{unit}_tokens": unit for unit in (INPUT, OUTPUT, CACHE_READ, CACHE_WRITE, REASONING)}
_ROWS_AT_ONCE: Final = 500
_ROWS_A_GROUP: Final = 50_000
_DIGITS: Final = (28, 9)


def _columns() -> tuple[str, ...]:
    return (*(name for name in shapes.members(UsageRecord) if name != "units"), *_COUNTS, "units")


def export(asked: Asked) -> Response:
    """`GET /v1/export`."""
    made, media, ending = _FORMS[asked.values["format"]]
    if media == PARQUET and find_spec("pyarrow") is None:
        expected = "csv or jsonl, or a server with the extra: pip install 'costspan[parquet]'"
        raise RequestError(
            501, f"Parquet is not to be had here: expected {expected}", field="format", expected=expected
        )
    period = asked.period()
    told = headers(f"usage.{ending}", asked.query.notices(period))
    return StreamingResponse(made(asked.query.each(period)), media_type=media, headers=told)


def headers(name: str, notices: Iterable[str]) -> dict[str, str]:
    """The headers of a file of this name; what is not known of its period stands in `Costspan-Notice`."""
    said = " ".join(notices)
    return {"Content-Disposition": f'attachment; filename="{name}"', **({"Costspan-Notice": said} if said else {})}


def _cells(one: UsageRecord) -> list[Any]:
    """The values of a line."""
    told = [getattr(one, name) for name in shapes.members(UsageRecord) if name != "units"]
    return [*told, *(one.units.get(unit) for unit in _COUNTS.values()), json.dumps(dict(one.units))]


def _csv(records: Iterable[UsageRecord]) -> Iterator[bytes]:
    page = io.StringIO()
    # Each text in quotes: readers take a lone carriage return for an end of a line.
    writer = csv.writer(page, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(_columns())
    for some in _batches(records, _ROWS_AT_ONCE):
        writer.writerows([_cell(each) for each in _cells(one)] for one in some)
        yield page.getvalue().encode("utf-8", "replace")
        page.seek(0)
        page.truncate()
    yield page.getvalue().encode()


def _cell(value: Any) -> Any:
    told = shapes.plain(value)
    return no_formula(told) if isinstance(told, str) else told


def _lines(records: Iterable[UsageRecord]) -> Iterator[bytes]:
    for some in _batches(records, _ROWS_AT_ONCE):
        yield "".join(json.dumps(shapes.plain(one)) + "\n" for one in some).encode()


def _parquet(records: Iterable[UsageRecord]) -> Iterator[bytes]:
    """A file whose index stands at its end, so that what is written needs not be kept."""
    pa: Any = import_module("pyarrow")
    hints = {name: shapes.members(UsageRecord).get(name, int | None) for name in _columns()}
    schema = pa.schema([(name, _arrow_type(pa, hint)) for name, hint in hints.items()])
    sink = _Sink()
    with import_module("pyarrow.parquet").ParquetWriter(pa.PythonFile(sink, mode="w"), schema) as writer:
        for some in _batches(records, _ROWS_A_GROUP):
            columns = zip(*map(_cells, some), strict=True)
            arrays = [pa.array(column, each.type) for column, each in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            yield sink.taken()
    yield sink.taken()


class _Sink:
    """Takes what is written, and gives it away."""

    closed = False

    def __init__(self) -> None:
        self._kept = bytearray()
        self._place = 0

    def write(self, content: Any) -> int:
        """Keep the content until it is taken."""
        self._place += len(content)
        self._kept += content
        return len(content)

    def tell(self) -> int:
        """How much was written in all."""
        return self._place

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What was not taken yet stays to be taken."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        content = bytes(self._kept)
        self._kept.clear()
        return content


def _arrow_type(pa: Any, hint: Any) -> Any:
    """By the name of a type, as hints have it; the counts of `units` are JSON text."""
    return next((make(pa) for name, make in _ARROW.items() if name in str(hint)), pa.string())


_ARROW: Final[dict[str, Callable[[Any], Any]]] = {
    "Mapping": lambda pa: pa.string(),
    "datetime": lambda pa: pa.timestamp("us", tz="UTC"),
    "Decimal": lambda pa: pa.decimal128(*_DIGITS),
    "bool": lambda pa: pa.bool_(),
    "float": lambda pa: pa.float64(),
    "int": lambda pa: pa.int64(),
}


def _batches(records: Iterable[UsageRecord], most: int) -> Iterator[list[UsageRecord]]:
    each = iter(records)
    while some := list(islice(each, most)):
        yield some


_FORMS: Final[dict[str, tuple[Callable[[Iterable[UsageRecord]], Iterator[bytes]], str, str]]] = {
    "csv": (_csv, CSV, "csv"),
    "jsonl": (_lines, LINES, "jsonl"),
    "parquet": (_parquet, PARQUET, "parquet"),
}
#: The parameter that says which.
FORM: Final = Parameter(
    "format", "The form of the file: csv, jsonl (a JSON object a line), or parquet.", one_of(_FORMS),
    {"type": "string", "enum": list(_FORMS)}, default="csv",
)  # fmt: skip
