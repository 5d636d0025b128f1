"""What is spent and reserved, in SQL: each function is one step of a transaction that `sqlite_store.py` makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from costspan.budgets import store as stores
from costspan.budgets.store import ClockBehind, Hold, Refused, Spent

if TYPE_CHECKING:
    import sqlite3

#: Clocks of two processes may differ by so much without one of them being behind.
_TOLERANCE_NS: Final = 1_000_000_000
#: Longer than any period.
_TOLD_KEPT_NS: Final = 100 * 86_400 * 1_000_000_000
#: Slots below it are no moments: a whole session, and windows as an older costspan numbered them.
_FIRST_MOMENT_NS: Final = 10**15
ADD: Final = (
    "INSERT INTO sums VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET spent = spent + excluded.spent, reserved = reserved + excluded.reserved"
)


def advance(db: sqlite3.Connection, now_ns: int) -> ClockBehind | None:
    """Note the latest moment that any process has seen: time that comes again opens no period again."""
    (clock_ns,) = db.execute("SELECT value FROM meta WHERE name = 'clock_ns'").fetchone()
    if now_ns > clock_ns + _TOLERANCE_NS:
        db.execute("UPDATE meta SET value = ? WHERE name = 'clock_ns'", (now_ns,))
    return ClockBehind(clock_ns) if now_ns < clock_ns - _TOLERANCE_NS else None


def forget_crossings(db: sqlite3.Connection, now_ns: int) -> None:
    """Forget what was told of periods long over, but for the last of each budget and threshold: whatever a clock says, the period
    that goes on is told once. A whole session is no moment, and stays.
    """
    later = "SELECT 1 FROM crossings AS l WHERE l.budget = c.budget AND l.threshold = c.threshold AND l.slot > c.slot"
    db.execute(
        f"DELETE FROM crossings AS c WHERE slot >= ? AND slot < ? AND EXISTS ({later})",  # noqa: S608 - own words
        (_FIRST_MOMENT_NS, now_ns - _TOLD_KEPT_NS),
    )


def standing(db: sqlite3.Connection, budget: str, since: int) -> tuple[int, int]:
    """What is spent and reserved in all slots from `since` on."""
    question = "SELECT coalesce(sum(spent), 0), coalesce(sum(reserved), 0) FROM sums WHERE budget = ? AND slot >= ?"
    spent, reserved = db.execute(question, (budget, since)).fetchone()
    return spent, reserved


def refused(db: sqlite3.Connection, holds: Sequence[Hold], taken: Sequence[int]) -> Refused | None:
    """The first hold that does not fit; `taken` is what its parent gives of each."""
    for hold, part in zip(holds, taken, strict=True):
        spent, reserved = standing(db, hold.budget, hold.since)
        if spent + reserved + hold.amount - part > hold.limit:
            return Refused(hold, spent, reserved - part)
    return None


def of_parent(db: sqlite3.Connection, parent: str | None, hold: Hold) -> int:
    """How much of a hold its parent has."""
    if parent is None:
        return 0
    question = (
        "SELECT h.amount FROM holds AS h JOIN reservations AS r USING (key)"
        " WHERE h.key = ? AND h.budget = ? AND h.slot = ? AND r.state = ?"
    )
    found = db.execute(question, (parent, hold.budget, hold.slot, stores.HELD)).fetchone()
    return min(found[0], hold.amount) if found is not None else 0


def hold(db: sqlite3.Connection, key: str, hold: Hold, taken: int, parent: str | None) -> None:
    """Take one hold, `taken` of it from its parent."""
    if taken:
        where = (taken, parent, hold.budget, hold.slot)
        db.execute("UPDATE holds SET amount = amount - ? WHERE key = ? AND budget = ? AND slot = ?", where)
    statement = "INSERT INTO holds VALUES (?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount"
    db.execute(statement, (key, hold.budget, hold.slot, hold.amount))
    db.execute(ADD, (hold.budget, hold.slot, 0, hold.amount - taken))


def book(db: sqlite3.Connection, key: str, spent: Iterable[Spent], *, is_recorded: bool) -> dict[tuple[str, int], int]:
    """Add what a call has spent, unless it was booked before; the amounts by budget and slot."""
    real: dict[tuple[str, int], int] = {}
    for budget, slot, amount in spent:
        real[budget, slot] = amount
        if is_recorded:
            row = (key, budget, slot)
            if not db.execute("INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount:
                continue
        db.execute(ADD, (budget, slot, amount, 0))
    return real


def let_go(db: sqlite3.Connection, key: str, real: Mapping[tuple[str, int], int], parent: str | None) -> None:
    """Take the holds of a reservation away; what the call under a parent did not need goes back to that."""
    give_back = (
        "UPDATE holds SET amount = amount + ?, used = used + ? WHERE key = ? AND budget = ? AND slot = ?"
        " AND EXISTS (SELECT 1 FROM reservations AS r WHERE r.key = holds.key AND r.state = ?)"
    )
    for budget, slot, amount in db.execute("SELECT budget, slot, amount FROM holds WHERE key = ?", (key,)).fetchall():
        kept = 0
        if parent is not None:
            used = real.get((budget, slot), 0)
            kept = max(0, amount - used)
            if not db.execute(give_back, (kept, used, parent, budget, slot, stores.HELD)).rowcount:
                kept = 0
        db.execute(ADD, (budget, slot, 0, kept - amount))
    db.execute("DELETE FROM holds WHERE key = ?", (key,))


def end(db: sqlite3.Connection, key: str, state: str) -> None:
    """A reservation is over."""
    db.execute("DELETE FROM holds WHERE key = ?", (key,))
    db.execute("UPDATE reservations SET state = ? WHERE key = ?", (state, key))


def used(db: sqlite3.Connection, key: str) -> dict[str, int]:
    """What the calls under a reservation have spent, by key of a budget."""
    return dict(db.execute("SELECT budget, sum(used) FROM holds WHERE key = ? GROUP BY budget", (key,)).fetchall())


def come_to(db: sqlite3.Connection, key: str, budget: str, total: int) -> None:
    """Book what a reservation comes to in one budget beyond what its calls have spent: in the earliest slots first."""
    question = "SELECT slot, amount, used FROM holds WHERE key = ? AND budget = ? ORDER BY slot"
    rows = db.execute(question, (key, budget)).fetchall()
    used, held = sum(row[2] for row in rows), sum(row[1] for row in rows)
    rest = total - used
    if rest < 0:
        raise stores.below_used(key, budget, total, used)
    if rest > held:
        raise stores.above_held(key, budget, total, used + held)
    for slot, amount, _ in rows:
        part = min(rest, amount)
        rest -= part
        db.execute(ADD, (budget, slot, part, -amount))


def holds_of(db: sqlite3.Connection, key: str) -> list[tuple[str, int]]:
    """What a reservation holds, by key of a budget."""
    return db.execute("SELECT budget, sum(amount) FROM holds WHERE key = ? GROUP BY budget", (key,)).fetchall()


def process(db: sqlite3.Connection, owner: int) -> str:
    """A process in words."""
    found = db.execute("SELECT pid FROM owners WHERE n = ?", (owner,)).fetchone()
    return f"number {found[0]}" if found is not None else "which has ended"
