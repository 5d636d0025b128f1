"""The budgets of a file, put together for a process that obeys them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from costspan.budgets.admission import Admission
from costspan.budgets.counted import Counted
from costspan.budgets.intake import Intake
from costspan.budgets.keeper import Keeper
from costspan.budgets.reading import load
from costspan.budgets.sqlite_store import SqliteStore
from costspan.facts.periods import zone

if TYPE_CHECKING:
    from costspan.budgets.admission import Pricer


def store_beside(ledger: Path) -> Path:
    """Where the processes of this machine share their reservations."""
    return Path(f"{ledger}.budgets")


def keeper(policy: Path, ledger: Path, prices: Pricer, *, is_recorded: bool) -> Keeper:
    """Keeps the budgets of a policy file; what the ledger has is read before it returns. Raises PolicyError."""
    read = load(policy)
    budgets = [Counted(budget, zone(read.time_zone)) for budget in read.budgets]
    store = SqliteStore(store_beside(ledger))
    admission = Admission(budgets, store, prices, is_recorded=is_recorded)
    made = Keeper(
        budgets,
        store,
        Intake(ledger, store, budgets),
        admission if admission.budgets else None,
        is_recorded=is_recorded,
    )
    made.open()
    return made
