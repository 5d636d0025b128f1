"""What budgets need beside the calls: booking for soft ones, the ledger's other rows, thresholds, signs of life.

Nothing of it is in a caller's thread: finished calls come in batches from the dispatcher, and one thread looks each second.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic, time_ns
from typing import Final

from costspan import guard
from costspan.budgets.admission import Admission
from costspan.budgets.counted import Counted, facts_of
from costspan.budgets.crossings import Crossings
from costspan.budgets.held import Held
from costspan.budgets.intake import Intake
from costspan.budgets.sqlite_store import SqliteStore
from costspan.budgets.store import EXPIRY_S, Spent, StoreUnavailableError
from costspan.facts.call import REFUSED, Call
from costspan.ledger.faults import LedgerError

_LOOK_S: Final = 1.0
_SIGN_OF_LIFE_S: Final = EXPIRY_S / 3


class Keeper:
    """Keeps the budgets of this process. `intake` is None where no ledger is read."""

    def __init__(
        self, budgets: Sequence[Counted], store: SqliteStore, intake: Intake | None, admission: Admission | None,
        *, is_recorded: bool, now_ns: Callable[[], int] = time_ns,
    ) -> None:  # fmt: skip
        self._budgets = budgets
        self._store = store
        self._intake = intake
        self.admission = admission
        self._crossings = Crossings(budgets, store)
        self._is_recorded = is_recorded
        self._now_ns = now_ns
        self._begin()

    def _begin(self) -> None:
        # Held while the thread is within SQLite: a fork waits for it.
        self._working = threading.RLock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._signed_s = float("-inf")

    def open(self) -> None:
        """Read what the ledger has before the first call asks, and begin to look."""
        self._look()
        self._start()

    def _start(self) -> None:
        if self._thread is None and not self._closing.is_set():
            self._thread = thread = threading.Thread(target=self._run, name="costspan-budgets", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter ends
                self._thread = None

    def _run(self) -> None:
        while not self._closing.wait(_LOOK_S):
            self._look()

    @guard.guarded("budgets.look")
    def _look(self) -> None:
        with self._working:
            try:
                now_ns = self._now_ns()
                changed = self._intake.catch_up(now_ns) if self._intake is not None else set[str]()
                self._crossings.look(changed, now_ns)
                self._settle_late()
                if monotonic() - self._signed_s >= _SIGN_OF_LIFE_S:
                    self._store.keep_alive()
                    self._signed_s = monotonic()
            except (StoreUnavailableError, LedgerError) as fault:
                guard.count("budgets.unavailable")
                guard.tell_once(f"budgets:{fault}", "costspan: budgets cannot be kept up to date (%s)", fault)

    def _settle_late(self) -> None:
        """Calls whose settlement found the store locked. Whose rows the ledger has are booked from there."""
        if self.admission is None:
            return
        late = self.admission.late
        for _ in range(len(late)):
            held, spent = late.popleft()
            try:
                is_there = self._intake is not None and self._is_recorded and self._intake.has(held.key)
                self._store.settle(held.key, () if is_there else spent, is_recorded=self._is_recorded and not is_there)
            except (StoreUnavailableError, LedgerError):
                late.append((held, spent))

    def take(self, calls: Sequence[Call]) -> None:
        """Book finished calls for the budgets that they held nothing of, and see what that reached."""
        self._start()
        entries: list[tuple[str, list[Spent]]] = []
        keys: set[str] = set()
        for call in calls:
            if call.outcome == REFUSED:
                continue
            if self.admission is not None and call.held is not None and not call.held.is_over:
                self.admission.settle_held(call.held, call)  # a background answer that nobody fetched
            spent = self._spent(call, keys)
            if spent:
                entries.append((call.id, spent))
        with self._working:
            try:
                if entries:
                    self._store.book(entries, is_recorded=self._is_recorded)
                self._crossings.look(keys, self._now_ns())
            except StoreUnavailableError as fault:  # their rows are read from the ledger, where there is one
                guard.count("budgets.unavailable")
                guard.tell_once(f"budgets:{fault}", "costspan: budgets cannot be kept up to date (%s)", fault)

    def _spent(self, call: Call, keys: set[str]) -> list[Spent]:
        facts = facts_of(call.attribution, call.provider, call.request_model or call.answer.model)
        held: Held | None = call.held
        settled = {hold.budget for _, hold in held.holds} if held is not None and held.is_over else set[str]()
        spent: list[Spent] = []
        for budget in self._budgets:
            key = budget.key(facts)
            if key is not None:
                keys.add(key)
                amount = budget.amount(call)
                if amount and key not in settled:
                    spent.append(Spent(key, budget.slot(call.started_ns), amount))
        return spent

    def close(self) -> None:
        """The process ends: what is still held of answers that nobody fetched was asked for all the same."""
        self._closing.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=2 * _LOOK_S)
        guard.guarded("budgets.close")(self._settle_late)()
        self._store.close()  # a call that finishes later opens it again

    def before_fork(self, give_up_s: float) -> bool:
        """No handle of SQLite crosses a fork, and no thread within it."""
        if not self._working.acquire(timeout=max(0.0, give_up_s - monotonic())):
            return False
        if self._store.before_fork(give_up_s):
            return True
        self._working.release()
        return False

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._store.after_fork_in_parent()
        self._working.release()

    def forget(self) -> None:
        """In a forked child: begin anew."""
        self._store.forget()
        self._begin()
        if self.admission is not None:
            self.admission.begin_anew()
