"""One contender, one fresh process. Prints what was measured as a line of JSON.

    python -m benchmarks.overhead.worker count|time|throughput CONTENDER [--scenarios a,b] [--net] [--unsampled]

`count` runs under `valgrind --tool=callgrind` (instructions.py starts it); its answer is in callgrind's files.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
from typing import Any

from benchmarks.overhead.measured import Measured
from benchmarks.overhead.scenarios import SCENARIOS, Scenario
from benchmarks.overhead.timing import threads_and_tasks, timed


def main() -> None:
    """The command."""
    arguments = _arguments()
    scenarios = [name for name in SCENARIOS if name in arguments.scenarios.split(",")]
    measured = Measured(arguments.contender, scenarios, stubbed=not arguments.net, sampled=not arguments.unsampled)
    answer: dict[str, Any] = {"patched": len(measured.toggle.patched)}
    if arguments.what == "count":
        shim = _shim(arguments.shim)
        for scenario in measured.scenarios:
            count(measured, scenario, scenario.counted * arguments.times, shim)
    elif arguments.what == "time":
        answer |= {scenario.name: timed(measured, scenario) for scenario in measured.scenarios}
    else:
        answer |= threads_and_tasks(measured)
    print("RESULT " + json.dumps(answer), flush=True)
    os._exit(0)  # whatever a contender keeps open must not hold up the benchmark


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["count", "time", "throughput"])
    parser.add_argument("contender")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--net", action="store_true", help="the whole client on a fake network")
    parser.add_argument("--unsampled", action="store_true")
    parser.add_argument("--times", type=int, default=1, help="so many times the scenario's number of calls")
    parser.add_argument("--shim", default="", help="the compiled shim.c")
    return parser.parse_args()


def count(measured: Measured, scenario: Scenario, calls: int, shim: ctypes.CDLL) -> None:
    """Dump callgrind's counts of a block of calls, unwatched and watched, and of draining the queues after each.

    The label of a dump is `scenario:off|on:calls|drain:number of calls`.
    """
    for state in ("off", "on"):
        measured.toggle.switch(on=state == "on")
        measured.call(scenario, max(1, scenario.counted // 2))
        measured.call(scenario, max(1, scenario.counted // 2))
        measured.drain()
        gc.collect()
        gc.disable()  # a collection in one block and not in the other would be the biggest difference
        shim.counting_start()
        measured.call(scenario, calls)
        shim.counting_dump(f"{scenario.name}:{state}:calls:{calls}".encode())
        measured.drain()
        shim.counting_dump(f"{scenario.name}:{state}:drain:{calls}".encode())
        shim.counting_stop()
        gc.enable()


def _shim(path: str) -> ctypes.CDLL:
    shim = ctypes.CDLL(path)
    shim.counting_dump.argtypes = [ctypes.c_char_p]
    if not shim.counting_possible():
        raise SystemExit("instructions are counted under valgrind --tool=callgrind: see instructions.py")
    return shim


if __name__ == "__main__":
    main()
