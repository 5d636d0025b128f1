"""`costspan records`: single calls with their ids, the newest first."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import tzinfo
from itertools import islice
from pathlib import Path
from typing import Final

import click

from costspan.cli import options
from costspan.ledger.faults import LedgerError
from costspan.pricing import Prices
from costspan.report import Page, record_rows
from costspan.report.amounts import decimals_for, nano, short_usd
from costspan.report.as_text import of_ledger
from costspan.report.naming import NOT_SET, harmless
from costspan.report.of_ledger import OfLedger
from costspan.report.query import UsageQuery
from costspan.report.table import Column, Row, Table
from costspan.report.values import UsagePage, UsageRecord
from costspan.report.words import filters

_COLUMNS: Final = (
    Column("Call", is_left=True), Column("Began", is_left=True, leave_out=3), Column("Model", is_name=True),
    Column("Session", is_name=True, leave_out=2), Column("Ended", is_left=True, leave_out=5), Column("Input", leave_out=6),
    Column("Output", leave_out=7), Column("Cost USD"), Column("Quality", is_left=True, leave_out=4),
)  # fmt: skip
_SHOWN: Final = 20
_MOST_SHOWN: Final = 1_000


@click.command()
@options.where
@options.period
@options.since
@options.until
@options.time_zone
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help=f"How many, the newest first.  [default: {_SHOWN} in a table, all in JSON and CSV]",
)
@options.ledger
@click.option("--json", "is_json", is_flag=True, help="Answer in JSON, one object per call and line.")
@click.option("--csv", "is_csv", is_flag=True, help="Answer in CSV, one line per call.")
def records(
    where: tuple[str, ...], period: str | None, since: str | None, until: str | None, time_zone: tzinfo, top: int | None,
    ledger: Path | None, *, is_json: bool, is_csv: bool,
) -> None:  # fmt: skip
    """Single calls with their ids, the newest first, from the ledger.

    \b
    costspan records --where team=search --period today
    costspan records --where quality=unpriced --top 100
    costspan records --period last-month --csv > calls.csv

    `costspan explain CALL` says where the dollars of one came from.
    """  # noqa: D301 - \b is click's sign for "leave these lines as they are"
    if is_json and is_csv:
        raise click.UsageError("--json and --csv are two forms of one answer: expected one of them")
    path = options.ledger_path(ledger)
    try:
        asked = options.chosen_period(period, since, until, time_zone, time.time())
        chosen = filters(where)
    except ValueError as fault:
        raise click.UsageError(str(fault)) from fault
    options.read_ledger(path).close()
    query = UsageQuery(OfLedger(path, lambda: None, lambda: Prices.load(None)), chosen, time_zone)
    try:
        if is_json or is_csv:
            _write(islice(query.each(asked), top), is_csv=is_csv)
            _tell(query.notices(asked))
        else:
            found = query.records(asked, limit=min(top or _SHOWN, _MOST_SHOWN))
            where_said = "".join(f", {one.word}{one.sign}{one.value or NOT_SET}" for one in chosen)
            when = "all time" if asked.text == "all" else asked.text
            title = f"Calls{where_said}: {when}, the newest first, {time_zone}"
            _show(found, title, path, time_zone)
    except LedgerError as fault:
        raise click.ClickException(str(fault)) from fault


def _write(found: Iterable[UsageRecord], *, is_csv: bool) -> None:
    pieces = record_rows.as_csv(found, is_terminal=sys.stdout.isatty()) if is_csv else record_rows.as_lines(found)
    for piece in pieces:
        click.echo(piece.encode("utf-8", "replace"), nl=False)


def _tell(notices: Iterable[str]) -> None:
    for said in notices:
        click.echo(said, err=True)


def _show(found: UsagePage, title: str, path: Path, zone: tzinfo) -> None:
    page = Page()
    page.title(title)
    if found.records:
        decimals = decimals_for(max(nano(one.cost_usd) if one.cost_usd else 0 for one in found))
        page.table(Table(_COLUMNS, lambda: (_row(one, decimals, zone) for one in found)))
        page.sentence(f"Where the dollars of one came from: `costspan explain CALL{of_ledger(str(path))}`.")
    else:
        page.sentence(f"No call in these filters and this period in the ledger {path}.")
    if found.next:
        page.sentence("There are older ones: --top shows more, --csv and --json have all.")
    for said in found.notices:
        page.sentence(said)


def _row(one: UsageRecord, decimals: int, zone: tzinfo) -> Row:
    began = "" if one.started_at is None else f"{one.started_at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    cost = (
        "unpriced" if one.unpriced_reason else "" if one.cost_usd is None else short_usd(nano(one.cost_usd), decimals)
    )
    return (
        harmless(one.id), began, one.request_model or one.response_model, one.session, harmless(one.outcome or ""),
        f"{one.units.get('input', 0):,}", f"{one.units.get('output', 0):,}", cost, one.quality or "",
    )  # fmt: skip
