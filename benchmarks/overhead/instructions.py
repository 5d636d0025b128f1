"""Instructions per call, counted by callgrind: the same answer on a busy machine as on a quiet one.

    python -m benchmarks.overhead.instructions [--only none,minimum,costspan] [--scenarios sync,stream] [--unsampled]

`caller` is what the process does between a call and its return: what the caller waits for. `process` adds the draining
of the queues: what the machine pays.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.contenders import ROOT, Contender, taking_part_in
from benchmarks.overhead.scenarios import SCENARIOS
from benchmarks.processes import ask
from benchmarks.rows import Rows

ROWS: Final = Rows("instructions")
_SHIM: Final = ROOT / ".cache" / "benchmarks" / "shim-2.so"
_LABEL: Final = re.compile(
    r"desc: Trigger: Client Request: (?P<scenario>[^:]+):(?P<state>\w+):(?P<phase>\w+):(?P<calls>\d+)"
)
_TOTAL: Final = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)

Counts = dict[str, float]


def measure(
    contender: Contender, scenarios: Sequence[str], *, sampled: bool = True, net: bool = False, times: int = 1
) -> dict[str, Counts]:
    """Thousands of instructions per call that a contender adds, by scenario: `caller`, `process`, and the `client`'s own.

    `times` the usual number of calls are made, for a contender that does some of its work once in many calls.
    """
    switches = [*(["--net"] if net else []), *([] if sampled else ["--unsampled"]), "--times", str(times)]
    counts = _run(contender, scenarios, switches)
    return {name: _summary(name, counts) for name in scenarios}


def _summary(name: str, counts: dict[tuple[str, str, str], float]) -> Counts:
    caller, drain = (counts[name, "on", phase] - counts[name, "off", phase] for phase in ("calls", "drain"))
    return {"caller": caller, "process": caller + drain, "client": counts[name, "off", "calls"]}


def _run(contender: Contender, scenarios: Sequence[str], switches: Sequence[str]) -> dict[tuple[str, str, str], float]:
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ("valgrind", "--tool=callgrind", "-q", "--instr-atstart=no", f"--callgrind-out-file={folder}/out")
        answer = ask(
            contender, "benchmarks.overhead.worker", "count", contender.name, "--scenarios", ",".join(scenarios),
            "--shim", str(shim()), *switches, before=valgrind, timeout_s=1_800)  # fmt: skip
        if "fault" in answer:
            raise RuntimeError(f"{contender.name}: {answer['fault']}")
        return _read(Path(folder))


def _read(folder: Path) -> dict[tuple[str, str, str], float]:
    counts: dict[tuple[str, str, str], float] = defaultdict(float)
    for path in folder.glob("out*"):
        text = path.read_text(errors="replace")
        label, total = _LABEL.search(text), _TOTAL.search(text)
        if label and total:
            key = (label["scenario"], label["state"], label["phase"])
            counts[key] += int(total[1]) / int(label["calls"]) / 1e3
    return counts


@cache
def shim() -> Path:
    """The compiled shim.c."""
    _SHIM.parent.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).with_name("shim.c")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or shutil.which("valgrind") is None:
        raise SystemExit("counting instructions takes valgrind and a C compiler: apt-get install valgrind gcc")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(_SHIM), str(source)], check=True)
    return _SHIM


def run(contenders: Sequence[Contender], scenarios: Sequence[str], *, sampled: bool = True) -> None:
    """Count, keep the rows, and print them."""
    for contender in contenders:
        counted = measure(contender, scenarios, sampled=sampled)
        for name, counts in counted.items():
            ROWS.forget(contender=contender.name, scenario=name, sampled=sampled)
            ROWS.add(contender=contender.name, scenario=name, sampled=sampled, **counts)
            print(
                f"{contender.name:16}{name:18}" + "".join(f"{k} {v:12,.1f}   " for k, v in counts.items()), flush=True
            )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="thousands of instructions per call")
    parser.add_argument("--only", default="")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--unsampled", action="store_true")
    arguments = parser.parse_args()
    only = tuple(name for name in arguments.only.split(",") if name)
    run(taking_part_in("overhead", only), arguments.scenarios.split(","), sampled=not arguments.unsampled)


if __name__ == "__main__":
    main()
