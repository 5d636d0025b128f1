"""`costspan ledger`: the upkeep of the ledger's file."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import click

from costspan.cli import options
from costspan.facts.money import usd
from costspan.ledger import intake
from costspan.ledger.backup import back_up
from costspan.ledger.checking import Difference, differences
from costspan.ledger.checking import rebuild as rebuild_sums
from costspan.ledger.faults import LedgerError
from costspan.ledger.inspection import examine
from costspan.ledger.store import Store

_SHOWN: Final = 10


@click.group()
def ledger() -> None:
    """The upkeep of the ledger's file."""


@ledger.command()
@options.ledger
@click.option("--rebuild", is_flag=True, help="Make the sums anew from the records; programs may write meanwhile.")
def check(ledger: Path | None, *, rebuild: bool) -> None:
    """Whether the file is sound, what waits beside it, and whether its sums are those of its records.

    Reads the whole ledger.
    """
    path = options.ledger_path(ledger)
    intake.take_in_all(path)
    found = examine(path)
    if not found.is_there:
        raise click.ClickException(f"no ledger yet at {path}")
    if found.fault:
        raise click.ClickException(found.fault)
    click.echo(f"{path} is sound: {found.records:,} records, {found.size_bytes / 1e6:,.1f} MB")
    for waiting in found.waiting:
        click.echo(f"{waiting} waits beside it, and could not be booked now")
    try:
        if rebuild:
            rebuild_sums(path)
        with Store.read(path) as store:
            wrong, beyond = differences(store), store.beyond
    except LedgerError as fault:
        raise click.ClickException(str(fault)) from fault
    for one in wrong[:_SHOWN]:
        click.echo(_sentence(one), err=True)
    if wrong:
        click.echo(
            f"{len(wrong):,} sums are not those of the records: `costspan ledger check --rebuild` makes them anew",
            err=True,
        )
        sys.exit(1)
    click.echo(f"its sums are those of its records; {beyond:,} records are in no sum yet")


def _sentence(found: Difference) -> str:
    begins = datetime.fromtimestamp(found.start_ns // 10**9, timezone.utc).isoformat(timespec="minutes")
    return (
        f"from {begins}: {found.calls:,} calls of {usd(found.nano_usd)} USD by the records,"
        f" {found.calls_by_sums:,} of {usd(found.nano_usd_by_sums)} USD by the sums"
    )


@ledger.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@options.ledger
def backup(file: Path, ledger: Path | None) -> None:
    """Copy the ledger to FILE, while programs write to it: the copy is the ledger at one moment."""
    try:
        records = back_up(options.ledger_path(ledger), file)
    except LedgerError as fault:
        raise click.ClickException(str(fault)) from fault
    click.echo(f"{file}: {records:,} records")
