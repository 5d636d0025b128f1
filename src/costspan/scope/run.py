"""What the calls made within one scope came to, read at any time: `with attribution(...) as run:`, then `run.usage`.

A run is counted for as long as somebody holds it. Scopes know theirs by weak references, so a scope that nobody named
by `as` has none, and where no run is alive a call asks nothing (`RUNS` is empty).
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from time import monotonic
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias

from costspan.facts import usage as units
from costspan.facts.attribution_words import SESSION
from costspan.facts.call import ERROR, Call
from costspan.facts.counting import number
from costspan.facts.money import ESTIMATED, INCOMPLETE, Cost, usd
from costspan.facts.recent import Recent
from costspan.guard import guarded_positional
from costspan.scope.outlet import made_for, tell, told_since
from costspan.scope.words import word

#: Finished calls wait to be added up until somebody asks, or until there are so many of them.
_MOST_WAITING: Final = 64
#: Runs of other processes that a process keeps in mind.
_MOST_ELSEWHERE: Final = 1_000

Reference: TypeAlias = "weakref.ref[Run]"
#: The runs that are alive in this process.
RUNS: Final[set[Reference]] = set()
_sessions: Final[weakref.WeakValueDictionary[str, Run]] = weakref.WeakValueDictionary()
#: Runs by the file that other processes tell them by, and those of other processes that were met last.
_by_outlet: Final[weakref.WeakValueDictionary[str, Run]] = weakref.WeakValueDictionary()
_elsewhere: Final[Recent[str, Run]] = Recent(_MOST_ELSEWHERE)
# Two threads that ask for one session at once get one run. No call takes this lock.
_one_session = threading.Lock()


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What the calls of a run came to so far. Amounts are exact, in USD; durations in seconds.

    `calls` have finished, failed ones included, and are counted as the ledger does; `open_calls` are under way, streams
    that have not been read to their end and background answers that nobody has fetched included. `tokens` are counts
    by kind: `input` and `output` are all of them, the others are parts of these. `pieces` are what is no token:
    searches, images. A kind that no answer mentioned is absent.
    `cost_usd` is the sum of what has a price. `estimated_usd` is the part of it from streams that were cut short.
    """

    calls: int
    open_calls: int
    failed_calls: int
    tokens: Mapping[str, int]
    pieces: Mapping[str, int]
    cost_usd: Decimal
    estimated_usd: Decimal
    unpriced_calls: int
    incomplete_calls: int
    duration_s: float

    @property
    def input_tokens(self) -> int:
        """All input tokens, cached ones included."""
        return self.tokens.get(units.INPUT, 0)

    @property
    def output_tokens(self) -> int:
        """All output tokens, reasoning included."""
        return self.tokens.get(units.OUTPUT, 0)

    @property
    def is_lower_bound(self) -> bool:
        """Whether the finished calls cost more than `cost_usd` says: some have no price, or a price for a part only."""
        return bool(self.unpriced_calls or self.incomplete_calls)


class _Sums:
    """The sums of a run. Money in nano-USD."""

    NUMBERS: ClassVar = ("calls", "failed", "unpriced", "incomplete", "nano_usd", "estimated")
    __slots__ = (*NUMBERS, "counts")

    def __init__(self) -> None:
        self.calls = self.failed = self.unpriced = self.incomplete = self.nano_usd = self.estimated = 0
        self.counts: dict[str, int] = {}

    def add(self, call: Call) -> None:
        """Add one booked call."""
        self.calls += 1
        self.failed += call.outcome == ERROR
        for unit, count in call.answer.usage or ():
            self.counts[unit] = self.counts.get(unit, 0) + count
        price = call.price
        if isinstance(price, Cost):
            self.nano_usd += price.nano_usd
            self.estimated += price.nano_usd if price.quality == ESTIMATED else 0
            self.incomplete += price.quality == INCOMPLETE
        elif price is not None:
            self.unpriced += 1

    def as_list(self) -> list[Any]:
        """The sums for another process."""
        return [*(getattr(self, name) for name in self.NUMBERS), self.counts]

    def add_list(self, told: list[Any]) -> None:
        """Add the sums of another process."""
        for name, more in zip(self.NUMBERS, told, strict=False):
            setattr(self, name, getattr(self, name) + more)
        for unit, count in told[-1].items():
            self.counts[unit] = self.counts.get(unit, 0) + count


class Run:
    """One scope while it is entered, and after: `usage` tells what its calls came to so far."""

    __slots__ = (
        "__weakref__", "_ended_s", "_is_adding", "_is_elsewhere", "_lock", "_open", "_outlet", "_read_to", "_started_s",
        "_sums", "_waiting", "awaited", "reference",
    )  # fmt: skip

    def __init__(self, outlet: str | None = None) -> None:
        """`outlet` is the file by which a run of another process is told."""
        self._outlet = outlet
        self._is_elsewhere = outlet is not None
        self._read_to = 0
        #: What was estimated of a call that is still to come: its model, and what its record is to carry (scope/awaited.py).
        self.awaited: list[tuple[str, str]] = []
        self._started_s = monotonic()
        self._ended_s: float | None = None
        self._open: list[None] = []  # one for each call under way: it grows and shrinks in one step, without a lock
        self._waiting: deque[Call] = deque()
        self._sums = _Sums()
        self._lock = threading.RLock()
        self._is_adding = False
        #: By which scopes and calls know this run.
        self.reference: Reference = weakref.ref(self, RUNS.discard)
        RUNS.add(self.reference)

    def __repr__(self) -> str:
        told = self.usage
        amount = f"{'at least ' if told.is_lower_bound else ''}{told.cost_usd:f} USD"
        return f"<Run: {number(told.calls, 'call')}, {told.open_calls} under way, {amount}>"

    @property
    def usage(self) -> RunUsage:
        """What the calls of this run came to so far, wherever they were made; those of nested scopes once."""
        open_calls = len(self._open)  # first: a call is added before it is open no longer
        with self._lock:
            self._add_up()
            self._hear_children()
            sums = self._sums
            tokens = {unit: count for unit, count in sums.counts.items() if unit not in units.PIECES}
            pieces = {unit: count for unit, count in sums.counts.items() if unit in units.PIECES}
            ended_s = monotonic() if self._ended_s is None else self._ended_s
            return RunUsage(
                calls=sums.calls, open_calls=open_calls, failed_calls=sums.failed,
                tokens=MappingProxyType(tokens), pieces=MappingProxyType(pieces),
                cost_usd=usd(sums.nano_usd), estimated_usd=usd(sums.estimated),
                unpriced_calls=sums.unpriced, incomplete_calls=sums.incomplete,
                duration_s=ended_s - self._started_s,
            )  # fmt: skip

    def began(self) -> list[None]:
        """A call of this run begins; what is to be made shorter by one when it is under way no longer."""
        self._open.append(None)
        return self._open

    def add(self, call: Call) -> None:
        """Add a finished call. Waits for nobody until many wait to be added."""
        if self._is_elsewhere and self._outlet is not None:
            own = _Sums()
            own.add(call)
            tell(self._outlet, own.as_list())
        self._waiting.append(call)
        if len(self._waiting) >= _MOST_WAITING:
            self._add_up()

    def ended(self) -> None:
        """The scope has been left. Calls that carry it may still finish."""
        self._ended_s = monotonic()

    def begin_anew(self) -> None:
        """In a forked child: what is under way is the parent's, and so is the thread that holds the lock."""
        self._lock = threading.RLock()
        self._is_adding = False
        self._open = []
        self._is_elsewhere = True

    def outlet(self) -> str | None:
        """The file by which other processes tell this run what their calls came to; None where none can be made."""
        if self._outlet is None and not self._is_elsewhere:
            with self._lock:
                self._outlet = self._outlet or made_for(self)
                if self._outlet is not None:
                    _by_outlet[self._outlet] = self
        return self._outlet

    def _hear_children(self) -> None:
        if self._outlet is None or self._is_elsewhere or self._is_adding:
            return
        heard = told_since(self._outlet, self._read_to)
        if heard is not None:
            told, self._read_to = heard
            for sums in told:
                self._sums.add_list(sums)

    def _add_up(self) -> None:
        with self._lock:
            # A signal's code may come by in the middle of an addition of its own thread: what it brings waits.
            if self._is_adding:
                return
            self._is_adding = True
            try:
                while self._waiting:
                    self._sums.add(self._waiting.popleft())
            finally:
                self._is_adding = False


def alive(runs: Iterable[Reference]) -> tuple[Reference, ...]:
    """Those that somebody still holds."""
    return tuple([reference for reference in runs if reference() is not None])


def of_outlet(path: str) -> Run:
    """The run that is told by this file: this process's own, or one that stands for it here."""
    run = _by_outlet.get(path) or _elsewhere.get(path)
    if run is None:
        _by_outlet[path] = run = _elsewhere.keep(path, Run(path))
    return run


def session_run(name: object) -> Run:
    """The run of a whole session: what its calls in this process come to from now on, whatever scopes they are made in.

    The same object for as long as somebody holds it. Raises ValueError for a name that says nothing.
    """
    said = word(SESSION, name)
    if said is None:
        raise ValueError(f"{name!r} names no session: expected a text, an integer, a UUID, or an Enum of these")
    with _one_session:
        run = _sessions.get(said)
        if run is None:
            _sessions[said] = run = Run()
        return run


class Counting:
    """The runs that a call under way counts for. When this is let go of, the call is open no longer: it has finished, or
    never will, such as one that turned out to be made through another library, which is counted there.
    """

    __slots__ = ("_open", "runs")

    def __init__(self, runs: tuple[Run, ...]) -> None:
        self.runs = runs
        self._open = [run.began() for run in runs]

    def __del__(self) -> None:
        for under_way in self._open:
            under_way.pop()


def counting(references: Iterable[Reference], in_session: str | None) -> Counting | None:
    """What a call that begins counts for: runs of its scopes, and of its session."""
    runs = [run for reference in references if (run := reference()) is not None]
    of_session = _sessions.get(in_session) if in_session is not None and _sessions else None
    if of_session is not None:
        runs.append(of_session)
    return Counting(tuple(runs)) if runs else None


@guarded_positional("scope.run")
def finish_in_runs(call: Call, is_booked: bool) -> None:  # noqa: FBT001  # the guard passes places only
    """Tell a call's runs that it has finished. One that is answered in the background is still open."""
    if call.runs is None or (not is_booked and call.answer.pending):
        return
    # Let go of when all have it: a run that holds the call must not be held by it.
    counted, call.runs = call.runs, None
    if is_booked:
        for run in counted.runs:
            run.add(call)


def begin_anew() -> None:
    """In a forked child: no call is under way, and nobody holds a lock."""
    global _one_session  # noqa: PLW0603  # a thread that is not here may hold it
    _one_session = threading.Lock()
    for reference in tuple(RUNS):
        run = reference()
        if run is not None:
            run.begin_anew()
