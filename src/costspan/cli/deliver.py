"""`costspan deliver`: send what programs could not send before they ended."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

import click

from costspan.facts.counting import number
from costspan.ledger import outbox
from costspan.ledger.place import NoHome, outbox_of
from costspan.report.amounts import short_usd
from costspan.settings import Settings

#: How often a sidecar looks, in seconds.
_EVERY_S: Final = 15


@click.command()
@click.option(
    "--watch", is_flag=True, help="Go on, for a sidecar: look again every --every seconds until it is stopped."
)
@click.option("--every", type=click.IntRange(1, 86_400), default=_EVERY_S, metavar="SECONDS", show_default=True,
              help="How often --watch looks.")  # fmt: skip
@click.option("--outbox", "chosen", type=click.Path(path_type=Path, file_okay=False), metavar="DIRECTORY",
              help="Where the outboxes lie.  [default: OTEL_COSTSPAN_OUTBOX, else the user's data directory]")  # fmt: skip
def deliver(chosen: Path | None, every: int, *, watch: bool) -> None:
    """Send what programs of this user had not sent when they ended.

    Counters and usage events go to where each program sent, in its own name, so that what had arrived already is counted
    once. Headers and certificates are those of the environment (OTEL_EXPORTER_OTLP_...). The next program under costspan
    does the same; this is for when there is none. Exit code 1 if something still waits.
    """
    try:
        directory = chosen or outbox_of(Settings.read(os.environ).outbox, os.environ)
    except NoHome as reason:
        raise click.ClickException(str(reason)) from None
    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            click.echo(f"Looking at {directory} every {every} s for what waits to be delivered (Ctrl+C ends it)")
            while True:
                _deliver_once(directory, is_quiet=True)
                time.sleep(every)
    elif not _deliver_once(directory, is_quiet=False):
        raise click.exceptions.Exit(1)


def _deliver_once(directory: Path, *, is_quiet: bool) -> bool:
    """Deliver, say what was, and whether nothing waits any more."""
    from costspan.emit.deliverer import deliver_all

    for endpoint, done, objection in deliver_all(directory, os.environ):
        if objection:
            click.echo(f"Not delivered to {endpoint}: {objection}.", err=True)
        if done.processes:
            click.echo(
                f"Delivered {number(done.calls, 'call')} of {number(done.processes, 'program')}, "
                f"{short_usd(done.nano_usd, 6)} USD, to {endpoint}."
            )
        if done.refused:
            click.echo(
                f"Not delivered to {endpoint}: it did not take what {number(done.refused, 'program')} left.", err=True
            )
    left = list(outbox.waiting(directory))
    for each in left:
        if each.fault:
            click.echo(f"Not delivered: {each.path}: {each.fault}.", err=True)
    if left:
        click.echo(f"Still to be delivered: what {number(len(left), 'program')} of this user left.", err=True)
    elif not is_quiet:
        click.echo("Nothing waits to be delivered.")
    return not left
