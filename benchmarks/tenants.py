"""What many sets of labels cost one process: `python -m benchmarks.tenants --sets 10000`.

A set is a team, task type, model and source that occur together. Printed are the memory of the totals a set
(tracemalloc), the time of adding a call, and of one export: through the SDK's reader and OTLP encoder into an exporter
that drops the bytes, so that no network is measured; and of one answer to a scrape by Prometheus' exporter.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import math
import time
import tracemalloc
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from prometheus_client import REGISTRY, generate_latest

from costspan.facts.attribution import Attribution
from costspan.facts.call import Answer, Call
from costspan.facts.money import EXACT, LOCAL, Cost
from costspan.facts.usage import Usage
from costspan.instrumentor import CostspanInstrumentor, connect
from costspan.metrics.totals import Totals

_TASK_TYPES: Final = [f"task-{number}" for number in range(5)]
_MODELS: Final = [f"model-{number}-2026-11-29" for number in range(5)]
_SOURCES: Final = ["main_agent", "task_agent", "heartbeat", "user"]
_MB: Final = 1e6


def calls(sets: int) -> list[Call]:
    """One call of each set, its texts objects of its own, as they come from requests."""
    a_team = len(_TASK_TYPES) * len(_MODELS) * len(_SOURCES)
    teams = [f"tenant-{number}" for number in range(math.ceil(sets / a_team))]
    kinds = itertools.product(teams, _TASK_TYPES, _MODELS, _SOURCES)
    return [_call(*("".join(text) for text in kind)) for kind in itertools.islice(kinds, sets)]


def _call(team: str, task_type: str, model: str, source: str) -> Call:
    made = Call(
        id="call", client="openai", provider="openai", operation="chat", started_ns=time.time_ns(), request_model=model,
        host="api.openai.com", duration_s=1.5, price=Cost(695_400, EXACT, LOCAL, "2026-11-29"),
    )  # fmt: skip
    made.answer = Answer(Usage(input=812, output=96, cache_read=512, reasoning=32), model)
    made.attribution = Attribution(None, task_type, source, team, None)
    return made


class Drops(MetricExporter):
    """Encodes what it is given as the OTLP exporters do, and drops it."""

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        """Begin to count."""
        self.messages = self.points = self.bytes = self.largest = 0

    def export(self, metrics_data: MetricsData, *_: Any, **__: Any) -> MetricExportResult:
        """Count a message."""
        size = len(encode_metrics(metrics_data).SerializeToString())
        self.messages += 1
        self.bytes += size
        self.largest = max(self.largest, size)
        self.points += sum(
            len(metric.data.data_points)
            for resource in metrics_data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002  # the SDK's signature
        """Nothing waits."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing to close."""


def timed(work: Callable[[], object]) -> float:
    """The processor time of this process that the work takes, in seconds."""
    began_s = time.process_time()
    work()
    return time.process_time() - began_s


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="memory and export time with many sets of labels")
    parser.add_argument("--sets", type=int, default=10_000)
    sets = parser.parse_args().sets
    exporter = Drops()
    readers = [PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf), PrometheusMetricReader()]
    meters = MeterProvider(readers, shutdown_on_exit=False)
    CostspanInstrumentor().instrument(
        meter_provider=meters, ledger="off", label_limit=10_000, label_set_limit=max(sets, 20_000)
    )
    pipeline = connect()
    assert pipeline is not None
    _memory(pipeline.totals, sets)
    for which in ("first export, four days", "every further one, one day"):
        exporter.clear()
        took_s = timed(lambda: readers[0].force_flush(60_000))
        print(
            f"{which}: {took_s:.2f} s, {exporter.points:,} points in {exporter.messages} messages, "
            f"{exporter.bytes / _MB:.1f} MB, the largest {exporter.largest / 1024:.0f} KiB"
        )
    pages: list[bytes] = []
    took_s = timed(lambda: pages.append(generate_latest(REGISTRY)))
    print(f"scraped instead: {took_s:.2f} s, {len(pages[0]) / _MB:.1f} MB")


def _memory(totals: Totals, sets: int) -> None:
    """Fill the totals by a call of each set on each of four days."""
    made = calls(sets)
    today = datetime.now(timezone.utc)
    month, days = f"{today:%Y%m}", [f"{today - timedelta(days=back):%Y%m%d}" for back in (3, 2, 1, 0)]

    def add(day: str) -> None:
        for call in made:
            totals.add(call, month, day)

    gc.collect()
    tracemalloc.start()
    held: list[int] = []
    for day in days:
        add(day)
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert len(totals.by_labels) == sets
    a_day = (held[-1] - held[0]) / 3 / sets
    print(f"{sets:,} sets of labels: {held[0] / sets:,.0f} bytes a set, {a_day:,.0f} more for each further day")
    print(f"adding a call: {timed(lambda: add(days[-1])) / sets * 1e6:.2f} us")


if __name__ == "__main__":
    main()
