"""Write grafana/dashboards, or check that they are fresh: `python -m grafana.source [--check] [--budgets FILE]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from grafana.source import budgets, health, reading, sessions, usage

from costspan.alerting.compiled import stale, write

GRAFANA: Final = Path(__file__).parent.parent
_BUDGETS: Final = GRAFANA.parent / "prometheus" / "budgets.json"


def dashboards(compiled: dict[str, Any]) -> dict[str, str]:
    """The text of every dashboard by its file name, for the budgets of a budgets.json."""
    zone = compiled["time_zone"]
    made = (usage.dashboard(zone), budgets.dashboard(compiled), sessions.dashboard(zone), health.dashboard(zone))
    return {one.file_name: one.text() for one in made}


def main(arguments: list[str] | None = None) -> int:
    """The command: 0 written or fresh, 1 stale or a file that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m grafana.source", description="write the dashboards")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is not up to date")
    parser.add_argument("--budgets", type=Path, default=_BUDGETS, help="what `costspan budgets compile` wrote")
    parser.add_argument("--out", type=Path, default=GRAFANA / "dashboards", help="the folder of the dashboards")
    asked = parser.parse_args(arguments)
    try:
        files = dashboards(reading.read(asked.budgets))
    except ValueError as fault:
        sys.stderr.write(f"{fault}\n")
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
