"""How a store counts a budget, in simulated time: months that turn, cycles, windows, clocks that step."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.budgets.admission import Admission
from costspan.budgets.counted import Counted, facts_of, in_words, named
from costspan.budgets.reading import parse
from costspan.budgets.sqlite_store import SqliteStore
from costspan.budgets.store import Granted, Refused, Spent
from costspan.facts.attribution import Attribution
from costspan.facts.periods import zone

_NS_PER_S = 1_000_000_000


def _counted(period: str, more: str = "", time_zone: str = "UTC") -> Counted:
    word = "rolling" if period[0].isdigit() else "period"
    text = f"budgets: [{{name: all, {word}: {period}, limit_usd: 1, hard: true, overage: false{more}}}]"
    (budget,) = parse(text).budgets
    return Counted(budget, zone(time_zone))


def _ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()) * _NS_PER_S


class _Machine:
    """Admission with a clock that goes where a test wants it."""

    def __init__(self, folder: Path, budget: Counted) -> None:
        self.now_ns = 0
        self.store = SqliteStore(folder / "reservations")
        prices: Any = None
        self._admission = Admission([budget], self.store, prices, is_recorded=False, now_ns=lambda: self.now_ns)
        self._budget = budget
        self._made = 0

    def at(self, text: str) -> _Machine:
        self.now_ns = _ns(text)
        return self

    def spend(self, nano_usd: int) -> bool:
        """Whether a call of this cost was granted."""
        self._made += 1
        key, wanted = f"k{self._made}", [(self._budget, self._budget.definition, nano_usd)]
        found, holds = self._admission.ask(wanted, lambda put, now_ns: self.store.reserve(key, put, now_ns))
        if isinstance(found, Refused):
            return False
        assert isinstance(found, Granted)
        self.store.settle(key, [Spent(hold.budget, hold.slot, nano_usd) for hold in holds], is_recorded=False)
        return True


def test_a_month_turns(tmp_path: Path) -> None:
    """At midnight of the zone the whole limit is there again, and not before."""
    machine = _Machine(tmp_path, _counted("month", time_zone="Europe/Berlin"))
    budget = _counted("month", time_zone="Europe/Berlin")
    assert machine.at("2026-11-30T22:59:59").spend(10**9)
    assert not machine.spend(1)
    assert budget.resets_at(machine.now_ns) == datetime(2026, 11, 30, 23, tzinfo=timezone.utc)
    assert machine.at("2026-11-30T23:00:00").spend(10**9)
    assert not machine.at("2026-12-31T22:59:59").spend(1)


def test_a_clock_that_steps_back_opens_no_second_budget(tmp_path: Path) -> None:
    """Neither in the period that it steps back into, nor when it comes again to where it was."""
    machine = _Machine(tmp_path, _counted("month"))
    assert machine.at("2026-11-30T12:00:00").spend(400_000_000)
    assert machine.at("2026-12-01T12:00:00").spend(700_000_000)
    assert not machine.at("2026-11-30T12:00:00").spend(400_000_000)
    assert machine.spend(300_000_000)
    assert not machine.at("2026-12-01T12:00:01").spend(1)
    assert machine.at("2027-01-01T00:00:00").spend(10**9)


def test_a_month_that_begins_on_a_day(tmp_path: Path) -> None:
    """On the last day of a month that is shorter."""
    machine = _Machine(tmp_path, _counted("month", ", begins_on: 31"))
    assert machine.at("2026-02-27T23:59:59").spend(10**9)
    assert machine.at("2026-02-28T00:00:00").spend(10**9)
    assert not machine.at("2026-03-30T23:59:59").spend(1)
    assert machine.at("2026-03-31T00:00:00").spend(1)


def test_a_week_begins_on_monday(tmp_path: Path) -> None:
    """By ISO 8601."""
    machine = _Machine(tmp_path, _counted("week"))
    assert machine.at("2026-11-29T23:59:59").spend(10**9)
    assert machine.at("2026-11-30T00:00:00").spend(10**9)


def test_a_window_rolls(tmp_path: Path) -> None:
    """What is older falls out of it, a two-hundredth of it later at most."""
    machine = _Machine(tmp_path, _counted("24h"))
    assert machine.at("2026-11-29T12:00:00").spend(600_000_000)
    assert machine.at("2026-11-29T18:00:00").spend(400_000_000)
    assert not machine.at("2026-11-30T11:59:59").spend(1)
    assert machine.at("2026-11-30T12:08:00").spend(600_000_000)
    assert not machine.at("2026-11-30T17:59:59").spend(1)
    assert machine.at("2026-11-30T18:08:00").spend(400_000_000)


@given(
    st.sampled_from(["day", "week", "month", "24h", "90m", "session"]),
    st.integers(0, 4 * 10**9),
    st.integers(0, 40 * 86_400),
)
def test_what_is_in_the_period_counts(period: str, now_s: int, ago_s: int) -> None:
    """A moment counts exactly where it is in the period; of a window, one that is a little older may."""
    budget = _counted(period)
    now_ns, then_ns = now_s * _NS_PER_S, max(0, now_s - ago_s) * _NS_PER_S
    counts = budget.slot(then_ns) >= budget.since(now_ns)
    start_ns = budget.budget.span.around(timezone.utc, now_ns).start_ns
    if period in {"24h", "90m"}:
        slack_ns = (86_400 if period == "24h" else 5_400) * _NS_PER_S // 200
        assert counts or then_ns < start_ns
        assert not counts or then_ns >= start_ns - slack_ns - _NS_PER_S
    else:
        assert counts == (then_ns >= start_ns)


def test_a_crossing_is_told_once_in_a_stretch_that_begins_at_a_moment() -> None:
    """Of a window, in each length of it: so a store knows which are long over."""
    day, window = _counted("day"), _counted("6h")
    noon, later, evening = (_ns(f"2026-11-20 {hour}:30") for hour in (12, 17, 18))
    assert day.tells_once(noon) == day.tells_once(evening) == _ns("2026-11-20 00:00")
    assert window.tells_once(noon) == window.tells_once(later) == _ns("2026-11-20 12:00")
    assert window.tells_once(evening) == _ns("2026-11-20 18:00")


def test_a_scope_chooses_and_each_tells_apart() -> None:
    """Every dimension, account and session included."""
    budget = _counted("month", ", scope: {team: [a, b], model: gpt-4o}, each: account")
    who = Attribution(session="s", team="a", account="acme/eu")
    key = budget.key(facts_of(who, "openai", "gpt-4o"))
    assert key is not None
    assert named(key) == ("all", "usd", "acme/eu")
    assert budget.value(key) == "acme/eu"
    assert budget.key(facts_of(who, "openai", "gpt-4o-mini")) is None
    assert budget.key(facts_of(who._replace(team="c"), "openai", "gpt-4o")) is None
    assert budget.key(facts_of(who._replace(account=None), "openai", "gpt-4o")) is None


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (5_020_000_000, "usd", "5.02 USD"),
        (1_000, "usd", "0.000001 USD"),
        (0, "usd", "0.00 USD"),
        (1_234, "tokens", "1,234 tokens"),
    ],
)
def test_amounts_in_words(amount: int, unit: str, text: str) -> None:
    """No decimal of an amount is lost."""
    assert in_words(amount, unit) == text


def test_a_changed_scope_begins_a_count_of_its_own() -> None:
    """A changed limit does not."""
    assert _counted("month").definition == _counted("month", ", on_failure: closed").definition
    assert _counted("month").definition != _counted("month", ", scope: {team: a}").definition
