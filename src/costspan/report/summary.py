"""What a run used and cost, at a glance: the report that the demo ends with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from costspan.ledger.store import Store
from costspan.report import as_text
from costspan.report.usage import NO_RECORDS, OK, Question, ask

if TYPE_CHECKING:
    from rich.console import Console

GROUPS: Final = ("model", "task_type", "source")
NEXT_STEPS: Final = (
    "costspan usage --by session            the dearest sessions",
    "costspan usage --by day --json         the same for a program",
    "costspan doctor                        what is watched, and where the figures go",
)


def summary(
    store: Store,
    console: Console,
    now_s: float,
    *,
    groups: Sequence[str] = GROUPS,
    next_steps: Sequence[str] = NEXT_STEPS,
) -> None:
    """Print requests, tokens and cost by each of the groups, what is estimated or unpriced, where the ledger lies,
    and what to do next.
    """
    for group in groups:
        report = ask(store, Question((group,)), now_s)
        if report.state == NO_RECORDS:
            break
        as_text.print_table(report, console)
    report = ask(store, Question(), now_s)
    for note in as_text.notes(report):
        as_text.line(console, note)
    if report.state == OK:
        as_text.line(console, f"The ledger: {store.path}")
    as_text.line(console, "Next:")
    for step in next_steps:
        as_text.line(console, f"  {step}")
