"""`costspan explain`: where the dollars of one call came from."""

from __future__ import annotations

import json
import os
import time
from datetime import tzinfo
from pathlib import Path
from typing import Any

import click

from costspan.cli import options
from costspan.facts.money import UNKNOWN_SELLER
from costspan.ledger import rolled
from costspan.ledger.faults import LedgerError
from costspan.report import Page, bill, explained, record
from costspan.report.priced_now import Now
from costspan.report.record import Again, Record, price_again
from costspan.settings import Settings


@click.command()
@click.argument("call_id", required=False)
@click.option("--last", "is_last", is_flag=True, help="The newest call instead of one by its id.")
@options.ledger
@options.prices
@options.time_zone
@options.as_json
def explain(
    call_id: str | None,
    ledger: Path | None,
    overrides: Path | None,
    time_zone: tzinfo,
    *,
    is_last: bool,
    is_json: bool,
) -> None:
    """Where the dollars of one call came from, step by step.

    CALL_ID is the id of a call (`llm.usage.id` on its usage event) or the beginning of it, the provider's id of the
    answer, or a trace id; `costspan records` lists them. History is not priced again: if today's prices come to another amount, both are shown.
    """
    if (call_id is None) != is_last:
        raise click.UsageError("expected either a CALL_ID, which `costspan records` lists, or --last")
    records = _records(options.ledger_path(ledger), call_id)
    prices = options.load_prices(overrides)
    now = Now(prices, Settings.read(os.environ).hosts, time.time())
    priced = [(one, price_again({**one, "provider": _seller(one, now)}, prices)) for one in records]
    if is_json:
        click.echo(json.dumps([_object(one, again) for one, again in priced], indent=2))
        return
    page = Page()
    for one, again in priced:
        for line in explained.lines(one, time_zone):
            page.sentence(line)
        if again.explanation.steps:
            page.table(bill.table(again.explanation))
        for line in explained.verdict(one, again, prices):
            page.sentence(line)


def _records(path: Path, call_id: str | None) -> list[Record]:
    with options.read_ledger(path) as store:
        try:
            found = record.last(store) if call_id is None else record.find(store, call_id)
            gone = rolled.notices(store, None)
        except LedgerError as fault:
            raise click.ClickException(str(fault)) from fault
    if not found:
        sought = "call with usage" if call_id is None else f"call, answer or trace {call_id!r}"
        raise click.ClickException(". ".join((f"the ledger {path} has no {sought}", *gone)))
    return found


def _seller(one: Record, now: Now) -> str:
    """Whose prices count: as it was booked, or, where nobody had said, as the settings of now say of the host."""
    detail = one["unpriced_detail"] if one["unpriced_reason"] == UNKNOWN_SELLER else None
    return now.seller(one["provider"], one["host"], detail, one["request_model"] or one["response_model"])


def _object(one: Record, again: Again) -> dict[str, Any]:
    return {
        "call": {**one, "units": _parsed(one["units"]), "parts": _parsed(one["parts"])},
        "by_the_prices_in_force": bill.as_object(again.explanation),
        "is_same": again.is_same,
    }


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)
