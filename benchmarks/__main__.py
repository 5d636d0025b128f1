"""Everything, one measurement after the other, and RESULTS.md at the end: `python -m benchmarks`.

It takes about two hours on two quiet cores, most of it for the peers. `--quick` leaves the times out and measures
costspan and the yardstick only; what was measured before stays in the tables.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Final

from benchmarks import results
from benchmarks.contenders import ROOT

_OURS: Final = ("--only", "none,minimum,costspan,costspan+ledger")
_PLAN: Final = (
    ("benchmarks.gate",),
    ("benchmarks.overhead.instructions",),
    ("benchmarks.overhead.instructions", "--unsampled", "--scenarios", "sync"),
    ("benchmarks.overhead.startup", "--peers"),
    ("benchmarks.overhead.price",),
    ("benchmarks.overhead.sessions", "--sessions", "100000"),
    ("benchmarks.overhead.sessions", "--sessions", "1000000", "--only", "costspan"),
    ("benchmarks.overhead.times",),
    ("benchmarks.correctness.run",),
)
_QUICK: Final = (
    ("benchmarks.gate",),
    ("benchmarks.overhead.instructions", *_OURS),
    ("benchmarks.overhead.startup",),
    ("benchmarks.overhead.price",),
    ("benchmarks.correctness.run", "--only", "costspan"),
)


def main() -> int:
    """The command. A measurement that fails (a figure missed) does not stop the others, but the command fails then."""
    parser = argparse.ArgumentParser(description="measure everything and write benchmarks/RESULTS.md")
    parser.add_argument("--quick", action="store_true", help="costspan and the yardstick only, no times")
    failed: list[str] = []
    for module, *arguments in _QUICK if parser.parse_args().quick else _PLAN:
        print(f"--- {module} {' '.join(arguments)}", flush=True)
        if subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, check=False).returncode:
            failed.append(module)
    results.write()
    print(f"failed: {', '.join(failed)}" if failed else "all measured")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
