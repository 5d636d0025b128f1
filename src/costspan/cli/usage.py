"""`costspan usage`: what was used and what it cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path

import click

from costspan.cli import options
from costspan.ledger.faults import LedgerError, NoLedger
from costspan.ledger.store import Store
from costspan.report import Question, Report, as_data, as_text, ask
from costspan.report.period import EXPECTED, parse
from costspan.report.usage import NO_LEDGER
from costspan.report.words import WORDS, filters


@click.command()
@click.option(
    "--by",
    "groups",
    multiple=True,
    metavar="WORD",
    help=f"Group by {', '.join(WORDS[:-1])} or {WORDS[-1]}; several with commas, or `total` for none.  [default: model]",
)
@click.option(
    "--where",
    "where",
    multiple=True,
    metavar="WORD=VALUE",
    help="Only these calls. A * stands for anything, no value for `not set`; of one word, either value.",
)
@click.option("--period", default="all", show_default=True, metavar="PERIOD", help=f"When: {EXPECTED}.")
@options.time_zone
@click.option("--top", type=click.IntRange(min=1), help="Show this many rows, and the rest as one.")
@options.ledger
@options.as_json
@click.option("--csv", "is_csv", is_flag=True, help="Answer in CSV, one line per group, without the totals.")
def usage(
    groups: tuple[str, ...],
    where: tuple[str, ...],
    period: str,
    time_zone: tzinfo,
    top: int | None,
    ledger: Path | None,
    *,
    is_json: bool,
    is_csv: bool,
) -> None:
    """Requests, tokens and cost, from the ledger.

    \b
    costspan usage --by team --period this-month
    costspan usage --by model,day --where source=heartbeat --period 7d
    costspan usage --by session --top 20 --where "model=gpt-*"
    costspan usage --by account --period last-month --csv > accounts.csv
    """  # noqa: D301 - \b is click's sign for "leave these lines as they are"
    now_s = time.time()
    question = _question(groups, where, period, time_zone, now_s)
    report = _answer(options.ledger_path(ledger), question, now_s)
    if is_json:
        click.echo(as_data.as_json(report))
    elif is_csv:
        click.echo(as_data.as_csv(report), nl=False)
    else:
        as_text.show(report, as_text.console(), top=top)


def _question(groups: Sequence[str], where: Sequence[str], period: str, zone: tzinfo, now_s: float) -> Question:
    try:
        return Question(_words(groups), filters(where), parse(period, zone, now_s), zone)
    except ValueError as fault:
        raise click.UsageError(str(fault)) from fault


def _words(groups: Sequence[str]) -> tuple[str, ...]:
    words = [word.strip().replace("-", "_") for group in groups for word in group.split(",")] or ["model"]
    if words == ["total"]:
        return ()
    unknown = [word for word in words if word not in WORDS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is nothing to group by: expected {', '.join(WORDS)} or total")
    return tuple(dict.fromkeys(words))


def _answer(path: Path, question: Question, now_s: float) -> Report:
    try:
        with Store.read(path) as store:
            return ask(store, question, now_s)
    except NoLedger:
        return Report(question, NO_LEDGER, str(path))
    except LedgerError as fault:
        raise click.ClickException(str(fault)) from fault
