"""Processes that reserve and settle against one limit at once, as calls do: for tests, and for `benchmarks.admission`."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from costspan.budgets.sqlite_store import SqliteStore
from costspan.budgets.store import Granted, Hold, Spent
from places import SUPPORT

BUDGET = "crowd"
_IN_FLIGHT = 4


@dataclass
class Told:
    """What one process did: calls granted, what they spent, how many were refused, microseconds of each question."""

    granted: int
    spent: int
    refused: int
    reserve_us: list[int]
    settle_us: list[int]


def started(
    path: Path, seed: int, *, calls: int, limit: int, bound: int, pause_s: float = 0.0
) -> subprocess.Popen[str]:
    """A process that makes so many calls; each may cost up to `bound`, and costs some part of that."""
    words = [str(word) for word in (path, seed, calls, limit, bound, pause_s)]
    command = [sys.executable, "-c", "import crowd; crowd.main()", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SUPPORT)


def told(process: subprocess.Popen[str]) -> Told:
    """What it did, when it has ended."""
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return Told(**json.loads(said))


def main() -> None:
    """The process."""
    path, seed, calls, limit, bound, pause_s = sys.argv[1:]
    store, luck = SqliteStore(Path(path), patience_s=30), random.Random(int(seed))  # noqa: S311
    done = Told(0, 0, 0, [], [])
    hold = Hold(BUDGET, 0, 0, int(limit), int(bound))
    under_way: list[str] = []
    store.keep_alive()
    for number in range(int(calls)):
        key, begun = f"{seed}-{number}", time.perf_counter_ns()
        found = store.reserve(key, [hold], time.time_ns())
        done.reserve_us.append((time.perf_counter_ns() - begun) // 1_000)
        if isinstance(found, Granted):
            under_way.append(key)
        else:
            done.refused += 1
        if float(pause_s):
            time.sleep(2 * luck.random() * float(pause_s))
        while len(under_way) >= _IN_FLIGHT or (under_way and not isinstance(found, Granted)):
            _settle(store, under_way.pop(0), luck.randint(1, int(bound)), done)
    while under_way:
        _settle(store, under_way.pop(0), luck.randint(1, int(bound)), done)
    print(json.dumps(vars(done)))


def _settle(store: SqliteStore, key: str, amount: int, done: Told) -> None:
    begun = time.perf_counter_ns()
    store.settle(key, [Spent(BUDGET, 0, amount)], is_recorded=True)
    done.settle_us.append((time.perf_counter_ns() - begun) // 1_000)
    done.granted += 1
    done.spent += amount
