"""The budgets of a file, put together for a process that obeys them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from costspan import guard
from costspan.budgets.admission import Admission
from costspan.budgets.counted import Counted
from costspan.budgets.intake import Intake
from costspan.budgets.keeper import Keeper
from costspan.budgets.opening import server_store, store_beside
from costspan.budgets.reading import load
from costspan.facts.periods import zone

if TYPE_CHECKING:
    from costspan.budgets.admission import Pricer
    from costspan.budgets.policy import Policy
    from costspan.budgets.store import SharedStore
    from costspan.budgets.watch import Watch

_PATIENCE_S: Final = 0.5


def keeper(policy: Path, ledger: Path | None, prices: Pricer, *, is_recorded: bool, store: str = "") -> Keeper:
    """Keeps the budgets of a policy file; what the ledger has is read before it returns. Raises PolicyError.

    `store` is the URL of a server that a fleet shares, and only then there may be no ledger.
    """
    read = load(policy)
    budgets = [Counted(budget, zone(read.time_zone)) for budget in read.budgets]
    shared, intake = _fleet(store, ledger, budgets) if store or ledger is None else _machine(ledger, budgets)
    admission = Admission(budgets, shared, prices, is_recorded=is_recorded)
    watch = _watch(read, ledger if is_recorded else None, shared, intake)
    made = Keeper(budgets, shared, intake, admission if admission.budgets else None, watch, is_recorded=is_recorded)
    made.open()
    return made


def _watch(policy: Policy, ledger: Path | None, store: SharedStore, intake: Intake | None) -> Watch | None:
    """What looks for anomalies, where the file says something of them: also for the alert, which reads what is counted."""
    if not policy.anomaly.is_declared:
        return None
    if ledger is None or intake is None:
        sentence = (
            "costspan: `anomaly:` of the budgets is not watched by this program: anomalies are found in the ledger, which it does"
            " not write (`costspan docs anomalies`)"
        )
        guard.tell_once("anomalies:ledger", sentence)
        return None
    from costspan.budgets.watch import Watch

    return Watch(ledger, policy.anomaly, zone(policy.time_zone), store, intake.name)


def _machine(ledger: Path, budgets: Sequence[Counted]) -> tuple[SharedStore, Intake]:
    from costspan.budgets.sqlite_store import SqliteStore

    store = SqliteStore(store_beside(ledger))
    return store, Intake(ledger, store, budgets)


def _fleet(url: str, ledger: Path | None, budgets: Sequence[Counted]) -> tuple[SharedStore, Intake | None]:
    """The ledger is known by the name of the file beside it: other machines have theirs."""
    from costspan.budgets.sqlite_file import SharedFile

    store = server_store(url)
    if ledger is None:
        return store, None
    return store, Intake(ledger, store, budgets, functools.cache(SharedFile(store_beside(ledger), _PATIENCE_S).name))
