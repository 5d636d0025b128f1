"""`costspan serve`: an HTTP API and a page over the ledger."""

from __future__ import annotations

from datetime import tzinfo
from pathlib import Path

import click

from costspan.budgets.policy import PolicyError
from costspan.budgets.reading import load
from costspan.cli import options

_MOST_PORT = 65_535


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen: an address of this machine.")
@click.option("--port", type=click.IntRange(0, _MOST_PORT), default=8321, show_default=True, help="0 takes a free one.")
@click.option("--open", "is_to_open", is_flag=True, help="Open the page in a browser.")
@options.ledger
@options.time_zone
@options.prices
@click.option(
    "--budgets", type=click.Path(path_type=Path, dir_okay=False), help="A budgets.yaml: how its budgets stand."
)
def serve(
    host: str,
    port: int,
    ledger: Path | None,
    time_zone: tzinfo,
    overrides: Path | None,
    budgets: Path | None,
    *,
    is_to_open: bool,
) -> None:
    """Answer over HTTP what was used and what it cost, until Ctrl+C.

    GET /openapi.json on it says what can be asked. It reads the ledger, and changes nothing.
    """
    try:
        from costspan.serve import app, listening
    except ModuleNotFoundError as missing:
        raise click.ClickException(
            f"serving needs the package {missing.name}: pip install 'costspan[serve]'"
        ) from missing
    if not listening.is_loopback(host):
        raise click.ClickException(
            f"--host {host} is reached from other machines: expected 127.0.0.1, ::1 or localhost"
        )
    path = options.ledger_path(ledger)
    options.load_prices(overrides)
    _check(budgets)
    built = app.build(path, time_zone=time_zone, overrides=overrides, budgets=budgets)
    try:
        sock = listening.bound(host, port)
    except OSError as fault:
        raise click.ClickException(str(fault)) from fault
    url = listening.address(sock, host, is_secure=False)

    def began() -> None:
        click.echo(f"The ledger {path} is served at {url} (Ctrl+C ends it)")
        if is_to_open:
            click.launch(url)

    with sock:
        listening.run(built, sock, began)


def _check(budgets: Path | None) -> None:
    """End the command with every mistake of a budgets.yaml."""
    try:
        if budgets is not None:
            load(budgets)
    except PolicyError as fault:
        raise click.ClickException(str(fault)) from fault
