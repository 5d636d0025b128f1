"""What a run used and cost, at a glance: the report that the demo ends with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from costspan.facts.attribution_words import SOURCE, TASK_TYPE
from costspan.ledger.store import Store
from costspan.report import as_text
from costspan.report.page import Page
from costspan.report.usage import NO_RECORDS, OK, Question, ask

GROUPS: Final = ("model", TASK_TYPE, SOURCE)
NEXT_STEPS: Final = (
    "costspan usage --by session            the most expensive sessions",
    "costspan usage --by day --json         the same for a program",
    "costspan doctor                        what is watched, and where the figures go",
)


def summary(
    store: Store,
    page: Page,
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
        as_text.print_table(report, page)
        page.line("")
    report = ask(store, Question(), now_s)
    for note in as_text.notes(report):
        page.sentence(note)
    if report.state == OK:
        page.line(f"The ledger: {store.path}")
    page.line("Next:")
    for step in next_steps:
        page.line(f"  {step}")
