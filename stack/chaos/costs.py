"""What the pipeline costs: CPU of each hop a thousand calls, series by number of sessions, requests a second."""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from costspan import names
from costspan.names import Metric
from stack.chaos.load import Agent
from stack.chaos.stage import Stage, stage

_AGENTS: Final = 2
_CALLS: Final = 1_000
_SENDERS: Final = 8
_PROCESSES: Final = 200
_ROUNDS: Final = 5
_POINTS: Final = 50
_PER: Final = 1_000
_CALLABLE: Final = 2_000
_CHUNK: Final = 1_000
_PATIENCE_S: Final = 300.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def _cpu_s(process: int) -> float:
    """CPU time of a process so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory_mb(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def per_call(on: Stage) -> str:
    """CPU of every hop while agents call as fast as they can, a new session every three calls."""
    hops = {name: on.stack.running[name].process for name in ("collector", "prometheus")}
    agents = [on.agent("costs") for _ in range(_AGENTS)]
    for agent in agents:
        agent.do("call", 10)
    pids = {**hops, **{f"agent {number}": agent.process for number, agent in enumerate(agents)}}
    before, started = {name: _cpu_s(pid) for name, pid in pids.items()}, time.monotonic()
    _call(agents, _CALLS)
    took_s = time.monotonic() - started
    spent = {name: _cpu_s(pid) - before[name] for name, pid in pids.items()}
    calls = _AGENTS * _CALLS
    programs = sum(spent[name] for name in pids if name not in hops)
    for agent in agents:
        agent.leave()
        agent.ended()
    return (
        f"{calls} calls at {calls / took_s:.0f} a second. CPU seconds a thousand calls (so: cores at 1,000 calls a"
        f" second): programs with their client {programs / calls * _PER:.2f}, Collector"
        f" {spent['collector'] / calls * _PER:.3f}, Prometheus {spent['prometheus'] / calls * _PER:.3f}"
    )


def _call(agents: Sequence[Agent], count: int) -> None:
    for agent in agents:
        agent.tell("call", count)
    for agent in agents:
        agent.wait()


def by_sessions(on: Stage, sessions: int) -> str:
    """Series in Prometheus after one process had that many sessions; more than can be called are sent by hand."""
    case = f"sessions-{sessions}"
    if sessions <= _CALLABLE:
        agent = on.agent(case)
        agent.do("sessions", sessions)
        agent.leave()
        agent.ended()
    else:
        _post(on, (_sessions(case, first) for first in range(0, sessions, _CHUNK)))
    count = f'count(last_over_time({{job="{case}",__name__=~"llm_session_.*"}}[1d]))'
    on.stack.until(lambda: (on.stack.value(count) or 0) >= 3 * sessions, "all sessions are to arrive", _PATIENCE_S)
    others = on.stack.value(f'count(last_over_time({{job="{case}",__name__!~"llm_session_.*"}}[1d]))') or 0
    memory = _memory_mb(on.stack.running["prometheus"].process)
    return (
        f"{sessions:6} sessions in one process{'' if sessions <= _CALLABLE else ' (sent by hand)'}: {on.stack.value(count) or 0:.0f} session series, {others:.0f} others;"
        f" Prometheus holds {memory:.0f} MB"
    )


def throughput(on: Stage) -> str:
    """How many processes' exports one Collector brings to Prometheus in a second, synced to disk one by one."""
    before = on.stack.value("sum(llm_cost_usd_total)") or 0
    started = time.monotonic()
    threads = [threading.Thread(target=_send, args=(on, number)) for number in range(_SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted_s = time.monotonic() - started
    whole = before + _PROCESSES * _POINTS * _ROUNDS
    on.stack.until(
        lambda: (on.stack.value("sum(llm_cost_usd_total)") or 0) > whole - 1, "all is to arrive", _PATIENCE_S
    )
    stored_s, requests = time.monotonic() - started, _PROCESSES * _ROUNDS
    return (
        f"{requests} exports of {_POINTS} points: {requests / accepted_s:.0f} a second accepted,"
        f" {requests / stored_s:.0f} a second brought to Prometheus"
    )


def _send(on: Stage, sender: int) -> None:
    _post(
        on,
        (
            _export("throughput", f"process-{process}", [names.COST_USD], range(_POINTS), float(number))
            for number in range(1, _ROUNDS + 1)
            for process in range(sender, _PROCESSES, _SENDERS)
        ),
    )


def _post(on: Stage, requests: Iterable[ExportMetricsServiceRequest]) -> None:
    connection = http.client.HTTPConnection(on.stack.places.address("collector", 4318))
    for request in requests:
        body = request.SerializeToString()
        connection.request("POST", "/v1/metrics", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"the Collector answered {answer.status}")


def _sessions(case: str, first: int) -> ExportMetricsServiceRequest:
    """What a process says of a thousand sessions: their cost and, by direction, their tokens."""
    metrics = [names.SESSION_COST_USD, names.SESSION_TOKENS, names.SESSION_TOKENS]
    return _export(case, case, metrics, range(first, first + _CHUNK), 1.0)


def _export(
    job: str, instance: str, metrics: Sequence[Metric], numbers: Iterable[int], value: float
) -> ExportMetricsServiceRequest:
    """An export as the SDK makes it: a point for each number, told apart by the metric's first label."""
    made, now = ExportMetricsServiceRequest(), time.time_ns()
    of = made.resource_metrics.add()
    for key, text in (("service.name", job), ("service.instance.id", instance)):
        of.resource.attributes.add(key=key).value.string_value = text
    scope = of.scope_metrics.add()
    for at, metric in enumerate(metrics):
        one = scope.metrics.add(name=metric.name, unit=metric.unit)
        one.sum.is_monotonic = True
        one.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        for number in numbers:
            point = one.sum.data_points.add(as_double=value, time_unix_nano=now, start_time_unix_nano=now - 1)
            for label, text in zip(metric.labels, [f"{metric.labels[0]}-{number}", *[f"x{at}"] * 20], strict=False):
                point.attributes.add(key=label).value.string_value = text
    return made


def main(folder: Path, sessions: Sequence[int]) -> None:
    """Measure and print."""
    folder.mkdir(parents=True, exist_ok=True)
    with stage(folder) as on:
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
        print(per_call(on), flush=True)
        for count in sessions:
            print(by_sessions(on, count), flush=True)
        print(throughput(on), flush=True)
