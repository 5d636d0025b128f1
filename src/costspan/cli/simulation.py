"""What `costspan budgets simulate` says: crossings and refusals as a table, JSON or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Final

from costspan.alerting.alert_texts import unit
from costspan.budgets.policy import USD
from costspan.budgets.simulation import Crossed, Refused
from costspan.facts.counting import number
from costspan.facts.money import NANO_PER_USD
from costspan.facts.periods import NS_PER_S
from costspan.report import Page
from costspan.report.amounts import usd
from costspan.report.table import Column, Table

if TYPE_CHECKING:
    from datetime import tzinfo

    from costspan.budgets.policy import Budget

_FIELDS: Final[tuple[str, ...]] = (
    "time", "event", "budget", "value", "period", "threshold", "actions", "call", "amount", "spent", "limit", "unit",
)  # fmt: skip
_CROSSED: Final = (
    Column("When", is_left=True), Column("Budget", is_name=True), Column("Period", is_left=True), Column("Threshold"),
    Column("Spent"), Column("Unit", is_left=True), Column("Does", is_left=True, leave_out=1),
)  # fmt: skip
_REFUSED: Final = (
    Column("First", is_left=True), Column("Budget", is_name=True), Column("Period", is_left=True), Column("Calls"),
    Column("Amount"), Column("Unit", is_left=True),
)  # fmt: skip
_MOST_NAMED: Final = 5  # hard budgets of which it is said what they reserve


def as_json(events: Iterable[Crossed | Refused], out: IO[str]) -> None:
    """One JSON list, an event a line, however many there are."""
    before = "[\n"
    for event in events:
        out.write(before + json.dumps(_record(event)))
        before = ",\n"
    out.write("[]\n" if before == "[\n" else "\n]\n")


def as_csv(events: Iterable[Crossed | Refused], out: IO[str]) -> None:
    """A line for each event."""
    writer: csv.DictWriter[str] = csv.DictWriter(out, _FIELDS, lineterminator="\n")
    writer.writeheader()
    for event in events:
        record = _record(event)
        writer.writerow({**record, "actions": " ".join(map(str, record["actions"] or ()))})


def _record(event: Crossed | Refused) -> dict[str, str | tuple[str, ...] | None]:
    is_crossing = isinstance(event, Crossed)
    return {
        "time": _utc(event.started_ns),
        "event": "crossed" if is_crossing else "refused",
        "budget": event.budget.name,
        "value": event.value,
        "period": event.period,
        "threshold": f"{event.threshold.percent:f}" if is_crossing else None,
        "actions": event.threshold.actions if is_crossing else (),
        "call": event.call,
        "amount": None if is_crossing else _amount(event.amount, event.budget),
        "spent": _amount(event.spent, event.budget),
        "limit": f"{event.budget.limit:f}",
        "unit": event.budget.unit,
    }


def _utc(ns: int) -> str:
    whole = datetime.fromtimestamp(ns // NS_PER_S, timezone.utc)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{ns % NS_PER_S:09}Z"


def _amount(counted: int, budget: Budget) -> str:
    return usd(counted) if budget.unit == USD else str(counted)


class _Group:
    """The refusals of one budget and value in one period."""

    def __init__(self, first: Refused) -> None:
        self.first = first
        self.calls = self.amount = 0


def show(events: Iterable[Crossed | Refused], zone: tzinfo, period: str, reserved: Mapping[str, str]) -> None:
    """For people: every crossing, how many calls each budget refuses in each of its periods, and what hard ones reserve."""
    crossed: list[Crossed] = []
    refused: dict[tuple[str, str | None, str], _Group] = {}
    for event in events:
        if isinstance(event, Crossed):
            crossed.append(event)
            continue
        group = refused.setdefault((event.budget.name, event.value, event.period), _Group(event))
        group.calls += 1
        group.amount += event.amount
    page = Page()
    page.title(f"What these budgets would have done: {period}")
    if crossed:
        page.table(Table(_CROSSED, lambda: (_crossing(each, zone) for each in crossed)))
    else:
        page.sentence("No threshold would have been crossed.")
    if refused:
        page.title("Calls that would have been refused")
        page.table(Table(_REFUSED, lambda: (_refusals(each, zone) for each in refused.values())))
    total = sum(group.calls for group in refused.values())
    page.sentence(
        f"{number(len(crossed), 'crossing')}, {number(total, 'call')} refused. --json and --csv name each call."
    )
    for name, said in list(reserved.items())[:_MOST_NAMED]:
        page.sentence(f"A program refuses earlier than this: of {name}, {said}.")


def _crossing(event: Crossed, zone: tzinfo) -> tuple[str, ...]:
    threshold, budget = event.threshold, event.budget
    return (
        _when(event.started_ns, zone), _whose(event), budget.span.shown(event.period), f"{threshold.percent:f} %",
        _short(event.spent, budget), unit(budget), ", ".join(threshold.actions),
    )  # fmt: skip


def _refusals(group: _Group, zone: tzinfo) -> tuple[str, ...]:
    first = group.first
    return (
        _when(first.started_ns, zone), _whose(first), first.budget.span.shown(first.period), f"{group.calls:,}",
        _short(group.amount, first.budget), unit(first.budget),
    )  # fmt: skip


def _when(ns: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(ns // NS_PER_S, zone):%Y-%m-%d %H:%M:%S}"


def _whose(event: Crossed | Refused) -> str:
    return event.budget.name if event.value is None else f"{event.budget.name}: {event.value}"


def _short(counted: int, budget: Budget) -> str:
    return f"{Decimal(counted) / NANO_PER_USD:,.6f}" if budget.unit == USD else f"{counted:,}"
