"""Log records as OTLP's own form of JSON has them: ids in hex, 64 bits as text.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

_NO_ENTRIES: Final[Mapping[str, Any]] = {}


class Arrival(NamedTuple):
    """One log record: its name, its time in nanoseconds, its attributes, its trace and span (0 for none)."""

    event: str
    time_ns: int
    said: Mapping[str, Any]
    trace_id: int
    span_id: int


class MalformedError(ValueError):
    """What is no message of log records: why."""


def read(content: bytes) -> list[Arrival | str]:
    """The log records of a message; in the place of one that is malformed, what is wrong with it. Raises MalformedError."""
    try:
        message = json.loads(content)
        records = [
            record
            for resource in message.get("resourceLogs") or ()
            for scope in resource.get("scopeLogs") or ()
            for record in scope.get("logRecords") or ()
        ]
    except (ValueError, TypeError, AttributeError, RecursionError) as fault:
        raise MalformedError(str(fault)) from None
    return [_arrival(record) for record in records]


def _arrival(record: Any) -> Arrival | str:
    try:
        said = {each["key"]: _value(each["value"]) for each in record.get("attributes") or ()}
        return Arrival(
            str(record.get("eventName") or said.get("event.name", "")), int(record.get("timeUnixNano") or 0), said,
            _id(record.get("traceId"), 32), _id(record.get("spanId"), 16),
        )  # fmt: skip
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as fault:
        return f"a log record of another form ({type(fault).__name__})"


def _id(said: Any, digits: int) -> int:
    if said and not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", said):
        raise ValueError(said)
    return int(said or "0", 16)


def _value(value: Mapping[str, Any]) -> Any:
    if not value:
        return None
    ((kind, found),) = value.items()
    if kind == "intValue":
        return int(found)
    if kind == "arrayValue":
        return [_value(each) for each in found.get("values") or ()]
    if kind == "kvlistValue":
        return {each["key"]: _value(each["value"]) for each in found.get("values") or ()}
    return found


def line(scope: str, record: Arrival) -> str:
    """A message of one log record, on one line. Raises ValueError or TypeError for a value that has no form in OTLP."""
    log_record = {
        "timeUnixNano": str(record.time_ns), "observedTimeUnixNano": str(record.time_ns), "severityNumber": 9, "eventName": record.event,
        "attributes": _entries(record.said),
        **({"traceId": f"{record.trace_id:032x}", "spanId": f"{record.span_id:016x}"} if record.trace_id else _NO_ENTRIES),
    }  # fmt: skip
    logs = {"scope": {"name": scope}, "logRecords": [log_record]}
    return json.dumps({"resourceLogs": [{"resource": {}, "scopeLogs": [logs]}]}, separators=(",", ":"), allow_nan=False)


def _entries(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _written(value)} for name, value in said.items()]


def _written(value: object) -> dict[str, Any]:
    match value:
        case None:
            return {}
        case str():
            found: tuple[str, Any] = ("stringValue", value)
        case bool():
            found = ("boolValue", value)
        case int():
            found = ("intValue", str(value))
        case float():
            found = ("doubleValue", value)
        case Mapping():
            found = ("kvlistValue", {"values": _entries(cast("Mapping[str, Any]", value))})
        case Sequence():
            found = ("arrayValue", {"values": [_written(each) for each in cast("Sequence[object]", value)]})
        case _:
            raise TypeError(f"a value of type {type(value).__name__}")
    return dict([found])
