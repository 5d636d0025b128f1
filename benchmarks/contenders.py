"""Who takes part, and what each contender's environment is made of.

Versions are pinned so that a run can be repeated; `switches.py` says how each one is switched on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

_CLIENTS: Final = ("openai==3.57.0", "anthropic==2.14.0")
_SDK: Final = (
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-instrumentation==0.66b2",
    "opentelemetry-distro==0.66b2",  # without one the launcher sets no SDK up
    "opentelemetry-exporter-otlp==1.45.2",
    "wrapt==2.5.2",
)
_GENAI: Final = (
    "opentelemetry-instrumentation-genai-openai==1.3b0",
    "opentelemetry-instrumentation-genai-anthropic==1.3b0",
    "opentelemetry-util-genai==1.3b0",
)
_OPENLLMETRY: Final = (
    "opentelemetry-instrumentation-openai==0.62.4",
    "opentelemetry-instrumentation-anthropic==0.62.4",
    "opentelemetry-instrumentation-langchain==0.62.4",
)
_OPENINFERENCE: Final = (
    "openinference-instrumentation-openai==0.1.66",
    "openinference-instrumentation-anthropic==3.1.0",
    "openinference-instrumentation-langchain==0.1.80",
    "openinference-instrumentation-litellm==0.1.51",
)

# openlit pins openai<3 and anthropic<1. litellm takes openai 3 by now; its environments keep what openlit can take too.
_OLD_OPENAI: Final = ("openai==2.54.0",)
_LANGCHAIN: Final = ("langchain-openai==1.7.4",)
_LITELLM: Final = ("litellm==1.110.2", *_OLD_OPENAI)

#: Requirements by environment. Those of `<name>+litellm` serve the one way of calling that needs an older openai.
ENVIRONMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "none": (*_SDK, *_CLIENTS),
    "costspan": ("-e", str(ROOT), *_SDK, *_CLIENTS, *_LANGCHAIN),
    "genai": (*_GENAI, *_SDK, *_CLIENTS, *_LANGCHAIN),
    "openllmetry": (*_OPENLLMETRY, *_SDK, *_CLIENTS, *_LANGCHAIN),
    "openinference": (*_OPENINFERENCE, *_SDK, *_CLIENTS, *_LANGCHAIN),
    "logfire": ("logfire==5.4.0", "genai-prices==0.2.3", *_SDK, *_CLIENTS, *_LANGCHAIN),
    "openlit": ("openlit==1.45.0", "anthropic==0.125.0", *_OLD_OPENAI, *_LANGCHAIN),
    "langfuse": ("langfuse==5.0.4", *_CLIENTS, *_LANGCHAIN),
    "agentops": ("agentops==0.4.21", *_CLIENTS, *_LANGCHAIN),
    # The same as none, with costspan: what starting up costs must not depend on other packages.
    "launcher+costspan": ("-e", str(ROOT), *_SDK, *_CLIENTS),
    "costspan+litellm": ("-e", str(ROOT), *_SDK, *_LITELLM),
    "genai+litellm": (*_GENAI, *_SDK, *_LITELLM),
    "openllmetry+litellm": (*_OPENLLMETRY, "opentelemetry-instrumentation-litellm==0.62.4", *_SDK, *_LITELLM),
    "openinference+litellm": (*_OPENINFERENCE, *_SDK, *_LITELLM),
    "logfire+litellm": (
        "logfire==5.4.0",
        "genai-prices==0.2.3",
        "openinference-instrumentation-litellm==0.1.51",
        *_SDK,
        *_LITELLM,
    ),
    "openlit+litellm": ("openlit==1.45.0", "anthropic==0.125.0", *_LITELLM),
    "langfuse+litellm": ("langfuse==5.0.4", *_LITELLM),
    "agentops+litellm": ("agentops==0.4.21", *_LITELLM),
}


@dataclass(frozen=True)
class Contender:
    """One way to watch LLM calls.

    `switch` names a function of `switches.py` (None: nothing is switched on), `packages` are the distributions
    whose versions the results quote. `has_cost` is False for those that by their own word record no money.
    """

    name: str
    environment: str
    switch: str | None
    note: str
    packages: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    has_cost: bool = True
    takes_part_in: tuple[str, ...] = ("overhead", "correctness")


#: The provider of the benchmark stands on loopback, where nobody's prices count unless it is said whose.
_PRICED: Final = {"OTEL_COSTSPAN_HOSTS": "127.0.0.1=vendor"}
_ALL: Final = (
    Contender("none", "none", None, "no instrumentation, SDK providers present", takes_part_in=("overhead",)),
    Contender(
        "minimum", "none", "minimum", "hand-written: one SDK span, two counter adds, one histogram record",
        takes_part_in=("overhead",)),
    Contender(
        "costspan", "costspan", "costspan", "every signal of the contract, ledger off", ("costspan",),
        {"OTEL_COSTSPAN_LEDGER": "off", **_PRICED}),
    Contender(
        "costspan+ledger", "costspan", "costspan", "the same with the SQLite ledger", ("costspan",),
        {"OTEL_COSTSPAN_LEDGER": "{scratch}/ledger.db", **_PRICED}, takes_part_in=("overhead",)),
    Contender(
        "costspan+outbox", "costspan", "costspan", "ledger off, calls kept until they are delivered", ("costspan",),
        {"OTEL_COSTSPAN_LEDGER": "off", "OTEL_COSTSPAN_OUTBOX": "{scratch}/outbox", **_PRICED}, takes_part_in=("overhead",)),
    Contender(
        "genai", "genai", "genai", "OpenTelemetry's own", ("opentelemetry-instrumentation-genai-openai",),
        has_cost=False),
    Contender(
        "openllmetry", "openllmetry", "openllmetry", "Traceloop's", ("opentelemetry-instrumentation-openai",),
        has_cost=False),
    Contender(
        "openinference", "openinference", "openinference", "Arize's, spans only",
        ("openinference-instrumentation-openai",), has_cost=False),
    Contender("logfire", "logfire", "logfire", "Pydantic's, with genai-prices", ("logfire", "genai-prices")),
    Contender("openlit", "openlit", "openlit", "pins openai<3 and anthropic<1", ("openlit", "openai", "anthropic")),
    Contender(
        "langfuse", "langfuse", "langfuse", "its server prices later", ("langfuse",), has_cost=False,
        takes_part_in=("correctness",)),
    Contender(
        "agentops", "agentops", "agentops", "its server prices later", ("agentops",), has_cost=False,
        takes_part_in=("correctness",)),
)  # fmt: skip

CONTENDERS: Final[Mapping[str, Contender]] = {contender.name: contender for contender in _ALL}


def taking_part_in(part: str, only: tuple[str, ...] = ()) -> list[Contender]:
    """The contenders of one part of the benchmark; of `only`, where names are given."""
    unknown = set(only) - set(CONTENDERS)
    if unknown:
        raise SystemExit(f"no contender is called {sorted(unknown)}: there are {', '.join(CONTENDERS)}")
    return [c for c in _ALL if part in c.takes_part_in and (not only or c.name in only)]
