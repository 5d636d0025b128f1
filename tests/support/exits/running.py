"""Runs program.py between a stand-in for the provider and a receiver of OTLP, and gathers what each of them has."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from costspan.ledger import intake
from otlp_receiver import Received, over_grpc, over_http
from stand_in_process import client_environment, served, stand_in

Talk: TypeAlias = Callable[[Any], None]

BIN: Final = Path(sys.executable).parent
PROGRAM: Final = Path(__file__).parent / "program.py"
#: Far beyond what any of them takes: after it, a program counts as deadlocked.
DEADLOCK_S: Final = 100


class Outcome(NamedTuple):
    """What a program left behind."""

    status: int
    complaints: str
    requests: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    received: Received


def run(
    program: str, home: Path, *, receiver: Any = over_http, talk: Talk | None = None, deliver: bool = False, **more: str
) -> Outcome:  # fmt: skip
    """Run one of the ways of program.py to its end, however that comes; `talk` is had with it meanwhile. Then `deliver` what
    it left behind.
    """
    ledger = home / "ledger.db"
    with stand_in() as address, receiver() as (endpoint, received):
        environ = environment(home, ledger, receiver) | client_environment(address) | more
        environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        launcher = [] if program.startswith("by_hand") else [str(BIN / "opentelemetry-instrument")]
        status, complaints = ended([*launcher, "python", str(PROGRAM), *program.split()], environ, talk)
        if deliver:
            subprocess.run([str(BIN / "costspan"), "deliver"], env=environ, check=True, capture_output=True)
        return Outcome(status, complaints, served(address)["requests"], rows(ledger), received)


def environment(home: Path, ledger: Path, receiver: Any) -> dict[str, str]:
    """Timers of the SDK do not run: what is exported, something has exported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}
    return kept | {
        "HOME": str(home),
        "QUEUE": str(home),
        "PATH": f"{BIN}{os.pathsep}{kept['PATH']}",
        "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of fork in a process with threads, Python 3.12
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc" if receiver is over_grpc else "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
        "OTEL_BLRP_SCHEDULE_DELAY": "600000",
        "OTEL_METRIC_EXPORT_INTERVAL": "600000",
        "OTEL_COSTSPAN_LEDGER": str(ledger),
        "OTEL_COSTSPAN_SESSION": "tuesday",
    }


#: What httpx2 itself says, without us as well, of a stream that is open at the end, from Python 3.14 on.
_OF_THE_CLIENT: Final = re.compile(
    r"Exception ignored while closing generator <generator object Stream\.__stream__ .*?>:\nTraceback[^\n]*\n(?:  [^\n]*\n)+"
    r"ImportError: sys\.meta_path is None, Python is likely shutting down\n"
)


def ended(command: list[str], environ: dict[str, str], talk: Talk | None) -> tuple[int, str]:
    """The status and the standard error of a program. One that does not end is asked for its stacks, then killed."""
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environ, start_new_session=True, **pipes) as program:
        watchdog = threading.Timer(DEADLOCK_S, end_all_of, (program.pid,))
        watchdog.start()
        if talk is not None:
            talk(program)
        _, complaints = program.communicate()
        assert watchdog.is_alive(), f"deadlock: {complaints}"
        watchdog.cancel()
        return program.returncode, _OF_THE_CLIENT.sub("", complaints)


def end_all_of(session: int) -> None:
    """Have every process of a session print its stacks, and end."""
    os.killpg(session, signal.SIGUSR1)
    threading.Event().wait(2)
    os.killpg(session, signal.SIGKILL)


def rows(ledger: Path) -> list[dict[str, Any]]:
    """What the ledger holds for who asks it: a child that was forked amid a write has put its records beside it."""
    intake.take_in_all(ledger)
    with closing(sqlite3.connect(ledger)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM calls")]
