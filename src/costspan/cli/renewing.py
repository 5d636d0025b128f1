"""`costspan prices` alone, and `costspan prices update`: how old the table is, and another one that the user names."""

from __future__ import annotations

import contextlib
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import click

from costspan.alerting.compiled import draft
from costspan.cli import options
from costspan.facts.call import Answer
from costspan.facts.counting import number
from costspan.facts.money import Cost
from costspan.facts.usage import Usage
from costspan.ledger.faults import LedgerError, NoLedger
from costspan.ledger.intake import read
from costspan.pricing import Prices, renewed
from costspan.pricing.catalog import Catalog
from costspan.pricing.overrides import OverrideError, read_overrides
from costspan.report import Page, Question, ask
from costspan.report.amounts import short_usd
from costspan.report.table import Column, Table

#: The bundled table is some 400 kB.
_MOST_BYTES: Final = 32 * 1024 * 1024
_PATIENCE_S: Final = 30
_MILLION: Final = 1_000_000
_ENTRY: Final = re.compile(r"^table:.*\n(?:[ \t]+.*\n?)*", re.MULTILINE)
_LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}


class _Change(NamedTuple):
    provider: str
    model: str
    before: tuple[str, str]
    after: tuple[str, str]


def age(table: Prices, now_s: float) -> str:
    """How old the table in force is, and how it is renewed."""
    found = re.search(r"\d{4}-\d\d-\d\d", table.version)
    made = date.fromisoformat(found[0]) if found else date.min
    days = max((datetime.fromtimestamp(now_s, timezone.utc).date() - made).days, 0)
    by_source = Counter(each.origin.partition(",")[0] for each in table.models(now_s))
    counted = ", ".join(f"{count:,} by {source}" for source, count in by_source.most_common())
    return f"{table.version}: {number(by_source.total(), 'model')} ({counted}), {number(days, 'day')} old."


@click.command()
@click.argument("table")
@click.option("--sha256", required=True, help="The digest of the file: 64 hexadecimal digits. Another file is refused.")
@options.prices
@options.ledger
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
def update(table: str, sha256: str, overrides: Path | None, ledger: Path | None, *, dry_run: bool) -> None:
    """Use the table at TABLE instead of the bundled one.

    TABLE is a path or an https URL.
    The table is written beside your own prices (--prices, or OTEL_COSTSPAN_PRICES), which name it with its digest. Shows
    what changes for the models of your ledger. What is booked stays as it is. No program fetches a table by itself.
    """
    content = _fetched(table)
    try:
        newer = renewed.checked(content, sha256)
        in_force = options.load_prices(overrides if overrides and overrides.exists() else None)
        renewed.refuse_a_step_back(newer, _catalog(overrides))
    except renewed.TableError as fault:
        raise click.ClickException(f"{table} is not used: {fault}") from fault
    _print_changes(list(_changes(ledger, in_force, Prices(newer))), newer)
    if dry_run:
        return
    if overrides is None:
        raise click.ClickException(
            "nothing was written: name the file of your own prices with --prices, such as prices.yaml"
        )
    _choose(overrides.expanduser(), content, newer, sha256.lower())


def _fetched(source: str) -> bytes:
    address = urlsplit(source)
    try:
        if address.scheme == "https" or (address.scheme == "http" and address.hostname in _LOOPBACK):
            with urllib.request.urlopen(source, timeout=_PATIENCE_S) as answer:  # noqa: S310 - https, or this machine
                content = answer.read(_MOST_BYTES + 1)
        elif address.scheme:
            raise click.UsageError(f"TABLE {source!r}: expected a path or an https URL")
        else:
            with Path(source).expanduser().open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as fault:
        raise click.ClickException(f"{source} cannot be read: {fault}") from fault
    if len(content) > _MOST_BYTES:
        raise click.ClickException(f"{source} is larger than {_MOST_BYTES >> 20} MiB: that is no price table")
    return content


def _catalog(overrides: Path | None) -> Catalog:
    with contextlib.suppress(OverrideError):
        return (read_overrides(overrides).table if overrides else None) or Catalog.bundled()
    return Catalog.bundled()


def _changes(ledger: Path | None, before: Prices, after: Prices) -> Iterator[_Change]:
    """For each model in the ledger whose price differs: USD per million input and output tokens."""
    try:
        with read(options.ledger_path(ledger)) as store:
            found = [row.key for row in ask(store, Question(groups=("provider", "model")), time.time()).rows]
    except (NoLedger, LedgerError):
        return
    for provider, model in found:
        if provider and model:
            was, will = _rates(before, provider, model), _rates(after, provider, model)
            if was != will:
                yield _Change(provider, model, was, will)


def _rates(prices: Prices, provider: str, model: str) -> tuple[str, str]:
    def rate(unit: str) -> str:
        price = prices.price(provider, None, model, Answer(Usage({unit: _MILLION}), model), time.time())
        return short_usd(price.nano_usd, 6) if isinstance(price, Cost) else "unpriced"

    return rate("input"), rate("output")


def _print_changes(changes: Iterable[_Change], newer: Catalog) -> None:
    rows = [(each.provider, each.model, *each.before, *each.after) for each in changes]
    page = Page()
    if not rows:
        page.sentence(f"{newer.version} changes no price of a model in your ledger.")
        return
    columns = (
        Column("Provider", is_name=True), Column("Model", is_name=True), Column("Input now"), Column("Output now"),
        Column("Input then"), Column("Output then"),
    )  # fmt: skip
    page.table(Table(columns, lambda: rows))
    page.sentence(
        f"USD per million tokens, now and with {newer.version}, of the models in your ledger whose price changes."
    )


def _choose(path: Path, content: bytes, newer: Catalog, sha256: str) -> None:
    """The table first, then the file that names it: whoever reads between the two finds the old pair."""
    table = path.parent / f"price-table-{newer.date}-{sha256[:8]}.jsonl"
    entry = renewed.as_yaml(table.name, sha256)
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        rest = _ENTRY.sub("", text)
        _replace(table, content)
        _replace(path, (entry + rest).encode(), is_sound=read_overrides)
    except OverrideError as fault:
        raise click.ClickException(f"{path} stays as it is: {fault}") from fault
    except OSError as fault:
        raise click.ClickException(f"the table cannot be written: {fault}") from fault
    click.echo(f"Wrote {table}, and {path} names it. Programs use it when they start with OTEL_COSTSPAN_PRICES={path}.")


def _replace(path: Path, content: bytes, is_sound: Callable[[Path], object] | None = None) -> None:
    """Write a file in one step. `is_sound` is called with the new file before it takes the place of the old one."""
    new = draft(path, content)
    try:
        if is_sound is not None:
            is_sound(new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
