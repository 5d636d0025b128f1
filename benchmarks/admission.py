"""What it takes to ask a hard budget: `python -m benchmarks.admission` (docs/enforcement.md).

Eight processes make 10,000 calls against one limit, of which about half fit: as fast as they can, and with a pause as real
calls have it. Prints how much of the limit was used, and how long the questions took.

`--store URL` asks a server of a fleet instead of a file, e.g. an empty `redis://127.0.0.1:6379/0`; it is not emptied.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from costspan.facts.call import Call
from costspan.facts.periods import Periods
from costspan.ledger.store import Store

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))
import crowd

_PROCESSES: Final = 8
_CALLS: Final = 10_000
_BOUND: Final = 10_000
_LIMIT: Final = _CALLS * _BOUND // 4
_PARTS: Final = {"median": 0.5, "90 %": 0.9, "99 %": 0.99, "longest": 1.0}


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description="What it takes to ask a hard budget.")
    parser.add_argument("--store", metavar="URL", help="a server of a fleet instead of a file")
    url: str | None = parser.parse_args().store
    if url is not None:
        _print_crowd(url, 0.0)
        return
    with tempfile.TemporaryDirectory() as folder:
        for number, pause_s in enumerate((0.0, 0.005)):
            _print_crowd(Path(folder) / str(number), pause_s)
        _print_batch(Path(folder) / "ledger.db")


def _print_crowd(where: Path | str, pause_s: float) -> None:
    each = _CALLS // _PROCESSES
    begun_s = time.monotonic()
    store = crowd.store_at(where)
    before, _ = store.standing(crowd.BUDGET, 0)
    limit = before + _LIMIT
    processes = [
        crowd.started(where, seed, calls=each, limit=limit, bound=_BOUND, pause_s=pause_s) for seed in range(_PROCESSES)
    ]
    told = [crowd.told(process) for process in processes]
    took_s = time.monotonic() - begun_s
    spent, reserved = store.standing(crowd.BUDGET, 0)
    spent -= before
    assert spent == sum(one.spent for one in told)
    asking_s = max(one.ended_s for one in told) - min(one.begun_s for one in told)
    print(f"{_PROCESSES} processes, {_CALLS} calls, a pause of {pause_s * 1e3:g} ms, {took_s:.1f} s:")
    print(
        f"  {_CALLS / asking_s:,.0f} admissions a second, in {asking_s:.1f} s from the first question to the last answer"
    )
    print(f"  used {spent / _LIMIT:.2%} of the limit, overshoot {max(0, spent - _LIMIT)}, left reserved {reserved}")
    print(f"  granted {sum(one.granted for one in told)}, refused {sum(one.refused for one in told)}")
    for name, figures in (
        ("reserve", [us for one in told for us in one.reserve_us]),
        ("settle", [us for one in told for us in one.settle_us]),
    ):
        figures.sort()
        told_of = ", ".join(
            f"{part} {figures[min(len(figures) - 1, int(len(figures) * share))]}" for part, share in _PARTS.items()
        )
        print(f"  {name}, in microseconds: {told_of}")


def _print_batch(path: Path) -> None:
    """How long one batch of the ledger keeps its file locked: why reservations have a file of their own."""
    calls = [Call(f"{n:032x}", "openai", "openai", "chat", time.time_ns(), "gpt-4o") for n in range(_CALLS)]
    with Store.open(path) as store:
        begun_s = time.monotonic()
        store.append(calls, Periods())
        print(f"a batch of {_CALLS} rows locks the ledger for {(time.monotonic() - begun_s) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
