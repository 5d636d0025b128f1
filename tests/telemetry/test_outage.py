"""What a process exports after its receiver was away, with the SDK's own exporters and receivers with default limits."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from stack.binaries import program
from stack.places import free_port
from stack.processes import Running, until

from costspan import guard, instrumentor, names
from costspan.emit.pipeline import Pipeline
from costspan.facts.call import Call
from costspan.metrics import batches, session_points
from ledger_calls import COST, USAGE, call
from otlp_receiver import Received, Receiver, exporter, over_grpc, over_http
from stack_clients import needing_programs
from watching import Watched

_MONTH = "202611"
_DATE = "20261129"


class _Process:
    """A process with costspan, its metrics sent to one receiver whenever the test says so."""

    def __init__(self, provider: MeterProvider, received: Received, pipeline: Pipeline) -> None:
        self.provider = provider
        self.received = received
        self.pipeline = pipeline
        self.called = 0

    def call(self, finished: Call) -> None:
        """Count one finished call."""
        self.called += 1
        self.pipeline.totals.add(finished, _MONTH, _DATE)
        assert self.pipeline.sessions is not None
        self.pipeline.sessions.add(finished)

    def export(self) -> None:
        """What the reader does once a minute."""
        self.provider.force_flush(30_000)

    def totals_are_right(self) -> bool:
        """Whether the receiver's totals are those of the calls that were made."""
        return self.received.total(names.REQUESTS.name) == self.called and math.isclose(
            self.received.total(names.COST_USD.name), self.called * COST.nano_usd / 1e9
        )

    def sessions(self) -> int:
        """How many sessions the receiver knows."""
        return len(self.received.points(names.SESSION_COST_USD.name))


@contextmanager
def _process(
    receiver: Receiver, *, at: Receiver | None = None, is_delta: bool = False, most_bytes: int = 0, **settings: Any
) -> Generator[_Process]:
    limit = {"most_bytes": most_bytes} if most_bytes else {}
    preferred: dict[type, Any] = {Counter: AggregationTemporality.DELTA} if is_delta else {}
    with (at or receiver)(**limit) as (url, received):
        sending = exporter(receiver, url, preferred_temporality=preferred)
        reader = PeriodicExportingMetricReader(sending, export_interval_millis=math.inf)
        watched = Watched(**settings)
        watched.meter_provider = MeterProvider([reader], shutdown_on_exit=False)
        with watched:
            pipeline = instrumentor.pipeline
            assert pipeline is not None
            pipeline.dispatcher.put(call(session=None))  # a sink joins readers with the first batch
            watched.calls()
            yield _Process(watched.meter_provider, received, pipeline)
        watched.meter_provider.shutdown()


@pytest.fixture(params=[over_http, over_grpc], ids=["http", "grpc"])
def receiver(request: pytest.FixtureRequest) -> Receiver:
    """A receiver with default limits."""
    return request.param


@pytest.fixture(autouse=True)
def quiet() -> Generator[None]:
    """The exporters tell of every failure; and what costspan counts begins at nothing."""
    guard.faults.clear()
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
    guard.faults.clear()


@pytest.mark.parametrize("is_delta", [False, True], ids=["cumulative", "delta"])
def test_all_totals_are_right_with_the_first_export_after_an_outage(receiver: Receiver, *, is_delta: bool) -> None:
    """However many sessions came meanwhile; and the sessions that are held follow with the same export."""
    with _process(receiver, is_delta=is_delta, session_limit=8_000) as process:
        process.received.is_away = not is_delta  # the SDK itself tells a delta once
        for number in range(9_000):
            process.call(call(session=f"conversation-{number:036}"))
            if number % 3_000 == 0:
                process.export()
        process.received.is_away = False
        process.export()
        assert process.totals_are_right()
        assert process.sessions() == 9_000
        assert max(process.received.sizes) < 2 * batches.MOST_BYTES
        spent = process.received.total(names.SESSION_TOKENS.name)
        assert spent == 9_000 * (USAGE.get("input") + USAGE.get("output"))


def test_an_hour_without_a_receiver_costs_no_total(receiver: Receiver) -> None:
    """A hundred thousand sessions, sixty exports that failed: all totals with the next; what went is told."""
    with _process(receiver) as process:
        process.received.is_away = True
        for minute in range(60):
            for number in range(1_700):
                process.call(call(session=f"session-{minute}-{number}"))
            process.export()
        process.received.is_away = False
        process.export()
        assert process.totals_are_right()
        assert process.sessions() == 2 * 4_096
        assert guard.faults["metrics.sessions.limit"] == process.called - 2 * 4_096


def test_a_receiver_that_takes_less_gets_smaller_pieces(receiver: Receiver) -> None:
    """A proxy in front may refuse what the Collector takes; every session arrives after a few exports."""
    with _process(receiver, most_bytes=40_000) as process:
        for number in range(1_000):
            process.call(call(session=f"session-{number}"))
        for _ in range(12):
            process.export()
            assert process.totals_are_right()
        assert process.sessions() == 1_000
        assert guard.faults == {}


def test_a_session_that_is_never_taken_is_passed_over_and_told(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not hold up those behind it."""
    monkeypatch.setattr(session_points, "_MOST_SESSIONS", 4)
    with _process(receiver, most_bytes=50_000) as process:
        for session in ("before", "x" * 60_000, "after"):
            process.call(call(session=session))
        for _ in range(8):
            process.export()
            assert process.totals_are_right()
        assert process.sessions() == 2
        assert guard.faults == {"metrics.sessions.refused": 1}


def test_every_label_of_a_session_point_is_capped() -> None:
    """In length and in number, like the labels of the totals."""
    with _process(over_http, label_limit=10) as process:
        process.call(call(session="s", request_model="m" * 6_000_000))
        for number in range(100):
            process.call(call(session="s", request_model=f"model-{number}", task_type=f"task-{number}"))
        process.export()
        points = process.received.points(names.SESSION_COST_USD.name)
        for label in (names.REQUEST_MODEL, names.TASK_TYPE):
            values = {point.attributes[label] for point in points}
            assert len(values) <= 11
            assert max(map(len, values)) <= 200
        assert process.totals_are_right()


def test_totals_of_any_size_are_delivered(receiver: Receiver) -> None:
    """Every label as long as it may be, as many sets as there may be: more than one message, none of them large."""
    with _process(receiver, label_limit=300) as process:
        for number in range(290):
            words = {word: f"{number}".rjust(200, "ü") for word in ("request_model", "task_type", "source", "team")}
            process.call(call(session="s", **words))
        process.export()
        assert process.totals_are_right()
        assert max(process.received.sizes) < 2 * batches.MOST_BYTES
        assert sum(process.received.sizes) > 2 * batches.MOST_BYTES


def test_a_metric_of_the_program_that_cannot_be_sent_does_not_hold_ours_up(receiver: Receiver) -> None:
    """A count beyond 64 bits, or more series than a message takes: the totals go by themselves."""
    with _process(receiver) as process:
        process.provider.get_meter("program").create_counter("theirs").add(2**70)
        process.call(call(session="s"))
        for _ in range(2):
            process.export()
        assert process.totals_are_right()
        assert process.sessions() == 1


_COLLECTOR = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
exporters:
  otlp_http: {{endpoint: "{behind}"}}
extensions:
  health_check: {{endpoint: "127.0.0.1:{health}"}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [otlp_http]}}
"""


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_collector_with_default_limits_gets_everything_when_it_is_back(tmp_path: Path, protocol: str) -> None:
    """The real one, down while 9,000 sessions come: one export later it has passed on all totals, and the sessions with
    as many exports as a busy machine takes for their pieces.
    """
    binary = needing_programs(lambda: program("otelcol"))
    ports = {name: free_port() for name in ("grpc", "http", "health")}
    with over_http() as (behind, received):
        (tmp_path / "collector.yaml").write_text(_COLLECTOR.format(behind=behind, **ports))
        collector = Running(
            "collector", [str(binary), f"--config={tmp_path}/collector.yaml"], os.environ, tmp_path / "log",
            f"http://127.0.0.1:{ports['health']}",
        )  # fmt: skip

        @contextmanager
        def away() -> Generator[tuple[str, Received]]:
            yield f"http://127.0.0.1:{ports[protocol]}", received

        with _process(over_grpc if protocol == "grpc" else away, at=away, session_limit=8_000) as process:
            for number in range(9_000):
                process.call(call(session=f"conversation-{number:036}"))
            process.export()
            assert received.sizes == []
            collector.start()
            try:
                collector.wait_until_healthy()
                process.export()
                until(process.totals_are_right, "the totals are to be right", 30)
                until(lambda: process.sessions() == 9_000 or process.export(), "all sessions are to arrive", 60)
            finally:
                collector.kill()
