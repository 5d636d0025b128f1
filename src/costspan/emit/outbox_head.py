"""The first line of an outbox: who the process is, and where it sends."""

from __future__ import annotations

import errno
from time import time_ns
from typing import Any

from costspan.sdk import way_out


def head(way: Any, meters: Any, loggers: Any, *, with_events: bool) -> tuple[dict[str, Any], Any]:
    """The first line, and the exporter of usage events, None where they are not exported.

    `way` is the reader by which the counters leave, the others are the providers. Raises OSError where the SDK does not say
    who the process is.
    """
    resource = way_out.resource_of(meters)
    if resource is None:
        raise OSError(errno.ENOTSUP, "this SDK does not say in whose name it sends")
    logs = way_out.log_exporter(loggers) if with_events else None
    log_resource = getattr(loggers, "resource", None) or getattr(loggers, "_resource", None) or resource
    return {
        "began_ns": time_ns(),
        "resource": way_out.described(resource),
        "log_resource": way_out.described(log_resource),
        "process": way.identity.label(resource),
        "metrics": way_out.endpoint(way.exporter),
        "logs": None if logs is None else way_out.endpoint(logs),
        "is_grpc": way_out.is_grpc(way.exporter),
        "is_insecure": bool(getattr(way.exporter, "_insecure", False)),
    }, logs
