"""Session counters: bounded however many sessions come, exact for the active ones, exported with everything else."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import math
from typing import Any

import pytest
from opentelemetry.sdk.metrics import Counter, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)

from costspan import attribution, guard, instrumentor, names
from costspan.metrics.session_points import SessionPoints
from costspan.metrics.sessions import Sessions
from ledger_calls import COST, USAGE, call
from watching import Watched

_GIVEN, _MADE = USAGE.get("input"), USAGE.get("output")


def _spent(sessions: Sessions, clock: int = 0) -> dict[str, tuple[int, int, int]]:
    return {key[0]: (spent.nano_usd, spent.input, spent.output) for _, key, spent in sessions.changed_since(clock)}


def test_a_session_is_the_sum_of_its_calls() -> None:
    """By session, task type, model and source; a call without a session is not counted here."""
    sessions = Sessions(10, 50)
    for made in (
        call(session="a"),
        call(session="a"),
        call(session="b"),
        call(session=None),
        call(session="b", price=None),
    ):
        sessions.add(made)
    assert _spent(sessions) == {
        "a": (2 * COST.nano_usd, 2 * _GIVEN, 2 * _MADE),
        "b": (COST.nano_usd, 2 * _GIVEN, 2 * _MADE),
    }


def test_only_what_changed_is_told_again() -> None:
    """An idle session costs nothing in an export."""
    sessions = Sessions(10, 50)
    sessions.add(call(session="a"))
    ((clock, *_),) = sessions.changed_since(0)
    sessions.add(call(session="b"))
    assert list(_spent(sessions, clock)) == ["b"]


def test_the_longest_idle_session_goes_first() -> None:
    """And is told with every export until each reader has delivered it."""
    sessions = Sessions(2, 50)
    for reader in (1, 2):
        sessions.delivered(reader, 0)
    for session in ("a", "b", "a", "c"):
        sessions.add(call(session=session))
    assert [key[0] for key in sessions.active] == ["a", "c"]
    for reader in (1, 2):
        assert _spent(sessions)["b"] == (COST.nano_usd, _GIVEN, _MADE)
        sessions.delivered(reader, sessions.clock)
    assert list(_spent(sessions)) == ["a", "c"]


def test_a_session_that_comes_back_before_the_export_goes_on_where_it_was() -> None:
    """One series, no reset."""
    sessions = Sessions(1, 50)
    for session in ("a", "b", "a"):
        sessions.add(call(session=session))
    assert _spent(sessions)["a"] == (2 * COST.nano_usd, 2 * _GIVEN, 2 * _MADE)


def test_of_too_many_sessions_the_longest_gone_is_lost_first() -> None:
    """What a reader has not delivered of the later ones is still told, in the order in which they changed."""
    sessions = Sessions(2, 50)
    for session in ("a", "b", "c", "d", "a", "e", "f"):
        sessions.add(call(session=session))
    assert [key[0] for key in sessions.departed] == ["d", "a"]
    assert [key[0] for key in sessions.active] == ["e", "f"]
    assert [key[0] for _, key, _ in sessions.changed_since(0)] == ["d", "a", "e", "f"]


@pytest.mark.parametrize("has_reader", [True, False])
def test_memory_is_bounded_however_many_sessions_come(*, has_reader: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Twice the limit at most: the active, and those that went since the last delivery. More are counted as lost."""
    guard.faults.clear()
    sessions = Sessions(100, 50)
    if has_reader:
        sessions.delivered(1, 0)
    for number in range(5_000):
        sessions.add(call(session=f"session-{number}"))
    assert len(sessions.active) == 100
    assert len(sessions.departed) == 100
    assert guard.faults == ({"metrics.sessions.limit": 4_800} if has_reader else {})
    assert ("OTEL_COSTSPAN_SESSION_LIMIT" in caplog.text) == has_reader
    guard.faults.clear()


def _portions(points: SessionPoints) -> dict[str, float]:
    """What the next export says of each session, in USD; delivered."""
    cost, _ = points.take(points.backlog(), 1)
    points.delivered(1)
    found: Any = cost.data.data_points
    return {point.attributes[names.SESSION]: point.value for point in found}


def test_what_was_sent_is_remembered_of_twice_as_many_sessions_as_may_be_active() -> None:
    """Of the last ones, in the order in which they were sent: their next difference is right, and memory is bounded."""
    sessions = Sessions(2, 50)
    points = SessionPoints(sessions, is_delta=True, since_ns=0)
    usd = COST.nano_usd / 1e9
    for session in "abcdefg":
        sessions.add(call(session=session))
        assert _portions(points) == {session: usd}
    assert [key[0] for key in points._sent] == ["d", "e", "f", "g"]
    sessions.add(call(session="f"))
    assert _portions(points) == {"f": usd}
    assert [key[0] for key in points._sent] == ["d", "e", "g", "f"]


class _Failing(MetricExporter):
    """Delivers nothing, until it does."""

    fails = True

    def __init__(self, temporality: AggregationTemporality) -> None:
        super().__init__(preferred_temporality={Counter: temporality, ObservableCounter: temporality})
        self.told: list[tuple[Any, float]] = []

    def export(self, metrics_data: Any, *_: Any, **__: Any) -> MetricExportResult:
        if self.fails:
            return MetricExportResult.FAILURE
        self.told += [
            (point.attributes[names.SESSION], point.value)
            for resource in metrics_data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == names.SESSION_COST_USD.name
            for point in metric.data.data_points
        ]
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002  # the SDK's signature
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing to close."""


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA], ids=str)
def test_what_could_not_be_delivered_is_told_again(temporality: AggregationTemporality) -> None:
    """A session that has not changed since an export that failed, and one that went meanwhile."""
    exporter = _Failing(temporality)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
    watched = Watched(session_limit=1)
    watched.reader = InMemoryMetricReader()
    watched.meter_provider = MeterProvider([reader, watched.reader], shutdown_on_exit=False)
    with watched:
        pipeline = instrumentor.pipeline
        assert pipeline is not None
        assert pipeline.sessions is not None
        for session in ("gone", "quiet"):
            pipeline.sessions.add(call(session=session))
        pipeline.dispatcher.put(call(session=None))  # a sink joins readers with the first batch
        watched.calls()
        watched.meter_provider.force_flush()
        exporter.fails = False
        watched.meter_provider.force_flush()
        watched.meter_provider.force_flush()
    assert sorted(exporter.told) == [("gone", COST.nano_usd / 1e9), ("quiet", COST.nano_usd / 1e9)]


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA], ids=str)
def test_what_an_exporter_gets_adds_up(temporality: AggregationTemporality) -> None:
    """Cumulative: the last value of a series is its sum. Delta: the sum of the values is. With departures in between."""
    watched = Watched(session_limit=3)
    watched.reader = InMemoryMetricReader(preferred_temporality={Counter: temporality, ObservableCounter: temporality})
    watched.meter_provider = MeterProvider([watched.reader], shutdown_on_exit=False)
    told: dict[str, float] = {}
    with watched:
        pipeline = instrumentor.pipeline
        assert pipeline is not None
        assert pipeline.sessions is not None
        for turn in range(6):
            for number in range(4):
                pipeline.sessions.add(call(session=f"session-{turn // 2 + number}"))
            pipeline.dispatcher.put(call(session=None))  # a sink joins readers with the first batch
            for point in watched.points(names.SESSION_COST_USD):
                session = str(point.attributes[names.SESSION])
                is_delta = temporality is AggregationTemporality.DELTA
                told[session] = point.value + (told.get(session, 0.0) if is_delta else 0.0)
    if temporality is AggregationTemporality.DELTA:
        assert sum(told.values()) == pytest.approx(24 * COST.nano_usd / 1e9, rel=1e-9)
    assert set(told) == {f"session-{number}" for number in range(6)}


@pytest.mark.parametrize("is_on", [True, False])
def test_session_counters_reach_the_reader_of_the_program(*, is_on: bool) -> None:
    """On by default, off by a setting; the labels are those of the contract."""
    with Watched(session_metrics=is_on) as watched, attribution(session="s-1", task_type="triage"):
        pipeline = instrumentor.pipeline
        assert pipeline is not None
        made = call(session="s-1")
        if pipeline.sessions is not None:
            pipeline.sessions.add(made)
        pipeline.dispatcher.put(made)
        points = watched.points(names.SESSION_COST_USD)
        if pipeline.sessions is not None:
            pipeline.sessions.add(made)  # what has not changed is not told again
        tokens = watched.total(names.SESSION_TOKENS)
    assert len(points) == is_on
    assert tokens == (2 * (_GIVEN + _MADE) if is_on else 0)
    if is_on:
        assert tuple(sorted(points[0].attributes)) == tuple(sorted(names.SESSION_LABELS))
        assert points[0].value == COST.nano_usd / 1e9
