"""One process of a service with many tenants: every set of labels has its own sums, exact, by a path of our own."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import logging
import math
import os
import time
from collections import Counter as Counted
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import openai
import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import DropAggregation, View
from prometheus_client import REGISTRY, generate_latest

import costspan
from costspan import guard, names
from costspan.cli import doctor
from costspan.cli.findings import NOTE
from costspan.ledger import notes
from costspan.metrics import batches, label_points
from costspan.sdk.readers import Readers
from forking import in_child
from otlp_receiver import MOST_BYTES, Received, Receiver, exporter, over_grpc, over_http
from provider import Provider
from tenants import LABELS, TENANTS, Service, serving, spends, sums, told, told_of_the_day
from watching import Watched, points_of


@pytest.fixture(params=[over_http, over_grpc], ids=["http", "grpc"])
def receiver(request: pytest.FixtureRequest) -> Receiver:
    """A receiver with default limits."""
    return request.param


@pytest.fixture(autouse=True)
def quiet() -> Generator[None]:
    """What costspan counts and tells begins at nothing."""
    guard.faults.clear()
    notes.forget(notes.OVERFLOW)
    yield
    guard.faults.clear()


@contextmanager
def serving_to(
    receiver: Receiver, *, before: Callable[[], object] = int, **settings: Any
) -> Generator[tuple[Service, Received]]:
    """A service that sends to a receiver by the SDK's own exporter."""
    with receiver(before=before) as (url, received):
        reader = PeriodicExportingMetricReader(exporter(receiver, url), export_interval_millis=math.inf)
        with serving(reader, **settings) as service:
            yield service, received


# --- exact ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("receiver", "sets"), [(over_http, 10_000), (over_grpc, 2_500)], ids=["http", "grpc"])
def test_ten_thousand_sets_of_a_day_are_exact(receiver: Receiver, sets: int) -> None:
    """In two exports, over the real exporter, in requests that every receiver takes; nothing is folded."""
    with serving_to(receiver) as (service, received):
        service.serves(TENANTS[:sets])
        assert service.exports()
        assert len(service.expected()) == sets
        assert told(received.points) == told_of_the_day(received.points) == service.expected()
        service.serves(TENANTS[:sets:3])
        assert service.exports()
        assert told(received.points) == told_of_the_day(received.points) == service.expected()
        assert received.total(names.REQUESTS.name) == len(service.calls)
        assert received.total(names.FOLDED.name) == 0
        assert max(received.sizes) < 2 * batches.MOST_BYTES < MOST_BYTES
        assert not [
            point for point in received.points(names.COST_USD.name) if "otel.metric.overflow" in point.attributes
        ]


def test_calls_of_many_tenants_reach_the_receiver_end_to_end(provider: Provider) -> None:
    """Real calls by a real client, more sets than an SDK counter could keep apart with all its qualities: each exact."""
    tenants = [(team, task_type) for team in range(60) for task_type in range(7)]
    with over_http() as (url, received):
        reader = PeriodicExportingMetricReader(exporter(over_http, url), export_interval_millis=math.inf)
        watched = Watched(events=False, spans=False)
        watched.meter_provider = MeterProvider([reader], shutdown_on_exit=False)
        with watched, openai.OpenAI(api_key="local", base_url=provider.url, max_retries=0) as client:
            for team, task_type in tenants:
                with costspan.attribution(team=f"tenant-{team}", task_type=f"task-{task_type}", source="main_agent"):
                    for _ in range(1 + team % 2):
                        client.chat.completions.create(
                            model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}]
                        )
            calls = watched.calls()
            watched.meter_provider.force_flush()
        assert len(calls) == sum(1 + team % 2 for team, _ in tenants) == 630
        assert len(sums(calls)) == 420
        assert told(received.points) == told_of_the_day(received.points) == sums(calls)
        watched.meter_provider.shutdown()


def test_what_is_scraped_has_every_set_in_each_answer() -> None:
    """Prometheus' own exporter, which is asked for everything at once."""
    with serving(PrometheusMetricReader()) as service:
        service.serves(TENANTS[:3_000])
        for _ in range(2):
            page = generate_latest(REGISTRY).decode().splitlines()
            spent = [line for line in page if line.startswith(names.COST_USD.prometheus)]
            assert len(spent) == 3_000
            nano_usd = sum(round(float(line.rpartition(" ")[2]) * 1e9) for line in spent)
            assert nano_usd == sum(cost for _, _, cost in service.expected().values())


def test_a_forked_child_has_sums_of_its_own() -> None:
    """What the parent counted is the parent's; both send theirs, under identities of their own."""
    with serving_to(over_http) as (service, received):
        service.serves(TENANTS[:2_000])
        assert service.exports()
        of_child = [spends(number, tenant) for number, tenant in enumerate(TENANTS[1_000:2_500])]

        def in_the_child() -> None:
            service.serves(TENANTS[1_000:2_500])
            assert service.exports()

        assert in_child(in_the_child) == 0
        assert received.instances(names.COST_USD.name) == 2
        service.serves(TENANTS[:10])
        assert service.exports()
        both = sums([*service.calls, *of_child])
        for metric, place in ((names.INPUT_TOKENS, 0), (names.OUTPUT_TOKENS, 1)):
            assert received.total(metric.name) == sum(each[place] for each in both.values())
        assert len(received.points(names.REQUESTS.name)) == 2_000 + 1_500
        assert Counted(point.value for point in received.points(names.REQUESTS.name)) == {1: 3_490, 2: 10}


# --- above the limit --------------------------------------------------------------------------------------------


def test_above_the_limit_sets_are_folded_and_the_sum_stays_exact(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """The first ones keep their names; the rest is `other`, told once, and by the health metric."""
    with serving_to(receiver, label_set_limit=500) as (service, received):
        service.serves(TENANTS[:2_000])
        assert service.exports()
        service.serves(TENANTS[:2_000])
        assert service.exports()
        points = received.points(names.COST_USD.name)
        expected = service.expected()
        assert len(points) == 501
        assert round(sum(point.value for point in points) * 1e9) == sum(cost for _, _, cost in expected.values())
        by_name = {tuple(point.attributes[label] for label in LABELS): round(point.value * 1e9) for point in points}
        assert all(by_name[tenant] == expected[tenant][2] for tenant in TENANTS[:500])
        assert by_name["other", "other", "other", "other"] == sum(expected[each][2] for each in TENANTS[500:2_000])
        assert received.total(names.FOLDED.name) == 1_500
    warned = [
        record.getMessage() for record in caplog.records if "OTEL_COSTSPAN_LABEL_SET_LIMIT" in record.getMessage()
    ]
    assert len(warned) == 1
    assert "more than 500 sets" in warned[0]
    (found,) = doctor.labels(os.environ, time.time())
    assert found.level == NOTE
    assert "more than 500 sets of labels in a month (OTEL_COSTSPAN_LABEL_SET_LIMIT)" in found.sentence


def test_above_the_limit_of_a_label_its_name_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Once a label, with the setting; the total stays exact."""
    exporter = _Picky()
    with serving(_periodic(exporter), label_limit=20) as service:
        service.serves(TENANTS[:4_000])
        assert service.exports()
        cost = sum(round(point.value * 1e9) for point in exporter.points(names.COST_USD.name))
        assert cost == sum(nano_usd for _, _, nano_usd in service.expected().values())
    warned = [record.getMessage() for record in caplog.records if record.name == "costspan"]
    assert [sentence for sentence in warned if "more than 20 values of llm.team" in sentence] == warned
    (found,) = doctor.labels(os.environ, time.time())
    assert "more than 20 values of llm.team (OTEL_COSTSPAN_LABEL_LIMIT)" in found.sentence


def test_the_limit_is_one_of_a_month() -> None:
    """A new month begins with room for as many, though the sets of the last are still told."""
    reader = InMemoryMetricReader()
    with serving(reader, label_set_limit=100) as service:
        for month in ("202611", "202612"):
            for number, tenant in enumerate(TENANTS[:100]):
                service.pipeline.totals.add(spends(number, tenant), month, f"{month}01")
        assert len(points_of(reader, names.COST_USD)) == 200
        assert service.pipeline.totals.overflowed == 0


# --- ways out ---------------------------------------------------------------------------------------------------


class _Picky(MetricExporter):
    """Takes every message but those that `refuses` names; keeps what it took, and how many it was asked to."""

    def __init__(self, temporality: AggregationTemporality = AggregationTemporality.CUMULATIVE) -> None:
        super().__init__(preferred_temporality={ObservableCounter: temporality})
        self.refuses: Callable[[set[Any]], bool] = lambda _: False
        self.is_delta = temporality is AggregationTemporality.DELTA
        self.series: dict[tuple[str, tuple[Any, ...]], Any] = {}
        self.messages = 0
        self.sent = Counted[str]()

    def export(self, metrics_data: Any, *_: Any, **__: Any) -> MetricExportResult:
        self.messages += 1
        found = [
            (metric.name, point)
            for resource in metrics_data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]
        if self.refuses({point.attributes[names.TEAM] for name, point in found if name == names.COST_USD.name}):
            return MetricExportResult.FAILURE
        for name, point in found:
            key = (name, tuple(sorted(point.attributes.items())))
            self.sent[name] += 1
            if self.is_delta and key in self.series and name.startswith(("llm.", "gen_ai.client.inference.usage.")):
                before = self.series[key]
                assert before.time_unix_nano <= point.start_time_unix_nano, "deltas overlap"
                point = replace(point, value=before.value + point.value)  # noqa: PLW2901
            self.series[key] = point
        return MetricExportResult.SUCCESS

    def points(self, name: str) -> list[Any]:
        """The last of every series, or their sum for deltas."""
        return [point for (metric, _), point in self.series.items() if metric == name]

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002  # the SDK's signature
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing to close."""


def _all(_: set[Any]) -> bool:
    return True


def _none(_: set[Any]) -> bool:
    return False


def _periodic(exporter: MetricExporter) -> PeriodicExportingMetricReader:
    return PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)


_TEMPORALITIES: Final = [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA]


@pytest.mark.parametrize("temporality", _TEMPORALITIES, ids=str)
def test_what_is_refused_once_is_right_with_the_next_export(temporality: AggregationTemporality) -> None:
    """One message in the middle, and then all of them: nothing is lost, with deltas nothing is told twice."""
    exporter = _Picky(temporality)
    with serving(_periodic(exporter)) as service:
        service.serves(TENANTS[:4_000])
        exporter.refuses = lambda teams: "tenant-20" in teams
        assert not service.exports()
        assert told(exporter.points) != service.expected()
        exporter.refuses = _all
        service.serves(TENANTS[1_000:2_000])
        assert not service.exports()
        exporter.refuses = _none
        service.serves(TENANTS[:500])
        assert service.exports()
        assert told(exporter.points) == told_of_the_day(exporter.points) == service.expected()
        assert service.exports()
        assert told(exporter.points) == service.expected()


@pytest.mark.parametrize("temporality", _TEMPORALITIES, ids=str)
def test_few_sets_go_in_one_message_with_the_programs_own_metrics(temporality: AggregationTemporality) -> None:
    """As the SDK sends them; apart only after that failed, because what they went with may be what cannot be sent:
    theirs, then our totals, our counts by the SDK, our durations.
    """
    exporter = _Picky(temporality)
    with serving(_periodic(exporter)) as service:
        service.provider.get_meter("theirs").create_counter("theirs").add(1)
        for number, (is_taken, messages) in enumerate([(True, 1), (True, 1), (False, 1), (True, 4), (True, 1)], 1):
            service.serves(TENANTS[:20])
            exporter.messages, exporter.refuses = 0, _all if not is_taken else _none
            assert service.exports() == is_taken
            assert exporter.messages == messages, f"export {number}"
            if is_taken:
                assert told(exporter.points) == told_of_the_day(exporter.points) == service.expected()


def test_a_message_that_is_never_taken_holds_no_other_up() -> None:
    """The first of all is refused every time: two exports later everything but that one is there, health as well."""
    exporter = _Picky()
    with serving(_periodic(exporter)) as service:
        service.serves(TENANTS[:4_000])
        exporter.refuses = lambda teams: "tenant-0" in teams
        assert not service.exports()
        assert exporter.messages == 1, "nobody may be there: no exporter's patience is spent on each message"
        assert not service.exports()
        arrived = {point.attributes[names.TEAM] for point in exporter.points(names.COST_USD.name)}
        assert len(arrived) > 30
        assert exporter.points(names.FOLDED.name)
        exporter.refuses = _none
        assert service.exports()
        assert told(exporter.points) == service.expected()


def test_who_takes_less_than_the_usual_views_has_the_limit_of_the_sdk() -> None:
    """A View may rename, drop or join labels: the sums leave by the SDK's counters, which a View concerns."""
    view = View(instrument_name=names.COST_USD.name, attribute_keys={names.TEAM})
    reader = InMemoryMetricReader()
    with serving(reader, views=(view,)) as service:
        assert points_of(reader, names.FOLDED)
        service.serves(TENANTS)
        points = points_of(reader, names.COST_USD)
        assert {tuple(point.attributes) for point in points} == {(names.TEAM,)}
        assert round(sum(point.value for point in points) * 1e9) == sum(c for _, _, c in service.expected().values())
        assert service.pipeline.totals.overflowed > 0
    assert (
        "300 sets of labels in a month or 140 in a day (the SDK's limit, as a View"
        in next(doctor.labels(os.environ, time.time())).sentence
    )


@pytest.mark.parametrize(
    ("view", "is_ours"),
    [
        (View(instrument_name="http.*"), False),
        (View(instrument_name="*", meter_name="theirs"), False),
        (View(instrument_type=Histogram), False),
        (View(instrument_name="LLM.cost.*"), True),
        (View(instrument_name="*"), True),
        (View(instrument_type=ObservableCounter), True),
        (View(meter_name="costspan"), True),
        (View(instrument_unit="{token}"), True),
    ],
    ids=["name", "meter", "kind", "our name", "all names", "our kind", "our meter", "unit"],
)
def test_a_view_that_concerns_other_metrics_changes_nothing(view: View, *, is_ours: bool) -> None:
    """Web frameworks and programs have Views of their own in force; only one that may choose our counters counts."""
    reader = InMemoryMetricReader()
    with serving(reader, views=(view,)) as service:
        assert points_of(reader, names.FOLDED)
        service.serves(TENANTS[:400])
        assert service.pipeline.totals.shares_sdk_limit == is_ours
        assert sum(point.value for point in points_of(reader, names.REQUESTS)) == 400
        assert (service.pipeline.totals.overflowed > 0) == is_ours


def test_a_reader_that_drops_counters_gets_none() -> None:
    """What a reader asks for holds for the counters of costspan as for all others."""
    readers = [
        InMemoryMetricReader(preferred_aggregation={ObservableCounter: DropAggregation()}),
        InMemoryMetricReader(),
    ]
    with serving(*readers) as service:
        service.provider.get_meter("theirs").create_gauge("theirs").set(1)
        service.serves(TENANTS[:50])
        assert [len(points_of(reader, names.COST_USD)) for reader in readers] == [0, 50]


def test_one_reader_that_cannot_be_joined_has_all_read_the_sdks_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaves by points of our own would not reach it at all."""
    monkeypatch.setattr(guard, "raise_again", False)
    readers = [InMemoryMetricReader(), InMemoryMetricReader()]
    join = Readers._join

    def fails_for_one(self: Readers, reader: Any) -> None:
        if reader is readers[0]:
            raise RuntimeError("another SDK")
        join(self, reader)

    monkeypatch.setattr(Readers, "_join", fails_for_one)
    with serving(*readers) as service:
        service.serves(TENANTS[:50])
        assert [len(points_of(reader, names.COST_USD)) for reader in readers] == [50, 50]


def test_each_reader_gets_all_in_its_own_temporality() -> None:
    """Two side by side, one of them added while the process runs."""
    cumulative, delta = InMemoryMetricReader(), _Picky(AggregationTemporality.DELTA)
    with serving(cumulative) as service:
        service.serves(TENANTS[:300])
        assert len(points_of(cumulative, names.COST_USD)) == 300
        if not hasattr(service.provider, "add_metric_reader"):
            pytest.skip("this SDK adds no reader later")
        added = _periodic(delta)
        service.provider.add_metric_reader(added)
        added.force_flush()
        assert told(delta.points) == service.expected()
        service.serves(TENANTS[200:400])
        added.force_flush()
        assert told(delta.points) == service.expected()
        assert len(points_of(cumulative, names.COST_USD)) == 400


# --- days -------------------------------------------------------------------------------------------------------


def test_a_day_that_is_over_is_told_again_only_when_it_changed_or_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 10,000 sets a day, three more days at every export would be most of it."""
    now_s = 1_000.0
    monkeypatch.setattr(label_points, "monotonic", lambda: now_s)
    exporter = _Picky()
    with serving(_periodic(exporter)) as service:
        day: Any = service.pipeline.readers._periods

        def days_told() -> int:
            exporter.sent.clear()
            assert service.exports()
            return exporter.sent[names.DAY_COST_USD.name]

        service.serves(TENANTS[:100])
        assert [days_told(), days_told()] == [100, 100]
        day.today = "20261121"
        assert [days_told(), days_told(), days_told()] == [100, 0, 0]
        service.serves(TENANTS[:1])  # began before midnight
        assert [days_told(), days_told()] == [100, 0]
        exporter.refuses = _all
        service.serves(TENANTS[:1])
        assert not service.exports()
        exporter.refuses = _none
        assert [days_told(), days_told()] == [100, 0]
        now_s += 901
        assert [days_told(), days_told()] == [100, 0]
        exporter.refuses = lambda _: service.serves(TENANTS[:1]) or False  # while it is being exported
        days_told()
        exporter.refuses = _none
        assert [days_told(), days_told()] == [100, 0]
        assert told_of_the_day(exporter.points) == service.expected()


def test_totals_that_could_not_all_be_read_are_not_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours in the middle: what there is goes out, and no month is let go of for it."""
    monkeypatch.setattr(guard, "raise_again", False)
    exporter = _Picky()
    with serving(_periodic(exporter)) as service:
        service.serves(TENANTS[:2_000])
        entry = list(service.pipeline.totals.by_labels.values())[1_500]
        kept, entry.cost = entry.cost, None  # type: ignore[assignment]
        assert not service.exports()
        entry.cost = kept
        assert len(exporter.points(names.COST_USD.name)) > 100
        assert guard.faults == {"metrics.labels": 1}
        assert service.exports()
        assert told(exporter.points) == service.expected()


@pytest.mark.parametrize("temporality", _TEMPORALITIES, ids=str)
def test_what_is_let_go_is_told_no_more_and_adds_up(temporality: AggregationTemporality) -> None:
    """A month of long ago leaves memory, here and in what was noted for deltas; its sum stands in a counter."""
    exporter = _Picky(temporality)
    with serving(_periodic(exporter)) as service:
        totals, steady_s = service.pipeline.totals, [0.0]
        totals._steady = lambda: steady_s[0]
        totals._looked_s = 0.0
        service.serves(TENANTS[:100])
        assert service.exports()
        for _ in range(3):
            steady_s[0] += 20 * 86_400.0
            for number, tenant in enumerate(TENANTS[:10]):
                totals.add(spends(number, tenant), "202701", "20261120")
            totals.let_go(steady_s[0])
        exporter.sent.clear()
        service.exports()
        assert len(totals.by_labels) == 10
        assert exporter.sent[names.COST_USD.name] == 10
        assert totals.retired_nano_usd == sum(cost for _, _, cost in service.expected().values())
        (labels,) = [each._labels for each in service.pipeline.readers._ours()]
        assert len({entry for entry, _, _ in labels._reached}) <= 10 + len(totals.days)
        labels._totals.clear()


def test_nothing_is_logged_and_no_fault_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Ten thousand sets are no reason to say anything."""
    with caplog.at_level(logging.INFO), serving(_periodic(_Picky())) as service:
        service.serves(TENANTS)
        assert service.exports()
    assert [record for record in caplog.records if record.name == "costspan"] == []
    assert guard.faults == {}
