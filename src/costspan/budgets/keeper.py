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
from costspan.budgets.looking import Looker
from costspan.budgets.store import EXPIRY_S, SharedStore, Spent, StoreUnavailableError
from costspan.budgets.unbooked import Unbooked
from costspan.budgets.watch import Watch
from costspan.facts.call import REFUSED, Call
from costspan.ledger.faults import LedgerError

_LOOK_S: Final = 1.0
_SIGN_OF_LIFE_S: Final = EXPIRY_S / 3


class Keeper:
    """Keeps the budgets of this process. `intake` is None where no ledger is read, `watch` where nobody wants anomalies told."""

    def __init__(
        self, budgets: Sequence[Counted], store: SharedStore, intake: Intake | None, admission: Admission | None,
        watch: Watch | None = None, *, is_recorded: bool, now_ns: Callable[[], int] = time_ns,
    ) -> None:  # fmt: skip
        self._budgets = budgets
        self._store = store
        self._intake = intake
        self.admission = admission
        self.crossings = Crossings(budgets, store)
        self.watch = watch
        self._is_recorded = is_recorded
        self._now_ns = now_ns
        self._looker = Looker(self._look, _LOOK_S, "costspan-budgets")
        self._begin()

    def _begin(self) -> None:
        # Held while the thread is within SQLite: a fork waits for it.
        self._working = threading.RLock()
        self._signed_s = float("-inf")
        #: Of calls that held nothing. Where a ledger has them, they are booked from there.
        self._unbooked = Unbooked()

    def open(self) -> None:
        """Read what the ledger has before the first call asks, and begin to look."""
        self._look()
        self._start()

    def _start(self) -> None:
        if self.watch is not None:
            self.watch.start()
        self._looker.start()

    @guard.guarded("budgets.look")
    def _look(self) -> None:
        with self._working:
            try:
                with self._store.looking():
                    self._sign()
                    now_ns = self._now_ns()
                    changed = self._caught_up(now_ns) | self._unbooked.deliver(self._store)
                    self.crossings.look(changed, now_ns)
                    self._settle_late()
            except StoreUnavailableError as fault:
                self._signed_s = float("-inf")
                _tell(fault)

    def _sign(self) -> None:
        if monotonic() - self._signed_s >= _SIGN_OF_LIFE_S:
            self._store.keep_alive()
            self._signed_s = monotonic()

    def _caught_up(self, now_ns: int) -> set[str]:
        try:
            return self._intake.catch_up(now_ns) if self._intake is not None else set()
        except LedgerError as fault:
            _tell(fault)
            return set()

    def _settle_late(self) -> None:
        """Calls whose settlement found the store away or locked. Whose rows the ledger has are booked from there."""
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
                    self._book(entries)
                self.crossings.look(keys, self._now_ns())
            except StoreUnavailableError as fault:  # their rows are read from the ledger, where there is one
                _tell(fault)

    def _book(self, entries: Sequence[tuple[str, Sequence[Spent]]]) -> None:
        try:
            self._store.book(entries, is_recorded=self._is_recorded)
        except StoreUnavailableError as fault:
            if not self._is_recorded:
                self._unbooked.keep(entries, is_unsure=fault.is_unsure)
            raise

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
        self._looker.stop()
        if self.watch is not None:
            self.watch.close()
        self._looker.join(2 * _LOOK_S)
        if self._is_owing():
            self._look()  # once more, where the store was away
            if self._is_owing() and not self._is_recorded:
                _tell_lost()
        self._store.close()  # a call that finishes later opens it again

    def _is_owing(self) -> bool:
        return bool(self.admission is not None and self.admission.late) or not self._unbooked.is_empty

    def before_fork(self, give_up_s: float) -> bool:
        """No handle of SQLite crosses a fork, and no thread within it; nor is there a thread, if it ends in time."""
        self._looker.rest(give_up_s)
        is_at_rest = self._comes_to_rest(give_up_s)
        if not is_at_rest:
            self._looker.go_on()
        return is_at_rest

    def _comes_to_rest(self, give_up_s: float) -> bool:
        if not self._working.acquire(timeout=max(0.0, give_up_s - monotonic())):
            return False
        if self.watch is None or self.watch.before_fork(give_up_s):
            if self._store.before_fork(give_up_s):
                return True
            if self.watch is not None:
                self.watch.after_fork_in_parent()
        self._working.release()
        return False

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._store.after_fork_in_parent()
        if self.watch is not None:
            self.watch.after_fork_in_parent()
        self._working.release()
        self._looker.go_on()

    def forget(self) -> None:
        """In a forked child: begin anew."""
        self._store.forget()
        self._looker.forget()
        self._begin()
        self.crossings.forget()
        if self.watch is not None:
            self.watch.forget()
        if self.admission is not None:
            self.admission.begin_anew()


def _tell(fault: Exception) -> None:
    guard.count("budgets.unavailable")
    guard.tell_once(f"budgets:{fault}", "costspan: budgets cannot be kept up to date (%s)", fault)


def _tell_lost() -> None:
    guard.count("budgets.lost")
    sentence = (
        "costspan: what this process has spent since the store of its budgets is away will not count: it ends, and keeps no"
        " ledger (`costspan docs enforcement`)"
    )
    guard.tell_once("budgets:lost", sentence)
