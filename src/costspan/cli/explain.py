"""`costspan explain`: where the dollars of one call came from."""

from __future__ import annotations

import json
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import click

from costspan.cli import options
from costspan.facts.attribution_words import WORDS
from costspan.facts.call import OK
from costspan.ledger.faults import LedgerError
from costspan.pricing import Prices
from costspan.report import Page, bill, record
from costspan.report.amounts import usd
from costspan.report.record import Again, Record, price_again


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
    answer, or a trace id. History is not priced again: if today's prices come to another amount, both are shown.
    """
    if (call_id is None) != is_last:
        raise click.UsageError("expected either a CALL_ID or --last")
    records = _records(options.ledger_path(ledger), call_id)
    prices = options.load_prices(overrides)
    explained = [(one, price_again(one, prices)) for one in records]
    if is_json:
        click.echo(json.dumps([_object(one, again) for one, again in explained], indent=2))
        return
    page = Page()
    for one, again in explained:
        for line in _lines(one, time_zone):
            page.sentence(line)
        if again.explanation.steps:
            page.table(bill.table(again.explanation))
        for line in _verdict(one, again, prices):
            page.sentence(line)


def _records(path: Path, call_id: str | None) -> list[Record]:
    with options.read_ledger(path) as store:
        try:
            found = record.last(store) if call_id is None else record.find(store, call_id)
        except LedgerError as fault:
            raise click.ClickException(str(fault)) from fault
    if not found:
        sought = "call with usage" if call_id is None else f"call, answer or trace {call_id!r}"
        raise click.ClickException(f"the ledger {path} has no {sought}")
    return found


def _object(one: Record, again: Again) -> dict[str, Any]:
    return {
        "call": {**one, "units": _parsed(one["units"]), "parts": _parsed(one["parts"])},
        "by_the_prices_in_force": bill.as_object(again.explanation),
        "is_same": again.is_same,
    }


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _lines(one: Record, zone: tzinfo) -> list[str]:
    started = datetime.fromtimestamp(one["started_ns"] // 10**9, zone)
    who = [f"{word.replace('_', ' ')} {one[word]}" for word in WORDS if one[word] is not None]
    how = [f"{word} {one[word]}" for word in ("tier", "geo", "speed", "processing") if one[word] is not None]
    how += ["streamed"] if one["is_stream"] else []
    host = f" at {one['host']}" if one["host"] else ""
    ended = [one["outcome"], one["error_type"], one["http_status"] and f"HTTP {one['http_status']}"]
    answered = one["response_model"] or "nobody"
    return [
        f"call      {one['id']}" + (f", answer {one['response_id']}" if one["response_id"] else ""),
        f"started   {started.isoformat(sep=' ')}, booked in {one['period']}",
        f"for       {', '.join(who) or 'nobody said whom'}",
        f"by        {one['provider']}{host}, {one['operation']}; asked {one['request_model']}, answered {answered}",
        f"how       {', '.join(how) or 'nothing said'}",
        f"ended     {', '.join(word for word in ended if word)} after {one['duration_s'] or 0:.2f} s",
        f"usage     {_usage(one)}",
        f"booked    {_booked(one)}",
    ]


def _usage(one: Record) -> str:
    if one["units"] is None:
        return "none reported"
    counts = ", ".join(f"{unit} {count:,}" for unit, count in json.loads(one["units"]).items())
    if one["unread"]:
        counts += f"; not understood: {one['unread'].replace(',', ', ')}"
    if one["is_complete"]:
        return counts
    why = "the stream reported no usage" if one["outcome"] == OK else "the stream was cut short"
    return f"{counts} ({why}: an estimate)"


def _booked(one: Record) -> str:
    if one["cost_nano_usd"] is not None:
        told = "reported by the provider" if one["cost_source"] == "provider" else "computed from the price table"
        return f"{usd(one['cost_nano_usd'])} USD, {one['quality']}, {told} ({one['price_version']})"
    if one["unpriced_reason"] is not None:
        return f"unpriced: {one['unpriced_detail'] or one['unpriced_reason']}"
    return "nothing: the call brought no answer to bill"


def _verdict(one: Record, again: Again, prices: Prices) -> list[str]:
    if one["units"] is None and one["cost_nano_usd"] is None:
        return []  # nothing was reported that prices could be asked about
    lines = list(bill.sentences(again.explanation))
    if again.is_same and one["cost_nano_usd"] is None:
        return [line for line in lines if line != f"unpriced: {one['unpriced_detail']}"]  # that stands above
    if again.is_same:
        return [*lines, "These prices come to what was booked."]
    difference = (
        f"This is not what was booked: the prices in force are {prices.version}, the record was made "
        f"{'by ' + one['price_version'] if one['price_version'] else 'without a price'}. The record stays as it is."
    )
    return [*lines, difference]
