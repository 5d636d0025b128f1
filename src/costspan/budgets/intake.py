"""What the ledger has and the store of reservations does not: calls before the budget, of other programs, late deliveries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from costspan.budgets.counted import Counted
from costspan.budgets.periods import NS_PER_S
from costspan.budgets.status import AMOUNT_OF, conditions
from costspan.budgets.store import Books, Spent
from costspan.facts.attribution_words import WORDS
from costspan.ledger.columns import COLUMNS
from costspan.ledger.faults import NoLedger
from costspan.ledger.store import Store

#: How many rows are booked in one transaction: calls wait for it.
_ROWS: Final = 500
#: How far back a session is looked for when its budget is new.
_LONGEST_NS: Final = 31 * 86_400 * NS_PER_S
_PATIENCE_S: Final = 0.05
_BEGINNING: Final = (0, "")

_FACTS: Final = (*WORDS, "provider", "model")
_ROW: Final = (
    f"SELECT n, id, started_ns, {', '.join(COLUMNS[word] for word in _FACTS)}, {{}} FROM calls"  # noqa: S608
    " WHERE n > ? AND +started_ns >= ? ORDER BY n LIMIT ?"
)  # only words of the code; the sign keeps SQLite from reading the whole period each time


class Intake:
    """Reads the ledger at `path` on behalf of the budgets. Methods raise LedgerError and StoreUnavailableError.

    `name` tells the ledger from those of other machines, where these are told to the same store.
    """

    def __init__(self, path: Path, books: Books, budgets: Sequence[Counted], name: Callable[[], str] = str) -> None:
        self._path = path
        self.name = name
        self._books = books
        self._budgets = budgets

    def catch_up(self, now_ns: int) -> set[str]:
        """Book what the ledger has that was not booked; the keys of budgets that this changed."""
        try:
            with Store.read(self._path, patience_s=_PATIENCE_S) as ledger:
                return {key for budget in self._budgets for key in self._read(ledger, budget, now_ns)}
        except NoLedger:
            for budget in self._budgets:
                place = self._place(budget)
                if self._books.place(place) is None:  # so all that comes will be new
                    self._books.take_in(place, None, _BEGINNING, ())
            return set()

    def has(self, key: str) -> bool:
        """Whether the ledger has the call of this id."""
        with Store.read(self._path, patience_s=_PATIENCE_S) as ledger:
            return bool(ledger.select("SELECT 1 FROM records WHERE id = ?", (key,)))

    def _place(self, budget: Counted) -> str:
        return self.name() + budget.definition

    def _read(self, ledger: Store, budget: Counted, now_ns: int) -> set[str]:
        changed: set[str] = set()
        since, place = max(budget.since(now_ns), now_ns - _LONGEST_NS), self._place(budget)
        while True:
            after = self._books.place(place)
            if after is None:
                with ledger.at_one_moment():
                    sums, upto = list(_sums(ledger, budget, since)), _last(ledger)
                if self._books.take_in(place, None, upto, sums):
                    return {spent.budget for _, spent in sums}
                continue
            first = after if _is_there(ledger, after) else _BEGINNING
            with ledger.at_one_moment():
                rows = ledger.select(_ROW.format(AMOUNT_OF[budget.budget.unit]), (first[0], since, _ROWS))
                upto = (rows[-1][0], rows[-1][1]) if len(rows) == _ROWS else _last(ledger)
            booked = list(_spent(budget, rows))
            if upto == after and not booked:
                return changed
            if self._books.take_in(place, after, upto, booked):
                changed |= {spent.budget for _, spent in booked}
                if len(rows) < _ROWS:
                    return changed


def _is_there(ledger: Store, place: tuple[int, str]) -> bool:
    """Whether the ledger is the one that was read: its row of this number is the one that it was."""
    return not place[0] or bool(ledger.select("SELECT 1 FROM records WHERE n = ? AND id IS ?", place))


def _last(ledger: Store) -> tuple[int, str]:
    rows: list[tuple[Any, ...]] = ledger.select("SELECT n, id FROM records ORDER BY n DESC LIMIT 1")
    return (rows[0][0], rows[0][1]) if rows else _BEGINNING


def _sums(ledger: Store, budget: Counted, since: int) -> Iterable[tuple[str, Spent]]:
    """All that the ledger has of the period, where a budget is new."""
    chosen, values = conditions(budget.budget)
    each = COLUMNS[budget.budget.each] if budget.budget.each else "NULL"
    amount = AMOUNT_OF[budget.budget.unit]
    question = (
        f"SELECT {each}, {budget.slot_in_sql(since)}, sum({amount}) FROM calls"  # noqa: S608 - words of the code
        f" WHERE started_ns >= ?{chosen} GROUP BY 1, 2"
    )
    for value, slot, total in ledger.select(question, (since, *values)):
        if total:
            yield "", Spent(budget.definition if value is None else f"{budget.definition}/{value}", slot, total)


def _spent(budget: Counted, rows: Iterable[Sequence[Any]]) -> Iterable[tuple[str, Spent]]:
    for row in rows:
        key = budget.key(dict(zip(_FACTS, row[3:-1], strict=True)))
        if key is not None and row[-1]:
            yield row[1], Spent(key, budget.slot(row[2]), row[-1])
