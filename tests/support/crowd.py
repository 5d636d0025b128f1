"""Processes that reserve and settle against one limit at once, as calls do: for tests, and for `benchmarks.admission`."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from costspan.budgets.opening import server_store
from costspan.budgets.sqlite_store import SqliteStore
from costspan.budgets.store import Granted, Hold, SharedStore, Spent
from places import SUPPORT

BUDGET = "crowd"
_IN_FLIGHT = 4


@dataclass
class Told:
    """What one process did: calls granted, what they spent, how many were refused, microseconds of each question, and when."""

    granted: int
    spent: int
    refused: int
    reserve_us: list[int]
    settle_us: list[int]
    begun_s: float
    ended_s: float


def store_at(where: Path | str) -> SharedStore:
    """The store in a file, or that of a server at a URL."""
    return SqliteStore(where, patience_s=30) if isinstance(where, Path) else server_store(where, patience_s=30)


def started(
    where: Path | str, seed: int, *, calls: int, limit: int, bound: int, pause_s: float = 0.0
) -> subprocess.Popen[str]:
    """A process that makes so many calls; each may cost up to `bound`, and costs some part of that."""
    words = [str(word) for word in (where, seed, calls, limit, bound, pause_s)]
    command = [sys.executable, "-c", "import crowd; crowd.main()", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SUPPORT)


def told(process: subprocess.Popen[str]) -> Told:
    """What it did, when it has ended."""
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return Told(**json.loads(said))


def forked(where: str, count: int, *, calls: int, limit: int, bound: int) -> list[Told]:
    """So many processes, each with a connection of its own, forked by one that has loaded all; what they did, without times."""
    words = [str(word) for word in (where, count, calls, limit, bound, 0.0)]
    command = [sys.executable, "-c", "import crowd; crowd.fork()", *words]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=SUPPORT, timeout=300, check=True).stdout
    return [Told(**json.loads(line)) for line in said.splitlines()]


def fork() -> None:
    """The one that forks. It asks before, so that its children have a connection that they must not use."""
    count = int(sys.argv[2])
    store = store_at(sys.argv[1])
    store.standing(BUDGET, 0)
    children: list[int] = []
    for seed in range(count):
        child = os.fork()
        if not child:
            store.forget()
            done = _calls(store, str(seed), *sys.argv[3:])
            done.reserve_us.clear()
            done.settle_us.clear()
            os.write(sys.stdout.fileno(), f"{json.dumps(vars(done))}\n".encode())
            os._exit(0)
        children.append(child)
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(max(ended))


def main() -> None:
    """The process."""
    where, *words = sys.argv[1:]
    print(json.dumps(vars(_calls(store_at(where if "://" in where else Path(where)), *words))))


def _calls(store: SharedStore, seed: str, calls: str, limit: str, bound: str, pause_s: str) -> Told:
    luck = random.Random(int(seed))  # noqa: S311
    done = Told(0, 0, 0, [], [], time.monotonic(), 0.0)
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
    done.ended_s = time.monotonic()
    return done


def _settle(store: SharedStore, key: str, amount: int, done: Told) -> None:
    begun = time.perf_counter_ns()
    store.settle(key, [Spent(BUDGET, 0, amount)], is_recorded=True)
    done.settle_us.append((time.perf_counter_ns() - begun) // 1_000)
    done.granted += 1
    done.spent += amount
