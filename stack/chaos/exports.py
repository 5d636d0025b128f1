"""How many processes' exports one Collector brings to Prometheus in a second, sent by hand as the SDK would."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from costspan import names
from costspan.names import Metric
from stack.chaos.stage import Stage

_SENDERS: Final = 8
_PROCESSES: Final = 200
_ROUNDS: Final = 5
_POINTS: Final = 50
_PATIENCE_S: Final = 300.0


def throughput(on: Stage) -> Iterator[str]:
    """How many processes' exports one Collector brings to Prometheus in a second, synced to disk one by one."""
    before = on.stack.value("sum(llm_cost_usd_total)") or 0
    started = time.monotonic()
    threads = [threading.Thread(target=_send, args=(on, number)) for number in range(_SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted_s = time.monotonic() - started
    whole = before + _PROCESSES * _POINTS * _ROUNDS
    on.stack.until(
        lambda: (on.stack.value("sum(llm_cost_usd_total)") or 0) > whole - 1, "all is to arrive", _PATIENCE_S
    )
    stored_s, requests = time.monotonic() - started, _PROCESSES * _ROUNDS
    yield (
        f"{requests} exports of {_POINTS} points: {requests / accepted_s:.0f} a second accepted,"
        f" {requests / stored_s:.0f} a second brought to Prometheus"
    )


def _send(on: Stage, sender: int) -> None:
    _post(
        on,
        (
            _export("throughput", f"process-{process}", [names.COST_USD], range(_POINTS), float(number))
            for number in range(1, _ROUNDS + 1)
            for process in range(sender, _PROCESSES, _SENDERS)
        ),
    )


def _post(on: Stage, requests: Iterable[ExportMetricsServiceRequest]) -> None:
    connection = http.client.HTTPConnection(on.stack.places.address("collector", 4318))
    for request in requests:
        body = request.SerializeToString()
        connection.request("POST", "/v1/metrics", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"the Collector answered {answer.status}")


def _export(
    job: str, instance: str, metrics: Sequence[Metric], numbers: Iterable[int], value: float
) -> ExportMetricsServiceRequest:
    """An export as the SDK makes it: a point for each number, told apart by the metric's first label."""
    made, now = ExportMetricsServiceRequest(), time.time_ns()
    of = made.resource_metrics.add()
    for key, text in (("service.name", job), ("service.instance.id", instance)):
        of.resource.attributes.add(key=key).value.string_value = text
    scope = of.scope_metrics.add()
    for at, metric in enumerate(metrics):
        one = scope.metrics.add(name=metric.name, unit=metric.unit)
        one.sum.is_monotonic = True
        one.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        for number in numbers:
            point = one.sum.data_points.add(as_double=value, time_unix_nano=now, start_time_unix_nano=now - 1)
            for label, text in zip(metric.labels, [f"{metric.labels[0]}-{number}", *[f"x{at}"] * 20], strict=False):
                point.attributes.add(key=label).value.string_value = text
    return made
