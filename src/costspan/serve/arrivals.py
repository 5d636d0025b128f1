"""What comes by OTLP as log records: usage events of costspan, each made into the call that it tells of."""
# The generated protobuf modules have no stubs:
# pyright: basic

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs

from costspan.ledger import otlp_json
from costspan.ledger.otlp_json import Arrival
from costspan.serve.problems import RequestError

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"


# By its name: an import would be one of `google`, which is a client library, too.
_DecodeError: Final[type[Exception]] = import_module("google.protobuf.message").DecodeError


def read(content: bytes, kind: str) -> list[Arrival | str]:
    """The log records of a message; in the place of one that is malformed, what is wrong with it. Raises RequestError."""
    if kind == PROTOBUF:
        return list(_of_protobuf(content))
    if kind == JSON:
        try:
            return otlp_json.read(content)
        except otlp_json.MalformedError as fault:
            raise _malformed(str(fault)) from None
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


def _malformed(why: str) -> RequestError:
    expected = "an ExportLogsServiceRequest of OTLP"
    return RequestError(
        400, f"the body cannot be read ({why[:200]}): expected {expected}", field="body", expected=expected
    )
