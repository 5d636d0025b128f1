"""`costspan budgets reservations`: what calls and programs hold of hard budgets on this machine, and letting go of it."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from costspan.budgets.counted import in_words, named
from costspan.budgets.opening import server_store, store_beside
from costspan.budgets.sqlite_store import SqliteStore
from costspan.budgets.store import StoreUnavailableError
from costspan.cli import options
from costspan.facts.periods import NS_PER_S
from costspan.report import Page
from costspan.report.table import Column, Table
from costspan.settings import OTEL_COSTSPAN_BUDGET_STORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from costspan.budgets.store import ReservationStore, Reserved

_PATIENCE_S: Final = 5.0
_COLUMNS: Final = (
    Column("Key", is_name=True), Column("Budget", is_left=True), Column("Held"), Column("Since", is_left=True, leave_out=1),
    Column("Process"), Column("For", is_left=True, leave_out=2),
)  # fmt: skip


@click.command()
@options.ledger
@options.as_json
@click.option("--clear", metavar="KEY", help="Let go of this reservation, whoever holds it.")
def reservations(ledger: Path | None, clear: str | None, *, is_json: bool) -> None:
    """What is reserved of hard budgets.

    Calls under way and `costspan.reserve` reserve an amount before it is spent. They do so on the server that OTEL_COSTSPAN_BUDGET_STORE names, by all machines; else on this one.
    """
    store = _store(ledger, os.environ.get(OTEL_COSTSPAN_BUDGET_STORE, "").strip())
    try:
        if clear is not None:
            _clear(store, clear)
        else:
            _show(store.reservations(), is_json=is_json)
    except StoreUnavailableError as fault:
        raise click.ClickException(str(fault)) from fault
    finally:
        store.close()


def _store(ledger: Path | None, url: str) -> ReservationStore:
    if url:
        return server_store(url, patience_s=_PATIENCE_S)
    path = store_beside(options.ledger_path(ledger))
    if not path.exists():
        raise click.ClickException(
            f"there is no {path}: no program with OTEL_COSTSPAN_BUDGETS has run beside this ledger"
        )
    return SqliteStore(path, patience_s=_PATIENCE_S)


def _clear(store: ReservationStore, key: str) -> None:
    if not store.clear(key):
        raise click.ClickException(f"there is no open reservation {key!r}: `costspan budgets reservations` lists them")
    click.echo(f"{key}: let go of. What its calls have cost stays spent.")


def _show(found: list[Reserved], *, is_json: bool) -> None:
    if is_json:
        click.echo(json.dumps([_data(each) for each in found], indent=2))
    elif not found:
        click.echo("nothing is reserved")
    else:
        page = Page()
        page.table(Table(_COLUMNS, lambda: (row for each in found for row in _rows(each))))


def _rows(found: Reserved) -> Iterator[tuple[str, ...]]:
    process = f"{found.pid} on {found.host}" if found.host else f"{found.pid}"
    process += "" if found.is_alive else " (ended)"
    for key, amount in found.holds.items() or [("", 0)]:
        what = named(key)
        budget = f"{what.budget} of {what.value}" if what.value else what.budget
        yield found.key, budget, in_words(amount, what.unit) if key else "", _since(found), process, found.label


def _since(found: Reserved) -> str:
    return f"{datetime.fromtimestamp(found.made_ns / NS_PER_S, timezone.utc):%Y-%m-%d %H:%M:%S}"


def _data(found: Reserved) -> dict[str, object]:
    return {
        "key": found.key, "transaction_id": found.transaction, "label": found.label, "since": _since(found),
        "pid": found.pid, **({"host": found.host} if found.host else {}), "is_alive": found.is_alive,
        "holds": [{**named(key)._asdict(), "amount": amount} for key, amount in found.holds.items()],
    }  # fmt: skip
