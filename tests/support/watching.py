"""A process with costspan installed and everything that it emits at hand."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import gc
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from costspan import instrumentor
from costspan.calls import observed_stream
from costspan.facts.call import Call
from costspan.names import Metric


def points_of(reader: InMemoryMetricReader, metric: Metric) -> list[Any]:
    """The data points of one metric as a reader would export them now."""
    data = reader.get_metrics_data()
    return [
        point
        for resource in (data.resource_metrics if data is not None else ())
        for scope in resource.scope_metrics
        for found in scope.metrics
        if found.name == metric.name
        for point in found.data.data_points
    ]


class Watched:
    """Installs costspan on entering, with providers of its own, and removes it on leaving.

    `settings` are those of docs/settings.md, by their names in lower case; the ledger is off unless said.
    """

    def __init__(self, sampler: Sampler | None = None, **settings: Any) -> None:
        self.settings = {"ledger": "off", **settings}
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.log_exporter = InMemoryLogRecordExporter()
        resource = Resource.create()  # starts threads that look for what there is: once is enough
        self.tracer_provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meter_provider = MeterProvider([self.reader], resource, shutdown_on_exit=False)
        self.logger_provider = LoggerProvider(resource, shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.log_exporter))
        self._calls: list[Call] = []

    def __enter__(self) -> Watched:  # noqa: PYI034  # Self is of Python 3.11
        instrumentor.CostspanInstrumentor().instrument(
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
            logger_provider=self.logger_provider,
            **self.settings,
        )
        pipeline = instrumentor.connect()
        assert pipeline is not None
        pipeline.dispatcher._sinks.append(("test", self._calls.extend))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        instrumentor.CostspanInstrumentor().uninstrument()

    def calls(self) -> Sequence[Call]:
        """The calls that have finished, oldest first; those let go of included."""
        if observed_stream._live:
            gc.collect()  # a stream that was let go of may sit in a cycle
        instrumentor.flush()
        return self._calls

    def call(self) -> Call:
        """The one call that has finished."""
        calls = self.calls()
        assert len(calls) == 1, f"one call was expected, {len(calls)} have finished: {calls}"
        return calls[0]

    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended."""
        self.calls()
        return self.exporter.get_finished_spans()

    def events(self) -> list[Any]:
        """The usage events."""
        self.calls()
        return [entry.log_record for entry in self.log_exporter.get_finished_logs()]

    def points(self, metric: Metric) -> list[Any]:
        """The data points of one metric as they would be exported now."""
        self.calls()
        return points_of(self.reader, metric)

    def total(self, metric: Metric, **labels: str) -> float:
        """The sum of a counter over all points with these labels (dots of their names as underscores)."""
        return sum(
            point.value
            for point in self.points(metric)
            if all(point.attributes.get(name.replace("__", ".")) == value for name, value in labels.items())
        )
