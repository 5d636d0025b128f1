"""`costspan serve`: an HTTP API and a page over the ledger."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from costspan.budgets.policy import PolicyError
from costspan.budgets.reading import load
from costspan.cli import options

if TYPE_CHECKING:
    from costspan.serve.tokens import Tokens

#: One token that sees all, for a server with no file of tokens.
TOKEN: Final = "COSTSPAN_SERVE_TOKEN"  # noqa: S105 - the name of a variable
_MOST_PORT: Final = 65_535
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen: an address of this machine.")
@click.option("--port", type=click.IntRange(0, _MOST_PORT), default=8321, show_default=True, help="0 takes a free one.")
@click.option("--open", "is_to_open", is_flag=True, help="Open the page in a browser.")
@options.ledger
@options.time_zone
@options.prices
@click.option("--budgets", type=_FILE, help="A budgets.yaml: how its budgets stand.")
@click.option(
    "--tokens",
    "tokens_file",
    type=_FILE,
    help=f"Who may ask, and what each sees (`costspan docs serve`); {TOKEN} is one token that sees all.",
)
@click.option("--tls-cert", type=_FILE, help="The certificate, with those that lead to its root (PEM).")
@click.option("--tls-key", type=_FILE, help="Its key (PEM).")
@click.option("--plain-http", is_flag=True, help="No TLS, though others reach it: something before it has TLS.")
@click.option("--allow-host", "names", multiple=True, metavar="NAME", help="A name by which others call this server.")
@click.option(
    "--rate-limit",
    "per_s",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    metavar="N",
    help="Requests a second of one token; 0 for any number.",
)
@click.option(
    "--accept", "accepts", is_flag=True, help="Book usage that others send (OTLP at /v1/logs, and /v1/usage/records)."
)
def serve(ledger: Path | None, host: str, port: int, *, is_to_open: bool, plain_http: bool, **said: Any) -> None:
    """Answer over HTTP what was used and what it cost, until Ctrl+C.

    GET /openapi.json on it says what can be asked. It reads the ledger, and changes nothing without --accept. Others than this machine
    reach it with a token only.
    """
    try:
        from costspan.serve import app, listening
    except ModuleNotFoundError as missing:
        raise click.ClickException(
            f"serving needs the package {missing.name}: pip install 'costspan[serve]'"
        ) from missing
    certificate = _certificate(said["tls_cert"], said["tls_key"])
    tokens = _tokens(said["tokens_file"])
    is_for_others = not listening.is_loopback(host)
    if is_for_others:
        _refuse(host, has_tokens=tokens is not None, is_safe=certificate is not None or plain_http)
    path = options.ledger_path(ledger)
    options.load_prices(said["overrides"])
    _check(said["budgets"])
    built = app.build(
        path, time_zone=said["time_zone"], overrides=said["overrides"], budgets=said["budgets"], tokens=tokens,
        names={*said["names"], *({host, socket.gethostname()} if is_for_others else ())}, per_s=said["per_s"], accepts=said["accepts"],
        is_own=ledger is None,
    )  # fmt: skip
    try:
        listener = listening.bound(host, port)
    except OSError as fault:
        raise click.ClickException(str(fault)) from fault
    url = listening.address(listener, host, is_secure=certificate is not None)

    def began() -> None:
        click.echo(f"The ledger {path} is served at {url} (Ctrl+C ends it)")
        if is_to_open:
            click.launch(url)

    with listener:
        try:
            listening.run(built, listener, began, certificate)
        except OSError as fault:
            if certificate is None:
                raise
            raise click.ClickException(f"the certificate cannot be used: {fault}") from fault


def _refuse(host: str, *, has_tokens: bool, is_safe: bool) -> None:
    """End the command where strangers would be let in."""
    if not has_tokens:
        raise click.ClickException(
            f"--host {host} is reached from other machines: expected --tokens FILE or {TOKEN}, or 127.0.0.1 to be reached from "
            "this one alone"
        )
    if not is_safe:
        raise click.ClickException(
            f"--host {host} is reached from other machines, and tokens would be sent for all to read: expected --tls-cert and "
            "--tls-key, or --plain-http where something before it has TLS"
        )


def _certificate(certificate: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise click.UsageError("--tls-cert and --tls-key belong together: expected both")
    return certificate, key


def _tokens(file: Path | None) -> Tokens | None:
    """Who may ask; None where nobody said. Ends the command with every mistake."""
    from costspan.serve import tokens

    one = os.environ.get(TOKEN, "").strip()
    try:
        found = {**(tokens.read(file) if file is not None else {}), **(tokens.of_one(one) if one else {})}
    except tokens.TokensError as fault:
        raise click.ClickException(str(fault)) from fault
    return tokens.Tokens(found) if found else None


def _check(budgets: Path | None) -> None:
    """End the command with every mistake of a budgets.yaml."""
    try:
        if budgets is not None:
            load(budgets)
    except PolicyError as fault:
        raise click.ClickException(str(fault)) from fault
