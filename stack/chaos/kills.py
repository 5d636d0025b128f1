"""Programs that are killed at random moments, through the real Collector and Prometheus: what is lost, what is doubled?

    python -m stack.chaos.kills [--kills 200] [--seed 1]

Half of the programs are killed while the Collector is there, half while it is away. Then it is there again, and `costspan
deliver` runs once. Of each program Prometheus must have what its calls cost that had returned; a call whose answer was on
its way when the program was killed may be counted or not. The provider says what each call cost.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from stack.chaos.provider import Bill, serving
from stack.compose import ROOT
from stack.running import HASTE, Stack

_HERE: Final = Path(__file__).parent
_LONGEST_S: Final = 1.0
_NANO: Final = 1e9


class Victim(NamedTuple):
    """A program that was killed: its name, and the calls that it had seen return."""

    name: str
    returned: tuple[str, ...]


class Verdict(NamedTuple):
    """Of all programs: calls that had returned; USD that were lost of them, or counted beyond what was served."""

    calls: int
    lost_usd: float
    doubled_usd: float
    wrong: tuple[str, ...]


def play(kills: int, seed: int, folder: Path, tell: Callable[[str], object] = print) -> Verdict:
    """Kill so many programs, deliver, and compare."""
    chance, bill = random.Random(seed), Bill(seed)  # noqa: S311  a load, not a secret
    with serving(bill) as provider, Stack(folder / "stack", only=("collector", "prometheus"), haste=HASTE) as stack:
        environ = _environ(folder, provider, stack.url("collector", 4318))
        victims: list[Victim] = []
        for number in range(kills):
            if number == kills // 2:
                stack.stop("collector")
                tell(f"{number} killed; the Collector is away now")
            victims.append(_killed(f"killed-{number:03}", environ, chance.uniform(0, _LONGEST_S)))
        stack.start("collector")
        delivered = subprocess.run(
            [_command("costspan"), "deliver"], env=environ, capture_output=True, text=True, check=False
        )
        tell(delivered.stdout + delivered.stderr)
        verdict = _settled(stack, bill, victims)
    tell(f"{kills} killed, {verdict.calls} calls had returned: {verdict.lost_usd:.9f} USD lost, "
         f"{verdict.doubled_usd:.9f} USD doubled, {len(verdict.wrong)} programs wrong")  # fmt: skip
    return verdict


def _environ(folder: Path, provider: str, collector: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return kept | {
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "CHAOS_PROVIDER": provider,
        "OTEL_COSTSPAN_HOSTS": "127.0.0.1=vendor",
        "OTEL_SERVICE_NAME": "killed",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRIC_EXPORT_INTERVAL": "200",  # so that kills meet exports
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
    }


def _command(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _killed(name: str, environ: dict[str, str], after_s: float) -> Victim:
    """Start a program, and kill it so long after its first call."""
    command = [_command("opentelemetry-instrument"), sys.executable, str(_HERE / "killed.py"), name]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as program:
        assert program.stdout is not None  # noqa: S101  for the type
        first = program.stdout.readline()
        time.sleep(after_s)
        program.kill()
        rest, _ = program.communicate()
    return Victim(name, tuple((first + rest).split()))


def _settled(stack: Stack, bill: Bill, victims: list[Victim]) -> Verdict:
    """The verdict, once Prometheus has said the same twice."""
    last: dict[str, float] | None = None
    while True:
        found = {each["metric"].get("llm_team", ""): float(each["value"][1]) for each in stack.query(
            "sum by (llm_team) (max_over_time(llm_cost_usd_total{job='killed'}[1d]))")}  # fmt: skip
        verdict = _compared(found, bill, victims)
        if not verdict.wrong or found == last:
            return verdict
        last = found
        time.sleep(5)
    return verdict


def _compared(found: dict[str, float], bill: Bill, victims: list[Victim]) -> Verdict:
    lost = doubled = 0.0
    wrong: list[str] = []
    for victim in victims:
        returned = sum(bill.nano_usd[user] for user in victim.returned) / _NANO
        served = bill.of(f"{victim.name}/") / _NANO
        counted = found.get(victim.name, 0.0)
        short, over = returned - counted, counted - served
        over = max(0.0, over - 1 / _NANO)
        if short > _NANO**-1 or over > _NANO**-1:
            wrong.append(f"{victim.name}: {returned:.9f} USD returned, {served:.9f} served, {counted:.9f} counted")
        lost, doubled = lost + max(0.0, short), doubled + max(0.0, over)
    calls = sum(len(victim.returned) for victim in victims)
    return Verdict(calls, lost, doubled, tuple(wrong))


def main() -> int:
    """The command: 0 where nothing was lost or doubled."""
    parser = argparse.ArgumentParser(description="kill programs at random moments, and see what is lost or doubled")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        verdict = play(asked.kills, asked.seed, Path(folder))
    print(*verdict.wrong, sep="\n")
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
