"""How each contender is switched on, by its own documented door, with the benchmark's providers.

Runs in the contender's environment, after the client libraries are imported. Each function answers a function
that drains what the contender holds back on threads of its own.
"""

# a contender can be imported in its own environment only
from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from benchmarks.telemetry import Telemetry

Drain = Callable[[], object]

#: Who the measured calls are for: the same for every contender that can say so.
SESSION: Final = "session-000123"
TASK_TYPE: Final = "summarise"
SOURCE: Final = "main_agent"
TEAM: Final = "search"

# openlit fetches its prices over the network; these are its own keys, in USD per thousand tokens.
_OPENLIT_PRICES: Final = {
    "chat": {
        "gpt-4o": {"promptPrice": 0.0025, "completionPrice": 0.01, "cacheReadPrice": 0.00125},
        "gpt-4o-mini": {"promptPrice": 0.00015, "completionPrice": 0.0006, "cacheReadPrice": 0.000075},
        "claude-sonnet-4-5": {
            "promptPrice": 0.003, "completionPrice": 0.015, "cacheReadPrice": 0.0003, "cacheCreationPrice": 0.00375},
    },
    "embeddings": {"text-embedding-3-small": 0.00002},
}  # fmt: skip


def switch_on(switch: str | None, telemetry: Telemetry, libraries: Iterable[str]) -> Drain:
    """Switch a contender on for the libraries that are in use (`openai`, `anthropic`, `langchain`, `litellm`)."""
    return _nothing if switch is None else _SWITCHES[switch](telemetry, frozenset(libraries))


def _nothing() -> None:
    """Nothing is held back."""


def _minimum(telemetry: Telemetry, _: frozenset[str]) -> Drain:
    from benchmarks.overhead.minimum import Minimum

    Minimum(telemetry).install()
    return _nothing


def _costspan(telemetry: Telemetry, _: frozenset[str]) -> Drain:
    import costspan
    from costspan.instrumentor import CostspanInstrumentor

    CostspanInstrumentor().instrument(**telemetry.providers)
    costspan.attribution(session=SESSION, task_type=TASK_TYPE, source=SOURCE, team=TEAM).__enter__()
    return costspan.flush


def _instrument(modules: dict[str, str], libraries: frozenset[str], **providers: Any) -> Drain:
    """Instrumentors in the manner of OpenTelemetry: `package.module:Class` by library."""
    for library, place in modules.items():
        if library in libraries:
            module, _, name = place.partition(":")
            getattr(importlib.import_module(module), name)().instrument(**providers)
    return _nothing


def _genai(telemetry: Telemetry, libraries: frozenset[str]) -> Drain:
    return _instrument(
        {
            "openai": "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
            "anthropic": "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",
        },
        libraries,
        **telemetry.providers,
    )


def _openllmetry(telemetry: Telemetry, libraries: frozenset[str]) -> Drain:
    return _instrument(
        {
            "openai": "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
            "anthropic": "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
            "langchain": "opentelemetry.instrumentation.langchain:LangchainInstrumentor",
            "litellm": "opentelemetry.instrumentation.litellm:LiteLLMInstrumentor",
        },
        libraries,
        **telemetry.providers,
    )


def _openinference(telemetry: Telemetry, libraries: frozenset[str]) -> Drain:
    return _instrument(
        {
            "openai": "openinference.instrumentation.openai:OpenAIInstrumentor",
            "anthropic": "openinference.instrumentation.anthropic:AnthropicInstrumentor",
            "langchain": "openinference.instrumentation.langchain:LangChainInstrumentor",
            "litellm": "openinference.instrumentation.litellm:LiteLLMInstrumentor",
        },
        libraries,
        tracer_provider=telemetry.tracer_provider,
    )


def _agentops(telemetry: Telemetry, libraries: frozenset[str]) -> Drain:
    return _instrument(
        {
            "openai": "agentops.instrumentation.providers.openai.instrumentor:OpenaiInstrumentor",
            "anthropic": "agentops.instrumentation.providers.anthropic.instrumentor:AnthropicInstrumentor",
        },
        libraries,
        **telemetry.providers,
    )


def _logfire(telemetry: Telemetry, libraries: frozenset[str]) -> Drain:
    import logfire
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    # logfire makes providers of its own; the benchmark's exporters are put behind them.
    telemetry.reader = PeriodicExportingMetricReader(telemetry.points, export_interval_millis=3_600_000)
    logfire.configure(
        send_to_logfire=False,
        console=False,
        inspect_arguments=False,
        sampling=logfire.SamplingOptions(head=1.0 if telemetry.sampled else 0.0),
        additional_span_processors=[telemetry.span_processor],
        metrics=logfire.MetricsOptions(additional_readers=[telemetry.reader]),
    )
    for library in libraries & {"openai", "anthropic", "litellm"}:
        getattr(logfire, f"instrument_{library}")()
    return logfire.force_flush


def _openlit(_: Telemetry, libraries: frozenset[str]) -> Drain:
    import openlit
    from openlit._instrumentors import MODULE_NAME_MAP

    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as prices:
        json.dump(_OPENLIT_PRICES, prices)
    openlit.init(
        pricing_json=prices.name, disabled_instrumentors=[name for name in MODULE_NAME_MAP if name not in libraries]
    )
    Path(prices.name).unlink()
    return _nothing


def _langfuse(telemetry: Telemetry, _: frozenset[str]) -> Drain:
    from langfuse import Langfuse

    client = Langfuse(
        public_key="pk-stand-in",
        secret_key="sk-stand-in",
        base_url="http://127.0.0.1:9",
        tracer_provider=telemetry.tracer_provider,
        span_exporter=type(telemetry.spans)(keep=False),  # the provider's own processor exports them already
    )
    importlib.import_module("langfuse.openai")  # patches openai on import
    return client.flush


_SWITCHES: Final[dict[str, Callable[[Telemetry, frozenset[str]], Drain]]] = {
    "minimum": _minimum,
    "costspan": _costspan,
    "genai": _genai,
    "openllmetry": _openllmetry,
    "openinference": _openinference,
    "agentops": _agentops,
    "logfire": _logfire,
    "openlit": _openlit,
    "langfuse": _langfuse,
}
