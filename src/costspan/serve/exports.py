"""All records that were chosen, as a file: written as it is sent, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from costspan.report import record_rows
from costspan.report.plain import members
from costspan.report.values import UsageRecord
from costspan.serve.asked import Asked
from costspan.serve.parameters import Parameter, one_of
from costspan.serve.problems import RequestError

CSV: Final = "text/csv; charset=utf-8"
LINES: Final = "application/jsonl"
PARQUET: Final = "application/vnd.apache.parquet"
_ROWS_A_GROUP: Final = 50_000
_DIGITS: Final = (28, 9)


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


def _encoded(
    made: Callable[[Iterable[UsageRecord]], Iterable[str]],
) -> Callable[[Iterable[UsageRecord]], Iterator[bytes]]:
    return lambda records: (piece.encode("utf-8", "replace") for piece in made(records))


def _parquet(records: Iterable[UsageRecord]) -> Iterator[bytes]:
    """A file whose index stands at its end, so that what is written needs not be kept."""
    pa: Any = import_module("pyarrow")
    hints = {name: members(UsageRecord).get(name, int | None) for name in record_rows.columns()}
    schema = pa.schema([(name, _arrow_type(pa, hint)) for name, hint in hints.items()])
    sink = _Sink()
    with import_module("pyarrow.parquet").ParquetWriter(pa.PythonFile(sink, mode="w"), schema) as writer:
        for some in record_rows.batches(records, _ROWS_A_GROUP):
            columns = zip(*map(record_rows.cells, some), strict=True)
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


_FORMS: Final[dict[str, tuple[Callable[[Iterable[UsageRecord]], Iterator[bytes]], str, str]]] = {
    "csv": (_encoded(record_rows.as_csv), CSV, "csv"),
    "jsonl": (_encoded(record_rows.as_lines), LINES, "jsonl"),
    "parquet": (_parquet, PARQUET, "parquet"),
}
#: The parameter that says which.
FORM: Final = Parameter(
    "format", "The form of the file: csv, jsonl (a JSON object a line), or parquet.", one_of(_FORMS),
    {"type": "string", "enum": list(_FORMS)}, default="csv",
)  # fmt: skip
