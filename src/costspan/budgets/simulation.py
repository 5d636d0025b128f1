"""What a budgets.yaml would have done: which thresholds past calls would have crossed, and which calls it would have refused.

The calls of the ledger are gone through once, in the order of their start. A call counts with its real cost from its start on. (A
program reserves an upper bound before the call and so refuses somewhat earlier.) A call that is refused counts for no budget. What was
spent before the period that is looked at, and counts still, was made: nothing of it is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from costspan.budgets.periods import Window
from costspan.budgets.policy import UNITS
from costspan.budgets.status import AMOUNT_OF
from costspan.facts.call import REFUSED
from costspan.facts.periods import NS_PER_S, zone
from costspan.ledger.columns import COLUMNS

if TYPE_CHECKING:
    from datetime import tzinfo

    from costspan.budgets.periods import Stretch
    from costspan.budgets.policy import Budget, Policy, Threshold
    from costspan.ledger.store import Store

_FIRST_WORD: Final = 2 + len(UNITS)


class Crossed(NamedTuple):
    """A threshold was reached. `spent` is then in nano-USD, tokens or calls; `value` is the one of `each`."""

    started_ns: int
    call: str
    budget: Budget
    value: str | None
    period: str
    spent: int
    threshold: Threshold


class Refused(NamedTuple):
    """A call that the first hard budget in the file with no room for it would have refused, and what it came to."""

    started_ns: int
    call: str
    budget: Budget
    value: str | None
    period: str
    spent: int
    amount: int


@dataclass
class _Sum:
    """What counts for one value of one budget now. `recent` are the calls of a rolling window, the oldest first."""

    stretch: Stretch
    spent: int = 0
    reached: int = 0
    recent: deque[tuple[int, int]] = field(default_factory=deque[tuple[int, int]])


class _Watch:
    """One limit over time."""

    def __init__(self, budget: Budget, time_zone: tzinfo, words: list[str]) -> None:
        self.budget = budget
        self._zone = time_zone
        self._span = budget.span
        self._length_ns = self._span.length_s * NS_PER_S if isinstance(self._span, Window) else 0
        self._unit = 2 + UNITS.index(budget.unit)
        self._chosen = [(_FIRST_WORD + words.index(word), frozenset(values)) for word, values in budget.scope.items()]
        self._each = _FIRST_WORD + words.index(budget.each) if budget.each else 0
        ceiling = budget.refuses_from
        self._ceiling = None if ceiling is None else budget.counted(ceiling)
        self._stretch: Stretch | None = None
        self._sums: dict[str | None, _Sum] = {}

    def counts(self, row: tuple[Any, ...]) -> bool:
        """Whether a call is one of the budget's."""
        return all(row[at] in values for at, values in self._chosen) and (not self._each or row[self._each] is not None)

    def value(self, row: tuple[Any, ...]) -> str | None:
        """Whose limit it is."""
        return row[self._each] if self._each else None

    def now(self, row: tuple[Any, ...]) -> _Sum:
        """What counts at the start of a call, without it."""
        stretch, value = self._around(row[0]), self.value(row)
        found = self._sums.get(value)
        if found is None or found.stretch.label != stretch.label:
            found = self._sums[value] = _Sum(stretch)
        while found.recent and found.recent[0][0] <= row[0] - self._length_ns:
            found.spent -= found.recent.popleft()[1]
            found.reached = len(self.budget.reached(found.spent))
        return found

    def _around(self, now_ns: int) -> Stretch:
        """The period of a moment; a window is one for ever, as its calls fall out of it one by one."""
        known = self._stretch
        if known is None or not (self._length_ns or known.start_ns <= now_ns < known.end_ns):
            known = self._stretch = self._span.around(self._zone, now_ns)
        return known

    def refuses(self, row: tuple[Any, ...], found: _Sum) -> bool:
        """Whether a call has no room: it would pass what the budget refuses from, or nothing is left."""
        ceiling = self._ceiling
        return ceiling is not None and (found.spent >= ceiling or found.spent + row[self._unit] > ceiling)

    def add(self, row: tuple[Any, ...], found: _Sum) -> Iterator[Crossed]:
        """Count a call: the thresholds that it reaches."""
        amount = row[self._unit]
        found.spent += amount
        if self._length_ns:
            found.recent.append((row[0], amount))
        reached = self.budget.reached(found.spent)
        for threshold in reached[found.reached :]:
            yield Crossed(row[0], row[1], self.budget, self.value(row), found.stretch.label, found.spent, threshold)
        found.reached = len(reached)

    def refused(self, row: tuple[Any, ...], found: _Sum) -> Refused:
        """What is said of a call that is refused."""
        return Refused(
            row[0], row[1], self.budget, self.value(row), found.stretch.label, found.spent, row[self._unit]
        )  # fmt: skip


def simulate(policy: Policy, ledger: Store, start_ns: int, end_ns: int) -> Iterator[Crossed | Refused]:
    """What would have happened from `start_ns` on until before `end_ns`, in that order. Raises LedgerError."""
    time_zone = zone(policy.time_zone)
    words = sorted({word for budget in policy.budgets for word in (*budget.scope, budget.each) if word})
    watches = [_Watch(budget, time_zone, words) for budget in policy.budgets]
    first_ns = min([start_ns, *(budget.span.around(time_zone, start_ns).start_ns for budget in policy.budgets)])
    told = ", ".join(["started_ns", "id", *(AMOUNT_OF[unit] for unit in UNITS), *(COLUMNS[word] for word in words)])
    question = (
        f"SELECT {told} FROM calls WHERE started_ns >= ? AND started_ns < ? AND outcome IS NOT '{REFUSED}' "  # noqa: S608
        "ORDER BY started_ns, n"  # words of the code; values are bound
    )
    return _events(watches, ledger.each(question, (first_ns, end_ns)), start_ns)


def _events(watches: list[_Watch], rows: Iterable[tuple[Any, ...]], start_ns: int) -> Iterator[Crossed | Refused]:
    for row in rows:
        sums = [(watch, watch.now(row)) for watch in watches if watch.counts(row)]
        is_made = row[0] < start_ns
        refusing = None if is_made else next((pair for pair in sums if pair[0].refuses(row, pair[1])), None)
        if refusing:
            yield refusing[0].refused(row, refusing[1])
            continue
        for watch, found in sums:
            crossed = list(watch.add(row, found))
            yield from () if is_made else crossed
