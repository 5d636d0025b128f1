"""`costspan ledger export` and `import`: each record once, as it was booked, whatever happens on the way."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Final, cast

import pytest
from click.testing import CliRunner, Result
from stack.binaries import program
from stack.places import free_port
from stack.processes import Running, until

from costspan import names
from costspan.budgets.reading import parse
from costspan.budgets.status import standings
from costspan.cli.commands import costspan
from costspan.emit import exported
from costspan.facts.attribution import Attribution
from costspan.facts.call import Call
from costspan.facts.money import ESTIMATED, LOCAL, REPORTED, Cost
from costspan.facts.periods import Periods
from costspan.facts.usage import Usage
from costspan.ledger import importing, otlp_json, usage_events
from costspan.ledger.faults import NoLedger
from costspan.ledger.item_rows import item
from costspan.ledger.rows import KIND_COLUMNS, RECORD_COLUMNS
from costspan.ledger.store import Store
from costspan.ledger.writer import LedgerWriter
from ledger_calls import NOON_NS, UNPRICED, at_ns, booked, call, write
from stack_clients import needing_programs

_ROWS: Final = (
    f"SELECT {', '.join(f'k.{name}' for name in KIND_COLUMNS)}, {', '.join(f'r.{name}' for name in RECORD_COLUMNS[1:])}"  # noqa: S608 - own names
    " FROM records AS r JOIN kinds AS k ON k.n = r.kind ORDER BY r.id"
)
DAY_NS: Final = 86_400 * 10**9


def variety() -> tuple[Call, ...]:
    """Calls that differ in what a row can say."""
    parts = (("gpt-5.4-nano", Usage(input=3, output=1)), (None, Usage(output=2)))
    return (
        call(id="plain"),
        call(id="unpriced", price=UNPRICED, model="own", account=None, is_stream=True, first_chunk_s=0.25, host="::1", port=8443),
        call(id="cut", price=Cost(5, ESTIMATED, LOCAL, "v"), usage=Usage({"input": 3}, complete=False), port=8443),
        call(id="failed", price=None, usage=None, outcome="error", error_type="timeout", http_status=504, response_id=None),
        call(id="batch", is_fetchable=True, response_id="msg_1", geo="us", speed="fast", processing="batch", tier=None),
        call(id="two", parts=parts, unread=("usage.x", "usage.y"), finish_reasons=("stop", "length")),
        call(id="reported", price=Cost(10**15, REPORTED, "provider", "v", 7), transaction="t-1", estimate='{"words":7}', duration_s=0.1 + 0.2),
        call(id="names", session='<b>"\U0001f60a', team="Ünïté, a", started_ns=NOON_NS + 123_456_789, usage=Usage(images=2)),
        call(id="empty", usage=Usage(), attribution=Attribution(), trace_id=0, span_id=0, unread=()),
        item("up", "uptime", "gpu-1", "a100", 10**15, Cost(2**40 + 1, "override", LOCAL, "own"), NOON_NS, attribution=Attribution(team="ml")),
        item("disk", "storage", "disk-1", "none", 5, UNPRICED, NOON_NS),
    )  # fmt: skip


def run(*words: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(costspan, ["ledger", *map(str, words)], input=stdin)


def rows(path: Path) -> list[tuple[Any, ...]]:
    """All that a ledger has of its records but the order of booking."""
    with Store.read(path) as store:
        return store.select(_ROWS)


def is_clean(path: Path) -> bool:
    return "its sums are those of its records" in run("check", "--ledger", path).stdout


def lines(*calls: Call) -> bytes:
    return b"".join(exported.line(one).encode() + b"\n" for one in calls)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    write(path, *variety())
    return path


@pytest.mark.parametrize("form", ["events", "packed", "stream", "ledger"])
def test_every_column_comes_back_and_once(path: Path, tmp_path: Path, form: str) -> None:
    """By events in a file, packed and through a pipe, and from the other ledger itself; what the first one had before is known."""
    own, moved = tmp_path / "new.db", tmp_path / "calls.jsonl"
    write(own, variety()[0])
    if form == "ledger":
        given: tuple[object, ...] = (path,)
    else:
        assert run("export", moved, "--ledger", path).stdout == f"{moved}: 11 records\n"
        assert oct(moved.stat().st_mode & 0o777) == "0o600"
        given = (moved,)
    stdin = None
    if form == "packed":
        moved.write_bytes(gzip.compress(moved.read_bytes()))
    elif form == "stream":
        told = run("export", "-", "--ledger", path)
        assert (told.stdout_bytes, told.stderr) == (moved.read_bytes(), "-: 11 records\n")
        given, stdin = ("-",), told.stdout_bytes
    for new in (10, 0):
        told = run("import", *given, "--ledger", own, stdin=stdin)
        assert (told.exit_code, told.output) == (0, f"{given[0]}: {new} new, {11 - new} known already, 0 refused\n")
    assert rows(own) == rows(path)
    assert is_clean(own)


def test_an_answer_that_comes_again_is_known(tmp_path: Path) -> None:
    """Under another id, too: the ledger books a result of a batch once."""
    own, other = tmp_path / "own.db", tmp_path / "other.db"
    write(own, call(id="x", is_fetchable=True, response_id="msg_1"))
    write(other, call(id="y", is_fetchable=True, response_id="msg_1"))
    stdin = run("export", "-", "--ledger", other).stdout_bytes
    for given in (other, "-"):
        assert "0 new, 1 known already" in run("import", given, "--ledger", own, stdin=stdin).stdout
    assert booked(own) == ["x"]


def test_who_books_for_an_account_takes_no_place_of_others() -> None:
    """An answer that may come again is known by its id alone: the sender of one account must not say that of it."""
    (arrival,) = otlp_json.read(lines(call(id="x", is_fetchable=True, response_id="msg_1")))
    assert [usage_events.of_event(arrival, bounds).is_fetchable for bounds in ({}, {"account": "acme"})] == [
        True,
        False,
    ]


def test_what_is_asked_is_answered_the_same(tmp_path: Path) -> None:
    """Reports, budgets and sums of two machines together: those of one ledger that had booked all."""
    mine = [call(started_ns=NOON_NS - n * DAY_NS, account=f"a{n % 3}") for n in range(40)]
    yours = [
        call(started_ns=NOON_NS - n * DAY_NS, account=f"a{n % 3}", price=Cost(2**41 + n, "exact")) for n in range(40)
    ]
    own, other, whole = tmp_path / "own.db", tmp_path / "other.db", tmp_path / "whole.db"
    write(own, *mine)
    write(other, *yours)
    write(whole, *mine, *yours)
    assert run("import", other, "--ledger", own).exit_code == 0
    run("check", "--rebuild", "--ledger", own)
    assert is_clean(own)
    budgets = parse("budgets:\n  - {name: all, limit_usd: 9, period: month, thresholds: [0.5]}\n", "budgets.yaml")

    def asked(path: Path) -> tuple[object, ...]:
        words = ["usage", "--json", "--by", "account,day", "--ledger", str(path)]
        report = json.loads(CliRunner().invoke(costspan, words).stdout)
        with Store.read(path) as store:
            return report["rows"], report["total"], standings(budgets, store, NOON_NS)

    assert asked(own) == asked(whole)


def test_what_is_refused_is_named(tmp_path: Path) -> None:
    """File, line and field of each; the rest is booked. Log records of other programs are passed over."""
    own, given = tmp_path / "own.db", tmp_path / "mixed.jsonl"
    good = json.loads(lines(call(id="good")))
    record = good["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]

    def changed(of: dict[str, Any] = record, **entries: Any) -> dict[str, Any]:
        said = {each["key"]: each["value"] for each in of["attributes"]} | entries
        attributes = [{"key": name, "value": value} for name, value in said.items()]
        return {**of, "attributes": attributes}

    wrong: list[dict[str, Any]] = [
        changed(**{names.EVENT_ID: {"intValue": "5"}}), changed(**{names.COST_NANO_USD: {"intValue": "-1"}}), {**record, "timeUnixNano": "0"},
        changed(**{names.RECORD: {"stringValue": "x"}}), changed(**{names.RECORD: {"kvlistValue": {"values": [{"key": "parts", "value": {"arrayValue": {"values": [{"intValue": "1"}]}}}]}}}),
        changed(**{names.USAGE_UNITS: {"kvlistValue": {"values": [{"key": "uptime_ms", "value": {"intValue": "1"}}]}}}),
    ]  # fmt: skip

    def message(*records: dict[str, Any]) -> bytes:
        return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}).encode()

    other = {"body": {"stringValue": "a line of nginx"}}
    given.write_bytes(
        b"\n".join([
            message(other, record, other), b"", b"{", b'{"resourceSpans": []}', *map(message, wrong), *[b"[]"] * 5, message(changed(**{names.EVENT_ID: {"stringValue": "last"}})),
        ])
    )  # fmt: skip
    told = run("import", given, "--ledger", own)
    assert told.exit_code == 1
    assert told.stdout == f"{given}: 2 new, 0 known already, 12 refused, 2 log records of other programs passed over\n"
    said = [line.removeprefix(f"{given}: ") for line in told.stderr.splitlines()]
    assert [line.partition(": expected")[0] for line in said[1:7]] == [
        f"line 5: {names.EVENT_ID}", f"line 6: {names.COST_NANO_USD}", "line 7: time_unix_nano", f"line 8: {names.RECORD}",
        f"line 9: {names.RECORD}.parts", f"line 10: {names.USAGE_UNITS}.uptime_ms",
    ]  # fmt: skip
    assert said[0].startswith("line 3: it is no OTLP message in JSON")
    assert said[10].startswith("2 more: it is no OTLP message in JSON")
    assert booked(own) == ["good", "last"]
    assert is_clean(own)


def test_rows_and_files_that_cannot_be_taken(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row without an id or kind, a newer ledger, no ledger, a broken pack, a line without end, the ledger itself, a file that is there."""
    own = tmp_path / "own.db"
    with Store.open(path) as store:
        store.connection.execute("UPDATE records SET id = NULL WHERE n = 2")
        store.connection.execute("UPDATE records SET kind = 999 WHERE n = 3")
        store.take_in((), [(4, 7, "the disk was full")])
    told = run("import", path, "--ledger", own)
    assert (told.exit_code, told.stdout) == (
        1, f"{path}: 9 new, 0 known already, 2 refused\n{path} counts 4 lost records of its own: these are not imported\n",
    )  # fmt: skip
    assert told.stderr == f"{path}: record 3: kind: expected a row of kinds\n{path}: record 2: id: expected a text\n"
    assert "is the ledger itself" in run("import", path, "--ledger", path).stderr
    told = run("export", tmp_path / "x.jsonl", "--ledger", path)
    assert (told.exit_code, told.stderr) == (1, f"{tmp_path}/x.jsonl: record 2: expected a text\n")
    assert "is there already" in run("export", tmp_path / "x.jsonl", "--ledger", path).stderr
    broken, newer = tmp_path / "x.gz", tmp_path / "newer.db"
    broken.write_bytes(gzip.compress(lines(*(call() for _ in range(99))))[:-500])
    write(newer, call())
    with Store.open(newer) as store:
        store.connection.execute("PRAGMA user_version = 99")
    for given, sentence in (
        (broken, "cannot be read"), (newer, "is of a newer costspan"), (tmp_path / "none", "No such file"), (tmp_path, "is a directory"),
    ):  # fmt: skip
        told = run("import", given, "--ledger", tmp_path / "second.db")
        assert told.exit_code in {1, 2}
        assert sentence in told.stderr
    monkeypatch.setattr(importing, "LONGEST_LINE", 50_000)
    told = run("import", "-", "--ledger", own, stdin=b"[" * 200_000 + b"\n" + lines(call(id="after")))
    assert (told.exit_code, told.stderr) == (1, "-: line 1: expected at most 50,000 bytes\n")
    assert "after" in booked(own)


def many(path: Path, count: int) -> None:
    with Store.open(path) as store:
        for start in range(0, count, 2_000):
            some = [
                call(id=f"m{n}", started_ns=NOON_NS + n * 10**9, session=f"s{n % 99}")
                for n in range(start, start + 2_000)
            ]
            store.append(some, Periods())


def count(path: Path, begins: str = "") -> int:
    """How many records the ledger has, of ids that begin so."""
    try:
        with Store.read(path) as store:
            return int(store.select("SELECT COUNT(*) FROM records WHERE id LIKE ?", (f"{begins}%",))[0][0])
    except NoLedger:
        return 0


@pytest.mark.parametrize("form", ["ledger", "events"])
def test_a_killed_import_is_begun_again(tmp_path: Path, form: str) -> None:
    """While a program writes to the same ledger, which waits for nothing and loses nothing."""
    source, own = tmp_path / "source.db", tmp_path / "own.db"
    many(source, 6_000)
    given = source
    if form == "events":
        given = tmp_path / "calls.jsonl"
        run("export", given, "--ledger", source)
    writer, is_over = LedgerWriter(own), threading.Event()
    faults: list[str] = []

    def write_on() -> None:
        while not is_over.wait(0.002):
            writer.take([call(started_ns=at_ns("2026-10-01 12:00"))])
            faults.append(writer.fault)

    programs = threading.Thread(target=write_on)
    programs.start()
    command = [sys.executable, "-m", "costspan", "ledger", "import", str(given), "--ledger", str(own)]
    try:
        with subprocess.Popen(command) as importer:
            until(lambda: count(own, "m") > 1_500, "some are to be imported", 60)
            os.kill(importer.pid, signal.SIGKILL)
        before = count(own, "m")
        told = run("import", given, "--ledger", own)
    finally:
        is_over.set()
        programs.join()
        writer.close()
    assert 0 < before < 6_000
    assert before % 1_000 == 0
    assert told.stdout == f"{given}: {6_000 - before:,} new, {before:,} known already, 0 refused\n"
    assert (set(faults), writer.lost, count(own)) == ({""}, 0, 6_000 + writer.written)
    assert is_clean(own)


class _Endless(io.RawIOBase):
    """What an iterable gives, as a file that is read once."""

    def __init__(self, each: Iterable[bytes]) -> None:
        self._each = iter(each)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = next(self._each, b"")
        buffer[: len(piece)] = piece
        return len(piece)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """What was read is booked before the next thousand are read."""
    own = tmp_path / "own.db"
    ahead: list[int] = []
    refused: list[tuple[str, str]] = []

    def events() -> Iterable[bytes]:
        for number in range(4_000):
            if number % 500 == 0:
                ahead.append(number - count(own))
            yield lines(call(id=f"e{number}", session=None, response_id=None))

    booking = importing.Booking(own, Periods())
    file = cast("IO[bytes]", _Endless(events()))
    found = importing.import_file(Path("-"), file, booking, lambda place, why: refused.append((place, why)))
    booking.close()
    assert (found.new, max(ahead), refused) == (4_000, 500, [])


_COLLECTOR: Final = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{http}"}}}}}}}}
exporters: {{file: {{path: "{file}", flush_interval: 100ms}}}}
extensions: {{health_check: {{endpoint: "127.0.0.1:{health}"}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{logs: {{receivers: [otlp], exporters: [file]}}}}
"""


def test_a_collector_takes_an_export_and_its_files_are_imported(path: Path, tmp_path: Path) -> None:
    """The real one: each line of an export is a message that it takes, and what its file exporter writes is the same to us."""
    binary = needing_programs(lambda: program("otelcol"))
    ports, file = {name: free_port() for name in ("http", "health")}, tmp_path / "collector.jsonl"
    (tmp_path / "collector.yaml").write_text(_COLLECTOR.format(file=file, **ports))
    collector = Running(
        "collector", [str(binary), f"--config={tmp_path}/collector.yaml"], os.environ, tmp_path / "log", f"http://127.0.0.1:{ports['health']}",
    )  # fmt: skip
    moved, own = tmp_path / "calls.jsonl", tmp_path / "own.db"
    run("export", moved, "--ledger", path)
    collector.start()
    try:
        collector.wait_until_healthy()
        for line in moved.read_bytes().splitlines():
            asked = urllib.request.Request(
                f"http://127.0.0.1:{ports['http']}/v1/logs", line, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(asked, timeout=30) as answer:
                assert (answer.status, json.load(answer)) == (200, {"partialSuccess": {}})
    finally:
        collector.stop()
    assert run("import", file, "--ledger", own).stdout == f"{file}: 11 new, 0 known already, 0 refused\n"
    assert rows(own) == rows(path)
    assert run("import", moved, "--ledger", own).stdout == f"{moved}: 0 new, 11 known already, 0 refused\n"
