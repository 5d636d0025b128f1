"""What a process pays for being started under `opentelemetry-instrument`, with and without an instrumentation.

    python -m benchmarks.overhead.startup [--rounds 15] [--peers]

CPU time from the launcher's first instruction to the program's first line, in fresh processes, in alternation. One
program does nothing, the other imports openai.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.contenders import CONTENDERS
from benchmarks.environments import python_of
from benchmarks.processes import answer_in, environment_of
from benchmarks.rows import Rows

ROWS: Final = Rows("startup")
#: Label and environment. The first is what the others are compared with.
LAUNCHERS: Final = (("launcher alone", "none"), ("costspan", "launcher+costspan"))
PEERS: Final = (("genai", "genai"), ("openllmetry", "openllmetry"), ("openinference", "openinference"))
_TELL: Final = (
    "import json, sys, time; rss = next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmRSS'));"
    "print('RESULT ' + json.dumps({'cpu_ms': time.process_time() * 1e3, 'rss_mb': rss / 1024,"
    " 'modules': len(sys.modules), 'openai_loaded': 'openai' in sys.modules}))"
)
PROGRAMS: Final = {"nothing": _TELL, "import openai": f"import openai; {_TELL}"}
_QUIET: Final = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}


def start(environment: str, program: str) -> dict[str, Any]:
    """One start of a program under the launcher; the ledger stays on, as it is where no endpoint is configured."""
    folder = python_of(environment).parent
    with tempfile.TemporaryDirectory() as scratch:
        variables = environment_of(CONTENDERS["none"], scratch, {**_QUIET, "OTEL_COSTSPAN_LEDGER": f"{scratch}/l.db"})
        variables.pop("PYTHONDONTWRITEBYTECODE")  # compiled once, as for everybody
        done = subprocess.run(
            [str(folder / "opentelemetry-instrument"), str(folder / "python"), "-c", PROGRAMS[program]],
            cwd=scratch, env=variables, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    answer = answer_in(done)
    if "fault" in answer:
        raise RuntimeError(f"{environment}: {answer['fault']}")
    return answer


def measure(launchers: Sequence[tuple[str, str]], program: str, rounds: int) -> dict[str, dict[str, Any]]:
    """By launcher: medians, and what was added to the launcher alone.

    `added_ms` is the difference of the fastest starts: whatever else the machine does only ever makes a start slower.
    """
    starts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number in range(-1, rounds):  # the first round compiles
        for label, environment in launchers if number % 2 else reversed(launchers):
            answer = start(environment, program)
            if number >= 0:
                starts[label].append(answer)
    return {label: _summary(starts[label], starts[launchers[0][0]]) for label, _ in launchers}


def _summary(starts: list[dict[str, Any]], alone: list[dict[str, Any]]) -> dict[str, Any]:
    fastest, fastest_alone = (min(start["cpu_ms"] for start in some) for some in (starts, alone))
    added = [one["cpu_ms"] - other["cpu_ms"] for one, other in zip(starts, alone, strict=True)]
    medians = {key: statistics.median(start[key] for start in starts) for key in ("cpu_ms", "rss_mb", "modules")}
    return {
        **medians,
        "openai_loaded": any(start["openai_loaded"] for start in starts),
        "added_ms": fastest - fastest_alone,
        "added_quartiles_ms": [statistics.quantiles(added, n=4)[0], statistics.quantiles(added, n=4)[2]],
    }


def run(rounds: int, *, peers: bool) -> None:
    """Measure, keep the rows, and print them."""
    launchers = [*LAUNCHERS, *(PEERS if peers else ())]
    for program in PROGRAMS:
        for label, summary in measure(launchers, program, rounds).items():
            ROWS.forget(label=label, program=program)
            ROWS.add(label=label, program=program, **summary)
            print(f"{program:16}{label:18}{summary}", flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="what starting under the launcher costs")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peers", action="store_true", help="also with the instrumentations that the launcher finds")
    arguments = parser.parse_args()
    run(arguments.rounds, peers=arguments.peers)


if __name__ == "__main__":
    main()
