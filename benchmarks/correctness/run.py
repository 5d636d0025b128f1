"""The correctness table: every contender in its own environment, every way of calling in a process of its own.

python -m benchmarks.correctness.run [--only costspan,openlit] [--ways "whole,break"]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator

from benchmarks.contenders import Contender, taking_part_in
from benchmarks.correctness.provider import Provider
from benchmarks.correctness.verdict import Cell, judge
from benchmarks.correctness.ways import WAYS, Way
from benchmarks.processes import ask
from benchmarks.rows import Rows

ROWS = Rows("correctness")


def measure(contender: Contender, way: Way) -> Cell:
    """One cell."""
    environment = contender.environment + ("+litellm" if "litellm" in way.libraries else "")
    with Provider(way.manner) as provider:
        answer = ask(
            contender, "benchmarks.correctness.worker", contender.name, way.name, str(provider.port),
            environment=environment, timeout_s=120,
        )  # fmt: skip
    if "fault" in answer:
        print(answer["fault"], file=sys.stderr)
    return judge(contender, way, answer, provider.bills)


def run(contenders: Iterable[Contender], ways: Iterable[str]) -> Iterator[tuple[str, str, Cell]]:
    """Every cell; the rows are kept for the results."""
    wanted = list(ways)
    for contender in contenders:
        ROWS.forget(contender=contender.name, way=wanted)
        for way in wanted:
            cell = measure(contender, WAYS[way])
            ROWS.add(contender=contender.name, way=way, right=cell.right, text=cell.text)
            yield contender.name, way, cell


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="which figures each contender records, against the true ones")
    parser.add_argument("--only", default="", help="contenders, separated by commas")
    parser.add_argument("--ways", default="", help="ways of calling, separated by commas")
    arguments = parser.parse_args()
    ways = [name for name in WAYS if not arguments.ways or name in arguments.ways.split(",")]
    for contender, way, cell in run(taking_part_in("correctness", _names(arguments.only)), ways):
        print(f"{contender:15}{way:28}{cell}", flush=True)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


if __name__ == "__main__":
    main()
