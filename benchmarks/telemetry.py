"""SDK providers whose exporters keep or count, and never send: what is measured is the instrumentation and the SDK."""

# ruff: noqa: ARG002  # the signatures are the SDK's
from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

#: The queues are drained and the metrics collected when the benchmark says so, not in the midst of a measurement.
_NEVER_BY_ITSELF_MS: Final = 3_600_000


class Spans(SpanExporter):
    """Counts the spans, and keeps them if told so."""

    def __init__(self, *, keep: bool) -> None:
        self.keep, self.count, self.kept = keep, 0, list[ReadableSpan]()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.count += len(spans)
        if self.keep:
            self.kept.extend(spans)
        return SpanExportResult.SUCCESS


class Points(MetricExporter):
    """Keeps the last collection. A metric that is exported by itself, as a batch of its own, is kept beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[MetricsData] = []

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:
        self.batches = [*self.batches, metrics_data]
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        self.batches = []


class PointsByOtlp(OTLPMetricExporter):
    """The same where the outbox is measured: it keeps only what leaves by OTLP."""

    batches: Sequence[MetricsData] = ()

    def export(self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **_: Any) -> MetricExportResult:
        self.batches = [*self.batches, metrics_data]
        return MetricExportResult.SUCCESS


class RecordsByOtlp(OTLPLogExporter):
    """Counts the log records, likewise."""

    count = 0

    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        self.count += len(batch)
        return LogRecordExportResult.SUCCESS


class Records(LogRecordExporter):
    """Counts the log records."""

    def __init__(self) -> None:
        self.count = 0

    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        self.count += len(batch)
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        self.count = 0

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class Telemetry:
    """The providers of one process, and what has reached their exporters."""

    def __init__(self, *, keep: bool = False, sampled: bool = True) -> None:
        resource = Resource.create({"service.name": "benchmark"})
        self.sampled = sampled
        is_kept = "OTEL_COSTSPAN_OUTBOX" in os.environ
        self.spans = Spans(keep=keep)
        self.points = PointsByOtlp() if is_kept else Points()
        self.records = RecordsByOtlp() if is_kept else Records()
        self.span_processor = BatchSpanProcessor(self.spans, schedule_delay_millis=_NEVER_BY_ITSELF_MS)
        self.tracer_provider = TracerProvider(
            resource=resource, sampler=ParentBased(ALWAYS_ON if sampled else ALWAYS_OFF), shutdown_on_exit=False
        )
        self.tracer_provider.add_span_processor(self.span_processor)
        self.reader = PeriodicExportingMetricReader(self.points, export_interval_millis=_NEVER_BY_ITSELF_MS)
        self.meter_provider = MeterProvider([self.reader], resource=resource, shutdown_on_exit=False)
        self.logger_provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(
            BatchLogRecordProcessor(self.records, schedule_delay_millis=_NEVER_BY_ITSELF_MS)
        )
        trace.set_tracer_provider(self.tracer_provider)
        metrics.set_meter_provider(self.meter_provider)
        set_logger_provider(self.logger_provider)

    @property
    def providers(self) -> dict[str, Any]:
        """The providers as an instrumentor's `instrument()` takes them."""
        return {
            "tracer_provider": self.tracer_provider,
            "meter_provider": self.meter_provider,
            "logger_provider": self.logger_provider,
        }

    def flush(self) -> None:
        """Drain the queues of spans and log records."""
        self.tracer_provider.force_flush()
        self.logger_provider.force_flush()

    def collect(self) -> None:
        """Collect the metrics and hand them to the exporter, in as many messages as they leave in."""
        self.points.batches = []
        self.reader.force_flush()

    def data_points(self) -> Iterator[tuple[str, Any]]:
        """(metric name, data point) of the last collection."""
        for batch in self.points.batches:
            for resource in batch.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        yield from ((metric.name, point) for point in metric.data.data_points)
