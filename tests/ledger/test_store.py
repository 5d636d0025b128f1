"""ledger/store.py: what a call becomes in the file, and who may read it."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from costspan.facts.call import NO_ANSWER, Call
from costspan.facts.money import OVERRIDE, PROVIDER, REPORTED, Cost
from costspan.facts.periods import Periods
from costspan.facts.usage import Usage
from costspan.ledger.faults import LedgerError, NoLedger
from costspan.ledger.migrations import ForeignFile
from costspan.ledger.place import default_path
from costspan.ledger.store import Store
from ledger_calls import NOON_NS, UNPRICED, USAGE, at_ns, booked, call, write

HOME = "/home/ada"
PATHS: list[tuple[dict[str, str], str]] = [
    # environment                                                        path
    ({},                                                                 "/home/ada/.local/share/costspan/ledger.db"),
    ({"XDG_DATA_HOME": "/data"},                                         "/data/costspan/ledger.db"),
    ({"XDG_DATA_HOME": "relative"},                                      "/home/ada/.local/share/costspan/ledger.db"),
    ({"OTEL_COSTSPAN_LEDGER": "/var/led.db", "XDG_DATA_HOME": "/data"},  "/var/led.db"),
    ({"OTEL_COSTSPAN_LEDGER": "here.db"},                                "here.db"),
    ({"OTEL_COSTSPAN_LEDGER": " auto "},                                 "/home/ada/.local/share/costspan/ledger.db"),
    ({"OTEL_COSTSPAN_LEDGER": "ON", "XDG_DATA_HOME": "/data"},           "/data/costspan/ledger.db"),
]  # fmt: skip


@pytest.mark.parametrize(("environ", "path"), PATHS)
def test_where_the_ledger_lies(environ: dict[str, str], path: str) -> None:
    """The setting goes before the user's data directory, and a word of the setting is no path."""
    assert default_path({"HOME": HOME, **environ}) == Path(path)


COLUMNS: list[tuple[Call, dict[str, Any]]] = [
    # a call                                       what its row says
    (call(id="a"), {
        "id": "a", "started_ns": NOON_NS, "day": "20261120", "period": "202611", "client": "openai",
        "provider": "openai", "host": "api.openai.com", "operation": "chat", "request_model": "gpt-5.4-mini",
        "response_model": "gpt-5.4-mini-2026-03-17", "response_id": "chatcmpl-1", "tier": "default",
        "session": "session-1", "task_type": "research", "source": "main_agent", "team": "search", "account": "acme",
        "is_stream": 0, "outcome": "ok", "error_type": None, "http_status": None, "finish_reason": "stop",
        "duration_s": 1.5, "first_chunk_s": None, "is_complete": 1, "parts": None,
        "input_tokens": 812, "output_tokens": 96, "cache_read_tokens": 512, "cache_write_tokens": None,
        "reasoning_tokens": 32, "cost_nano_usd": 695_400, "quality": "exact", "cost_source": "local",
        "price_version": "2026-11-20", "computed_nano_usd": None, "unpriced_reason": None,
        "trace_id": f"{0xABC:032x}", "span_id": f"{0xDEF:016x}",
    }),
    (call(price=UNPRICED), {
        "cost_nano_usd": None, "quality": None, "unpriced_reason": "unknown_model",
        "unpriced_detail": "no price for my-own-model", "input_tokens": 812,
    }),
    (call(price=Cost(0, OVERRIDE)), {"cost_nano_usd": 0, "unpriced_reason": None}),
    (call(price=Cost(7, REPORTED, PROVIDER, "v", 9)), {"cost_nano_usd": 7, "cost_source": "provider", "computed_nano_usd": 9}),
    (call(usage=None, price=None, model=None, id="b", outcome="error", error_type="RateLimitError", http_status=429), {
        "units": None, "input_tokens": None, "is_complete": None, "cost_nano_usd": None, "unpriced_reason": None,
        "outcome": "error", "error_type": "RateLimitError", "http_status": 429,
    }),
    (call(usage=Usage(input=5, complete=False), is_stream=True, first_chunk_s=0.25, outcome="abandoned"), {
        "is_stream": 1, "is_complete": 0, "output_tokens": None, "first_chunk_s": 0.25, "outcome": "abandoned",
    }),
    (call(trace_id=0, span_id=0, period=""), {"trace_id": None, "span_id": None, "period": "202611"}),
    (call(geo="us", speed="fast", processing="batch", finish_reasons=("stop", "length")), {
        "geo": "us", "speed": "fast", "processing": "batch", "finish_reason": "stop,length",
    }),
]  # fmt: skip


@pytest.mark.parametrize(("made", "said"), COLUMNS)
def test_a_call_and_its_row_say_the_same(tmp_path: Path, made: Call, said: dict[str, Any]) -> None:
    """Every field of a call stands in its row, and what is not known is NULL, never 0."""
    write(tmp_path / "ledger.db", made)
    with Store.read(tmp_path / "ledger.db") as store:
        values = store.select(f"SELECT {', '.join(said)} FROM calls")  # noqa: S608 - own names
    assert dict(zip(said, values[0], strict=True)) == said


def test_usage_and_its_parts_are_kept_whole(tmp_path: Path) -> None:
    """A record holds all that its cost was made of, so that it can be explained and priced again."""
    usage = Usage(USAGE.counts, web_searches=2, cache_write_1h=0)
    write(tmp_path / "ledger.db", call(usage=usage, parts=(("claude", Usage(input=3)), (None, Usage(output=4)))))
    ((units, parts),) = booked(tmp_path / "ledger.db", "units", "parts")
    assert json.loads(units) == usage.counts
    assert json.loads(parts) == [["claude", {"input": 3}], [None, {"output": 4}]]


def test_days_are_those_of_the_budget_time_zone(tmp_path: Path) -> None:
    """A call at 23:30 UTC is of the next day in Berlin."""
    with Store.open(tmp_path / "ledger.db") as store:
        store.append([call(started_ns=at_ns("2026-11-30 23:30"), period="")], Periods("Europe/Berlin"))
    assert booked(tmp_path / "ledger.db", "day", "period") == [("20261201", "202612")]


ONCE = [
    # calls that come                                                     rows
    ("the same call twice",      [call(id="x"), call(id="x")],                                                1),
    ("a background answer made and fetched",
     [call(is_fetchable=True), call(is_fetchable=True)],                                                      1),
    ("two answers with one id from a server that numbers them from a short range",
     [call(), call()],                                                                                        2),
    ("a background answer of two providers",
     [call(is_fetchable=True), call(is_fetchable=True, provider="azure")],                                    2),
    ("a background answer that was pending, then done",
     [call(is_fetchable=True, usage=None, pending=True, price=None), call(is_fetchable=True)],                2),
    ("fetched twice while pending, and usage said already",
     [call(is_fetchable=True, pending=True), call(is_fetchable=True), call(is_fetchable=True)],               2),
]  # fmt: skip


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("story", "calls", "rows"), ONCE, ids=[story for story, *_ in ONCE])
def test_an_answer_is_booked_once(tmp_path: Path, story: str, calls: list[Call], rows: int, processes: int) -> None:
    """A call by its id, an answer that may come again by provider and answer id, in one process or in two."""
    batches = [calls] if processes == 1 else [[one] for one in calls]
    written = 0
    for batch in batches:
        with Store.open(tmp_path / "ledger.db") as store:
            written += store.append(batch, Periods())
    assert (written, len(booked(tmp_path / "ledger.db"))) == (rows, rows), story


def test_what_many_calls_share_is_written_once_a_process(tmp_path: Path) -> None:
    """A hundred calls of one kind make one row of kind; another model makes a second."""
    with Store.open(tmp_path / "ledger.db") as store:
        store.append([call(session=f"s{number}") for number in range(100)], Periods())
        store.append([call(), call(model="gpt-5.4")], Periods())
        assert store.select("SELECT count(*) FROM kinds") == [(2,)]
        assert store.select("SELECT count(*) FROM calls") == [(102,)]


def test_file_and_directory_are_the_users_alone(tmp_path: Path) -> None:
    """Records say who works on what: nobody else may read them, whatever the umask says."""
    path = tmp_path / "new" / "ledger.db"
    before = os.umask(0)
    try:
        with Store.open(path) as store:
            store.append([call()], Periods())
            modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in (path.parent, *path.parent.iterdir())}
    finally:
        os.umask(before)
    assert modes == {"new": 0o700, "ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}


def opened_under(umask: int, path: Path) -> dict[str, int]:
    """The modes of everything in the ledger's directory while it is open."""
    before = os.umask(umask)
    try:
        with Store.open(path) as store:
            store.append([call()], Periods())
            end = path.resolve()
            return {one.name: stat.S_IMODE(one.stat().st_mode) for one in end.parent.iterdir()}
    finally:
        os.umask(before)


ALONE = {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
@pytest.mark.parametrize(
    "stood", ["nothing", "a link to nothing", "an empty file", "a link to an empty file", "a ledger"]
)
def test_the_ledger_is_the_users_alone_whatever_stood_there(tmp_path: Path, stood: str, umask: int) -> None:
    """Records say who works on what: a file that was there before is taken away from everybody else."""
    place, end = tmp_path / "path", tmp_path / "place" / "ledger.db"
    end.parent.mkdir()
    if "file" in stood:
        end.touch()
        end.chmod(0o666)
    elif "ledger" in stood:
        with Store.open(end) as open_still:
            end.chmod(0o644)
            open_still.append([call(id="before")], Periods())
            Path(f"{end}-wal").chmod(0o644)
            assert opened_under(umask, end) == ALONE
        return
    if "link" in stood:
        place.symlink_to(end)
    assert opened_under(umask, place if "link" in stood else end) == ALONE


def test_the_mode_of_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    """A mistaken path must not lock others out of their database."""
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    (tmp_path / "other.db").chmod(0o664)
    with pytest.raises(ForeignFile):
        Store.open(tmp_path / "other.db")
    assert stat.S_IMODE((tmp_path / "other.db").stat().st_mode) == 0o664


def test_the_file_of_another_program_is_refused(tmp_path: Path) -> None:
    """A path that leads to some other database must not gain our tables."""
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(ForeignFile):
        Store.open(tmp_path / "other.db")


def test_no_ledger_yet_is_a_state_of_its_own(tmp_path: Path) -> None:
    """Whoever asks before the first call is told so, and nothing is made."""
    with pytest.raises(NoLedger, match=r"no ledger yet at .*ledger\.db"):
        Store.read(tmp_path / "ledger.db")
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_is_just_being_made_is_none_yet(tmp_path: Path) -> None:
    """Its tables come in one transaction: before its end there is no ledger, and after it there is a whole one."""
    path = tmp_path / "ledger.db"
    path.touch()
    with pytest.raises(NoLedger, match="no ledger yet"):
        Store.read(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as program:
        program.execute("BEGIN IMMEDIATE")
        program.execute("CREATE TABLE calls (n)")
        with pytest.raises(NoLedger):
            Store.read(path)
        program.execute("ROLLBACK")
    Store.open(path).close()
    with Store.read(path) as store:
        assert store.select("SELECT COUNT(*) FROM calls") == [(0,)]


def test_what_is_no_ledger_cannot_be_read(tmp_path: Path) -> None:
    """The reader is told the file and what SQLite says of it."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(LedgerError, match=r"the ledger .*ledger\.db cannot be read: "):
        Store.read(path)


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    """Questions never change the record."""
    write(tmp_path / "ledger.db", call())
    with Store.read(tmp_path / "ledger.db") as store, pytest.raises(LedgerError, match="readonly"):
        store.select("DELETE FROM records")


def test_a_file_that_was_moved_is_no_longer_current(tmp_path: Path) -> None:
    """A writer must notice that its path leads elsewhere, or its records go where no one looks."""
    path = tmp_path / "ledger.db"
    with Store.open(path) as store:
        assert store.is_current()
        path.rename(tmp_path / "old.db")
        assert not store.is_current()
        with Store.open(path) as anew:
            assert anew.is_current()
            assert not store.is_current()


def test_many_models_in_turn_share_their_rows(tmp_path: Path) -> None:
    """What calls share is written once for each model, however many come in turn."""
    calls = [call(request_model=f"ft:gpt-4o:acme::{number}") for number in range(5_000)]
    with Store.open(tmp_path / "ledger.db") as store:
        for turn in range(3):
            store.append([replace(made, id=f"{made.id}-{turn}", answer=NO_ANSWER) for made in calls], Periods())
        (kinds,) = store.connection.execute("SELECT count(*) FROM kinds").fetchone()
    assert kinds == len(calls)
