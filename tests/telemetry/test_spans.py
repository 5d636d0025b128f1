"""One call, one span: costspan's own, or somebody else's that already stands for the call and is written on."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

import ways
from answers import error
from caller import KINDS, PROMPT, Caller
from comparing import ANTHROPIC_USAGE, OPENAI_USAGE
from costspan import attribution, names
from costspan.facts.money import Cost
from provider import Provider
from watching import Watched

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
_ATTRIBUTION = {"session": "s-1", "task_type": "triage", "source": "task_agent", "team": "search", "account": "acme"}


def _names_of(span: Any) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_span_says_what_the_contract_promises(provider: Provider) -> None:
    """Name, kind, times, conventions, cost and attribution; and no word of prompt or answer."""
    with Watched() as watched, attribution(**_ATTRIBUTION):
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        call = watched.call()
    (span,) = watched.exporter.get_finished_spans()
    said = _names_of(span)
    assert (span.name, span.kind) == ("chat gpt-4o-mini", SpanKind.CLIENT)
    assert span.start_time == call.started_ns
    assert said.pop(names.COST_AMOUNT) > 0
    assert str(said.pop(names.PRICE_VERSION)).startswith("genai-prices")
    assert said == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18", "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("stop",), "server.address": "127.0.0.1", "server.port": provider.port,
        "gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 3, "gen_ai.usage.reasoning.output_tokens": 2,
        "gen_ai.usage.cost.currency": "USD", "gen_ai.usage.cost.source": "local", "llm.cost.quality": said[names.QUALITY],
        "llm.outcome": "ok", "session.id": "s-1", "llm.task_type": "triage", "llm.source": "task_agent",
        "llm.team": "search", "llm.account": "acme",
    }  # fmt: skip
    assert not [value for value in said.values() if isinstance(value, str) and PROMPT in value]


def test_a_failed_call_is_a_span_with_an_error(provider: Provider) -> None:
    """Status, class of the exception, HTTP status."""
    provider.replies.append(error(429))
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        (span,) = watched.spans()
    assert span.status.status_code is StatusCode.ERROR
    said = _names_of(span)
    assert (said[names.ERROR_TYPE], said[names.STATUS_CODE]) == ("RateLimitError", 429)


FOREIGN = [
    ("the conventions", {"gen_ai.operation.name": "chat"}, 1),
    ("OpenLLMetry", {"llm.request.type": "chat"}, 1),
    ("OpenInference", {"openinference.span.kind": "LLM"}, 1),
    ("Langfuse", {"langfuse.observation.type": "generation"}, 1),
    ("Langfuse, a step", {"langfuse.observation.type": "span"}, 2),
    ("an agent's span", {"gen_ai.operation.name": "invoke_agent"}, 2),
    ("a tool's span", {"openinference.span.kind": "TOOL"}, 2),
    ("any span", {"http.request.method": "GET"}, 2),
]


@_MODES
@pytest.mark.parametrize("way", ["whole", "stream", "raw"])
@pytest.mark.parametrize(("attributes", "spans"), [row[1:] for row in FOREIGN], ids=[row[0] for row in FOREIGN])
def test_a_foreign_inference_span_is_written_on(
    attributes: dict[str, str], spans: int, way: str, provider: Provider, mode: str
) -> None:
    """No second span for the same call; any other span becomes the parent of ours; the counters are the same."""
    with Watched() as watched:
        tracer = watched.tracer_provider.get_tracer("foreign")
        with tracer.start_as_current_span("theirs", attributes=attributes) as theirs:
            Caller(KINDS["chat"], provider.url, mode).run(ways.READ_TO_THE_END[way])
            assert theirs.is_recording()  # it is not ours to end
        found = {span.name: span for span in watched.spans()}
        assert watched.total(names.REQUESTS) == 1
        assert watched.total(names.INPUT_TOKENS) == OPENAI_USAGE["input"]
    assert len(found) == spans
    if spans == 1:
        assert _names_of(found["theirs"])[names.COST_AMOUNT] > 0
        assert attributes.items() <= _names_of(found["theirs"]).items()
    else:
        ours, parent = found["chat gpt-4o-mini"], found["theirs"]
        assert names.COST_AMOUNT not in _names_of(parent)
        assert ours.parent is not None
        context = parent.get_span_context()
        assert context is not None
        assert ours.parent.span_id == context.span_id


@_MODES
@pytest.mark.parametrize("way", ["whole", "stream", "break"])
@pytest.mark.parametrize("is_suppressed", [True, False], ids=["suppressing", "not suppressing"])
def test_the_cost_stands_on_one_span_though_the_foreign_one_ends_early(
    way: str, provider: Provider, mode: str, *, is_suppressed: bool
) -> None:
    """Logfire's span ends when the stream begins, and no spans are wanted within: then one of ours beneath it has the cost."""
    watched = Watched()
    tracer = watched.tracer_provider.get_tracer("theirs")

    async def within_a_span(c: Caller) -> None:
        create, arguments = c.create, {"gen_ai.operation.name": "chat"}

        async def wrapped(**more: Any) -> Any:
            with tracer.start_as_current_span("theirs", attributes=arguments):
                token = otel_context.attach(otel_context.set_value("suppress_instrumentation", is_suppressed))
                try:
                    return await create(**more)
                finally:
                    otel_context.detach(token)

        c.create = wrapped
        await {**ways.READ_TO_THE_END, **ways.CUT_SHORT}[way](c)

    with watched:
        Caller(KINDS["chat"], provider.url, mode).run(within_a_span)
        call = watched.call()
        spans = watched.spans()
    costs = [span for span in spans if names.COST_AMOUNT in _names_of(span)]
    assert len(costs) == 1
    assert isinstance(call.price, Cost)
    assert _names_of(costs[0])[names.COST_AMOUNT] == call.price.usd
    assert (costs[0].name == "theirs") == (way == "whole")
    identity = costs[0].get_span_context()
    assert identity is not None
    assert (call.trace_id, call.span_id) == (identity.trace_id, identity.span_id)
    assert {span.get_span_context().trace_id for span in spans} == {call.trace_id}  # pyright: ignore[reportOptionalMemberAccess]


def test_several_calls_within_one_foreign_span_add_up_on_it(provider: Provider) -> None:
    """A fallback or a retry of a framework: its cost is the sum of theirs."""
    with Watched() as watched:
        with watched.tracer_provider.get_tracer("x").start_as_current_span(
            "theirs", attributes={"gen_ai.operation.name": "chat"}
        ):
            for _ in range(3):
                Caller(KINDS["chat"], provider.url, "sync").run(ways.whole)
        (span,) = watched.spans()
        costs = [call.price.usd for call in watched.calls() if isinstance(call.price, Cost)]
    assert len(costs) == 3
    assert _names_of(span)[names.COST_AMOUNT] == pytest.approx(sum(costs), rel=1e-9)


@pytest.mark.parametrize(
    "settings",
    [{"spans": False}, {"sampler": ALWAYS_OFF}, {"suppressed": True}],
    ids=["off", "sampled out", "suppressed"],
)
def test_no_money_figure_depends_on_spans(settings: dict[str, Any], provider: Provider) -> None:
    """Without spans, sampled out or suppressed: the counters and the event are the same."""
    is_suppressed = settings.pop("suppressed", False) if "suppressed" in settings else False
    with Watched(**settings) as watched:
        token = otel_context.attach(otel_context.set_value("suppress_instrumentation", is_suppressed))
        Caller(KINDS["chat"], provider.url, "sync").run(ways.to_the_end)
        otel_context.detach(token)
        assert not watched.spans()
        assert watched.total(names.INPUT_TOKENS) == OPENAI_USAGE["input"]
        assert watched.total(names.COST_USD) > 0
        assert len(watched.events()) == 1


@_MODES
@pytest.mark.parametrize("way", ["whole", "stream", "raw", "break", "never read"])
def test_the_span_of_the_library_itself_is_written_on(way: str, provider: Provider, mode: str) -> None:
    """Anthropic from version 2 on emits a span: it carries the cost, and costspan adds none."""
    if "open_telemetry" not in getattr(importlib.import_module("anthropic").Anthropic.__init__, "__annotations__", {}):
        pytest.skip("this version of anthropic emits no spans")
    found = {**ways.READ_TO_THE_END, **ways.CUT_SHORT, **ways.UNREAD}[way]
    with Watched() as watched:
        options = {"open_telemetry": {"tracer_provider": watched.tracer_provider, "traces": True}}
        Caller(KINDS["messages"], provider.url, mode, **options).run(found)
        call = watched.call()
        spans = [span for span in watched.spans() if names.OPERATION in _names_of(span)]
        assert watched.total(names.REQUESTS) == 1
    assert len(spans) == 1
    assert call.usage is not None
    if way in ways.READ_TO_THE_END:
        assert call.usage.counts == ANTHROPIC_USAGE
        assert _names_of(spans[0])[names.COST_AMOUNT] > 0
    context = spans[0].get_span_context()
    assert context is not None
    assert context.span_id == call.span_id


OTHERS = [
    ("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor"),
    ("openinference.instrumentation.openai", "OpenAIInstrumentor"),
]


@_MODES
@pytest.mark.parametrize("way", ["whole", "stream", "raw", "break"])
@pytest.mark.parametrize("is_first", [True, False], ids=["costspan first", "costspan last"])
@pytest.mark.parametrize(("module", "kind"), OTHERS, ids=["genai-openai", "openinference"])
def test_another_instrumentation_beside_costspan(
    module: str, kind: str, way: str, provider: Provider, mode: str, *, is_first: bool
) -> None:
    """In either order: one span for the call, with the cost on it, and every token counted once."""
    theirs: Any = getattr(pytest.importorskip(module), kind)()
    watched = Watched()
    try:
        if not is_first:
            theirs.instrument(tracer_provider=watched.tracer_provider, skip_dep_check=True)
        with watched:
            if is_first:
                theirs.instrument(tracer_provider=watched.tracer_provider, skip_dep_check=True)
            Caller(KINDS["chat"], provider.url, mode).run({**ways.READ_TO_THE_END, **ways.CUT_SHORT}[way])
            call = watched.call()
            assert watched.total(names.REQUESTS) == 1
            spans = watched.spans()
    finally:
        theirs.uninstrument()
        _forget_request()
    assert call.usage is not None
    if way in {"whole", "stream"}:
        assert call.usage.counts == OPENAI_USAGE
        assert len(spans) == 1
        assert _names_of(spans[0])[names.COST_AMOUNT] > 0
    assert trace.get_current_span() is trace.INVALID_SPAN


def _forget_request() -> None:
    """OpenInference leaves the method that it found on a class that had none."""
    openai = importlib.import_module("openai")
    for kind in (openai.OpenAI, openai.AsyncOpenAI):
        if "request" in vars(kind):
            del kind.request
