"""One contender, one fresh process. Prints what was measured as a line of JSON.

    python -m benchmarks.overhead.worker count|time|throughput CONTENDER [--scenarios a,b] [--net] [--unsampled]

`count` runs under `valgrind --tool=callgrind` (instructions.py starts it); its answer is in callgrind's files.
"""

# ruff: noqa: SLF001  # it reaches into costspan's thread
from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import sys
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
        hold_back_costspan()
        warm_up(measured)
        shim.counting_start()
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

    The label of a dump is `scenario:off|on:calls|drain:number of calls`. What lies between is dumped as `rest`.
    """
    for state in ("off", "on"):
        measured.toggle.switch(on=state == "on")
        measured.call(scenario, max(1, calls // 4))
        measured.drain()
        gc.collect()
        gc.disable()  # a collection in one block and not in the other would be the biggest difference
        shim.counting_dump(b"rest:of:it:1")
        measured.call(scenario, calls)
        shim.counting_dump(f"{scenario.name}:{state}:calls:{calls}".encode())
        measured.drain()
        shim.counting_dump(f"{scenario.name}:{state}:drain:{calls}".encode())
        gc.enable()


def warm_up(measured: Measured) -> None:
    """Every scenario, unwatched and watched, before counting begins: then it runs at full speed."""
    for scenario in measured.scenarios:
        for is_on in (False, True):
            measured.toggle.switch(on=is_on)
            measured.call(scenario, max(1, scenario.counted // 2))
            measured.drain()


def hold_back_costspan() -> None:
    """Let costspan's thread wait for the drain, so that whose turn it is does not change the counts.

    It is not otherwise known to callgrind when a thread works: on a busy machine it would find the calls one by one.
    """
    if "costspan" in sys.modules:
        from costspan.emit import dispatcher

        assert dispatcher._LINGER_S < 60  # type: ignore[has-type]
        dispatcher._LINGER_S = 3_600.0  # type: ignore[misc]


def _shim(path: str) -> ctypes.CDLL:
    shim = ctypes.CDLL(path)
    shim.counting_dump.argtypes = [ctypes.c_char_p]
    if not shim.counting_possible():
        raise SystemExit("instructions are counted under valgrind --tool=callgrind: see instructions.py")
    return shim


if __name__ == "__main__":
    main()
