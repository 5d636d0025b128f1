"""budgets/periods.py and alerting/periods.py: a period is one record in each, and nothing else knows which there are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import costspan
from costspan.alerting.periods import PERIOD_RULES
from costspan.alerting.rules import budget_rules
from costspan.budgets import periods, policy
from costspan.budgets.periods import PERIODS, Period
from costspan.budgets.reading import load
from costspan.budgets.status import standings
from costspan.facts.periods import NS_PER_S

_SOURCES = Path(costspan.__file__).parent
_SPRINT = """time_zone: UTC
budgets:
  - {name: sprint, period: sprint, limit_usd: 70}
"""


def test_every_period_has_its_rules() -> None:
    """Both tables name the same periods, and each has the spend of every unit."""
    assert PERIOD_RULES.keys() <= PERIODS.keys()
    assert all(
        rules.spent.keys() == rules.example.counters.keys() == {*policy.UNITS} for rules in PERIOD_RULES.values()
    )


def _comparisons() -> Iterator[str]:
    """Where a source asks which period it is."""
    for path in _SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                asked = [each for each in (node.left, *node.comparators) if isinstance(each, ast.Constant | ast.Name)]
                words = {each.value if isinstance(each, ast.Constant) else each.id for each in asked}
                if words & {"DAY", "MONTH"} or ("period" in ast.dump(node) and words & set(PERIODS)):
                    yield f"{path.relative_to(_SOURCES)}:{node.lineno}"


def test_nothing_asks_which_period_it_is() -> None:
    """Who needs something of a period takes it from the record: a new period changes no other file."""
    assert not list(_comparisons())


_FIRST = datetime(2026, 1, 5)  # noqa: DTZ001 - the wall clock's


def _start(local: datetime) -> datetime:
    return local - (local - _FIRST) % timedelta(days=14)


def _next(start: datetime) -> datetime:
    return start + timedelta(days=14)


def test_a_period_more_is_a_record_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two weeks, added to both tables: budgets.yaml takes the word, the ledger's standing and the rules follow."""
    sprint = Period("sprint", "{:%GW%V}".format, _start, _next, "a sprint", "sprint")
    paces = PERIOD_RULES["day"]._replace(name="sprint", an_hour=" * 336", forecast_from=("0.2", "30m"))
    monkeypatch.setitem(PERIODS, "sprint", sprint)
    monkeypatch.setitem(PERIOD_RULES, "sprint", paces)
    (tmp_path / "budgets.yaml").write_text(_SPRINT)
    read = load(tmp_path / "budgets.yaml")
    thursday = int(datetime.fromisoformat("2026-11-26T12:00:00+00:00").timestamp()) * NS_PER_S
    (standing,) = standings(read, None, thursday)
    assert (standing.period, standing.elapsed) == ("2026W48", 3.5 / 14)
    rules = str(budget_rules(read))
    assert "* 336 / (70 * 1)" in rules
    assert "the sprint ends above 70 USD a sprint" in rules


def test_a_period_that_is_none_is_refused_with_the_list(tmp_path: Path) -> None:
    """The words are those of the table."""
    (tmp_path / "budgets.yaml").write_text(_SPRINT)
    with pytest.raises(policy.PolicyError, match="expected one of day, week, month, session"):
        load(tmp_path / "budgets.yaml")


def test_the_end_of_a_period_is_the_start_of_the_next() -> None:
    """No moment is in two periods or in none: over three years, hour by hour at the borders."""
    for period in (periods.DAY, periods.WEEK, periods.MONTH, *map(periods.month_from, (2, 15, 28, 29, 30, 31))):
        moment = datetime(2027, 1, 1)  # noqa: DTZ001 - the wall clock's
        while moment.year < 2030:
            end = period.end(period.start(moment))
            assert period.start(moment) <= moment < end
            assert period.start(end) == end
            assert period.start(end - timedelta(microseconds=1)) == period.start(moment)
            moment = end
