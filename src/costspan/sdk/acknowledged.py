"""Whether a receiver has taken a message: what it answered, not only that it answered.

The SDK's exporters take any answer below 400 for a success. A receiver may take a part of a message alone ("partial
success") and say so in the body of a 200; a redirection has taken nothing; a page in HTML is no receiver of OTLP.
Nothing of this is public in the SDK. Names were read in 1.43.0 and 1.45.2; where they have gone, the exporter's own word
counts.
"""
# The generated protobuf modules have no stubs:
# pyright: basic

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from costspan import guard
from costspan.facts import foreign

_FIRST_REDIRECTION: Final = 300
_FIRST_FAULT: Final = 400
_REJECTED: Final = ("rejectedDataPoints", "rejectedLogRecords", "rejectedSpans")


class Acknowledgement:
    """What the receiver of one exporter said to the message that this thread sent last."""

    def __init__(self, exporter: Any) -> None:
        self._said = threading.local()
        guard.guarded("sdk.acknowledged")(self._listen)(exporter)

    def _listen(self, exporter: Any) -> None:
        transport = getattr(getattr(exporter, "_client", None), "_transport", None)
        session = getattr(exporter, "_session", None)  # until SDK 1.43
        if transport is not None:
            transport.request = self._heard(transport.request, _of_transport)
        elif session is not None:
            session.request = self._heard(session.request, _of_requests)
        elif hasattr(exporter, "_initialize_channel_and_stub"):
            self._listen_to_stub(exporter)

    def _listen_to_stub(self, exporter: Any) -> None:
        """Over gRPC the exporter makes itself a new stub when the connection is lost."""
        connect = exporter._initialize_channel_and_stub  # noqa: SLF001

        def connect_and_listen() -> None:
            connect()
            exporter._client.Export = self._heard(exporter._client.Export, _of_message)  # noqa: SLF001

        exporter._initialize_channel_and_stub = connect_and_listen  # noqa: SLF001
        exporter._client.Export = self._heard(exporter._client.Export, _of_message)  # noqa: SLF001

    def _heard(self, send: Callable[..., Any], read: Callable[[Any], str]) -> Callable[..., Any]:
        def sent(*args: Any, **kwargs: Any) -> Any:
            self._said.objection = ""
            answer = send(*args, **kwargs)
            self._said.objection = guard.guarded("sdk.acknowledged")(read)(answer) or ""
            return answer

        return sent

    def begin(self) -> None:
        """A message is about to be sent by this thread."""
        self._said.objection = ""

    def is_taken(self) -> bool:
        """Whether nothing was said against the message since; an objection is counted, and told once."""
        objection: str = getattr(self._said, "objection", "")
        if objection:
            guard.count("sdk.acknowledged.refused")
            guard.tell_once(
                f"refused:{objection}", "costspan: the receiver of OTLP took a message not, or not whole: %s", objection
            )
        return not objection


def _of_transport(answer: Any) -> str:
    if answer.status_code is None:
        return ""
    return _of_http(answer.status_code, answer.headers(), answer.content() or b"")


def _of_requests(answer: Any) -> str:
    return _of_http(answer.status_code, answer.headers, answer.content or b"")


def _of_http(status: int, headers: Mapping[str, str], body: bytes) -> str:
    if status >= _FIRST_FAULT:
        return ""  # the exporter says so itself
    if status >= _FIRST_REDIRECTION:
        return f"it answered with status {status}, which is no success"
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "").lower()
    if "html" in kind:
        return "it answered with a page, not with OTLP"
    if "protobuf" in kind:
        return _of_message(ExportMetricsServiceResponse.FromString(body))
    return _of_json(body) if "json" in kind and body else ""


def _of_json(body: bytes) -> str:
    partial = json.loads(body).get("partialSuccess") or {}
    return _objection(sum(int(partial.get(name) or 0) for name in _REJECTED), str(partial.get("errorMessage") or ""))


def _of_message(answer: Any) -> str:
    """The answers of all three signals say it in the same place."""
    partial = answer.partial_success
    field = partial.DESCRIPTOR.fields_by_number[1].name
    return _objection(getattr(partial, field), partial.error_message)


def _objection(rejected: int, message: str) -> str:
    return f"it rejected {rejected} of it ({foreign.text(message) or 'and said not why'})" if rejected > 0 else ""
