"""Times per call and calls per second: contenders take turns, each time in a fresh process.

    python -m benchmarks.overhead.times [--only costspan,genai] [--rounds 3]

The whole client runs, on a network that is not there. Two quiet cores are worth more than many rounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.contenders import Contender, taking_part_in
from benchmarks.overhead.scenarios import SCENARIOS
from benchmarks.processes import ask
from benchmarks.rows import Rows

ROWS: Final = Rows("times")
#: What is timed, and the scenarios it takes.
KINDS: Final = {
    "time": ("sync", "async", "stream", "async stream", "200 kB prompt", "responses", "embeddings", "anthropic"),
    "throughput": ("sync",),
}


def run(contenders: list[Contender], kinds: Sequence[str], rounds: int) -> None:
    """Measure in turns, keep the rows, and print them."""
    ROWS.forget(contender=[contender.name for contender in contenders], what=kinds)
    for number in range(rounds):
        for contender in contenders[number % len(contenders) :] + contenders[: number % len(contenders)]:
            for what in kinds:
                _keep(contender, number, what, _worker(contender, what, KINDS[what]))


def _worker(contender: Contender, what: str, scenarios: Sequence[str]) -> dict[str, Any]:
    return ask(
        contender, "benchmarks.overhead.worker", what, contender.name, "--net", "--scenarios", ",".join(scenarios),
        timeout_s=600,
    )  # fmt: skip


def _keep(contender: Contender, number: int, what: str, answer: dict[str, Any]) -> None:
    ROWS.add(contender=contender.name, round=number, what=what, **answer)
    short = {name: _short(value) for name, value in answer.items() if name in SCENARIOS or what == "throughput"}
    print(f"{contender.name:16}{number} {what:11}{short or answer}", flush=True)


def _short(value: Any) -> Any:
    return round(value["added"]["caller"], 1) if isinstance(value, dict) and "added" in value else value


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="microseconds per call, calls per second")
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS), help="time, throughput")
    arguments = parser.parse_args()
    only = tuple(name for name in arguments.only.split(",") if name)
    run(taking_part_in("overhead", only), arguments.kinds.split(","), arguments.rounds)


if __name__ == "__main__":
    main()
