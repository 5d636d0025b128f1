"""`costspan ledger`: the upkeep of the ledger's file."""

from __future__ import annotations

import re
import sys
import time
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from typing import Final

import click

from costspan.cli import moving, options
from costspan.facts.counting import number
from costspan.facts.periods import NS_PER_S
from costspan.ledger import compacting, intake, rolled
from costspan.ledger.backup import back_up
from costspan.ledger.checking import Difference, differences
from costspan.ledger.checking import rebuild as rebuild_sums
from costspan.ledger.faults import LedgerError
from costspan.ledger.inspection import examine
from costspan.ledger.store import Store
from costspan.report.amounts import usd
from costspan.report.period import EXPECTED, parse

_SHOWN: Final = 10
#: Budgets and alerts read single calls of the last 31 days.
_LEAST_DAYS: Final = 32


@click.group()
def ledger() -> None:
    """The upkeep of the ledger's file."""


@ledger.command()
@options.ledger
@click.option("--rebuild", is_flag=True, help="Make the sums anew from the records; programs may write meanwhile.")
def check(ledger: Path | None, *, rebuild: bool) -> None:
    """Whether the file is sound, and its sums are right.

    Also says what waits beside it. Reads the whole ledger.
    """
    path = options.ledger_path(ledger)
    intake.take_in_all(path)
    found = examine(path)
    if not found.is_there:
        raise click.ClickException(f"no ledger yet at {path}")
    if found.fault:
        raise click.ClickException(found.fault)
    click.echo(f"{path} is sound: {number(found.records, 'record')}, {found.size_bytes / 1e6:,.1f} MB")
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
            f"{number(len(wrong), 'sum')} {'is not that' if len(wrong) == 1 else 'are not those'} of the records: `costspan ledger check --rebuild` makes them anew",
            err=True,
        )
        sys.exit(1)
    click.echo(
        f"its sums are those of its records; {number(beyond, 'record')} {'is' if beyond == 1 else 'are'} in no sum yet"
    )


def _sentence(found: Difference) -> str:
    begins = datetime.fromtimestamp(found.start_ns // 10**9, timezone.utc).isoformat(timespec="minutes")
    return (
        f"from {begins}: {number(found.calls, 'call')} of {usd(found.nano_usd)} USD by the records,"
        f" {found.calls_by_sums:,} of {usd(found.nano_usd_by_sums)} USD by the sums"
    )


@ledger.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@options.ledger
def backup(file: Path, ledger: Path | None) -> None:
    """Copy the ledger to FILE, while programs write to it.

    The copy is the ledger at one moment.
    """
    try:
        records = back_up(options.ledger_path(ledger), file)
    except LedgerError as fault:
        raise click.ClickException(str(fault)) from fault
    click.echo(f"{file}: {number(records, 'record')}")


@ledger.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--period", metavar="PERIOD", default="all", show_default=True, help=f"Calls of: {EXPECTED}.")
@options.time_zone
@options.ledger
def export_(file: Path, ledger: Path | None, *, period: str, time_zone: tzinfo) -> None:
    """Write the calls to FILE as usage events in OTLP JSON.

    One event a line; to standard output for `-`. `costspan ledger import` and an OpenTelemetry Collector read it. Programs may write to the ledger meanwhile.
    """
    try:
        chosen = parse(period, time_zone, time.time())
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint="--period") from fault
    said = moving.Said(f"{file}")
    try:
        with intake.read(options.ledger_path(ledger)) as store:
            options.say_what_is_gone(store, chosen.start_ns)
            written = moving.export(store, file, chosen, said.refuse)
    except LedgerError as fault:
        raise click.ClickException(str(fault)) from fault
    if not said.end(f"{file}: {number(written, 'record')}", is_on_stderr=file == moving.STREAM):
        sys.exit(1)


@ledger.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@options.time_zone
@options.ledger
def import_(files: tuple[Path, ...], ledger: Path | None, *, time_zone: tzinfo) -> None:
    """Book what is in FILES, each record once.

    What is in the ledger already, by its id, stays as it is. A file is another ledger, or usage events as OTLP JSON, a message a line, also packed by gzip: what `costspan ledger export` and the file
    exporter of a Collector write. `-` is standard input. Amounts are those of the files. Exit code 1 if a record was refused.

    \b
    costspan ledger import ~/old-machine/ledger.db
    costspan ledger import collector-*.jsonl.gz
    """  # noqa: D301 - \b is click's sign for "leave these lines as they are"
    path = options.ledger_path(ledger)
    is_whole = True
    for file in files:
        said = moving.Said(f"{file}")
        try:
            found = moving.import_(file, path, time_zone, said.refuse)
        except (LedgerError, OSError) as fault:
            raise click.ClickException(str(fault)) from fault
        is_whole &= said.end(moving.sentence(file, found))
    if not is_whole:
        sys.exit(1)


def _days(ctx: click.Context, param: click.Parameter, said: str | None) -> int | None:
    if said is None:
        return None
    found = re.fullmatch(r"(\d{1,5})d", said.strip())
    if not found or int(found[1]) < _LEAST_DAYS:
        raise click.BadParameter(
            f"{said!r}: expected a number of days from {_LEAST_DAYS}d on, such as 400d", ctx, param
        )
    return int(found[1])


@ledger.command()
@click.option(
    "--older-than", "days", callback=_days, metavar="DAYS",
    help=f"Keep of records that are older, such as 400d, only the sums of their days; at least {_LEAST_DAYS}d.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say how many records and bytes it would be, and change nothing.")
@click.option(
    "--vacuum", is_flag=True, help="Write the whole file anew to make it smaller; programs cannot write meanwhile."
)
@options.ledger
def compact(ledger: Path | None, days: int | None, *, dry_run: bool, vacuum: bool) -> None:
    """Make the ledger smaller: old records become sums of days.

    \b
    costspan ledger compact --older-than 400d --dry-run
    costspan ledger compact --older-than 400d

    Cost, tokens and requests stay the same, by every word but session and hour, for days of UTC. Single calls and
    sessions are gone, and their costs cannot be explained: `costspan ledger backup` or `export` first keeps them. Programs
    may write meanwhile. Without --older-than no record is touched.
    """  # noqa: D301 - \b is click's sign for "leave these lines as they are"
    path = options.ledger_path(ledger)
    try:
        if days is not None:
            _roll_up(path, days, is_dry=dry_run)
        if dry_run:
            with intake.read(path) as store:
                click.echo(
                    f"{store.free_bytes / 1e6:,.1f} MB of the file are free for new records now; nothing was changed"
                )
            return
        with intake.read(path):  # no ledger is begun here
            pass
        given, free = compacting.give_back(path, at_once=vacuum)
    except LedgerError as fault:
        raise click.ClickException(str(fault)) from fault
    click.echo(f"{path} is {given / 1e6:,.1f} MB smaller")
    if free:
        click.echo(
            f"{free / 1e6:,.1f} MB are free in it for new records. It was begun by an older version: `costspan ledger compact --vacuum` "
            "makes the file smaller once, and programs wait meanwhile"
        )


def _roll_up(path: Path, days: int, *, is_dry: bool) -> None:
    before_ns = (time.time_ns() // compacting.DAY_NS - days) * compacting.DAY_NS
    before = datetime.fromtimestamp(before_ns // NS_PER_S, timezone.utc).date()
    with intake.read(path) as store:
        found = compacting.old(store, before_ns)
    of = f"of {number(found.days, 'day')} before {before}, {usd(found.nano_usd)} USD"
    if is_dry:
        click.echo(
            f"{number(found.records, 'record')} {of}, would become sums of days: about {found.about_bytes / 1e6:,.1f} MB"
        )
        return
    count = compacting.roll_up(path, before_ns)
    click.echo(f"{number(count, 'record')} {of}, became sums of days")
    with Store.read(path) as store:
        for said in rolled.notices(store, None):
            click.echo(said)
