"""A tiny OTLP receiver on the loopback interface, over HTTP and over gRPC, that keeps what programs send."""
# The generated protobuf and gRPC modules have no stubs:
# pyright: basic

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA as DELTA

#: What a gRPC server takes in one message, by default.
MOST_BYTES = 4 * 1024 * 1024


class Point(NamedTuple):
    """One value of a metric; of a histogram, the number of values."""

    value: float
    attributes: dict[str, Any]


@dataclass
class Received:
    """What came in. Of each cumulative series the last value stands, of each delta series the sum."""

    spans: list[Any] = field(default_factory=list[Any])
    events: list[Any] = field(default_factory=list[Any])
    refused: list[str] = field(default_factory=list[str])
    #: Of every connection, the processes that used it.
    users: dict[int, set[str]] = field(default_factory=dict[int, set[str]])
    #: Bytes of every message that came in, also of those that were refused for their size.
    sizes: list[int] = field(default_factory=list[int])
    #: The metrics that came as deltas.
    deltas: set[str] = field(default_factory=set[str])
    #: Set to have everything refused for the time being; over HTTP by a status after which exporters do not try again.
    is_away: bool = False
    #: Set to have one point, record or span of every message rejected, and all of it thrown away.
    rejects: bool = False
    _series: dict[tuple[str, str, str], Point] = field(default_factory=dict[tuple[str, str, str], Point])

    def points(self, name: str) -> list[Point]:
        """The last point of every series of a metric."""
        return [point for key, point in self._series.copy().items() if key[0] == name]

    def total(self, name: str) -> float:
        """The sum over all series of a metric."""
        return sum(point.value for point in self.points(name))

    def names(self) -> set[str]:
        """The metrics that came in."""
        return {key[0] for key in self._series}

    def instances(self, name: str) -> int:
        """How many processes sent a metric."""
        return len({key[1] for key in self._series if key[0] == name})

    def writers(self, name: str) -> set[tuple[str, str | None]]:
        """Who wrote the series of a metric: the resource, and the label that tells processes apart, if there is one."""
        return {
            (key[1], point.attributes.get("costspan.process")) for key, point in self._series.items() if key[0] == name
        }

    def note_user(self, connection: int, request: Any) -> None:
        for resource in request.ListFields()[0][1]:
            self.users.setdefault(connection, set()).add(str(attributes(resource.resource)))

    def take_traces(self, request: Any) -> None:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def take_logs(self, request: Any) -> None:
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                self.events += scope.log_records

    def take_metrics(self, request: Any) -> None:
        for resource in request.resource_metrics:
            instance = str(attributes(resource.resource))
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self._take_points(metric, instance)

    def _take_points(self, metric: Any, instance: str) -> None:
        kind = metric.WhichOneof("data")
        series = getattr(metric, kind)
        for point in series.data_points:
            value = point.count if kind == "histogram" else getattr(point, point.WhichOneof("value"))
            labels = attributes(point)
            key = (metric.name, instance, str(sorted(labels.items())))
            if kind != "gauge" and series.aggregation_temporality == DELTA:
                self.deltas.add(metric.name)
            if kind != "gauge" and series.aggregation_temporality == DELTA and key in self._series:
                value += self._series[key].value
            self._series[key] = Point(value, labels)


def attributes(holder: Any) -> dict[str, Any]:
    """The attributes of a resource, span, point or event."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in holder.attributes}


def rejection(response: Any) -> Any:
    """The answer that one thing of a message was not taken: a success in part."""
    answer = response()
    field = answer.partial_success.DESCRIPTOR.fields_by_number[1].name
    setattr(answer.partial_success, field, 1)
    answer.partial_success.error_message = "too many"
    return answer


class Answering(BaseHTTPRequestHandler):
    """Requests over connections that stay open, answered without a word on standard error."""

    protocol_version = "HTTP/1.1"

    def answer(self, body: bytes, kind: str = "application/x-protobuf") -> None:
        """Send a body back."""
        self.send_response(HTTPStatus.OK)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the program may have ended meanwhile
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name that http.server gives it)
        """Nothing."""


@contextlib.contextmanager
def over_http(before: Callable[[], object] = int, most_bytes: int = MOST_BYTES) -> Generator[tuple[str, Received]]:
    """An endpoint for `http/protobuf`, and what it receives. Like a Collector it keeps connections open, and refuses
    what it cannot read and what is longer than `most_bytes`. `before` is called ahead of every answer.
    """
    received = Received()
    routes: Any = {
        "/v1/traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse, received.take_traces),
        "/v1/logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse, received.take_logs),
        "/v1/metrics": (
            metrics.ExportMetricsServiceRequest,
            metrics.ExportMetricsServiceResponse,
            received.take_metrics,
        ),
    }

    class Exchange(Answering):
        def do_POST(self) -> None:
            request, response, take = routes[self.path]
            body = self.rfile.read(int(self.headers["content-length"]))
            before()
            received.sizes.append(len(body))
            if received.is_away or len(body) > most_bytes:
                self.send_error(
                    HTTPStatus.INTERNAL_SERVER_ERROR if received.is_away else HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                )
                return
            if received.rejects:
                self.answer(rejection(response).SerializeToString())
                return
            try:
                sent = request.FromString(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
                received.note_user(self.client_address[1], sent)
                take(sent)
            except DecodeError as fault:
                received.refused.append(f"{self.path}: {fault}")
                self.send_error(HTTPStatus.BAD_REQUEST)
                return
            self.answer(response().SerializeToString())

    with serving(Exchange) as address:
        yield address, received


@contextlib.contextmanager
def serving(exchange: type[BaseHTTPRequestHandler]) -> Generator[str]:
    """The address of a server on loopback that answers by these exchanges."""
    with ThreadingHTTPServer(("127.0.0.1", 0), exchange) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def over_grpc(before: Callable[[], object] = int, most_bytes: int = MOST_BYTES) -> Generator[tuple[str, Received]]:
    """An endpoint for `grpc`, and what it receives. `before` is called ahead of every answer."""
    received = Received()

    def service(kind: Any, take: Any, response: Any) -> Any:
        def export(_self: Any, request: Any, context: Any) -> Any:
            before()
            received.sizes.append(request.ByteSize())
            if received.is_away:
                context.abort(grpc.StatusCode.UNAVAILABLE, "away")
            if received.rejects:
                return rejection(response)
            take(request)
            return response()

        return type("Service", (kind,), {"Export": export})()

    server: Any = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", most_bytes)])
    traces_grpc.add_TraceServiceServicer_to_server(
        service(traces_grpc.TraceServiceServicer, received.take_traces, traces.ExportTraceServiceResponse), server
    )
    logs_grpc.add_LogsServiceServicer_to_server(
        service(logs_grpc.LogsServiceServicer, received.take_logs, logs.ExportLogsServiceResponse), server
    )
    metrics_grpc.add_MetricsServiceServicer_to_server(
        service(metrics_grpc.MetricsServiceServicer, received.take_metrics, metrics.ExportMetricsServiceResponse),
        server,
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}", received
    finally:
        server.stop(None).wait()


#: `over_http` or `over_grpc`.
Receiver: TypeAlias = Callable[..., contextlib.AbstractContextManager[tuple[str, Received]]]


def exporter(receiver: Receiver, url: str, **options: Any) -> Any:
    """The SDK's own exporter to a receiver, but that what fails is not tried again for ten seconds."""
    if receiver is over_grpc:
        return GrpcExporter(url, retryable_error_codes=[grpc.StatusCode.ABORTED], **options)
    return HttpExporter(f"{url}/v1/metrics", **options)
