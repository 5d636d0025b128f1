"""Labels cannot blow up a counter: whatever comes, the sets are few, and the totals are exact."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View

from costspan import names
from costspan.facts import foreign
from costspan.facts.money import Cost
from costspan.metrics.cardinality import CardinalityLimit
from costspan.metrics.health import observe_anomalies
from costspan.metrics.totals import Totals
from ledger_calls import COST, USAGE, call
from watching import Watched, points_of

_SDK_LIMIT = 2_000


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (None, "unknown"),
        ("", "unknown"),
        ("gpt-5", "gpt-5"),
        ("x" * 300, foreign.text("x" * 300)),
        ("half \ud800", "half \ufffd"),
        ("other", "other"),
    ],
)
def test_a_value_becomes_a_label(text: str | None, label: str) -> None:
    """Nothing said is `unknown`; a long one is cut; what cannot be sent is replaced."""
    assert CardinalityLimit(50).value(text) == label


def test_the_first_values_keep_their_names() -> None:
    """What comes above the limit is `other`, and counted; what was known before stays known."""
    capped = CardinalityLimit(3)
    assert [capped.value(text) for text in "abcdeabc"] == ["a", "b", "c", "other", "other", "a", "b", "c"]
    assert capped.overflowed == 2


def test_anomalies_of_more_teams_than_have_a_label_are_other() -> None:
    """Counted together, as one series."""
    reader = InMemoryMetricReader()
    counted = {("hour", team, None): 1 for team in "abc"} | {("loop", None, "review"): 2, ("hour", "d", None): 3}
    watch: Any = SimpleNamespace(counted=counted)
    observe_anomalies(MeterProvider([reader]).get_meter("costspan"), watch, 2)
    found = {
        tuple(point.attributes[label] for label in names.ANOMALIES.labels): point.value
        for point in points_of(reader, names.ANOMALIES)
    }
    assert found == {
        ("hour", "a", "unknown"): 1, ("hour", "b", "unknown"): 1, ("hour", "other", "unknown"): 4,
        ("loop", "unknown", "review"): 2,
    }  # fmt: skip


def _fill(totals: Totals, numbers: range) -> int:
    made = [
        call(request_model=f"model-{n}", task_type=f"task-{n % 97}", team=f"team-{n % 53}", source=f"source-{n % 7}")
        for n in numbers
    ]
    for one in made:
        totals.add(one, f"2026{1 + one.started_ns % 12:02}", "20261120")
    return len(made)


def test_the_number_of_sets_is_bounded_and_the_totals_are_exact() -> None:
    """Ten thousand models, a hundred task types and fifty teams: no set is lost to the SDK's limit, no token either."""
    totals = Totals(50)
    totals.share_sdk_limit()
    count = _fill(totals, range(10_000))
    assert len(totals.by_labels) <= _SDK_LIMIT / 6  # qualities of the cost
    assert len(totals.days) <= _SDK_LIMIT
    assert sum(sum(cell.outcomes.values()) for cell in totals.by_labels.values()) == count
    assert sum(sum(cell.cost.values()) for cell in totals.by_labels.values()) == count * COST.nano_usd
    assert sum(day.nano_usd for day in totals.days.values()) == count * COST.nano_usd
    assert sum(day.input for day in totals.days.values()) == count * USAGE.get("input")
    assert totals.overflowed > 0


def test_what_was_there_first_is_not_disturbed_by_what_comes_after() -> None:
    """The flood goes to `other`; the models of before keep their own series."""
    totals = Totals(50)
    for _ in range(3):
        totals.add(call(request_model="mine"), "202611", "20261120")
    _fill(totals, range(5_000))
    totals.add(call(request_model="mine"), "202611", "20261120")
    (mine,) = [cell for cell in totals.by_labels.values() if cell.labels[names.REQUEST_MODEL] == "mine"]
    assert mine.outcomes == {"ok": 4}


@pytest.mark.parametrize("with_account", [False, True])
def test_the_account_is_a_label_only_where_it_is_asked_for(*, with_account: bool) -> None:
    """It is unbounded by nature: by opt-in, and within the cap."""
    totals = Totals(3, with_account=with_account)
    for number in range(10):
        totals.add(call(account=f"account-{number}"), "202611", "20261120")
    accounts = {cell.labels.get(names.ACCOUNT) for cell in totals.by_labels.values()}
    assert accounts == ({"account-0", "account-1", "account-2", "other"} if with_account else {None})


def test_every_metric_stays_within_the_limit_of_the_sdk() -> None:
    """Where a View has the sums leave by the SDK: no overflow, and the sums of the points are the sums of the calls."""
    watched = Watched(session_metrics=False)
    view = View(instrument_name="llm.session.*", attribute_keys=set())
    watched.reader = InMemoryMetricReader()
    watched.meter_provider = MeterProvider([watched.reader], views=[view], shutdown_on_exit=False)
    with watched:
        from costspan import instrumentor

        assert instrumentor.pipeline is not None
        assert not watched.points(names.COST_USD)
        count = _fill(instrumentor.pipeline.totals, range(4_000))
        total = sum(one.nano_usd for one in [COST] * count)
        points = watched.points(names.COST_USD)
        assert len(points) < _SDK_LIMIT
        assert not [point for point in points if "otel.metric.overflow" in point.attributes]
        assert sum(point.value for point in points) == pytest.approx(total / 1e9, rel=1e-12)
        assert watched.total(names.REQUESTS) == count
        assert watched.total(names.INPUT_TOKENS) == count * USAGE.get("input")
        assert watched.total(names.FOLDED) > 0


def test_a_call_of_no_price_adds_no_cost() -> None:
    """Unpriced is counted apart; the sum of the cost is untouched."""
    totals = Totals(50)
    totals.add(call(), "202611", "20261120")
    totals.add(call(price=None), "202611", "20261120")
    (cell,) = totals.by_labels.values()
    assert isinstance(COST, Cost)
    assert cell.cost == {"exact": COST.nano_usd}
