"""An address for whatever vendors send: OTLP under any path is kept, everything else is answered politely."""
# The generated protobuf modules have no stubs:
# pyright: basic

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Generator, Iterable
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

from otlp_receiver import Answering, serving

_REQUESTS: Final = {
    "traces": traces.ExportTraceServiceRequest,
    "metrics": metrics.ExportMetricsServiceRequest,
    "logs": logs.ExportLogsServiceRequest,
}
#: What Logfire asks for before it sends anything.
_PROJECT: Final = json.dumps({"project_name": "agent", "project_url": "http://127.0.0.1/agent"}).encode()

#: The requests of each signal.
Taken = dict[str, list[Any]]


@contextlib.contextmanager
def sink() -> Generator[tuple[str, Taken]]:
    """Its address, and what has been sent there."""
    taken: Taken = {signal: [] for signal in _REQUESTS}

    class Exchange(Answering):
        def do_POST(self) -> None:  # noqa: N802  (the name that http.server gives it)
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            signal = self.path.rpartition("/v1/")[2]
            if signal in taken:
                text = gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
                taken[signal].append(_REQUESTS[signal].FromString(text))
                self.answer(b"")
            else:
                self.do_GET()

        def do_GET(self) -> None:  # noqa: N802  (the same)
            self.answer(_PROJECT, "application/json")

    with serving(Exchange) as address:
        yield address, taken


def value(said: Any) -> Any:
    """A value of OTLP as a plain one."""
    kind = said.WhichOneof("value")
    if kind == "array_value":
        return [value(item) for item in said.array_value.values]
    if kind == "kvlist_value":
        return attributes(said.kvlist_value.values)
    return None if kind is None else getattr(said, kind)


def attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    """The attributes of a resource, span, point or record."""
    return {pair.key: value(pair.value) for pair in pairs}
