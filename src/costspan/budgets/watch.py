"""Anomalies while programs run: one process of the machine looks at a time, on a thread of its own, and tells each once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from costspan import guard
from costspan.budgets.anomalies import anomalies
from costspan.budgets.finding import HOUR, LOOP, Finding
from costspan.budgets.looking import Looker
from costspan.budgets.policy import CALLBACK, LOG, REQUESTS, USD
from costspan.budgets.store import StoreUnavailableError
from costspan.facts.attribution_words import SESSION, TASK_TYPE, TEAM
from costspan.facts.money import usd
from costspan.facts.periods import NS_PER_S
from costspan.facts.recent import Recent
from costspan.ledger.faults import LedgerError, NoLedger
from costspan.ledger.store import Store
from costspan.names import OTHER

if TYPE_CHECKING:
    from costspan.budgets.policy import Anomaly
    from costspan.budgets.store import SharedStore

_log: Final = logging.getLogger("costspan")
_MOST_TOLD: Final = 4_096
_MOST_COUNTED: Final = 4_096
#: How often a process asks whether it is its turn.
_LOOK_S: Final = 10.0
#: A minute lies between two looks of the machine, and so much more that looking takes a fiftieth of one core at most.
_BETWEEN_S: Final = 60
_SHARE: Final = 50
_LONGEST_BETWEEN_S: Final = 3_600
#: Who looks has so long; a process that ended in it is taken over from.
_LOOKING_S: Final = 600
#: What began so long ago is looked at, each time.
_BACK_NS: Final = 7_200 * NS_PER_S
_PATIENCE_S: Final = 0.05
_INTERRUPT_S: Final = 0.002

_F = TypeVar("_F", bound=Callable[["SpendAnomaly"], object])


class SpendAnomaly(NamedTuple):
    """Something costs more than it usually does. `kind` is `hour` (of a `team`), `session` (of a `task_type`) or `loop`.

    `amount` and `usual` are in `unit`: `usd` (Decimal), or of a loop `requests` (whole numbers); `usual` is None where too few
    others are known. `said` is the sentence of the log, `look` the command that shows the calls.
    """

    kind: str
    began_at: datetime
    ended_at: datetime
    team: str | None
    session: str | None
    task_type: str | None
    model: str | None
    unit: str
    amount: Decimal | int
    usual: Decimal | int | None
    cost_usd: Decimal
    said: str
    look: str


_callbacks: Final[list[Callable[[SpendAnomaly], object]]] = []


def on_anomaly(callback: _F) -> _F:
    """Have a function called when something costs more than it usually does, where `anomaly:` says `do: callback`; a decorator.

    One process of the machine calls it, once for each hour, session or loop, on a thread of costspan's. What it raises is logged.
    """
    _callbacks.append(callback)
    return callback


class Watch:
    """Looks for anomalies in the ledger at `path`. `name` tells it from those of other machines at the same store."""

    def __init__(
        self, path: Path, anomaly: Anomaly, zone: tzinfo, store: SharedStore, name: Callable[[], str] = str,
        *, now_ns: Callable[[], int] = time_ns,
    ) -> None:  # fmt: skip
        self._path = path
        self._anomaly = anomaly
        self._zone = zone
        self._store = store
        self._name = name
        self._now_ns = now_ns
        self._looker = Looker(self.look, _LOOK_S, "costspan-anomalies")
        self._begin()

    def _begin(self) -> None:
        # Held while the thread is within SQLite: a fork interrupts it, and waits for it.
        self._reading = threading.RLock()
        self._ledger: Store | None = None
        self._is_interrupted = False
        self._told: Recent[tuple[str, int], bool] = Recent(_MOST_TOLD)
        #: How many this process has told, by kind, team and task type.
        self.counted: dict[tuple[str, str | None, str | None], int] = {}

    def start(self) -> None:
        """Begin to look, where that has not begun."""
        self._looker.start()

    @guard.guarded("anomalies.look")
    def look(self) -> None:
        """Look, where no other process of the machine has done so just now, and tell what nobody has told."""
        try:
            begun_ns = self._now_ns()
            turn = self._turn(begun_ns // NS_PER_S)
            if turn is None:
                return
            before_s = monotonic()
            try:
                found = self._found(begun_ns)
            finally:
                pause_s = min(max(_BETWEEN_S, round((monotonic() - before_s) * _SHARE)), _LONGEST_BETWEEN_S)
                self._store.take_in(self._place(), turn, (begun_ns // NS_PER_S + pause_s, ""), ())
            for one in found:
                self._tell_once(one)
        except (StoreUnavailableError, LedgerError) as fault:
            if not self._is_interrupted:
                guard.count("anomalies.unavailable")
                guard.tell_once(f"anomalies:{fault}", "costspan: anomalies cannot be looked for (%s)", fault)

    def _place(self) -> str:
        return self._name() + "anomalies"

    def _turn(self, now_s: int) -> tuple[int, str] | None:
        """Take the turn to look, until a moment; None where it is not time yet, or another process was first."""
        place = self._store.place(self._place())
        if place is not None and now_s < place[0] <= now_s + _LONGEST_BETWEEN_S:  # later: a clock has stepped back
            return None
        mine = (now_s + _LOOKING_S, "")
        return mine if self._store.take_in(self._place(), place, mine, ()) else None

    def _found(self, now_ns: int) -> list[Finding]:
        with self._reading:
            self._is_interrupted = self._looker.is_stopping
            if self._is_interrupted:
                return []
            try:
                with Store.read(self._path, patience_s=_PATIENCE_S) as ledger:
                    self._ledger = ledger
                    return list(anomalies(ledger, self._anomaly, self._zone, now_ns - _BACK_NS, now_ns + 1).findings)
            except NoLedger:
                return []
            finally:
                self._ledger = None

    def _tell_once(self, found: Finding) -> None:
        place = f"{self._name()}anomaly/{found.kind}/{found.who}", found.start_ns if found.kind == HOUR else 0
        if self._told.get(place):
            return
        self._told.keep(place, value=True)
        if not self._store.crossed(*place, ""):
            return
        self._count(found)
        if LOG in self._anomaly.actions:
            _log.warning("Anomaly: %s. Its calls: %s", found.said(self._zone), found.look(self._zone))
        if CALLBACK in self._anomaly.actions:
            for callback in _callbacks:
                guard.guarded("anomalies.callback")(callback)(_for_programs(found, self._zone))

    def _count(self, found: Finding) -> None:
        who = dict(found.who)
        key = found.kind, who.get(TEAM), who.get(TASK_TYPE)
        if key not in self.counted and len(self.counted) >= _MOST_COUNTED:
            key = found.kind, OTHER, OTHER
        self.counted[key] = self.counted.get(key, 0) + 1

    # -- the end, and forks --------------------------------------------------------------------------------

    def close(self) -> None:
        """The process ends: stop looking, in the middle of it, too."""
        self._looker.stop()
        self._leave(monotonic() + _PATIENCE_S)
        self._looker.join(1.0)

    def _interrupt(self, give_up_s: float) -> bool:
        """Have the thread leave SQLite, and keep it out; False where it takes too long."""
        while not self._reading.acquire(timeout=_INTERRUPT_S):
            ledger = self._ledger
            if ledger is not None:
                self._is_interrupted = True
                ledger.interrupt()
            if monotonic() >= give_up_s:
                return False
        return True

    def before_fork(self, give_up_s: float) -> bool:
        """No thread is within SQLite at a fork, nor is there one, if it ends in time. What was begun is looked for again."""
        self._looker.rest(give_up_s, lambda: self._leave(give_up_s))
        if self._interrupt(give_up_s):
            return True
        self._looker.go_on()
        return False

    def _leave(self, give_up_s: float) -> None:
        if self._interrupt(give_up_s):
            self._reading.release()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._reading.release()
        self._looker.go_on()

    def forget(self) -> None:
        """In a forked child: begin anew."""
        self._looker.forget()
        self._begin()


def _for_programs(found: Finding, zone: tzinfo) -> SpendAnomaly:
    who = dict(found.who)
    is_loop = found.kind == LOOP
    began_at, ended_at = (datetime.fromtimestamp(ns / NS_PER_S, timezone.utc) for ns in (found.start_ns, found.end_ns))
    return SpendAnomaly(
        found.kind, began_at, ended_at, who.get(TEAM), who.get(SESSION), who.get(TASK_TYPE), who.get("model"),
        REQUESTS if is_loop else USD, found.amount if is_loop else usd(found.amount),
        found.usual if is_loop or found.usual is None else usd(found.usual), usd(found.nano_usd),
        found.said(zone), found.look(zone),
    )  # fmt: skip
