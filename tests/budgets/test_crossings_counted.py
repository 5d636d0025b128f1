"""Crossings as a counter: each once over all processes of the machine and once a period, by budget and threshold alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from costspan import names
from costspan.alerting.alert_texts import number
from costspan.budgets.counted import Counted, facts_of
from costspan.budgets.crossings import Crossings
from costspan.budgets.reading import parse
from costspan.budgets.sqlite_store import SqliteStore
from costspan.budgets.store import Spent, StoreUnavailableError
from costspan.facts.attribution import Attribution
from costspan.facts.periods import zone
from costspan.metrics.health import observe_crossings
from ledger_calls import at_ns
from watching import points_of

DAY_NS = 86_400 * 10**9
BUDGETS = """
budgets:
  - {name: plan, period: month, limit_tokens: 100, each: account, thresholds: [{at: 50, do: [alert]}, {at: 100, do: [log]}]}
  - {name: recent, rolling: 24h, limit_tokens: 100, thresholds: [{at: 33.30, do: [alert]}]}
"""


class Process:
    """What one process of the machine tells; the machine's clock is given."""

    def __init__(self, folder: Path) -> None:
        policy = parse(BUDGETS)
        self.budgets = [Counted(budget, zone(policy.time_zone)) for budget in policy.budgets]
        self.store = SqliteStore(folder / "ledger.db.budgets")
        self.crossings = Crossings(self.budgets, self.store)

    def spends(self, now_ns: int, amount: int, account: str = "acme") -> None:
        """A call of an account ends, and is looked at."""
        facts = facts_of(Attribution(account=account), "openai", "gpt-5")
        spent = [Spent(key, budget.slot(now_ns), amount) for budget in self.budgets if (key := budget.key(facts))]
        self.store.book([(f"call-{now_ns}-{account}", spent)], is_recorded=False)
        self.look(now_ns, [each.budget for each in spent])

    def look(self, now_ns: int, keys: Sequence[str]) -> None:
        """Compare what is spent with the thresholds."""
        self.crossings.look(keys, now_ns)

    def counted(self) -> dict[tuple[str, str], int]:
        """What leaves by the metric."""
        reader = InMemoryMetricReader()
        observe_crossings(MeterProvider([reader]).get_meter("costspan"), self.crossings)
        points = points_of(reader, names.BUDGET_CROSSINGS)
        assert all(set(point.attributes) == set(names.BUDGET_CROSSINGS.labels) for point in points)
        return {(point.attributes[names.BUDGET], point.attributes[names.THRESHOLD]): point.value for point in points}


def test_a_crossing_is_counted_once_over_all_processes_and_not_again_after_a_restart(tmp_path: Path) -> None:
    """Two processes, a restart, another account, the next period; a threshold that only alerts is told like one that logs."""
    now_ns = at_ns("2026-11-20 12:00")
    one, two = Process(tmp_path), Process(tmp_path)
    with closing(one.store), closing(two.store):
        one.spends(now_ns, 30)
        assert one.counted() == {}
        two.spends(now_ns + 1, 30)
        assert two.counted() == {("plan", "50"): 1, ("recent", "33.3"): 1}
        one.spends(now_ns + 2, 40)
        assert one.counted() == {("plan", "100"): 1}
    again = Process(tmp_path)
    with closing(again.store):
        again.spends(now_ns + 3, 50)
        assert again.counted() == {}
        again.spends(now_ns + 4, 60, account="globex")
        assert again.counted() == {("plan", "50"): 1}
        again.spends(now_ns + 20 * DAY_NS, 60)
        assert again.counted() == {("plan", "50"): 2, ("recent", "33.3"): 1}
        again.crossings.forget()  # in a forked child
        assert again.counted() == {}
        again.spends(now_ns + 20 * DAY_NS + 1, 60)
        assert again.counted() == {("plan", "100"): 1}


def test_a_crossing_that_the_store_could_not_note_is_counted_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was away for a moment: who looks next tells it."""
    now_ns = at_ns("2026-11-20 12:00")
    one = Process(tmp_path)
    with closing(one.store):
        with monkeypatch.context() as away:

            def refuse(*_: object) -> bool:
                raise StoreUnavailableError("away")

            away.setattr(one.store, "crossed", refuse)
            with pytest.raises(StoreUnavailableError):
                one.spends(now_ns, 60)
        one.spends(now_ns + 1, 1)
        assert one.counted() == {("plan", "50"): 1, ("recent", "33.3"): 1}


def test_a_threshold_is_spelt_as_the_rules_spell_it(tmp_path: Path) -> None:
    """The alert finds its counter: 33.30, 1E+2 and 80 alike."""
    one = Process(tmp_path)
    (*_, hundred) = one.budgets[0].budget.percents
    one.crossings.counted = {("plan", percent): 1 for percent in (hundred * 10, *one.budgets[1].budget.percents)}
    assert set(one.counted()) == {("plan", number(percent)) for _, percent in one.crossings.counted}
    assert ("plan", "1000") in one.counted()
