"""How long a report of many rows takes, and how much memory: `python -m benchmarks.reports --sessions 100000`.

A ledger holds that many sessions, each of one call. `costspan usage` is asked for it in each form, in a process of its
own, whose output goes to a file: the time from start to end, the largest resident memory, the size of the answer.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from costspan.ledger.store import Store

_START_NS: Final = 1_795_305_600 * 10**9
_FORMS: Final = ("--by total", "--by session --top 20", "--by session", "--by session --csv", "--by session --json",
                 "--by session,day")  # fmt: skip
_KIND: Final = (
    "INSERT INTO kinds (n, day, period, client, provider, operation, request_model, response_model, task_type, source,"
    " team, outcome, is_complete, quality, cost_source) VALUES (1, '20261122', '202611', 'openai', 'openai', 'chat',"
    " 'gpt-5', 'gpt-5', 'chat', 'main_agent', 'search', 'ok', 1, 'exact', 'local')"
)
_RECORD: Final = (
    "INSERT INTO records (kind, id, started_ns, session, input_tokens, output_tokens, cache_read_tokens,"
    " cache_write_tokens, reasoning_tokens, cost_nano_usd) VALUES (1, ?, ?, ?, 1000, 200, 600, 0, 50, ?)"
)


def fill(ledger: Path, sessions: int) -> None:
    """Write one call of each session."""
    Store.open(ledger).close()
    with sqlite3.connect(ledger) as connection:
        connection.execute(_KIND)
        connection.executemany(
            _RECORD,
            (
                (f"{n:032x}", _START_NS + n * 60 * 10**9, f"conversation-{n:036}", 695_400 + n * 7_919 % 1_000_003)
                for n in range(sessions)
            ),
        )


def ask(ledger: Path, form: str) -> tuple[float, float, float]:
    """Seconds, MiB of memory and MB of output of one question."""
    costspan = Path(sys.executable).with_name("costspan")
    environ = {**os.environ, "COLUMNS": "100"}
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        process = subprocess.Popen([costspan, "usage", "--ledger", ledger, *form.split()], stdout=out, env=environ)
        _, status, used = os.wait4(process.pid, 0)
        took_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"costspan usage {form} ended with {process.returncode}")
        return took_s, used.ru_maxrss / 1024, out.seek(0, os.SEEK_END) / 1e6


def main() -> None:
    """Fill a ledger, ask it in each form, print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder, "ledger.db")
        fill(ledger, asked.sessions)
        print(f"{asked.sessions:,} sessions, a ledger of {ledger.stat().st_size / 1e6:.0f} MB")
        for form in _FORMS:
            took_s, memory, size = ask(ledger, form)
            print(f"costspan usage {form:22} {took_s:8.2f} s {memory:8.0f} MiB {size:8.1f} MB written", flush=True)


if __name__ == "__main__":
    main()
