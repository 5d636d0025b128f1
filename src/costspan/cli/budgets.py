"""`costspan budgets`: show how the budgets of a budgets.yaml stand, and what they would have done."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from costspan.alerting.alert_texts import unit
from costspan.budgets import doubts, unstated
from costspan.budgets.policy import USD, Policy
from costspan.budgets.simulation import simulate as simulated
from costspan.budgets.status import Standing, standings
from costspan.cli import budget_file, options, simulation
from costspan.cli.compiling import check, compile_file, reserved, rules
from costspan.cli.reservations import reservations
from costspan.facts.counting import number
from costspan.facts.money import NANO_PER_USD
from costspan.facts.periods import NS_PER_S, zone
from costspan.ledger import rolled
from costspan.ledger.faults import LedgerError, NoLedger
from costspan.ledger.intake import read
from costspan.report import Page, notices
from costspan.report.amounts import short_usd
from costspan.report.as_text import of_ledger
from costspan.report.naming import harmless, shortened
from costspan.report.period import parse
from costspan.report.table import Column, Table

if TYPE_CHECKING:
    from costspan.budgets.policy import Budget

_COLUMNS: Final = (
    Column("Budget", is_name=True), Column("Period", is_left=True), Column("Spent"), Column("Limit"),
    Column("Unit", is_left=True), Column("Used", leave_out=2), Column("Projected", leave_out=1), Column("State", is_left=True),
)  # fmt: skip
_LAST_NS: Final = 2**63 - 1
_CENTS: Final = 2
_PARTS_OF_CENTS: Final = 6
_MOST_NAMED: Final = 5  # budgets whose spend is a lower bound have a sentence of their own
_LONGEST_IN_A_SENTENCE: Final = 60
_MOST_ROWS: Final = 1_000  # values of a word, those with the highest spend


@click.group()
def budgets() -> None:
    """Budgets: checked, compiled, and how much of them is used."""


for _command in (check, compile_file, rules, reservations):
    budgets.add_command(_command)


@budgets.command()
@budget_file.argument
@options.ledger
@click.option("--at", "moment", help="A moment in ISO 8601 instead of now, e.g. 2026-11-22T12:00.")
@options.as_json
def status(file: Path, ledger: Path | None, moment: str | None, *, is_json: bool) -> None:
    """Show what is spent of each budget in FILE, from the ledger."""
    policy = budget_file.read(file)
    path = options.ledger_path(ledger)
    found = _standings(file, policy, path, _now_ns(moment, policy))
    if is_json:
        click.echo(json.dumps([_record(each) for each in found], indent=2))
    else:
        _show(found, policy, path)
    if ledger is None and moment is None:
        for sentence in _missed(path):
            click.echo(sentence, err=True)


def _missed(path: Path) -> list[str]:
    """What programs here spent that this ledger does not have: a budget whose calls went by OTLP would look unspent."""
    try:
        with read(path) as store:
            last_ns = rolled.last_ns(store)
    except LedgerError:
        last_ns = None
    return notices.of(os.environ, time.time(), last_ns=last_ns, ledger=path)


@budgets.command()
@budget_file.argument
@options.ledger
@click.option(
    "--period", "asked", default="this-month", show_default=True, metavar="PERIOD",
    help="What is looked at, by the calendar of FILE: e.g. last-month, 2026-11, 7d, 2026-11-03..2026-11-10, all.",
)  # fmt: skip
@options.prices
@options.as_json
@click.option("--csv", "is_csv", is_flag=True, help="Answer in CSV, one line for each crossing and refused call.")
def simulate(
    file: Path, ledger: Path | None, asked: str, overrides: Path | None, *, is_json: bool, is_csv: bool
) -> None:  # fmt: skip
    """Show what the budgets in FILE would have done.

    Tells which thresholds the calls in the ledger would have crossed, and which of them would have been refused.

    Calls count with their real cost, in the order of their start; a program reserves an upper bound before the call, and so
    refuses earlier: much earlier where requests set no limit of output tokens.
    """
    if is_json and is_csv:
        raise click.UsageError("--json and --csv are two forms of one answer: expected one of them")
    policy = budget_file.read(file)
    time_zone = zone(policy.time_zone)
    try:
        period = parse(asked, time_zone, time.time())
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint="--period") from fault
    start_ns, end_ns = period.start_ns or 0, _LAST_NS if period.end_ns is None else period.end_ns
    with options.read_ledger(options.ledger_path(ledger)) as store:
        try:
            options.say_what_is_gone(store, start_ns)
            events = simulated(policy, store, start_ns, end_ns)
            if is_json or is_csv:
                (simulation.as_json if is_json else simulation.as_csv)(events, sys.stdout)
            else:
                called = unstated.most_called(store, start_ns, end_ns)
                simulation.show(events, time_zone, period.text, reserved(policy, overrides, called))
        except LedgerError as fault:
            budget_file.refuse([str(fault)])


def _now_ns(moment: str | None, policy: Policy) -> int:
    if moment is None:
        return time.time_ns()
    try:
        read = datetime.fromisoformat(moment)
    except ValueError as fault:
        raise click.BadParameter(
            f"{moment!r} is no moment: expected e.g. 2026-11-22T12:00", param_hint="--at"
        ) from fault
    return round((read if read.tzinfo else read.replace(tzinfo=zone(policy.time_zone))).timestamp()) * NS_PER_S


def _standings(file: Path, policy: Policy, path: Path, now_ns: int) -> list[Standing]:
    try:
        with read(path) as store:
            budget_file.tell(file, doubts.of_ledger(policy, store))
            return standings(policy, store, now_ns)
    except NoLedger as fault:
        click.echo(str(fault), err=True)
        return standings(policy, None, now_ns)
    except LedgerError as fault:
        budget_file.refuse([str(fault)])
        raise


def _record(standing: Standing) -> dict[str, object]:
    return {
        "budget": standing.budget.name,
        "value": standing.value,
        "period": standing.period,
        "unit": standing.budget.unit,
        "spent": standing.spent,
        "limit": standing.limit,
        "used": standing.used,
        "projected": standing.projected,
        "crossed": standing.crossed,
        "calls": standing.calls,
        "unpriced": standing.unpriced,
        "owner": standing.budget.owner,
        "over": standing.over,
        "hard": standing.budget.hard,
    }


def _show(found: list[Standing], policy: Policy, ledger: Path) -> None:
    page = Page()
    page.title(f"Budgets, days and months of {policy.time_zone}")
    shown, left_out = _highest(found)
    page.table(Table(_COLUMNS, lambda: map(_row, shown)))
    for name, count in left_out.items():
        page.sentence(f"Not shown: {number(count, 'value')} more of {name}, each with less spent (--json has all).")
    unpriced = [standing for standing in found if _is_lower_bound(standing)]
    for standing in unpriced[:_MOST_NAMED]:
        name = shortened(harmless(_name(standing)), _LONGEST_IN_A_SENTENCE)
        page.sentence(f"A lower bound: {name} has {number(standing.unpriced, 'call')} without a price.")
    if more := unpriced[_MOST_NAMED:]:
        page.sentence(f"Lower bounds, too: {number(len(more), 'row')} more, with >= before the amount.")
    if unpriced:
        page.sentence(f"The models: `costspan usage --unpriced{of_ledger(str(ledger))}`.")


def _highest(found: list[Standing]) -> tuple[list[Standing], Counter[str]]:
    """The rows that are shown, and of how many more values each budget stands: sessions may be thousands."""
    rows, left_out, shown = Counter[str](), Counter[str](), list[Standing]()
    for standing in found:
        name = standing.budget.name
        rows[name] += 1
        if rows[name] <= _MOST_ROWS:
            shown.append(standing)
        else:
            left_out[name] += 1
    return shown, left_out


def _is_lower_bound(standing: Standing) -> bool:
    return bool(standing.unpriced) and standing.budget.unit == USD


def _name(standing: Standing) -> str:
    """The budget, and whose: it stands for each value of a word."""
    return standing.budget.name if standing.value is None else f"{standing.budget.name}: {standing.value}"


def _row(standing: Standing) -> tuple[str, ...]:
    budget = standing.budget
    used = "-" if standing.used is None else f"{standing.used:,.1%}"
    projected = "-" if standing.projected is None else _amount(standing.projected, budget)
    sign = ">= " if _is_lower_bound(standing) else ""
    spent, limit = sign + _amount(standing.spent, budget), _amount(standing.limit, budget)
    period = budget.span.shown(standing.period)
    return _name(standing), period, spent, limit, unit(budget), used, projected, _state(standing)


def _amount(amount: float, budget: Budget) -> str:
    """Cents; of a limit below a dollar their ten-thousandths, or the limit itself could not be read."""
    if budget.unit != USD:
        return f"{amount:,.0f}"
    return short_usd(round(amount * NANO_PER_USD), _CENTS if budget.limit >= 1 else _PARTS_OF_CENTS)


def _state(standing: Standing) -> str:
    return f"over {standing.crossed} %" if standing.crossed else "no calls" if not standing.calls else "fine"
