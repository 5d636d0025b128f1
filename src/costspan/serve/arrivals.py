"""What comes by OTLP as log records: usage events of costspan, each made into the call that it tells of."""
# The generated protobuf modules have no stubs:
# pyright: basic

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs

from costspan import names
from costspan.serve.problems import RequestError

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"


# By its name: an import would be one of `google`, which is a client library, too.
_DecodeError: Final[type[Exception]] = import_module("google.protobuf.message").DecodeError


class Arrival(NamedTuple):
    """One log record: its name, its time in nanoseconds, its attributes, its trace and span (0 for none)."""

    event: str
    time_ns: int
    said: Mapping[str, Any]
    trace_id: int
    span_id: int


def read(content: bytes, kind: str) -> list[Arrival | str]:
    """The log records of a message; in the place of one that is malformed, what is wrong with it. Raises RequestError."""
    if kind == PROTOBUF:
        return list(_of_protobuf(content))
    if kind == JSON:
        return list(_of_json(content))
    expected = f"{PROTOBUF} or {JSON}"
    raise RequestError(415, f"Content-Type {kind!r}: expected {expected}", field="Content-Type", expected=expected)


def answer(kind: str, rejected: int, why: str) -> bytes:
    """What the sender is told: how many records were not taken, and why."""
    if kind == JSON:
        partial = {"rejectedLogRecords": str(rejected), "errorMessage": why}
        return json.dumps({"partialSuccess": partial} if rejected else {}).encode()
    message = logs.ExportLogsServiceResponse()
    if rejected:
        message.partial_success.rejected_log_records = rejected
        message.partial_success.error_message = why
    return message.SerializeToString()


def _of_protobuf(content: bytes) -> Iterator[Arrival | str]:
    try:
        message = logs.ExportLogsServiceRequest.FromString(content)
    except _DecodeError as fault:
        raise _malformed(str(fault)) from None
    for resource in message.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                said = {each.key: _value(each.value) for each in record.attributes}
                yield Arrival(
                    record.event_name or str(said.get("event.name", "")), record.time_unix_nano, said,
                    int.from_bytes(record.trace_id, "big"), int.from_bytes(record.span_id, "big"),
                )  # fmt: skip


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(value, kind)
    if kind == "array_value":
        return [_value(each) for each in found.values]
    if kind == "kvlist_value":
        return {each.key: _value(each.value) for each in found.values}
    return found


def _of_json(content: bytes) -> Iterator[Arrival | str]:
    """OTLP's own form of JSON: ids in hex, 64 bits as text (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding)."""
    try:
        message = json.loads(content)
        records = [
            record
            for resource in message.get("resourceLogs") or ()
            for scope in resource.get("scopeLogs") or ()
            for record in scope.get("logRecords") or ()
        ]
    except (ValueError, TypeError, AttributeError, RecursionError) as fault:
        raise _malformed(str(fault)) from None
    for record in records:
        try:
            said = {each["key"]: _json_value(each["value"]) for each in record.get("attributes") or ()}
            yield Arrival(
                str(record.get("eventName") or said.get("event.name", "")), int(record.get("timeUnixNano") or 0), said,
                _id(record.get("traceId"), 32), _id(record.get("spanId"), 16),
            )  # fmt: skip
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as fault:  # noqa: PERF203  # one by one
            yield f"a log record of another form ({type(fault).__name__})"


def _id(said: Any, digits: int) -> int:
    if said and not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", said):
        raise ValueError(said)
    return int(said or "0", 16)


def _json_value(value: Mapping[str, Any]) -> Any:
    if not value:
        return None
    ((kind, found),) = value.items()
    if kind == "intValue":
        return int(found)
    if kind == "arrayValue":
        return [_json_value(each) for each in found.get("values") or ()]
    if kind == "kvlistValue":
        return {each["key"]: _json_value(each["value"]) for each in found.get("values") or ()}
    return found


def _malformed(why: str) -> RequestError:
    expected = "an ExportLogsServiceRequest of OTLP"
    return RequestError(
        400, f"the body cannot be read ({why[:200]}): expected {expected}", field="body", expected=expected
    )


#: The event that is taken.
EVENT: Final = names.USAGE_EVENT
