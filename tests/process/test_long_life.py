"""A process that lives for months: its figures stay exact, and what it keeps and tells stays bounded."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import View

from costspan import instrumentor, names
from costspan.facts.money import NANO_PER_USD
from costspan.facts.periods import NS_PER_S, Periods
from costspan.metrics import instruments
from costspan.metrics.counters import OF_DAYS
from costspan.metrics.days import told_on
from costspan.metrics.instruments import day_points, observe_totals
from costspan.metrics.totals import Totals
from costspan.sdk.expire_series import SeriesExpiry
from fleet import moment_s
from ledger_calls import COST, call
from watching import Watched

_USD = COST.nano_usd / NANO_PER_USD
_DAY_S = 86_400
_FRIDAY_S = moment_s("UTC", 2026, 11, 20)


class Life:
    """A process's sums under a clock that can be set, and a steady one that goes on."""

    def __init__(self) -> None:
        self.now_s = float(_FRIDAY_S)
        self.steady_s = 0.0
        self.totals = Totals(50, steady=lambda: self.steady_s)
        self.periods = Periods()

    def goes_on(self, seconds: float) -> None:
        """Time passes."""
        self.now_s += seconds
        self.steady_s += seconds

    def today(self) -> str:
        """The date on the clock."""
        return self.periods.day(round(self.now_s * NS_PER_S))

    def spends(self, **labels: Any) -> None:
        """One call, now."""
        now_ns = round(self.now_s * NS_PER_S)
        self.totals.add(call(started_ns=now_ns, **labels), self.periods.month(now_ns), self.today())

    def told(self) -> dict[str, float]:
        """Its day counter: dollars by weekday."""
        return {labels[names.WEEKDAY]: usd / _USD for usd, labels in day_points(self.totals, OF_DAYS[0], self.today())}


# -- days -------------------------------------------------------------------------------------------------------------


def test_a_day_is_told_for_three_days_after_it() -> None:
    """Friday's spend is told until Monday, and the next Friday begins at zero."""
    life = Life()
    life.spends()
    seen = list[dict[str, float]]()
    for _ in range(8):
        seen.append(life.told())
        life.goes_on(_DAY_S)
    assert seen == [{"5": 1.0}] * 4 + [{}] * 4
    life.spends()
    assert life.told() == {"6": 1.0}


def test_a_refused_call_is_no_request_of_its_day() -> None:
    """It was not made; one that failed was."""
    life = Life()
    for outcome in ("ok", "error", "abandoned", "refused"):
        life.spends(outcome=outcome)
    (counter,) = (each for each in OF_DAYS if each.metric is names.DAY_REQUESTS)
    assert [count for count, _ in day_points(life.totals, counter, life.today())] == [3]


def test_no_two_days_that_are_told_together_have_the_same_weekday() -> None:
    """A series is one day's at any time, in a process that spends every day, however long it lives."""
    life = Life()
    for _ in range(60):
        life.spends()
        told = day_points(life.totals, OF_DAYS[0], life.today())
        assert len({labels[names.WEEKDAY] for _, labels in told}) == len(told) <= 4
        assert {usd / _USD for usd, _ in told} == {1.0}
        life.goes_on(_DAY_S)
    assert len(life.totals.days) <= 10


def test_a_late_call_is_added_to_the_day_on_which_it_began() -> None:
    """As long as that is told."""
    life = Life()
    life.spends()
    began_ns = round(life.now_s * NS_PER_S)
    life.goes_on(2 * _DAY_S)
    life.totals.add(call(started_ns=began_ns), "202611", life.periods.day(began_ns))
    assert life.told() == {"5": 2.0}


def test_a_late_call_of_a_day_that_was_let_go_of_is_told_when_the_clock_is_set_back() -> None:
    """What was told before stands in Prometheus; the day begins anew with the call."""
    life = Life()
    life.spends()
    began_ns = round(life.now_s * NS_PER_S)
    life.told()
    life.goes_on(10 * _DAY_S)
    life.told()
    life.totals.add(call(started_ns=began_ns), "202611", life.periods.day(began_ns))
    life.now_s -= 10 * _DAY_S
    assert life.told() == {"5": 1.0}


@pytest.mark.parametrize("days", [1, 3, 90, -1, -3, -90])
def test_a_clock_that_is_wrong_for_an_hour_takes_nothing_away(days: int) -> None:
    """When it is right again, the sums of before go on."""
    life = Life()
    life.spends()
    life.now_s += days * _DAY_S
    life.told()
    life.goes_on(3_600)
    life.told()
    life.now_s -= days * _DAY_S
    life.spends()
    assert life.told()["5"] == 2.0
    assert [cell.outcomes for cell in life.totals.by_labels.values()] == [{"ok": 2}]


def test_the_told_dates_cross_the_ends_of_month_and_year() -> None:
    """Tomorrow is among them, because a clock may be set back over midnight."""
    assert list(told_on("20270101")) == ["20261229", "20261230", "20261231", "20270101", "20270102"]
    assert list(told_on("20280301"))[2] == "20280229"


def test_too_many_sets_of_a_day_are_folded_and_counted() -> None:
    """Where they are told by the SDK, its limit holds for the tokens as well: two directions in seven weekdays."""
    life = Life()
    life.totals.share_sdk_limit()
    for number in range(250):
        life.spends(team=f"team-{number % 50}", source=f"source-{number % 47}")
    points = day_points(life.totals, OF_DAYS[0], life.today())
    assert len(points) * 2 * 7 < 2_000
    assert sum(usd for usd, _ in points) == pytest.approx(250 * _USD)
    assert {labels[names.TEAM] for _, labels in points} >= {"team-0", "other"}
    assert life.totals.overflowed > 0


# -- months -----------------------------------------------------------------------------------------------------------


def months(life: Life) -> list[str]:
    """The months that it tells."""
    return sorted(cell.labels[names.PERIOD] for cell in life.totals.by_labels.values())


def test_a_month_is_let_go_when_it_has_been_still_for_32_days_and_was_delivered() -> None:
    """The month before the newest stays for a while, years of months do not; what was let go is counted."""
    life = Life()
    for _ in range(400):
        life.spends()
        life.totals.let_go(life.steady_s)
        assert len(months(life)) <= 3
        life.goes_on(_DAY_S)
    assert months(life) == ["202711", "202712"]
    kept = sum(sum(cell.cost.values()) for cell in life.totals.by_labels.values())
    assert kept + life.totals.retired_nano_usd == 400 * COST.nano_usd
    life.spends()
    assert sum(sum(cell.cost.values()) for cell in life.totals.by_labels.values()) == kept + COST.nano_usd


def test_what_could_not_be_delivered_is_kept() -> None:
    """However long the Collector is away, the last sums of every month reach it."""
    life = Life()
    for _ in range(180):
        life.spends()
        life.totals.let_go(10.0 * _DAY_S)
        life.goes_on(_DAY_S)
    assert months(life)[0] == "202611"
    assert len(months(life)) == 7
    for _ in range(2):
        life.goes_on(3_601)
        life.totals.let_go(life.steady_s)
    assert len(months(life)) == 2


def test_the_newest_month_is_kept_however_idle_the_process_is() -> None:
    """It tells that there is telemetry, and that nothing was spent."""
    life = Life()
    life.spends()
    for _ in range(100):
        life.goes_on(_DAY_S)
        life.totals.let_go(life.steady_s)
    assert months(life) == ["202611"]


# -- the SDK ----------------------------------------------------------------------------------------------------------


class Program(Life):
    """A process with the real SDK."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, reader: InMemoryMetricReader, views: Sequence[View] = ()
    ) -> None:
        super().__init__()
        self.reader = reader
        self.provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
        monkeypatch.setattr(instruments, "time_ns", lambda: round(self.now_s * NS_PER_S))
        observe_totals(self.provider.get_meter(names.SCOPE), self.totals, self.periods)
        self.retiring = SeriesExpiry(self.totals, lambda: self.provider, lambda: self.steady_s)

    def exports(self) -> dict[str, list[Any]]:
        """The points of each metric; delivered."""
        data = self.reader.get_metrics_data()
        assert data is not None
        points = {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }
        self.retiring.after_delivery()
        return points


def test_the_sdk_forgets_what_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep every set for ever, and above 2000 throw model, team and month away: after 21 months here."""
    program = Program(monkeypatch, InMemoryMetricReader())
    points = dict[str, list[Any]]()
    days = range(0, 730, 30)
    for day in days:
        for number in range(95):
            program.spends(request_model=f"model-{number % 50}", team=f"team-{number % 7}")
        points = program.exports()
        for name in (names.COST_USD.name, names.DAY_TOKENS.name):
            assert not [point for point in points[name] if "otel.metric.overflow" in point.attributes], (day, name)
        program.goes_on(days.step * _DAY_S)
    told = sum(point.value for name in (names.COST_USD, names.RETIRED_USD) for point in points[name.name])
    assert told == pytest.approx(len(days) * 95 * _USD)


class Renamed:
    """What another version of the SDK keeps under another name."""

    def __init__(self, inner: Any, name: str) -> None:
        self._inner = inner
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            raise AttributeError(name)
        return getattr(self._inner, name)


def _without(provider: Any, what: str) -> Any:
    """The provider as its SDK would be if it named one thing otherwise."""
    consumer = provider._measurement_consumer
    if what == "_lock":
        return SimpleNamespace(**{**vars(provider), "_measurement_consumer": Renamed(consumer, what)})
    for storage in consumer._reader_storages.values():
        matches = storage._instrument_view_instrument_matches
        for instrument, streams in matches.items():
            matches[instrument] = [Renamed(stream, what) for stream in streams]
    return provider


@pytest.mark.parametrize("what", ["_lock", "_attributes_aggregation", None])
def test_an_sdk_that_keeps_its_series_otherwise_is_left_alone(
    what: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is let go there: a sum that the SDK went on telling after it was let go would be told twice."""
    program = Program(monkeypatch, InMemoryMetricReader())
    program.spends()
    program.exports()
    meters = program.provider if what is None else _without(program.provider, what)
    retiring = SeriesExpiry(program.totals, lambda: meters, lambda: program.steady_s)
    for _ in range(4):
        program.goes_on(32 * _DAY_S)
        program.spends()
        retiring.after_delivery()
    assert (program.totals.retired_nano_usd > 0) == (what is None)


def test_a_view_that_takes_the_month_away_sees_no_sum_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where months are not told apart, none is let go."""
    view = View(instrument_name=names.COST_USD.name, attribute_keys={names.TEAM})
    program = Program(monkeypatch, InMemoryMetricReader(), [view])
    for number in range(200):
        program.spends()
        (point,) = program.exports()[names.COST_USD.name]
        assert point.value == pytest.approx((number + 1) * _USD)
        program.goes_on(_DAY_S)


def test_deltas_of_days_and_months_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """For those who export deltas: no amount comes twice, and none is below zero, when a weekday comes again."""
    delta = InMemoryMetricReader(preferred_temporality={ObservableCounter: AggregationTemporality.DELTA})
    program = Program(monkeypatch, delta)
    told = {names.COST_USD.name: 0.0, names.DAY_COST_USD.name: 0.0}
    for number in range(150):
        for _ in range(1 + (number * 7) % 5):
            program.spends()
        for name, points in program.exports().items():
            if name in told:
                assert all(point.value >= 0 for point in points), (number, name)
                told[name] += sum(point.value for point in points)
        program.goes_on(_DAY_S)
    count = sum(1 + (number * 7) % 5 for number in range(150))
    assert told == {name: pytest.approx(count * _USD) for name in told}


class Exporter(MetricExporter):
    """Delivers or not, as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.result = MetricExportResult.FAILURE

    def export(self, *_: Any, **__: Any) -> MetricExportResult:
        return self.result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002  # the SDK's signature
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing to close."""


def test_only_an_export_that_succeeded_counts_as_delivered() -> None:
    """The slowest of all readers decides; one that only holds its data ready has delivered them."""
    exporter = Exporter()
    watched = Watched()
    watched.reader = InMemoryMetricReader()
    periodic = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
    watched.meter_provider = MeterProvider([watched.reader, periodic], shutdown_on_exit=False)
    with watched:
        pipeline = instrumentor.pipeline
        assert pipeline is not None
        pipeline.dispatcher.put(call())
        watched.calls()
        delivered, begun = list[float](), list[float]()
        for result in (MetricExportResult.FAILURE, MetricExportResult.SUCCESS, MetricExportResult.FAILURE):
            exporter.result = result
            begun.append(monotonic())
            watched.meter_provider.force_flush()
            delivered.append(pipeline.readers.delivered_s())
    assert delivered[0] == float("-inf")
    assert begun[1] < delivered[1] <= delivered[2] < begun[2]
