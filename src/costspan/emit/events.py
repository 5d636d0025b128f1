"""One OTLP log record a call, `llm.usage`: the row that a fleet's event store keeps."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import TraceFlags

from costspan import names
from costspan.emit import spans
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.sdk import fast_span

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
# Not empty: for an empty context the API takes the current one.
_NO_SPAN: Final = Context({"costspan": True})


class Events:
    """Writes the usage event of finished calls."""

    def __init__(self, provider: LoggerProvider) -> None:
        self._logger: Any = provider.get_logger(names.SCOPE)
        self._slim: Any = None

    def take(self, calls: Sequence[Call]) -> None:
        """Write one record for each call."""
        emit, made = self._logger.emit, self._made_by()
        for call in calls:
            record = _record(call)
            emit(made(self._logger, record) if made else record)

    def _made_by(self) -> Any:
        """What makes the SDK's record around ours the cheap way, where the SDK is known; see sdk/fast_span.py."""
        if self._slim is None:
            self._slim = False
            if "opentelemetry.sdk._logs" in sys.modules:
                self._slim = fast_span.written if fast_span.is_known_logger(self._logger) else False
        return self._slim


class _Record(LogRecord):
    """A log record that knows how to copy itself: the SDK's batch processor copies every one."""

    def __copy__(self) -> LogRecord:
        copied = object.__new__(_Record)
        vars(copied).update(vars(self))
        return copied


_EMPTY: Final = _Record(context=_NO_SPAN, severity_number=SeverityNumber.INFO, event_name=names.USAGE_EVENT)


def _record(call: Call) -> LogRecord:
    ended_ns = call.started_ns + int(call.duration_s * 1e9)
    record = _EMPTY.__copy__()  # half the price of copy.copy
    record.timestamp = record.observed_timestamp = ended_ns
    record.attributes = attributes(call)
    if call.trace_id:
        record.trace_id, record.span_id, record.trace_flags = call.trace_id, call.span_id, _SAMPLED
    return record


def attributes(call: Call) -> dict[str, Any]:
    """What the event of a call says."""
    said = {
        **spans.start(call)[1],
        **(spans.end_attributes(call) if call.told is None else call.told),
        names.EVENT_ID: call.id,
        names.PERIOD: call.period,
        names.DURATION: call.duration_s,
    }
    if isinstance(call.price, Cost):
        said[names.COST_NANO_USD] = call.price.nano_usd
    if call.answer.usage is not None:
        said[names.USAGE_UNITS] = call.answer.usage.counts
    return said
