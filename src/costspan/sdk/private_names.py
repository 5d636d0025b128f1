"""The private names of the OpenTelemetry SDK that this room relies on, and what happens where one has gone.

Each is looked up before it is used; where it is missing, costspan takes the public, slower or poorer way that stands in
`without`. They were read in the releases of `READ_IN`. A new release that moves one fails a test by the name.
"""
# pyright: basic
# It asks the SDK for what is private there.

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from opentelemetry.sdk import resources
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from costspan import guard

#: Releases of opentelemetry-sdk in which the names were read.
READ_IN: Final = ("1.43.0", "1.45.2")

_POINTS: Final = "sessions do not leave with the metrics; totals and durations go by the SDK's instruments, with fewer sets of labels"
_SUMS: Final = "a forked child goes on with the parent's sums of the SDK"
_VIEWS: Final = "any View, also one for other metrics, has totals and durations go by the SDK's instruments"
_EXPIRY: Final = "series of past months are kept in memory, and labels overflow into `other` when there are too many"
_LOCKS: Final = "a child that was forked during an export may wait for a lock of the SDK for ever"
_SPANS: Final = "spans are opened by Tracer.start_span, at three times the price"
_RECORDS: Final = "usage events are made by the SDK's own record, at twice the price"
_CONNECTIONS: Final = "a forked child may write into its parent's connection"
_OWN_ID: Final = "every process carries the label costspan.process, also where its service.instance.id tells it apart"


class PrivateName(NamedTuple):
    """One private attribute: of what, its name, and what costspan does without it."""

    of: str
    name: str
    without: str


PRIVATE_NAMES: Final = (
    PrivateName("MeterProvider", "_metric_readers", _POINTS),
    PrivateName("MeterProvider", "_measurement_consumer", _EXPIRY),
    PrivateName("MetricReader", "_receive_metrics", _POINTS),
    PrivateName("MetricReader", "_instrument_class_temporality", _POINTS),
    PrivateName("MetricReader", "_instrument_class_aggregation", _POINTS),
    PrivateName("PeriodicExportingMetricReader", "_exporter", _POINTS),
    PrivateName("PeriodicExportingMetricReader", "_export_lock", _LOCKS),
    PrivateName("View", "_instrument_name", _VIEWS),
    PrivateName("View", "_instrument_type", _VIEWS),
    PrivateName("View", "_meter_name", _VIEWS),
    PrivateName("MeasurementConsumer", "_lock", _LOCKS),
    PrivateName("MeasurementConsumer", "_reader_storages", _SUMS),
    PrivateName("MetricReaderStorage", "_lock", _LOCKS),
    PrivateName("MetricReaderStorage", "_instrument_view_instrument_matches", _SUMS),
    PrivateName("ViewInstrumentMatch", "_lock", _LOCKS),
    PrivateName("ViewInstrumentMatch", "_attributes_aggregation", _EXPIRY),
    PrivateName("Aggregation", "_lock", _LOCKS),
    PrivateName("Aggregation", "_attributes", _EXPIRY),
    PrivateName("TracerProvider", "_active_span_processor", _CONNECTIONS),
    PrivateName("SpanProcessor", "_span_processors", _CONNECTIONS),
    PrivateName("BatchSpanProcessor", "_batch_processor", _CONNECTIONS),
    PrivateName("BatchProcessor", "_exporter", _CONNECTIONS),
    PrivateName("LoggerProvider", "_multi_log_record_processor", _CONNECTIONS),
    PrivateName("LogRecordProcessor", "_log_record_processors", _CONNECTIONS),
    PrivateName("Tracer", "_span_limits", _SPANS),
    PrivateName("Tracer", "_instrumentation_scope", _SPANS),
    PrivateName("Tracer", "_tracer_metrics", _SPANS),
    PrivateName("Tracer", "_is_enabled", _SPANS),
    PrivateName("Logger", "_resource", _RECORDS),
    PrivateName("Logger", "_instrumentation_scope", _RECORDS),
    PrivateName("resources", "_service_instance_id", _OWN_ID),
    PrivateName("resources", "_service_instance_id_pid", _OWN_ID),
)


def missing() -> list[PrivateName]:
    """The names that the installed SDK does not have. Loads the SDK and makes one of everything, which takes some ms."""
    found: dict[str, Any] = {}
    guard.guarded("sdk.private_names")(_probe)(found)
    return [each for each in PRIVATE_NAMES if not hasattr(found.get(each.of), each.name)]


def _probe(found: dict[str, Any]) -> None:
    """One object of each kind, by name, as far as they are found where the names say."""
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter(), export_interval_millis=float("inf"))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    meters.get_meter("costspan.probe").create_counter("probe").add(1, {"label": "value"})
    found.update(MeterProvider=meters, MetricReader=reader, PeriodicExportingMetricReader=reader)
    found.update(_inner(meters))
    found["View"] = View(instrument_name="probe")
    tracers, loggers = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    batches = BatchSpanProcessor(InMemorySpanExporter())
    tracers.add_span_processor(batches)
    loggers.add_log_record_processor(BatchLogRecordProcessor(InMemoryLogRecordExporter()))
    found.update(TracerProvider=tracers, Tracer=tracers.get_tracer("costspan.probe"), BatchSpanProcessor=batches)
    found.update(LoggerProvider=loggers, Logger=loggers.get_logger("costspan.probe"))
    found["resources"] = resources
    found["SpanProcessor"] = getattr(tracers, "_active_span_processor", None)
    found["BatchProcessor"] = getattr(batches, "_batch_processor", None)
    found["LogRecordProcessor"] = getattr(loggers, "_multi_log_record_processor", None)
    tracers.shutdown()
    loggers.shutdown()


def _inner(meters: Any) -> Iterator[tuple[str, Any]]:
    consumer = getattr(meters, "_measurement_consumer", None)
    yield "MeasurementConsumer", consumer
    for storage in getattr(consumer, "_reader_storages", {}).values():
        yield "MetricReaderStorage", storage
        for matches in getattr(storage, "_instrument_view_instrument_matches", {}).values():
            for match in matches:
                yield "ViewInstrumentMatch", match
                for aggregation in getattr(match, "_attributes_aggregation", {}).values():
                    yield "Aggregation", aggregation
