"""What `costspan serve` bears: intake, readers beside writers, exports. `python -m benchmarks.serving`.

Intake: four clients send usage events by OTLP/HTTP, 500 in a message, each message in ten again. Readers: fifty ask for sums, records
and the page while eight processes write to the same ledger. Export: the most memory that the server takes for all calls of two
ledgers, one ten times as large as the other. Every answer is checked: what is booked, every status, every line.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import multiprocessing
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from multiprocessing import Queue
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from benchmarks import large_ledger
from costspan.emit.exported import line
from costspan.ledger.store import Store
from costspan.ledger.writer import LedgerWriter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))
import served

_CLIENTS: Final = 4
_EVENTS: Final = 500
_AGAIN: Final = 10
_READERS: Final = 50
_WRITERS: Final = 8
_ASKED: Final = ("/v1/usage/summary?by=model", "/v1/usage/tokens", "/v1/usage/records?limit=20", "/?period=today")


def main() -> None:
    """Print all figures; ends with 1 where an answer was wrong."""
    parser = argparse.ArgumentParser(description="What `costspan serve` bears.")
    parser.add_argument("--events", type=int, default=100_000, help="sent to the intake")
    parser.add_argument("--seconds", type=float, default=20, help="for readers beside writers")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the larger ledger that is exported")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = [
            *_intake(Path(folder) / "intake.db", asked.events),
            *_readers(Path(folder) / "read.db", asked.seconds),
            *_exports(Path(folder), asked.rows),
        ]
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    sys.exit(bool(wrong))


def _connection(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)


# --- intake -----------------------------------------------------------------------------------------------------------


def _messages(count: int) -> list[bytes]:
    """So many different usage events, in the messages in which programs send them."""
    calls = large_ledger.calls(count, 500)
    messages: list[bytes] = []
    for first in range(0, count, _EVENTS):
        lines = [json.loads(line(call)) for call in calls[first : first + _EVENTS]]
        whole = lines[0]
        whole["resourceLogs"][0]["scopeLogs"][0]["logRecords"] = [
            each["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0] for each in lines
        ]
        messages.append(json_format.ParseDict(whole, ExportLogsServiceRequest()).SerializeToString())
    return messages


def _send(address: str, messages: Sequence[bytes], told: Queue[Counter[int]]) -> None:
    connection, statuses = _connection(address), Counter[int]()
    for number, content in enumerate(messages):
        for _ in range(2 if number % _AGAIN == 0 else 1):
            connection.request("POST", "/v1/logs", content, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
    told.put(statuses)


def _intake(ledger: Path, events: int) -> Iterator[str]:
    """Send the events, some again; every one is booked once."""
    messages = _messages(events)
    with served.serving("--accept", "--ledger", str(ledger)) as (address, _):
        told: Queue[Counter[int]] = multiprocessing.Queue()
        started = time.perf_counter()
        clients = [
            multiprocessing.Process(target=_send, args=(address, messages[n::_CLIENTS], told)) for n in range(_CLIENTS)
        ]
        for client in clients:
            client.start()
        statuses = sum((told.get() for _ in clients), Counter[int]())
        took_s = time.perf_counter() - started
        for client in clients:
            client.join()
    sent = sum(statuses.values()) * _EVENTS
    with Store.read(ledger) as store:
        ((booked,),) = store.select("SELECT COUNT(*) FROM calls")
    print(
        f"intake: {sent:,} events by {_CLIENTS} clients in {took_s:.1f} s: {sent / took_s:,.0f} a second, {booked:,} booked",
        flush=True,
    )
    if set(statuses) != {200} or booked != events:
        yield f"intake: {dict(statuses)}, {booked:,} of {events:,} booked"


# --- readers beside writers -------------------------------------------------------------------------------------------


def _write_on(ledger: Path, seed: int, until_s: float, told: Queue[int]) -> None:
    """Book calls as a program does that makes a thousand a second."""
    writer, written = LedgerWriter(ledger), 0
    while time.time() < until_s:
        now_ns = time.time_ns()
        calls = large_ledger.calls(50, 20, prefix=f"{seed}-{written}-", started_ns=now_ns)
        writer.take(calls)
        written += len(calls)
        time.sleep(0.05)
    writer.close()
    told.put(written)


def _ask_on(address: str, question: str, until_s: float, taken: list[float], faults: Counter[str]) -> None:
    connection = _connection(address)
    while time.time() < until_s:
        started = time.perf_counter()
        connection.request("GET", question)
        answer = connection.getresponse()
        text = answer.read()
        taken.append(time.perf_counter() - started)
        if answer.status != HTTPStatus.OK or b"locked" in text:
            faults[f"{answer.status} of {question}"] += 1


def _readers(ledger: Path, seconds: float) -> Iterator[str]:
    """Ask while others write; every question is answered, and everything that was written is there."""
    Store.open(ledger).close()
    taken, faults = dict[str, list[float]](), Counter[str]()
    with served.serving("--ledger", str(ledger), "--rate-limit", "100000") as (address, _):
        until_s = time.time() + seconds
        told: Queue[int] = multiprocessing.Queue()
        writers = [
            multiprocessing.Process(target=_write_on, args=(ledger, seed, until_s, told)) for seed in range(_WRITERS)
        ]
        readers = [
            threading.Thread(target=_ask_on, args=(address, question, until_s, taken.setdefault(question, []), faults))
            for question in itertools.islice(itertools.cycle(_ASKED), _READERS)
        ]
        for one in (*writers, *readers):
            one.start()
        written = sum(told.get() for _ in writers)
        for one in (*writers, *readers):
            one.join()
    last = LedgerWriter(ledger)
    last.take(large_ledger.calls(1, 1))  # and what the others have put down beside the ledger
    last.close()
    with Store.read(ledger) as store:
        ((booked,),) = store.select("SELECT COUNT(*) - 1 FROM calls")
    print(f"{_READERS} readers beside {_WRITERS} writers: {written:,} calls written in {seconds:.0f} s", flush=True)
    for question, times in taken.items():
        times.sort()
        print(
            f"  {question:30} {len(times):6,} answers, median {times[len(times) // 2]:.3f} s, 95 % {times[len(times) * 95 // 100]:.3f} s",
            flush=True,
        )
    if faults or booked != written:
        yield f"readers: {dict(faults)}, {booked:,} of {written:,} booked"


# --- exports ----------------------------------------------------------------------------------------------------------


def _peak_mb(pid: int) -> float:
    told = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert told
    return int(told[1]) / 1024


def _exports(folder: Path, rows: int) -> Iterator[str]:
    """The memory of the server after it has sent all calls of a ledger, in each form."""
    for count in (rows // 10, rows):
        ledger = folder / f"{count}.db"
        large_ledger.fill(ledger, count)
        with served.serving("--ledger", str(ledger)) as (address, server):
            before_mb = _peak_mb(server.pid)
            for form, beside in (("jsonl", 0), ("csv", 1)):
                started = time.perf_counter()
                connection = _connection(address)
                connection.request("GET", f"/v1/export?format={form}&period=all")
                answer, lines = connection.getresponse(), -beside
                while piece := answer.read(1 << 16):
                    lines += piece.count(b"\n")
                took_s = time.perf_counter() - started
                print(
                    f"export of {count:,} calls as {form}: {took_s:.1f} s, at most {_peak_mb(server.pid):.0f} MB"
                    f" ({before_mb:.0f} MB before)",
                    flush=True,
                )
                if lines != count:
                    yield f"export as {form}: {lines:,} lines of {count:,} calls"


if __name__ == "__main__":
    main()
