"""The verbs of the Makefile: `python -m stack binaries`, `run`, `generate`, `chaos`, `costs`."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import threading
from pathlib import Path

from costspan.alerting import compiled
from stack import MissingProgramError, Stack, allow_list, password, routes
from stack.binaries import families, program
from stack.compose import ROOT
from stack.running import FIRST, PROGRAMS

_FOR_S = 8 * 3600


def binaries() -> None:
    """Build or find every program, and say where it is."""
    for family in families().values():
        for name in family.programs:
            print(f"{name:14} {family.version:10} {program(name)}", flush=True)


def generate() -> None:
    """Write the files that are made from others: all of them or, where one has a mistake, none."""
    allowed = allow_list.written(allow_list.FILE.read_text(encoding="utf-8"))
    files = {allow_list.FILE: allowed, routes.FILE: routes.written()}
    compiled.write({str(file.relative_to(ROOT)): text for file, text in files.items()}, ROOT)


def chaos() -> None:
    """Prove by faults; logs and data stay in .cache/chaos until the next time."""
    from stack.chaos import proof  # its parts import costspan and take a second

    if not proof.main(_emptied("chaos")):
        sys.exit(1)


def measure(sessions: list[int]) -> None:
    """Measure what the pipeline costs."""
    from stack.chaos import costs

    costs.main(_emptied("costs"), sessions)


def _emptied(name: str) -> Path:
    folder = ROOT / ".cache" / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def run(folder: Path, for_s: float, *, fixed: bool) -> None:
    """Run the stack until Ctrl-C, or until the time is over; `fixed` takes the ports of the compose file."""
    over = threading.Event()

    def end(*_: object) -> None:
        over.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    with Stack(folder, fixed=fixed, live=True) as stack:
        print(_welcome(stack, for_s), flush=True)
        over.wait(for_s)
    print("stopped")


def _welcome(stack: Stack, for_s: float) -> str:
    left_out = ", ".join(name for name in stack.services if name not in {FIRST, *PROGRAMS})
    return f"""
Prometheus     {stack.url("prometheus", 9090)}
Its password   {stack.secrets / password.PASSWORD} (user {password.USER})
Alertmanager   {stack.url("alertmanager", 9093)}
Notifications  {stack.url("webhook", 9095)}
Send here      OTEL_EXPORTER_OTLP_ENDPOINT={stack.url("collector", 4318)} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
Data and logs  {stack.folder}
Only by docker {left_out}

Running for {for_s:g} s; Ctrl-C stops it."""


def main() -> None:
    """Choose the verb."""
    options = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    verbs = options.add_subparsers(dest="verb", required=True)
    verbs.add_parser("binaries", help="build or find the programs")
    verbs.add_parser("generate", help="write allow-list.yaml from names.py, alertmanager.yml from the example budgets")
    verbs.add_parser("chaos", help="play every fault under load, and compare what everyone says it cost")
    costs = verbs.add_parser("costs", help="measure what each hop costs a call, and how many series sessions make")
    costs.add_argument("sessions", nargs="*", type=int, default=[10, 1_000], help="numbers of sessions to try")
    runs = verbs.add_parser("run", help="run the stack of docker-compose.yml without docker")
    runs.add_argument("--folder", type=Path, default=ROOT / ".cache" / "stack", help="data, configurations, logs")
    runs.add_argument("--for", dest="for_s", type=float, default=_FOR_S, metavar="SECONDS", help="stop by itself after")
    runs.add_argument("--free-ports", action="store_true", help="listen where nobody does, beside another stack")
    chosen = options.parse_args()
    try:
        if chosen.verb == "run":
            run(chosen.folder, chosen.for_s, fixed=not chosen.free_ports)
        elif chosen.verb == "costs":
            measure(chosen.sessions)
        else:
            {"binaries": binaries, "generate": generate, "chaos": chaos}[chosen.verb]()
    except (MissingProgramError, OSError, RuntimeError, ValueError) as fault:
        sys.exit(f"{fault}")


if __name__ == "__main__":
    main()
