"""What `costspan estimate --accuracy` says: how far estimates were from what came, as a table or JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Final

import click

from costspan.facts import usage as units
from costspan.facts.counting import number
from costspan.forecast.accuracy import Accuracy, Compared
from costspan.forecast.noted import COST
from costspan.report import Page
from costspan.report.amounts import percent
from costspan.report.table import Column, Table

_COLUMNS: Final = (
    Column("Model", is_name=True), Column("Figure", is_left=True), Column("Calls"), Column("Median error"),
    Column("90 % within"), Column("Bounds"), Column("Bounds held"),
)  # fmt: skip
_FIGURES: Final = {units.INPUT: "input tokens", units.OUTPUT: "output tokens", COST: "USD"}


def show(found: Compared, *, is_json: bool) -> None:
    """Print it."""
    if is_json:
        click.echo(
            json.dumps({"accuracy": [each._asdict() for each in found.rows], "not_compared": found.left_out}, indent=2)
        )
        return
    page = Page()
    if found.rows:
        page.table(Table(_COLUMNS, lambda: map(_row, found.rows)))
        page.sentence("Errors are shares of what came; a bound is meant to hold for 95 of 100 calls.")
    else:
        page.sentence(
            "No call of this ledger carries an estimate that can be compared: make calls within"
            " `with costspan.estimate(...):` (`costspan docs estimates`)."
        )
    if found.left_out:
        page.sentence(f"Not compared: {number(found.left_out, 'call')} that failed, or whose stream was cut short.")


def _row(row: Accuracy) -> tuple[str, ...]:
    errors = ("" if error is None else f"{Decimal(error) * 100:.1f} %" for error in (row.median_error, row.p90_error))
    return (
        row.model, _FIGURES[row.figure], f"{row.calls:,}", *errors, f"{row.bounded:,}", percent(row.held, row.bounded),
    )  # fmt: skip
