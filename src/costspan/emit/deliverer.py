"""Delivers what dead processes left behind, for whoever is no program that sends telemetry itself: `costspan deliver`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.metrics.export import MetricExportResult

from costspan import guard
from costspan.emit.redelivery import Delivered, MetricsWay, Ways, deliver
from costspan.ledger import outbox, outbox_lines
from costspan.sdk import way_out
from costspan.sdk.acknowledged import Acknowledgement
from costspan.sdk.way_out import SentEvents
from costspan.settings import has_otlp_endpoint

_PATIENCE_S: Final = 600.0


class _Receiver(NamedTuple):
    """Where processes send: metrics and usage events, and how."""

    metrics: str
    logs: str | None
    is_grpc: bool
    is_insecure: bool


class Outcome(NamedTuple):
    """What was delivered to one receiver, or why nothing was."""

    endpoint: str
    delivered: Delivered
    objection: str = ""


def deliver_all(directory: Path, environ: Mapping[str, str]) -> Iterator[Outcome]:
    """Deliver what dead processes left in a directory, to where each of them sent.

    Headers, certificates and timeouts are those of the environment. Where that names an endpoint, nothing goes to another
    one: its headers are not for that.
    """
    for receiver in sorted(_receivers(directory), key=str):
        exporters = _exporters(receiver, environ)
        if exporters is None:
            objection = (
                "the environment names another endpoint (OTEL_EXPORTER_OTLP_...), and its headers are for that one"
            )
            yield Outcome(receiver.metrics, Delivered(), objection)
            continue
        metrics, logs = exporters
        acknowledged = Acknowledgement(metrics)
        events = None if logs is None else SentEvents(logs, _nothing, bool)
        way = MetricsWay(receiver.metrics, _sender(metrics, acknowledged))
        yield Outcome(receiver.metrics, deliver(directory, Ways(way, events), patience_s=_PATIENCE_S))
        for exporter in exporters:
            if exporter is not None:
                guard.guarded("deliver.shutdown")(exporter.shutdown)()


def _nothing(ids: list[str], is_delivered: bool) -> None:  # noqa: FBT001
    """Events of this process: it has none."""
    del ids, is_delivered


def _sender(exporter: Any, acknowledged: Acknowledgement) -> Callable[[Any], bool]:
    def send(data: Any) -> bool:
        acknowledged.begin()
        return exporter.export(data) is MetricExportResult.SUCCESS and acknowledged.is_taken()

    return send


def _receivers(directory: Path) -> set[_Receiver]:
    found: set[_Receiver] = set()
    for path in outbox.files(directory):
        with outbox.dead(path) as file:
            if file is not None:
                head = _head(file)
                if isinstance(head.get("metrics"), str):
                    logs = head.get("logs")
                    found.add(_Receiver(
                        head["metrics"], logs if isinstance(logs, str) else None,
                        bool(head.get("is_grpc")), bool(head.get("is_insecure")),
                    ))  # fmt: skip
    return found


def _head(file: outbox.DeadFile) -> dict[str, Any]:
    try:
        return file.head()
    except outbox_lines.UnreadableError:
        outbox.told_unreadable(file.set_aside())
    except (outbox_lines.NewerError, OSError):  # it is told of what is left
        pass
    return {}


def _exporters(receiver: _Receiver, environ: Mapping[str, str]) -> tuple[Any, Any] | None:
    """Exporters of metrics and usage events to a receiver; None where the environment's lead elsewhere."""
    if receiver.is_grpc:
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

        more: dict[str, Any] = {"insecure": receiver.is_insecure}
    else:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        more = {}
    makers: tuple[tuple[Any, str | None], ...] = (
        (OTLPMetricExporter, receiver.metrics),
        (OTLPLogExporter, receiver.logs),
    )
    made: list[Any] = []
    for make, endpoint in makers:
        if endpoint is None:
            made.append(None)
        elif not has_otlp_endpoint(environ):
            made.append(make(endpoint=endpoint, **more))
        else:
            exporter = make(**more)
            if way_out.endpoint(exporter) != endpoint:
                return None
            made.append(exporter)
    return made[0], made[1]
