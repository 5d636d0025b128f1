"""What the pipeline costs: CPU of each hop at a pace, series by kind of work and by session."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from stack.chaos.exports import throughput
from stack.chaos.load import Agent
from stack.chaos.series import expected
from stack.chaos.stage import Stage, stage

_AGENTS: Final = 2
_RATE: Final = 1_000
_PACE_S: Final = 20
_HOPS: Final = ("collector", "prometheus", "alertmanager")
#: As the shipped configuration and the example agent of docker-compose.yml have them.
_EVALUATION_S: Final = 30
_EXPORT: Final = {"OTEL_METRIC_EXPORT_INTERVAL": "5000"}
_NO_EXPORT: Final = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
_NO_LEDGER: Final = {"OTEL_COSTSPAN_LEDGER": "off"}
_PROGRAMS: Final[dict[str, Mapping[str, str]]] = {
    "programs, not watched": {**_NO_EXPORT, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "costspan"},
    "programs, watched": {**_EXPORT, **_NO_LEDGER},
    "programs, watched, with a ledger": _EXPORT,
}
#: Models, task types, sources, teams; processes.
_WORK: Final = ((1, 1, 1, 1, 1), (4, 3, 3, 2, 1), (4, 3, 3, 2, 3))
_PATIENCE_S: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def _cpu_s(process: int) -> float:
    """CPU time of a process so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory_mb(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def at_a_pace(on: Stage) -> Iterator[str]:
    """CPU of every hop while agents call at a pace, and while nobody calls."""
    hops = {name: on.stack.running[name].process for name in _HOPS}
    before = {name: _cpu_s(process) for name, process in hops.items()}
    time.sleep(_PACE_S)
    yield from (
        f"nobody calls: {name} {(_cpu_s(pid) - before[name]) / _PACE_S:.3f} cores" for name, pid in hops.items()
    )
    for number, (said, environment) in enumerate(_PROGRAMS.items()):
        agents = [on.agent(f"pace-{number}", more=environment) for _ in range(_AGENTS)]
        for agent in agents:
            agent.do("pace", 100, 1)
        pids = {**hops, **{f"agent {at}": agent.process for at, agent in enumerate(agents)}}
        before, started = {name: _cpu_s(pid) for name, pid in pids.items()}, time.monotonic()
        _all(agents, "pace", _RATE // _AGENTS, _PACE_S)
        took_s = time.monotonic() - started
        cores = {name: (_cpu_s(pid) - before[name]) / took_s for name, pid in pids.items()}
        memory = max(_memory_mb(agent.process) for agent in agents)
        rest = ", ".join(f"{name} {cores[name]:.3f}" for name in _HOPS)
        programs = sum(cores[name] for name in pids if name not in hops)
        yield f"{_RATE * _PACE_S / took_s:.0f} calls a second: {said} {programs:.2f} cores ({memory:.0f} MB each), {rest}"
        _end(agents)


def _all(agents: Sequence[Agent], *words: object) -> None:
    for agent in agents:
        agent.tell(*words)
    for agent in agents:
        agent.wait()


def _end(agents: Sequence[Agent]) -> None:
    for agent in agents:
        agent.leave()
    for agent in agents:
        agent.ended()


def _count(on: Stage, case: str, due: int) -> float:
    """The series of a case once so many have arrived, or when the patience has ended."""
    count = f'count(last_over_time({{job="{case}"}}[1d]))'
    with contextlib.suppress(TimeoutError):
        on.stack.until(lambda: (on.stack.value(count) or 0) >= due, "all series are to arrive", _PATIENCE_S)
    return on.stack.value(count) or 0


def by_work(on: Stage) -> Iterator[str]:
    """Series of processes that do so many kinds of work, beside what series.py says."""
    for models, tasks, sources, teams, processes in _WORK:
        case = f"work-{models}-{processes}"
        agents = [on.agent(case) for _ in range(processes)]
        _all(agents, "work", models, tasks, sources, teams)
        _end(agents)
        due = expected(models * tasks * sources * teams, processes=processes)
        yield (
            f"{models} models, {tasks} task types, {sources} sources, {teams} teams, {processes} processes:"
            f" {_count(on, case, due):.0f} series; expected {due}"
        )


def by_sessions(on: Stage, sessions: int) -> str:
    """Series in Prometheus after one process had that many sessions, and what the process and Prometheus hold."""
    agent = on.agent(f"sessions-{sessions}")
    agent.do("sessions", sessions)
    memory_mb = _memory_mb(agent.process)
    _end([agent])
    due = expected(1, sessions=sessions)
    prometheus_mb = _memory_mb(on.stack.running["prometheus"].process)
    return (
        f"{sessions:6} sessions in one process: {_count(on, f'sessions-{sessions}', due):.0f} series; expected {due};"
        f" the process holds {memory_mb:.0f} MB, Prometheus {prometheus_mb:.0f} MB"
    )


def main(folder: Path, sessions: Sequence[int]) -> None:
    """Measure and print."""
    folder.mkdir(parents=True, exist_ok=True)
    with stage(folder, _EVALUATION_S) as on:
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
        by_number = (by_sessions(on, number) for number in sessions)
        for line in itertools.chain(at_a_pace(on), by_work(on), by_number, throughput(on)):
            print(line, flush=True)
