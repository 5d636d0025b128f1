"""One OTLP log record a call, `llm.usage`: the row that a fleet's event store keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from costspan import names
from costspan.emit import spans
from costspan.facts.call import Call
from costspan.facts.money import Cost


class Events:
    """Writes the usage event of finished calls."""

    def __init__(self, provider: LoggerProvider) -> None:
        self._logger = provider.get_logger(names.SCOPE)

    def take(self, calls: Sequence[Call]) -> None:
        """Write one record for each call."""
        for call in calls:
            self._logger.emit(
                LogRecord(
                    timestamp=call.started_ns + int(call.duration_s * 1e9),
                    context=_context(call),
                    severity_number=SeverityNumber.INFO,
                    event_name=names.USAGE_EVENT,
                    attributes=_attributes(call),
                )
            )


def _context(call: Call) -> Context:
    if not call.trace_id:
        return Context()
    return trace.set_span_in_context(
        NonRecordingSpan(SpanContext(call.trace_id, call.span_id, is_remote=False, trace_flags=TraceFlags(1))),
        Context(),
    )


def _attributes(call: Call) -> dict[str, Any]:
    said = spans.start_attributes(call)
    said.update(spans.end_attributes(call))
    said[names.EVENT_ID] = call.id
    said[names.PERIOD] = call.period
    said[names.DURATION] = call.duration_s
    if isinstance(call.price, Cost):
        said[names.COST_NANO_USD] = call.price.nano_usd
    if call.answer.usage is not None:
        said[names.USAGE_UNITS] = spans.units_text(call.answer.usage)
    return said
