"""`costspan demo`: an agent with real clients, a stand-in for the providers, and the report of what it cost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from costspan.cli import options, shipped
from costspan.cli.run import added_variables
from costspan.ledger.place import NoHome, data_directory
from costspan.ledger.store import Store
from costspan.report import Page, summary

CLIENTS: Final = ("openai", "anthropic")


@click.command()
@click.option("--ledger", type=click.Path(path_type=Path), help="Book into this ledger instead of a new demo.db.")
@click.option(
    "--send", is_flag=True, help="Send telemetry as your environment says; by default the demo sends nothing."
)
def demo(ledger: Path | None, *, send: bool) -> None:
    """Run an example agent, and report what it would have cost.

    No key, no network, no cost: the agent calls the real openai and anthropic clients, and a stand-in for both providers answers on this machine.
    """
    _require_clients()
    example = shipped.root() / "examples" / "agent"
    path = ledger or _fresh_ledger()
    given = dict(os.environ) if send else {name: v for name, v in os.environ.items() if not name.startswith("OTEL_")}
    with _stand_in(example) as address:
        click.echo(f"A stand-in for the providers answers at {address}: no key, no network, no cost.\n")
        click.echo(f"$ costspan run python {_short(example / 'agent.py')}")
        _run_agent(example, environment(given, path, address))
        served = _served(address)
    click.echo("\nNo call in there knows of costspan. This is what it booked:\n")
    _report(path, served)


def environment(given: Mapping[str, str], ledger: Path, address: str) -> dict[str, str]:
    """What the agent is started with: the defaults of `costspan run`, the demo's ledger, the stand-in's address."""
    host = urlsplit(address).hostname
    stand_in = {"STAND_IN_URL": address, "OTEL_COSTSPAN_HOSTS": f"{host}=vendor"}  # it answers as both vendors
    names = {"OTEL_COSTSPAN_LEDGER": str(ledger), **stand_in}
    return {"OTEL_SERVICE_NAME": "costspan-demo", **given, **added_variables(given), **names}


def _require_clients() -> None:
    missing = [name for name in CLIENTS if find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"the demo runs the real client libraries, and {' and '.join(missing)} cannot be imported by "
            f"{sys.executable}: {sys.executable} -m pip install {' '.join(missing)}"
        )


def _fresh_ledger() -> Path:
    """A ledger of the demo's own, beside the user's: what an earlier demo left there goes."""
    try:
        path = data_directory(os.environ) / "demo.db"
    except NoHome as fault:
        raise click.ClickException(str(fault)) from fault
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return path


@contextlib.contextmanager
def _stand_in(example: Path) -> Generator[str]:
    """Serve until the block ends; the stand-in ends by itself when this process does."""
    command = [sys.executable, "-m", "stand_in"]
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(  # noqa: S603  (a program of our own)
        command, cwd=example, env=plain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin and server.stdout  # noqa: S101, PT018  (both are pipes)
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()


def _run_agent(example: Path, environ: Mapping[str, str]) -> None:
    line = [sys.executable, str(example / "agent.py")]
    code = subprocess.run(line, env=environ, check=False).returncode  # noqa: S603  (a program of our own)
    if code:
        raise click.ClickException(f"the agent ended with exit code {code}; its words stand above")


def _served(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}/served") as answer:  # noqa: S310  (loopback)
        return json.load(answer)


def _report(path: Path, served: dict[str, Any]) -> None:
    with options.read_ledger(path) as store:
        click.echo(_comparison(store, served) + "\n")
        summary(store, Page(), time.time(), next_steps=_next_steps(path))


def _next_steps(path: Path) -> list[str]:
    us, where = _us(), f"--ledger {_short(path)}"
    steps = (
        (f"{us} usage {where} --by session", "the most expensive sessions"),
        (f"{us} explain {where} --last", "one price, step by step"),
        (f"{us} run {_python(us)} your_agent.py", "the same for a program of yours"),
        (f"{us} usage", "and what that cost"),
    )
    width = max(len(command) for command, _ in steps)
    return [f"{command:{width}}  {what}" for command, what in steps]


def _python(us: str) -> str:
    """The Python that costspan can watch: `python` where an environment is active, else this one by its path."""
    return "python" if "/" not in us else _short(Path(sys.executable))


def _us() -> str:
    """How this command is called from here: by its name where the PATH leads to it."""
    ours = Path(sys.argv[0]).absolute()
    found = shutil.which(ours.name)
    return ours.name if found and Path(found).absolute() == ours else _short(ours)


def _comparison(store: Store, served: dict[str, Any]) -> str:
    """The stand-in's own books beside the ledger, stream by stream where one was cut short."""
    cut = [str(row[0]) for row in store.select("SELECT response_id FROM calls WHERE is_complete = 0")]
    heard = store.select(
        "SELECT COUNT(*), SUM(input_tokens), SUM(output_tokens) FROM calls WHERE is_complete = 1 AND outcome = 'ok'"
    )[0]
    whole = [entry for entry in served["requests"] if entry["status"] == 200 and entry["id"] not in cut]  # noqa: PLR2004
    told = (len(whole), sum(entry["input"] for entry in whole), sum(entry["output"] for entry in whole))
    verdict = (
        "the same" if heard == told else f"{heard[0]:,} answers, {heard[1]:,} input and {heard[2]:,} output tokens"
    )
    rest = f" ({len(cut)} more cut short: estimated)" if cut else ""
    return (
        f"The stand-in counted for itself: {told[0]:,} whole answers, {told[1]:,} input and {told[2]:,} output "
        f"tokens. The ledger has {verdict}{rest}."
    )


def _short(path: Path) -> str:
    """A path as people write it: from here, from home, or whole."""
    for start, sign in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(start):
            return f"{sign}{path.relative_to(start)}"
    return str(path)
