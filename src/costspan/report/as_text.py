"""A report for people: a table, and sentences about what the figures leave out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Final

from costspan.report import usage
from costspan.report.amounts import decimals_for, number, percent, short_usd
from costspan.report.usage import Report, Row, Totals

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

NOT_SET: Final = "(not set)"
_LONGEST_NAME: Final = 48
_MODELS_NAMED: Final = 5
# What a file or another program gets: as wide as it comes.
_WIDTH_OF_A_FILE: Final = 250

_HEADINGS: Final = ("Requests", "Input", "Output", "Cached", "Reasoning", "Cost USD", "Share", "USD/request")
# Left out, one after the other, where the terminal is too narrow; --json and --csv have them all.
_OPTIONAL: Final = ("USD/request", "Reasoning", "Cached", "Share")


def console(file: IO[str] | None = None) -> Console:
    """Where reports are printed: standard output, or the file."""
    from rich.console import Console

    stream = file or sys.stdout
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="replace")  # the name of a session may have signs that the terminal lacks
    return Console(file=stream, width=None if stream.isatty() else _WIDTH_OF_A_FILE)


def show(report: Report, out: Console, *, top: int | None = None) -> None:
    """Print the report: a title, the table with its totals row, the notes."""
    out.print(_harmless(_title(report)), style="bold", markup=False, highlight=False)
    if report.state == usage.OK:
        print_table(report, out, top=top)
    for note in notes(report):
        line(out, note)


def line(out: Console, text: str) -> None:
    """Print the text as it is, on one line where the terminal is wide enough."""
    out.print(_harmless(text), markup=False, highlight=False, soft_wrap=True)


def _harmless(text: str) -> str:
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def print_table(report: Report, out: Console, *, top: int | None = None) -> None:
    """Print the rows of the report and their total; of more than `top` rows the rest is one row."""
    from rich.measure import Measurement

    headings = list(_HEADINGS)
    table = _table(report, headings, top)
    for optional in _OPTIONAL:
        if Measurement.get(out, out.options.update(max_width=1_000), table).maximum <= out.width:
            break
        headings.remove(optional)
        table = _table(report, headings, top)
    out.print(table)


def _table(report: Report, headings: Sequence[str], top: int | None) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False, collapse_padding=True)
    for number_, word in enumerate(report.question.groups or ("",)):
        heading = word.replace("_", " ").capitalize()
        table.add_column(heading, "Total" if number_ == 0 else "", no_wrap=True, overflow="ellipsis")
    total = _cells(report.total, report)
    for heading in headings:
        table.add_column(heading, total[heading], justify="right", no_wrap=True)
    for row in _rows(report, top) if report.question.groups else ():
        cells = _cells(row.totals, report)
        table.add_row(*[name(value) for value in row.key], *[cells[heading] for heading in headings])
    return table


def _rows(report: Report, top: int | None) -> list[Row]:
    if top is None or len(report.rows) <= top:
        return report.rows
    rest = Totals()
    for row in report.rows[top:]:
        rest = rest.plus(row.totals)
    others = (f"{len(report.rows) - top} more", *[""] * (len(report.question.groups) - 1))
    return [*report.rows[:top], Row(others, rest)]


def _cells(totals: Totals, report: Report) -> dict[str, str]:
    known = totals.has_price
    return {
        "Requests": f"{totals.requests:,}",
        "Input": f"{totals.input_tokens:,}",
        "Output": f"{totals.output_tokens:,}",
        "Cached": f"{totals.cache_read_tokens:,}",
        "Reasoning": f"{totals.reasoning_tokens:,}",
        "Cost USD": _cost(totals, decimals_for(report.total.nano_usd)) if known else "unpriced",
        "Share": percent(totals.nano_usd, report.total.nano_usd) if known else "",
        "USD/request": short_usd(totals.nano_usd // (totals.requests or 1), 6) if known else "",
    }


def _cost(totals: Totals, decimals: int) -> str:
    sign = ">= " if totals.is_lower_bound else ""
    return sign + short_usd(totals.nano_usd, decimals)


def name(value: str | None) -> str:
    """A name from the ledger as one harmless line of a terminal."""
    from rich.markup import escape

    if value is None:
        return NOT_SET
    text = _harmless(value)
    return escape(text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…")


def _title(report: Report) -> str:
    question = report.question
    by = f" by {', '.join(word.replace('_', ' ') for word in question.groups)}" if question.groups else ""
    where = "".join(f", {word}={value or NOT_SET}" for word, value in question.filters)
    when = "of all time" if question.period.text == "all" else question.period.text
    return f"Usage {when}{by}{where} ({question.zone})"


def notes(report: Report) -> Iterator[str]:
    """What the figures say of themselves, one sentence each."""
    total = report.total
    yield _average(report) if report.state == usage.OK else _state(report)
    if total.unpriced_requests:
        yield (
            f"A lower bound: without a price are {number(total.unpriced_requests, 'call')} with "
            f"{number(total.unpriced_tokens, 'token')} ({_unpriced(report)}). Give the model a price: docs/pricing.md."
        )
    if total.incomplete_nano_usd:
        yield (
            f"A lower bound: {_portion(total.incomplete_nano_usd, report)} is of calls with a unit that has no price."
        )
    if total.estimated_nano_usd:
        yield f"Estimated: {_portion(total.estimated_nano_usd, report)} is of streams that were cut short."
    if report.lost_records:
        yield (
            f"Missing: {number(report.lost_records, 'record')} of {short_usd(report.lost_nano_usd, 6)} USD that the "
            "ledger could not take. `costspan doctor` says why."
        )


def _state(report: Report) -> str:
    if report.state == usage.NOTHING:
        return f"Nothing in these filters and this period. The ledger {report.path} has records of other calls."
    if report.state == usage.NO_RECORDS:
        return f"No records yet: the ledger {report.path} is there, and no call has been booked in it."
    return f"No ledger yet at {report.path}. It begins with the first call of: costspan run python your_program.py"


def _average(report: Report) -> str:
    total, days = report.total, report.days
    requests = f"{total.requests / days:,.1f} requests"
    over = f"over {number(days, 'day')}"
    if not total.has_price:
        return f"On average {requests} a day, {over}."
    a_request = short_usd(total.nano_usd // total.requests, 6)
    a_day = short_usd(total.nano_usd // days, 4)
    sign = "at least " if total.is_lower_bound else ""
    return f"On average {sign}{a_request} USD a request; {requests} and {sign}{a_day} USD a day, {over}."


def _portion(nano_usd: int, report: Report) -> str:
    amount = short_usd(nano_usd, decimals_for(report.total.nano_usd))
    return f"{amount} USD ({percent(nano_usd, report.total.nano_usd)})"


def _unpriced(report: Report) -> str:
    named = [
        f"{unpriced.model or 'no model'} of {unpriced.provider}: {unpriced.reason.replace('_', ' ')}"
        for unpriced in report.unpriced[:_MODELS_NAMED]
    ]
    more = len(report.unpriced) - len(named)
    return "; ".join([*named, f"{more} more"] if more else named)
