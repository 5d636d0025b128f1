"""Write grafana/dashboards, or check that they are fresh: `python -m grafana.source [--check]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from grafana.source import budgets, health, sessions, usage

from costspan.alerting.compiled import stale, write

GRAFANA: Final = Path(__file__).parent.parent


def dashboards() -> dict[str, str]:
    """The text of every dashboard by its file name."""
    made = (usage.dashboard(), budgets.dashboard(), sessions.dashboard(), health.dashboard())
    return {one.file_name: one.text() for one in made}


def main(arguments: list[str] | None = None) -> int:
    """The command: 0 written or fresh, 1 stale, mistaken or not to be written."""
    parser = argparse.ArgumentParser(prog="python -m grafana.source", description="write the dashboards")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is not up to date")
    parser.add_argument("--out", type=Path, default=GRAFANA / "dashboards", help="the folder of the dashboards")
    asked = parser.parse_args(arguments)
    try:
        files = dashboards()
    except ValueError as fault:
        sys.stderr.write(f"{fault}; no dashboard was written\n")
        return 1
    if asked.check:
        old = stale(files, asked.out)
        for name in old:
            sys.stderr.write(f"{asked.out / name} is not up to date: run python -m grafana.source\n")
        return 1 if old else 0
    try:
        write(files, asked.out)
    except OSError as fault:
        sys.stderr.write(f"{asked.out} cannot be written: {fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
