"""A program with telemetry of its own: what it exports is what it exports without us, and what we add on purpose."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from launching import COSTSPAN, INSTRUMENT, rows, start
from stand_in_process import client_environment, stand_in

#: Sets up its own providers, as the documentation of the SDK has it, makes a call in a span of its own, counts it, logs
#: it, and prints what its exporters got.
PROGRAM: Final = """
import json, logging, sys
if "by hand" in sys.argv:
    from costspan.instrumentor import CostspanInstrumentor
    CostspanInstrumentor().instrument()
if "client first" in sys.argv:
    import openai
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

mine = Resource({"service.name": "mine"})
spans, reader, logs = InMemorySpanExporter(), InMemoryMetricReader(), InMemoryLogRecordExporter()
tracers = TracerProvider(resource=mine)
tracers.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(tracers)
metrics.set_meter_provider(MeterProvider([reader], resource=mine))
loggers = LoggerProvider(resource=mine)
loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
_logs.set_logger_provider(loggers)

import openai
with openai.OpenAI() as client, trace.get_tracer("mine").start_as_current_span("work", attributes={"a": 1}):
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "How are you?"}])
    metrics.get_meter("mine").create_counter("works").add(1, {"b": "2"})
    _logs.get_logger("mine").emit(_logs.LogRecord(body="done", severity_text="INFO"))

if "costspan.instrumentor" in sys.modules:
    sys.modules["costspan.instrumentor"].flush()
found = reader.get_metrics_data()
print(json.dumps({
    "spans": [[s.instrumentation_scope.name, s.name, dict(s.attributes), dict(s.resource.attributes), s.kind.name,
               s.status.status_code.name, len(s.events)] for s in spans.get_finished_spans()],
    "metrics": [[scope.scope.name, metric.name, [[dict(p.attributes), p.value] for p in metric.data.data_points]]
                for resource in (found.resource_metrics if found else ()) for scope in resource.scope_metrics
                for metric in scope.metrics if scope.scope.name == "mine"],
    "logs": [[e.instrumentation_scope.name, e.log_record.body, e.log_record.severity_text, dict(e.log_record.attributes or {})]
             for e in logs.get_finished_logs()],
}))
"""
#: How costspan comes into a program: the command before `python`, what is said to the program.
WAYS: Final[dict[str, tuple[list[str], list[str]]]] = {
    "costspan run": ([COSTSPAN, "run"], []),
    "costspan run, client first": ([COSTSPAN, "run"], ["client first"]),
    "by hand": ([], ["by hand"]),
    "by hand, client first": ([], ["by hand", "client first"]),
}


@pytest.fixture
def address() -> Generator[str]:
    with stand_in() as where:
        yield where


def _exported(address: str, home: Path, way: tuple[list[str], list[str]], **more: str) -> dict[str, Any]:
    before, words = way
    home.mkdir(exist_ok=True)
    (home / "program.py").write_text(PROGRAM)
    ended = start([*before, "python", "program.py", *words], home, **client_environment(address), **more)
    assert (ended.returncode, ended.stderr) == (0, "")
    return json.loads(ended.stdout)


def _of(scope: str, exported: dict[str, Any]) -> dict[str, list[Any]]:
    return {signal: [item for item in items if (item[0] == scope)] for signal, items in exported.items()}


@pytest.mark.parametrize("way", WAYS)
def test_a_programs_own_providers_are_its_own(way: str, address: str, tmp_path: Path) -> None:
    """Its spans, metrics and log records are what they are without us; ours come beside them, the call in the ledger."""
    alone = _exported(address, tmp_path / "alone", ([], []))
    watched = _exported(address, tmp_path / "watched", WAYS[way])
    assert _of("mine", watched) == _of("mine", alone) == alone
    added = _of("costspan", watched)
    assert [span[1] for span in added["spans"]] == ["chat gpt-4o-mini"]
    assert len(added["logs"]) == 1
    assert {item[0] for items in watched.values() for item in items} == {"mine", "costspan"}
    assert [row["outcome"] for row in rows(tmp_path / "watched")] == ["ok"]


def test_under_opentelemetrys_launcher_the_program_gets_what_it_gets_without_us(address: str, tmp_path: Path) -> None:
    """There OpenTelemetry has set its providers up before; whether costspan is there changes nothing of that."""
    none = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    before = ["sh", "-c", '"$@" 2>/dev/null', "sh", INSTRUMENT]  # it warns of providers that may not be replaced
    off = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "costspan"}
    alone = _exported(address, tmp_path / "alone", (before, []), **none, **off)
    assert _exported(address, tmp_path / "watched", (before, []), **none) == alone


@pytest.mark.parametrize("kind", ["tracer", "meter", "logger"])
def test_nothing_global_is_set_without_an_endpoint(kind: str, tmp_path: Path) -> None:
    """`costspan run` leaves each of OpenTelemetry's providers unset, loads no SDK for them, and sets no variable of theirs."""
    module = {"tracer": "trace", "meter": "metrics", "logger": "_logs"}[kind]
    program = (
        f"import os, sys\nfrom opentelemetry import {module} as api\n"
        f"print(type(api.get_{kind}_provider()).__module__, 'opentelemetry.sdk' in sys.modules, "
        "[name for name in os.environ if name.startswith('OTEL_')])"
    )
    alone, watched = (
        start([*before, sys.executable, "-c", program], tmp_path).stdout for before in ([], [COSTSPAN, "run"])
    )
    assert watched == alone
