"""Options that several commands share."""

from __future__ import annotations

import os
import time
from datetime import tzinfo
from pathlib import Path
from typing import Final

import click

from costspan.facts.periods import zone
from costspan.ledger import rolled
from costspan.ledger.faults import LedgerError, NoLedger
from costspan.ledger.intake import read
from costspan.ledger.place import NoHome, default_path
from costspan.ledger.store import Store
from costspan.pricing import Prices
from costspan.pricing.overrides import OverrideError
from costspan.report import notices
from costspan.report.period import EXPECTED, EXPECTED_MOMENT, Period, between, moment_s, parse
from costspan.settings import OTEL_COSTSPAN_LEDGER, OTEL_COSTSPAN_PRICES, OTEL_COSTSPAN_TIME_ZONE


def _zone(ctx: click.Context, param: click.Parameter, value: str) -> tzinfo:
    try:
        return zone(value)
    except ValueError as fault:
        raise click.BadParameter(str(fault), ctx, param) from fault


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return moment_s(value)
    except ValueError as fault:
        raise click.BadParameter(str(fault), ctx, param) from fault


ledger: Final = click.option(
    "--ledger",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The ledger's file.  [default: the one that {OTEL_COSTSPAN_LEDGER} names, else your own]",
)
time_zone: Final = click.option(
    "--time-zone",
    callback=_zone,
    metavar="ZONE",
    envvar=OTEL_COSTSPAN_TIME_ZONE,
    default="UTC",
    show_default=True,
    help=f"The time zone in which days and months begin; {OTEL_COSTSPAN_TIME_ZONE} sets it too.",
)
where: Final = click.option(
    "--where",
    multiple=True,
    metavar="WORD=VALUE",
    help="Only these calls; != for all others. Upper and lower case are one, a * stands for anything, no value for `not "
    "set`; == and !== take every sign as it is. Of one word, either value.",
)
period: Final = click.option("--period", metavar="PERIOD", help=f"When: {EXPECTED}.  [default: all]")
since: Final = click.option("--since", metavar="TIME", help=f"From the beginning of {EXPECTED_MOMENT}.")
until: Final = click.option("--until", metavar="TIME", help="To the end of such a time, a day included.")
as_json: Final = click.option("--json", "is_json", is_flag=True, help="Answer in JSON.")
prices: Final = click.option(
    "--prices",
    "overrides",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar=OTEL_COSTSPAN_PRICES,
    help=f"Your own prices, a YAML file; {OTEL_COSTSPAN_PRICES} sets it too.",
)

at: Final = click.option(
    "--at",
    "at_s",
    callback=_moment,
    metavar="TIME",
    help="The moment of the call, UTC unless it names an offset.  [default: now]",
)


def chosen_period(said: str | None, begin: str | None, end: str | None, place: tzinfo, now_s: float) -> Period:
    """What --period says, or --since and --until. Raises ValueError with what was expected."""
    if begin is None and end is None:
        return parse("all" if said is None else said, place, now_s)
    if said is not None:
        raise ValueError("--period says both ends: expected either --period, or --since and --until")
    return between(begin, end, place, now_s)


def ledger_path(chosen: Path | None) -> Path:
    """The ledger that was asked for, or the one that programs on this machine write. Ends the command without any."""
    try:
        return chosen or default_path(os.environ)
    except NoHome as fault:
        raise click.ClickException(f"{fault}, or name a file with --ledger") from fault


def read_ledger(path: Path) -> Store:
    """The ledger, to be read. Ends the command with a sentence where that is not possible."""
    try:
        return read(path)
    except NoLedger as fault:
        said = notices.of(os.environ, time.time(), last_ns=None, ledger=path)
        raise click.ClickException("\n".join([str(fault), *said])) from fault
    except LedgerError as fault:
        raise click.ClickException(str(fault)) from fault


def say_what_is_gone(store: Store, start_ns: int | None) -> None:
    """Say on standard error where a question about single calls reaches back to days of which only sums are kept."""
    for said in rolled.notices(store, start_ns):
        click.echo(said, err=True)


def load_prices(overrides: Path | None) -> Prices:
    """The prices in force. Ends the command with every mistake in the user's own."""
    try:
        return Prices.load(overrides.expanduser() if overrides else None)
    except OverrideError as fault:
        raise click.ClickException(str(fault)) from fault
