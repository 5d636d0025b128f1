"""The yardstick: what a careful engineer writes by hand with the public OpenTelemetry API.

One SDK span with ten attributes, two counter adds, one histogram record. It must not get better: every ratio in the
results is a multiple of its cost.
"""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import wrapt
from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from benchmarks.switches import SESSION, SOURCE, TASK_TYPE

if TYPE_CHECKING:
    from typing_extensions import Self

    from benchmarks.telemetry import Telemetry

TAGS: Final = contextvars.ContextVar("tags", default=(SESSION, TASK_TYPE, SOURCE))
BUCKETS: Final = [0.01 * 2**n for n in range(14)]
_USD_PER_TOKEN: Final = {"gpt-4o-mini": (0.15e-6, 0.60e-6, 0.075e-6)}
_NO_PRICE: Final = (0.0, 0.0, 0.0)


class Said(NamedTuple):
    """What an answer says."""

    model: str
    input: int
    output: int
    cached: int


def _chat(answer: Any) -> Said:
    usage = answer.usage
    return Said(answer.model, usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens)


def _response(answer: Any) -> Said:
    usage = answer.usage
    return Said(answer.model, usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens)


def _embeddings(answer: Any) -> Said:
    return Said(answer.model, answer.usage.prompt_tokens, 0, 0)


def _message(answer: Any) -> Said:
    usage = answer.usage
    cached = usage.cache_read_input_tokens or 0
    return Said(answer.model, usage.input_tokens + cached, usage.output_tokens, cached)


#: module, method, provider, operation, is async, reader of an answer
TARGETS: Final = (
    ("openai.resources.chat.completions", "Completions.create", "openai", "chat", False, _chat),
    ("openai.resources.chat.completions", "AsyncCompletions.create", "openai", "chat", True, _chat),
    ("openai.resources.responses.responses", "Responses.create", "openai", "chat", False, _response),
    ("openai.resources.embeddings", "Embeddings.create", "openai", "embeddings", False, _embeddings),
    ("anthropic.resources.messages", "Messages.create", "anthropic", "chat", False, _message),
)


def _cost_usd(model: str, said: Said) -> float:
    price = _USD_PER_TOKEN.get(model, _NO_PRICE)
    return (said.input - said.cached) * price[0] + said.output * price[1] + said.cached * price[2]


class Minimum:
    """The yardstick on one process's providers."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.tracer = telemetry.tracer_provider.get_tracer("benchmark.minimum")
        meter = telemetry.meter_provider.get_meter("benchmark.minimum")
        self.tokens = meter.create_counter("llm.tokens", unit="{token}")
        self.duration = meter.create_histogram(
            "gen_ai.client.operation.duration", unit="s", explicit_bucket_boundaries_advisory=BUCKETS
        )

    def install(self) -> None:
        """Wrap the methods of the libraries that are imported."""
        for module, method, provider, operation, is_async, read in TARGETS:
            if module.partition(".")[0] in sys.modules:
                wrap = self._async_wrapper if is_async else self._wrapper
                wrapt.wrap_function_wrapper(module, method, wrap(provider, operation, read))

    def _wrapper(self, provider: str, operation: str, read: Callable[[Any], Said]) -> Callable[..., Any]:
        def wrapper(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
            call = _Call(self, provider, operation, kwargs.get("model"))
            try:
                answer = wrapped(*args, **kwargs)
            except BaseException as fault:
                call.end(None, fault)
                raise
            if kwargs.get("stream"):
                call.detach()
                return _Stream(answer, call)
            call.end(read(answer))
            return answer

        return wrapper

    def _async_wrapper(self, provider: str, operation: str, read: Callable[[Any], Said]) -> Callable[..., Any]:
        async def wrapper(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
            call = _Call(self, provider, operation, kwargs.get("model"))
            try:
                answer = await wrapped(*args, **kwargs)
            except BaseException as fault:
                call.end(None, fault)
                raise
            if kwargs.get("stream"):
                call.detach()
                return _Stream(answer, call)
            call.end(read(answer))
            return answer

        return wrapper


class _Call:
    """One call: a span and the labels it shares with the metrics."""

    def __init__(self, minimum: Minimum, provider: str, operation: str, model: str) -> None:
        self.minimum, self.provider, self.operation, self.model = minimum, provider, operation, model
        self.tags = session, task, source = TAGS.get()
        self.span = span = minimum.tracer.start_span(f"{operation} {model}", kind=SpanKind.CLIENT)
        span.set_attribute("gen_ai.operation.name", operation)
        span.set_attribute("gen_ai.provider.name", provider)
        span.set_attribute("gen_ai.request.model", model)
        span.set_attribute("session.id", session)
        span.set_attribute("llm.task.type", task)
        span.set_attribute("llm.source", source)
        self.token: Any = context.attach(trace.set_span_in_context(span))
        self.started = perf_counter()

    def read_event(self, event: Any) -> Said | None:
        return _chat(event) if self.provider == "openai" else None

    def detach(self) -> None:
        if self.token is not None:
            context.detach(self.token)
            self.token = None

    def end(self, said: Said | None, fault: BaseException | None = None) -> None:
        duration, span = perf_counter() - self.started, self.span
        if fault is not None:
            span.record_exception(fault)
            span.set_status(Status(StatusCode.ERROR, str(fault)))
        elif said is not None:
            span.set_attribute("gen_ai.response.model", said.model)
            span.set_attribute("gen_ai.usage.input_tokens", said.input)
            span.set_attribute("gen_ai.usage.output_tokens", said.output)
            span.set_attribute("llm.cost.usd", _cost_usd(self.model, said))
            self._count(said)
        self.minimum.duration.record(
            duration,
            {
                "gen_ai.operation.name": self.operation,
                "gen_ai.provider.name": self.provider,
                "gen_ai.request.model": self.model,
            },
        )
        self.detach()
        span.end()

    def _count(self, said: Said) -> None:
        session, task, source = self.tags
        labels = {
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.model,
            "session.id": session,
            "llm.task.type": task,
            "llm.source": source,
        }
        self.minimum.tokens.add(said.input, {**labels, "gen_ai.token.type": "input"})
        self.minimum.tokens.add(said.output, {**labels, "gen_ai.token.type": "output"})


class _Stream:
    """The usual proxy, which asks each event for its usage. (Anthropic's events are not followed.)"""

    def __init__(self, stream: Any, call: _Call) -> None:
        self._stream, self._call = stream, call
        self._said: Said | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> _Stream:
        return self

    def __aiter__(self) -> _Stream:
        return self

    def __next__(self) -> Any:
        try:
            event = next(self._stream)
        except StopIteration:
            self._call.end(self._said)
            raise
        except BaseException as fault:
            self._call.end(None, fault)
            raise
        if getattr(event, "usage", None) is not None:
            self._said = self._call.read_event(event)
        return event

    async def __anext__(self) -> Any:
        try:
            event = await self._stream.__anext__()
        except StopAsyncIteration:
            self._call.end(self._said)
            raise
        except BaseException as fault:
            self._call.end(None, fault)
            raise
        if getattr(event, "usage", None) is not None:
            self._said = self._call.read_event(event)
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> Any:
        return self._stream.__exit__(*exception)
