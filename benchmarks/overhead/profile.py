"""Where a contender's work goes: cProfile over stubbed calls, less what the client does unwatched.

    python -m benchmarks.overhead.profile costspan [--scenario sync] [--calls 300] [--top 40]

cProfile makes Python functions dearer than C functions: read shares and numbers of calls, not microseconds.
"""

# ruff: noqa: SLF001  # it reaches into costspan, where that is what is profiled
from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.overhead.measured import Measured
from benchmarks.overhead.scenarios import SCENARIOS, Scenario
from benchmarks.processes import run_in_environment

Function = tuple[str, int, str]


def profiled(measured: Measured, scenario: Scenario, calls: int) -> dict[Function, Any]:
    """Microseconds and numbers of calls, per watched call, by function."""
    measured.call(scenario, 10)
    measured.drain()
    own = cProfile.Profile()
    own.enable()
    measured.call(scenario, calls)
    measured.drain()
    own.disable()
    stats: dict[Function, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for function, (_, times, self_s, _, _) in pstats.Stats(own).stats.items():  # type: ignore[attr-defined]
        stats[function][0] += self_s / calls * 1e6
        stats[function][1] += times / calls
    return stats


def keep_the_work_in_this_thread() -> None:
    """Costspan's thread does not start: draining does its work here, where the profiler sees it."""
    from costspan import instrumentor

    instrumentor.pipeline.dispatcher._begin = lambda: True  # type: ignore[union-attr, method-assign]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="where the work goes, by package and by function")
    parser.add_argument("contender")
    parser.add_argument("--scenario", default="sync", choices=list(SCENARIOS))
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--top", type=int, default=40)
    parser.add_argument("--worker", action="store_true", help="this is the contender's environment already")
    arguments = parser.parse_args()
    if arguments.worker:
        in_worker(arguments)
    else:
        print(run_in_environment(CONTENDERS[arguments.contender], __spec__.name, *sys.argv[1:], "--worker").stdout)


def in_worker(arguments: argparse.Namespace) -> None:
    """Profile, and print the table."""
    measured, scenario = (
        Measured(arguments.contender, [arguments.scenario], stubbed=True),
        SCENARIOS[arguments.scenario],
    )
    if "costspan" in arguments.contender:
        keep_the_work_in_this_thread()
    measured.toggle.switch(on=False)
    off = profiled(measured, scenario, arguments.calls)
    measured.toggle.switch(on=True)
    on = profiled(measured, scenario, arguments.calls)
    added = {key: (row[0] - off[key][0], row[1] - off[key][1]) for key, row in on.items()}
    print_table({key: row for key, row in added.items() if _package(key) != "client"}, arguments.top)
    os._exit(0)


def print_table(added: dict[Function, tuple[float, float]], top: int) -> None:
    """Packages first, then functions, dearest first."""
    whole = sum(row[0] for row in added.values())
    packages: dict[str, float] = defaultdict(float)
    for key, row in added.items():
        packages[_package(key)] += row[0]
    print(f"{whole:.1f} us a call under cProfile, {sum(row[1] for row in added.values()):.0f} function calls")
    for package, us in sorted(packages.items(), key=lambda item: -item[1]):
        print(f"{us:9.2f} us {us / whole:6.1%}  {package}")
    for key, (us, times) in sorted(added.items(), key=lambda item: -item[1][0])[:top]:
        print(f"{us:9.2f} us {times:6.1f} x  {_place(key)}")


def _package(function: Function) -> str:
    path = function[0]
    if path == "~":
        return "builtins"
    if found := re.search(r"/(?:openai|anthropic|httpx2?|pydantic)/|/typing|scenarios\.py|profile\.py", path):
        return "client" if found else ""
    found = re.search(r"(?:site-packages|src)/((?:opentelemetry/(?:sdk|instrumentation|util)/)?\w+/?\w*)", path)
    return found[1] if found else "standard library"


def _place(function: Function) -> str:
    path, line, name = function
    return name if path == "~" else f"{'/'.join(Path(path).parts[-3:])}:{line} {name}"


if __name__ == "__main__":
    main()
