"""Times of calls, watched and unwatched in alternation within one process.

Three clocks, in microseconds per call: `caller` is the CPU time of the calling thread, `process` that of the whole
process with its queues drained, `wall` the clock on the wall.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from benchmarks.overhead.measured import Measured
from benchmarks.overhead.replies import SMALL_PROMPT
from benchmarks.overhead.scenarios import MODEL, SCENARIOS, Scenario

THREADS: Final = 8
TASKS: Final = 200


class Clocks(NamedTuple):
    """Microseconds per call."""

    caller: float
    process: float
    wall: float


def timed(measured: Measured, scenario: Scenario) -> dict[str, Any]:
    """What the watching adds to a call: the median of the differences of pairs of blocks, and all differences."""
    off, on = _pairs(measured, lambda: _block(measured, scenario), scenario.pairs)
    differences = [[with_ - without for with_, without in zip(a, b, strict=True)] for a, b in zip(on, off, strict=True)]
    medians = [statistics.median(column) for column in zip(*differences, strict=True)]
    return {
        "added": Clocks(*medians)._asdict(),
        "client": Clocks(*[statistics.median(column) for column in zip(*off, strict=True)])._asdict(),
        "caller_differences": [round(row[0], 1) for row in differences],
    }


def threads_and_tasks(measured: Measured) -> dict[str, Any]:
    """Calls per second of CPU by eight threads and by two hundred asyncio tasks, unwatched and watched.

    One interpreter runs one thread at a time, so on an idle machine a second of CPU is a second.
    """
    answer: dict[str, Any] = {}
    for name, block in (("threads", _threads_block), ("tasks", _tasks_block)):
        off, on = _pairs(measured, lambda block=block: block(measured), 5)
        answer[name] = {"off": statistics.median(off), "on": statistics.median(on)}
    return answer


def _pairs(measured: Measured, block: Callable[[], Any], pairs: int) -> tuple[list[Any], list[Any]]:
    off: list[Any] = []
    on: list[Any] = []
    for number in range(-1, pairs):  # the first pair is warming up
        for is_on in (False, True) if number % 2 else (True, False):
            measured.toggle.switch(on=is_on)
            gc.collect()
            result = block()
            if number >= 0:
                (on if is_on else off).append(result)
    measured.toggle.switch(on=True)
    return off, on


def _block(measured: Measured, scenario: Scenario) -> Clocks:
    calls = scenario.timed
    process, wall, caller = time.process_time_ns(), time.perf_counter_ns(), time.thread_time_ns()
    measured.call(scenario, calls)
    caller, wall = time.thread_time_ns() - caller, time.perf_counter_ns() - wall
    measured.drain()
    process = time.process_time_ns() - process
    return Clocks(caller / calls / 1e3, process / calls / 1e3, wall / calls / 1e3)


def _threads_block(measured: Measured, calls_each: int = 8) -> float:
    start = threading.Barrier(THREADS + 1)

    def work() -> None:
        start.wait()
        measured.call(SCENARIOS["sync"], calls_each)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.process_time()
    for thread in threads:
        thread.join()
    return THREADS * calls_each / (time.process_time() - began)


def _tasks_block(measured: Measured, calls_each: int = 1) -> float:
    client = measured.clients["openai"].yielding

    async def work() -> None:
        for _ in range(calls_each):
            await client.chat.completions.create(model=MODEL, messages=SMALL_PROMPT)

    async def everybody() -> None:
        await asyncio.gather(*[work() for _ in range(TASKS)])

    began = time.process_time()
    measured.loop.run_until_complete(everybody())
    return TASKS * calls_each / (time.process_time() - began)
