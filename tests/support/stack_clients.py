"""What the stack's tests send: metrics by the real SDK, and points built by hand that no SDK would send."""

from __future__ import annotations

import os
import time
import urllib.request
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from stack import MissingProgramError

from costspan import names
from costspan.names import Metric

NS_PER_S = 1_000_000_000
_Made = TypeVar("_Made")


class Program:
    """A program with the real SDK, reduced to what it counts."""

    def __init__(self, endpoint: str, job: str, **resource: str) -> None:
        exporter = OTLPMetricExporter(f"{endpoint}/v1/metrics", timeout=30)
        self._reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
        self._provider = MeterProvider([self._reader], resource=Resource({"service.name": job, **resource}))
        self._meter = self._provider.get_meter("costspan")

    def count(self, metric: Metric, value: float, **labels: str) -> None:
        """Have a metric stand at a value. Labels are written with `_` for `.`; all of the metric's, by default."""
        spelled = {label: labels.get(names.prometheus_label(label), "x") for label in metric.labels}
        more = {label: text for label, text in labels.items() if label not in map(names.prometheus_label, spelled)}
        attributes = {**spelled, **more}
        if metric.kind == names.HISTOGRAM:
            self._meter.create_histogram(metric.name, metric.unit).record(value, attributes)
        elif metric.kind == names.COUNTER:
            self._meter.create_counter(metric.name, metric.unit).add(value, attributes)
        else:

            def read(_: CallbackOptions) -> Iterator[Observation]:
                yield Observation(value, attributes)

            self._meter.create_observable_gauge(metric.name, [read], metric.unit)

    def send(self) -> bool:
        """Export now; True once the other side has taken it."""
        return self._provider.force_flush(30_000)

    def close(self) -> None:
        """The process ends."""
        self._provider.shutdown()


def needing_programs(make: Callable[[], _Made]) -> _Made:
    """What is made of the stack's programs. Where they cannot be had, the test is skipped, aloud; in CI it fails."""
    try:
        return make()
    except MissingProgramError as fault:
        if os.environ.get("CI"):
            pytest.fail(f"CI has to prove this on the real programs: {fault}")
        pytest.skip(str(fault))


@contextmanager
def program(endpoint: str, job: str, **resource: str) -> Generator[Program]:
    """A program that sends once more when it ends, as the SDK does."""
    running = Program(endpoint, job, **resource)
    try:
        yield running
    finally:
        running.close()


def new_job() -> str:
    """A service name of its own for each test: they share one Prometheus."""
    return f"job-{uuid.uuid4().hex[:12]}"


def request(job: str, metric: Metric, **changes: Any) -> ExportMetricsServiceRequest:
    """A request with one point of a counter: 1.5 of it now, all as it should be, except for what is said.

    Args:
        job: the service's name.
        metric: the counter.
        changes: `value`, `time_s`, `labels`, `delta`, `name`, `instance`, as a faulty or hostile sender might have them.
    """
    time_ns = int(changes.get("time_s", time.time()) * NS_PER_S)
    labels: Mapping[str, Any] = dict.fromkeys(metric.labels, "x") | changes.get("labels", {})
    made = ExportMetricsServiceRequest()
    of = made.resource_metrics.add()
    for key, text in (("service.name", job), ("service.instance.id", changes.get("instance") or uuid.uuid4().hex)):
        of.resource.attributes.add(key=key).value.string_value = text
    it = of.scope_metrics.add().metrics.add(name=changes.get("name", metric.name), unit=metric.unit)
    it.sum.is_monotonic = True
    it.sum.aggregation_temporality = (
        metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
        if changes.get("delta")
        else metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    point = it.sum.data_points.add(
        as_double=changes.get("value", 1.5), time_unix_nano=time_ns, start_time_unix_nano=time_ns - NS_PER_S
    )
    for label, said in labels.items():
        attribute = point.attributes.add(key=label).value
        if isinstance(said, bytes):
            attribute.bytes_value = said
        elif isinstance(said, list):
            for word in cast("list[str]", said):
                attribute.array_value.values.add(string_value=word)
        else:
            attribute.string_value = said
    return made


def together(*requests: ExportMetricsServiceRequest) -> ExportMetricsServiceRequest:
    """One request that holds them all."""
    made = ExportMetricsServiceRequest()
    for each in requests:
        made.MergeFrom(each)
    return made


def post(endpoint: str, body: ExportMetricsServiceRequest) -> int:
    """Send a request as it is; the status of the answer."""
    asked = urllib.request.Request(
        f"{endpoint}/v1/metrics", body.SerializeToString(), {"Content-Type": "application/x-protobuf"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return answer.status
