"""The SDK's own span at a third of its price, where the SDK is one whose inner names are known; else the public way.

A span of the SDK spends most of its time on cleaning attributes that may hold anything. Ours hold text and numbers by
construction, so they are put in place as they are. Everything else is the SDK's: sampler, ids, processors, limits,
events, links, end. Before the first use a span made this way is compared with one that the SDK made; where they differ
(a newer SDK), or where the user set limits that clean, spans are opened by `Tracer.start_span`.
"""
# pyright: basic
# It enters the SDK by names that are private there.
# ruff: noqa: SLF001

from __future__ import annotations

import threading
from typing import Any, Final

from opentelemetry._logs import LogRecord
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk import _logs as sdk_logs
from opentelemetry.sdk import trace as sdk
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from costspan import guard

_UNSET: Final = Status(StatusCode.UNSET)
_ROOM: Final = 64  # more attributes than a call ever has


class CleanAttributes(BoundedAttributes):
    """Attributes that were clean before: taken over as they are. What others add later is cleaned as ever."""

    def __init__(self, attributes: dict[str, Any], most: int | None) -> None:
        self._dict = attributes
        self.maxlen = most
        self.dropped = 0
        self.max_value_len = None
        self._lock = threading.Lock()
        self._immutable = False


class CallSpan(sdk._Span):
    """A span of the SDK whose rarer parts are made with their first use."""

    def __init__(
        self, name: str, context: SpanContext, parent: SpanContext | None, tracer: Any, attributes: Any, ending: Any
    ) -> None:
        self._name = name
        self._context = context
        self._kind = SpanKind.CLIENT
        self._instrumentation_info = tracer.instrumentation_info
        self._instrumentation_scope = tracer._instrumentation_scope
        self._parent = parent
        self._start_time = None
        self._end_time = None
        self._attributes = attributes
        self._events = self._links = ()
        self._resource = tracer.resource
        self._status = _UNSET
        self._sampler = tracer.sampler
        self._trace_config = None
        self._record_exception = True
        self._set_status_on_exception = True
        self._span_processor = tracer.span_processor
        self._limits = tracer._span_limits
        self._lock = threading.Lock()
        self._record_end_metrics = ending

    def fill(self, attributes: dict[str, Any]) -> None:
        """Add attributes that are clean."""
        with self._lock:
            if self._end_time is None:
                self._attributes._dict.update(attributes)

    def _add_event(self, event: Any) -> None:
        if self._events == ():
            self._events = self._new_events()
        super()._add_event(event)

    def _add_link(self, link: Any) -> None:
        if self._links == ():
            self._links = self._new_links(())
        super()._add_link(link)


def is_known(tracer: Any) -> bool:
    """Whether this tracer is one whose spans may be made here."""
    return type(tracer) is sdk.Tracer and bool(_matches(tracer))


@guard.guarded("sdk.fast_span")
def _matches(tracer: Any) -> bool:
    limits = tracer._span_limits
    if limits.max_span_attribute_length is not None or (limits.max_span_attributes or _ROOM) < _ROOM:
        return False
    context = SpanContext(1, 1, is_remote=False)
    theirs = sdk._Span(
        "x", context, sampler=tracer.sampler, resource=tracer.resource, limits=limits, kind=SpanKind.CLIENT,
        instrumentation_info=tracer.instrumentation_info, instrumentation_scope=tracer._instrumentation_scope,
    )  # fmt: skip
    ours = CallSpan("x", context, None, tracer, CleanAttributes({}, limits.max_span_attributes), None)
    same_attributes = vars(theirs._attributes).keys() == vars(ours._attributes).keys()
    return vars(theirs).keys() == vars(ours).keys() and same_attributes


def start_span(
    tracer: Any, name: str, context: Context, current: Span, attributes: dict[str, Any], start_time: int
) -> Span:
    """What `Tracer.start_span` does, for a client span with clean attributes under the span `current` of `context`."""
    parent: SpanContext | None = current.get_span_context()
    if not tracer._is_enabled():
        return NonRecordingSpan(parent)
    ids = tracer.id_generator
    if parent is None or not parent.is_valid:
        parent, trace_id, is_random = None, ids.generate_trace_id(), _is_random(ids)
    else:
        trace_id, is_random = parent.trace_id, getattr(parent.trace_flags, "random_trace_id", False)
    sampled = tracer.sampler.should_sample(context, trace_id, name, SpanKind.CLIENT, attributes, ())
    flags = (1 if sampled.decision.is_sampled() else 0) | (TraceFlags.RANDOM_TRACE_ID if is_random else 0)
    own = SpanContext(trace_id, ids.generate_span_id(), False, TraceFlags(flags), sampled.trace_state)  # noqa: FBT003
    ending = tracer._tracer_metrics.start_span(parent, sampled.decision)
    if not sampled.decision.is_recording():
        return NonRecordingSpan(own)
    given = sampled.attributes
    if len(given) == len(attributes):  # no sampler of ours or theirs takes one away to put another in
        clean: Any = CleanAttributes(attributes.copy(), tracer._span_limits.max_span_attributes)
    else:
        clean = BoundedAttributes(tracer._span_limits.max_span_attributes, given, immutable=False)
    span = CallSpan(name, own, parent, tracer, clean, ending)
    span._start_time = start_time  # pyright: ignore[reportAttributeAccessIssue]
    tracer.span_processor.on_start(span, parent_context=context)
    return span


def _is_random(ids: Any) -> bool:
    told = getattr(ids, "is_trace_id_random", None)
    return told is not None and told()


def is_known_logger(logger: Any) -> bool:
    """Whether the records of this logger may be made here."""
    return type(logger) is sdk_logs.Logger and bool(_matches_records(logger))


@guard.guarded("sdk.fast_span")
def _matches_records(logger: Any) -> bool:
    limits: Any = getattr(logger, "_log_record_limits", None)
    if not hasattr(limits, "max_log_record_attributes"):  # SDK 1.43
        return False
    if limits.max_log_record_attribute_length is not None or (limits.max_log_record_attributes or _ROOM) < _ROOM:
        return False
    theirs = sdk_logs.ReadWriteLogRecord(
        LogRecord(attributes={"x": 1}), logger._resource, logger._instrumentation_scope
    )
    ours = written(logger, LogRecord(attributes={"x": 1}))
    return vars(theirs).keys() == vars(ours).keys() and ours.log_record.attributes == theirs.log_record.attributes


def written(logger: Any, record: LogRecord) -> Any:
    """The SDK's record around one of the API whose attributes are clean."""
    made = object.__new__(sdk_logs.ReadWriteLogRecord)
    limits = logger._log_record_limits
    record.attributes = CleanAttributes(dict(record.attributes or {}), limits.max_log_record_attributes)
    made.log_record = record
    made.resource = logger._resource
    made.instrumentation_scope = logger._instrumentation_scope
    made.limits = limits
    return made
