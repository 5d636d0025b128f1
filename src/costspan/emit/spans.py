"""One call to one span: ours, or the inference span of somebody else that is already current."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NoOpTracer, ProxyTracer, Span, SpanKind, Status, StatusCode, Tracer

from costspan import names
from costspan.calls.engine import ObservedCall
from costspan.emit import begun
from costspan.facts import usage as units
from costspan.facts.attribution import Attribution
from costspan.facts.attribution_words import ATTRIBUTE_OF
from costspan.facts.call import ERROR, REFUSED, Call
from costspan.facts.money import NANO_PER_USD, Cost
from costspan.facts.recent import Recent
from costspan.sdk import fast_span

_INFERENCE: Final = frozenset({
    "chat", "text_completion", "generate_content", "embeddings", "inference",
    "generate_image", "generate_video", "extend_video",  # in the words of xAI's library
})  # fmt: skip
_SUPPRESSED: Final = "suppress_instrumentation"  # by the API's own convention
_FAILED: Final = frozenset({ERROR, REFUSED})
_MOST_STARTS: Final = 4_096
_USAGE: Final = (
    (names.USAGE_INPUT, units.INPUT),
    (names.USAGE_OUTPUT, units.OUTPUT),
    (names.USAGE_CACHE_READ, units.CACHE_READ),
    (names.USAGE_CACHE_WRITE, units.CACHE_WRITE),
    (names.USAGE_REASONING, units.REASONING),
)


def is_inference(span: Span) -> bool:
    """Whether somebody else's span already stands for an LLM call: by the conventions or in the words of others."""
    said: Mapping[str, Any] | None = getattr(span, "attributes", None)
    if not said:
        return False
    return (
        said.get(names.OPERATION) in _INFERENCE
        or said.get("llm.request.type") in {"chat", "completion", "embedding"}
        or said.get("openinference.span.kind") in {"LLM", "EMBEDDING"}
        or said.get("langfuse.observation.type") in {"generation", "embedding"}
    )


def _for_this_call(current: Span) -> Span | None:
    """Somebody else's span that stands for the call which begins: the current one, or one that was begun for it."""
    if current.is_recording() and is_inference(current):
        return current
    return begun.span() if begun.MODULE in sys.modules else None


class Spans:
    """Opens, fills and ends the span of a call."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._slim: Any = None  # the module that makes spans for this tracer, False where none does

    def began(self, observed: ObservedCall, context: otel_context.Context) -> Span | None:
        """The span of a call that begins: a new one, or None where another's will be used or none is wanted."""
        current = trace.get_current_span(context)
        theirs = _for_this_call(current)
        if theirs is not None:
            observed.borrowed = True  # also where its owner wants no further spans, as Logfire does
            observed.span = theirs
            return None
        if context.get(_SUPPRESSED):
            return None
        name, attributes = start(observed.call)
        started_ns = observed.call.started_ns
        if self._slim is None:
            self._choose()
        if self._slim:
            return self._slim.start_span(self._tracer, name, context, current, attributes, started_ns)
        return self._tracer.start_span(name, context, SpanKind.CLIENT, attributes, start_time=started_ns)

    def _choose(self) -> None:
        """Once the program has set its tracer provider up: may the spans of its tracer be made the cheap way?"""
        tracer = self._tracer
        if isinstance(tracer, ProxyTracer):
            tracer = tracer._tracer  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # what it stands for by now
            if isinstance(tracer, NoOpTracer):
                return  # not set up yet
            self._tracer = tracer
        self._slim = False
        if "opentelemetry.sdk.trace" in sys.modules:
            self._slim = fast_span if fast_span.is_known(tracer) else False

    def _own_beneath(self, observed: ObservedCall, former: Span) -> Span:
        """A span of ours for a stream whose span, somebody else's, has ended before it: the cost has to stand somewhere."""
        name, attributes = start(observed.call)
        call = observed.call
        above = trace.set_span_in_context(former)
        span = self._tracer.start_span(name, above, SpanKind.CLIENT, attributes, start_time=call.started_ns)
        observed.span, observed.borrowed = span, False
        call.span_id = span.get_span_context().span_id
        return span

    def ended(self, observed: ObservedCall) -> None:
        """Fill the span of a finished call, and end it if it is ours."""
        span, call = observed.span, observed.call
        if span is None:
            return
        identity = span.get_span_context()
        call.trace_id, call.span_id = identity.trace_id, identity.span_id
        if observed.borrowed and call.is_stream and not observed.native and not span.is_recording():
            span = self._own_beneath(observed, span)
        if span.is_recording():
            attributes = end_attributes(call)
            call.told = attributes
            if observed.borrowed:
                attributes = {**attribution_attributes(call.attribution), **attributes}
                _add_to_former(span, attributes)
            fill = getattr(span, "fill", span.set_attributes)  # ours takes clean attributes as they are
            fill(attributes)
            if call.outcome in _FAILED and not observed.borrowed:
                span.set_status(Status(StatusCode.ERROR, call.error_type))
        if not observed.borrowed:
            span.end(call.started_ns + int(call.duration_s * 1e9))


def _add_to_former(span: Any, attributes: dict[str, Any]) -> None:
    """Several calls within one foreign span (a fallback, a retry of a framework): its cost is the sum of theirs."""
    said: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    former = said.get(names.COST_AMOUNT)
    if isinstance(former, float) and names.COST_AMOUNT in attributes:
        attributes[names.COST_AMOUNT] += former


_starts: Final[Recent[tuple[Any, ...], tuple[str, dict[str, Any]]]] = Recent(_MOST_STARTS)


def start(call: Call) -> tuple[str, dict[str, Any]]:
    """Name and first attributes of a call's span; not to be changed, as calls that are alike share them."""
    key = (call.operation, call.provider, call.request_model, call.host, call.port, call.attribution, call.is_stream)
    found = _starts.young.get(key) or _starts.get(key)
    return found if found is not None else _starts.keep(key, (_name(call), _start_attributes(call)))


def _name(call: Call) -> str:
    return f"{call.operation} {call.request_model}" if call.request_model else call.operation


def _start_attributes(call: Call) -> dict[str, Any]:
    said = {
        names.OPERATION: call.operation,
        names.PROVIDER: call.provider,
        names.REQUEST_MODEL: call.request_model,
        names.SERVER_ADDRESS: call.host,
        names.SERVER_PORT: call.port,
        names.STREAM: True if call.is_stream else None,
        **attribution_attributes(call.attribution),
    }
    return {name: value for name, value in said.items() if value is not None}


def attribution_attributes(who: Attribution) -> dict[str, str]:
    """Who a call is for, as far as anybody said."""
    return {name: value for name, value in zip(ATTRIBUTE_OF.values(), who, strict=True) if value is not None}


def end_attributes(call: Call) -> dict[str, Any]:
    """What is known of a call at its end, as attributes of its span."""
    answer = call.answer
    said: dict[str, Any] = {names.OUTCOME: call.outcome}
    if answer.model is not None:
        said[names.RESPONSE_MODEL] = answer.model
    if answer.id is not None:
        said[names.RESPONSE_ID] = answer.id
    if answer.finish_reasons:
        said[names.FINISH_REASONS] = answer.finish_reasons
    if answer.tier is not None:
        said[names.SERVICE_TIER] = answer.tier
    if answer.usage is not None:
        counts = answer.usage.counts
        said.update({name: counts[unit] for name, unit in _USAGE if unit in counts})
    add_price(said, call)
    if call.first_chunk_s is not None:
        said[names.TIME_TO_FIRST_CHUNK] = call.first_chunk_s
    if call.error_type is not None:
        said[names.ERROR_TYPE] = call.error_type
    if call.http_status is not None:
        said[names.STATUS_CODE] = call.http_status
    if call.transaction is not None or call.estimate is not None:
        found = {names.TRANSACTION: call.transaction, names.ESTIMATE: call.estimate}
        said.update({name: value for name, value in found.items() if value is not None})
    return said


def add_price(said: dict[str, Any], call: Call) -> None:
    """The price of a call, or why it has none."""
    price = call.price
    if isinstance(price, Cost):
        said[names.COST_AMOUNT] = price.nano_usd / NANO_PER_USD
        said[names.COST_CURRENCY] = names.CURRENCY
        said[names.COST_SOURCE] = price.source
        said[names.QUALITY] = price.quality
        said[names.PRICE_VERSION] = price.version
    elif price is not None:
        said[names.UNPRICED_REASON] = price.reason
