"""`costspan anomalies`: hours, sessions and loops that cost more than they usually do."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click

from costspan.budgets.anomalies import anomalies as found_in
from costspan.budgets.finding import LOOP, Finding, Unjudged
from costspan.budgets.policy import Anomaly, PolicyError
from costspan.budgets.reading import load
from costspan.cli import options
from costspan.facts.periods import NS_PER_S, zone
from costspan.ledger import rolled
from costspan.ledger.faults import LedgerError
from costspan.report import Page
from costspan.report.amounts import usd
from costspan.report.period import EXPECTED, parse
from costspan.settings import OTEL_COSTSPAN_BUDGETS

if TYPE_CHECKING:
    from costspan.budgets.anomalies import Anomalies
    from costspan.report.period import Period


@click.command()
@click.option("--period", "asked", default="7d", show_default=True, metavar="PERIOD", help=f"When: {EXPECTED}.")
@click.option(
    "--budgets", "file", type=click.Path(path_type=Path, dir_okay=False), envvar=OTEL_COSTSPAN_BUDGETS,
    help=f"A budgets.yaml, whose `anomaly:` and `time_zone` count; {OTEL_COSTSPAN_BUDGETS} names it too.",
)  # fmt: skip
@options.time_zone
@options.ledger
@options.as_json
def anomalies(asked: str, file: Path | None, time_zone: tzinfo, ledger: Path | None, *, is_json: bool) -> None:
    """Hours, sessions and loops that cost more than usual.

    \b
    An hour   a team spends many times what it does in that hour of other days.
    A session costs many times what other sessions of its task type do.
    A loop    one session makes more and more calls with longer and longer prompts.

    Each is told with what is usual, and the `costspan usage` that shows its calls.
    """  # noqa: D301 - \b is click's sign for "leave these lines as they are"
    anomaly, time_zone = _declared(file, time_zone)
    now_s = time.time()
    try:
        period = parse(asked, time_zone, now_s)
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint="--period") from fault
    with options.read_ledger(options.ledger_path(ledger)) as store:
        try:
            first_ns = rolled.first_ns(store)
            start_ns = max(first_ns or 0, period.start_ns or 0)
            end_ns = min(
                int(now_s * NS_PER_S) + 1, int(now_s * NS_PER_S) + 1 if period.end_ns is None else period.end_ns
            )
            found = found_in(store, anomaly, time_zone, start_ns, max(start_ns, end_ns))
            gone = rolled.notices(store, start_ns)
        except LedgerError as fault:
            raise click.ClickException(str(fault)) from fault
    if is_json:
        click.echo(json.dumps({**_data(found, time_zone), "notices": gone}, indent=2))
    else:
        _show(found, period, time_zone, gone)


def _declared(file: Path | None, time_zone: tzinfo) -> tuple[Anomaly, tzinfo]:
    if file is None:
        return Anomaly(), time_zone
    try:
        policy = load(file.expanduser())
    except PolicyError as fault:
        raise click.ClickException(str(fault)) from fault
    return policy.anomaly, zone(policy.time_zone)


def _show(found: Anomalies, period: Period, time_zone: tzinfo, gone: tuple[str, ...]) -> None:
    page = Page()
    page.title(f"Anomalies: {period.text}, hours of {time_zone}")
    for each in found.findings:
        page.sentence(each.said(time_zone))
        page.line(f"    {each.look(time_zone)}")
    if not found.findings:
        page.sentence("Nothing is unusual.")
    for one in found.unjudged:
        page.sentence(one.said)
    for said in gone:
        page.sentence(said)


def _data(found: Anomalies, time_zone: tzinfo) -> dict[str, object]:
    return {
        "anomalies": [_finding(each, time_zone) for each in found.findings],
        "not_judged": [_unjudged(each) for each in found.unjudged],
    }


def _finding(found: Finding, time_zone: tzinfo) -> dict[str, object]:
    amount, usual = (each if found.kind == LOOP or each is None else usd(each) for each in (found.amount, found.usual))
    return {
        "kind": found.kind,
        "from": _utc(found.start_ns),
        "to": _utc(found.end_ns),
        **dict(found.who),
        "unit": "calls" if found.kind == LOOP else "usd",
        "amount": amount,
        "usual": usual,
        "times": None if found.times is None else float(round(found.times, 3)),
        "compared": found.compared,
        "compared_with": found.others,
        "calls": found.calls,
        "cost_usd": usd(found.nano_usd),
        "unpriced_calls": found.unpriced,
        "prompt_tokens": found.prompts,
        "said": found.said(time_zone),
        "look": found.look(time_zone),
    }


def _unjudged(found: Unjudged) -> dict[str, object]:
    return {
        "kind": found.kind, **dict(found.who), "count": found.number, "known": found.known, "needed": found.needed, "said": found.said,
    }  # fmt: skip


def _utc(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // NS_PER_S, timezone.utc):%Y-%m-%dT%H:%M:%S}.{ns % NS_PER_S:09}Z"
