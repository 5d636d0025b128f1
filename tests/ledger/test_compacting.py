"""`costspan ledger compact`: old records become sums of days; what they came to stays, whatever happens on the way."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from stack.processes import until

import costspan as library
from costspan.budgets.reading import parse
from costspan.budgets.status import standings
from costspan.cli.commands import costspan
from costspan.facts.call import Call
from costspan.facts.money import ESTIMATED, EXACT, LOCAL, Cost
from costspan.facts.periods import Periods
from costspan.facts.usage import Usage
from costspan.ledger import compacting
from costspan.ledger.faults import LedgerError
from costspan.ledger.intake import read
from costspan.ledger.item_rows import item
from costspan.ledger.store import Store
from costspan.ledger.writer import LedgerWriter
from costspan.report import Question, ask
from costspan.report.words import filters
from ledger_calls import UNPRICED, call
from read_page import ReadPage
from served import client

DAY_NS: Final = compacting.DAY_NS
#: Noon of a day 500 days ago, so that the tests know what `--older-than` means.
FIRST_NS: Final = (time.time_ns() // DAY_NS - 500) * DAY_NS + DAY_NS // 2
DAYS: Final = 40
#: So the cut lies 20 days after the first call.
OLDER: Final = ("--older-than", "480d")
CUT_NS: Final = FIRST_NS + 20 * DAY_NS - DAY_NS // 2


def some(chance: random.Random, number: int) -> Call:
    """A call or an item at any time of the days, of any of some labels."""
    started_ns = FIRST_NS - DAY_NS // 2 + chance.randrange(DAYS * DAY_NS)
    price = chance.choice([Cost(chance.randrange(10**9), EXACT, LOCAL, "v"), Cost(7, ESTIMATED, LOCAL, "v"), UNPRICED])
    if number % 10 == 0:
        return item(f"i{number}", "uptime", "gpu", "a100", 5, price, started_ns)
    return call(
        id=f"c{number}", started_ns=started_ns, price=price, account=chance.choice(["acme", "globex", None]), session=f"s{number % 50}",
        team=chance.choice(["search", "ads"]), model=chance.choice(["gpt-5", "own"]), usage=Usage(input=chance.randrange(999), output=3),
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path, chance = tmp_path / "ledger.db", random.Random(7)  # noqa: S311
    calls = sorted((some(chance, number) for number in range(4_000)), key=lambda one: one.started_ns)
    with Store.open(path) as store:
        for start in range(0, len(calls), 500):
            store.append(calls[start : start + 500], Periods())
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(costspan, list(map(str, words)))


def asked(path: Path) -> dict[str, Any]:
    """What the ledger says by every word that days know; of all time, and from and to days before and after the cut."""
    found: dict[str, Any] = {}
    day = time.strftime("%Y-%m-%d", time.gmtime((CUT_NS - 7 * DAY_NS) / 1e9))
    last = time.strftime("%Y-%m-%d", time.gmtime((CUT_NS + 7 * DAY_NS) / 1e9))
    for by in (
        "total",
        "day",
        "month",
        "week,team",
        "account,model",
        "provider,operation,outcome",
        "quality,unpriced_reason",
        "kind,instance",
    ):
        for period in ("all", f"{day}..{last}", f"{day}..{day}"):
            said = json.loads(run("usage", "--json", "--by", by, "--period", period, "--ledger", path).stdout)
            found[f"{by} {period}"] = said["rows"], said["total"], said["state"]
    said = json.loads(
        run(
            "usage", "--json", "--by", "day", "--where", "account=acme", "--where", "team!=ads", "--ledger", path
        ).stdout
    )
    found["filtered"] = said["rows"], said["total"]
    found["unpriced"] = run("usage", "--unpriced", "--csv", "--ledger", path).stdout
    policy = parse(
        "budgets:\n  - {name: all, limit_usd: 9, period: month, each: account, thresholds: [0.5]}\n", "budgets.yaml"
    )
    with Store.read(path) as store:
        found["budgets"] = standings(policy, store, CUT_NS - 20 * DAY_NS)
    return found


def is_clean(path: Path) -> bool:
    return "its sums are those of its records" in run("ledger", "check", "--ledger", path).stdout


def count(path: Path) -> int:
    with Store.read(path) as store:
        return store.select("SELECT COUNT(*) FROM records")[0][0]


def test_what_is_asked_is_answered_the_same(path: Path) -> None:
    """By every word but session and hour, before and after; the sums made anew change nothing, and what comes later is added."""
    before, size = asked(path), path.stat().st_size
    said = run("ledger", "compact", *OLDER, "--dry-run", "--ledger", path)
    assert (said.exit_code, asked(path), path.stat().st_size) == (0, before, size)
    old = int(said.stdout.split()[0].replace(",", ""))
    said = run("ledger", "compact", *OLDER, "--ledger", path)
    assert (said.exit_code, said.stdout.split(" ")[0]) == (0, f"{old:,}")
    assert 1_800 < old == 4_000 - count(path)
    assert asked(path) == before
    assert is_clean(path)
    assert path.stat().st_size < size * 0.8
    assert run("ledger", "check", "--rebuild", "--ledger", path).exit_code == 0
    assert asked(path) == before
    assert run("ledger", "compact", *OLDER, "--ledger", path).stdout.startswith("0 records")
    last = time.strftime("%Y-%m-%d", time.gmtime((CUT_NS - 3 * DAY_NS) / 1e9))
    words = ("usage", "--json", "--by", "day", "--period", f"..{last}", "--ledger", path, "--time-zone")
    there, here = (json.loads(run(*words, zone).stdout)["rows"] for zone in ("America/New_York", "UTC"))
    assert [(row["day"], row["cost_usd"]) for row in there] == [(row["day"], row["cost_usd"]) for row in here]
    late = call(id="late", started_ns=FIRST_NS, price=Cost(10**9, EXACT))
    with Store.open(path) as store:
        store.append([late], Periods())
        store.sum_up(10_000)
    assert is_clean(path)
    said = json.loads(run("usage", "--json", "--by", "total", "--ledger", path).stdout)
    assert said["total"]["requests"] == before["total all"][1]["requests"] + 1


def test_killed_at_any_point_nothing_is_lost(path: Path) -> None:
    """A program writes meanwhile and waits for nothing, a reader sees the same sum at every moment; begun again, it goes on."""
    before = asked(path)
    writer, is_over = LedgerWriter(path), threading.Event()
    faults: set[str] = set()
    seen: set[object] = set()

    def write_on() -> None:
        while not is_over.wait(0.002):
            writer.take([call(team="live")])
            faults.add(writer.fault)

    def read_on() -> None:
        while not is_over.is_set():
            with read(path) as store:
                seen.add(ask(store, Question(filters=filters(["team!=live"])), 0.0).total)

    threads = [threading.Thread(target=each) for each in (write_on, read_on)]
    for each in threads:
        each.start()
    slowly = "compacting._AT_ONCE = 40; compacting._PAUSE_S = 0.001"
    code = f"from costspan.cli import main; from costspan.ledger import compacting; {slowly}; main()"
    command = [sys.executable, "-c", code, "ledger", "compact", *OLDER, "--ledger", str(path)]
    try:
        for left in (3_700, 3_200):
            with subprocess.Popen(command) as compacter:
                until(lambda left=left: _old(path) < left, "some are to be rolled up", 60)
                os.kill(compacter.pid, signal.SIGKILL)
            assert run("ledger", "check", "--ledger", path).exit_code == 0
        assert 4_000 - 2_200 < _old(path) < 3_200
        assert run("ledger", "compact", *OLDER, "--ledger", path).exit_code == 0
    finally:
        is_over.set()
        for each in threads:
            each.join()
        writer.close()
    assert (faults, writer.lost, len(seen)) == ({""}, 0, 1)
    with Store.open(path) as store:
        store.connection.execute("DELETE FROM records WHERE kind IN (SELECT n FROM kinds WHERE team = 'live')")
        store.begin_sums_anew()
    assert asked(path) == before
    assert is_clean(path)
    with Store.read(path) as store:
        assert store.select("SELECT COUNT(*) FROM records WHERE started_ns < ?", (CUT_NS,)) == [(0,)]


def _old(path: Path) -> int:
    with Store.read(path) as store:
        return store.select("SELECT COUNT(*) FROM records WHERE id NOT LIKE 'call-%'")[0][0]


def _is_said_by_the_api(path: Path, sentence: str, cut: str) -> None:
    asked, known = client(path), f"{cut}..2026-12-31"
    for route in ("summary", "daily", "records", "tokens"):
        (said,) = asked.get(f"/v1/usage/{route}", params={"period": f"..{cut}"} if route != "tokens" else {}).json()[
            "notices"
        ]
        assert said.startswith(sentence)
    (said,) = asked.get("/v1/stats?period=all").json()["notices"]
    assert said.startswith(sentence)
    for route in ("/v1/usage/summary", "/v1/usage/daily", "/v1/usage/records", "/v1/stats"):
        assert asked.get(route, params={"period": known}).json()["notices"] == []
    for file in ("/v1/export", "/usage.csv", "/days.csv"):
        assert asked.get(file, params={"period": "all"}).headers["Costspan-Notice"].startswith(sentence)
        assert "Costspan-Notice" not in asked.get(file, params={"period": known}).headers
    assert sentence in asked.get("/call?id=gone").text
    of_session = library.usage(ledger=path, session="s1")
    for said in (of_session.notices(), of_session.summary().notices, of_session.records().notices):
        assert said[0].startswith(sentence)
    assert (of_session.notices(known), of_session.summary(period=known).notices, of_session.records(known).notices) == (
        (),
        (),
        (),
    )


def test_what_is_no_longer_known_is_said(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By report, page, explain and import, where a range reaches back before the cut, and not where it does not."""
    with Store.read(path) as store:
        ((gone, gone_ns),) = store.select("SELECT id, started_ns FROM records WHERE started_ns < ? LIMIT 1", (CUT_NS,))
    gone_at = datetime.fromtimestamp(gone_ns / 1e9, timezone.utc).isoformat()
    archive = tmp_path / "archive.jsonl"
    run("ledger", "export", archive, "--ledger", path)
    cut = time.strftime("%Y-%m-%d", time.gmtime(CUT_NS / 1e9))
    sentence = f"Before {cut} the ledger keeps sums of whole days of UTC"
    assert sentence in run("ledger", "compact", *OLDER, "--ledger", path).stdout
    assert sentence in " ".join(run("usage", "--by", "session", "--ledger", path).stdout.split())
    assert (
        sentence
        in json.loads(run("usage", "--json", "--where", "session=s1", "--period", f"..{cut}", "--ledger", path).stdout)[
            "notices"
        ][0]
    )
    assert sentence not in run("usage", "--since", "479d", "--ledger", path).stdout
    assert sentence in run("explain", gone, "--ledger", path).stderr
    (tmp_path / "budgets.yaml").write_text(
        "budgets:\n  - {name: all, limit_usd: 9, period: month, thresholds: [0.5]}\n"
    )
    for words in (
        ("ledger", "export", tmp_path / "rest.jsonl"), ("anomalies", "--period", "all"), ("budgets", "simulate", tmp_path / "budgets.yaml", "--period", "all"),
    ):  # fmt: skip
        assert sentence in " ".join(run(*words, "--ledger", path).output.split())
    page = ReadPage(client(path).get("/?period=all").text)
    assert sentence in page.texts["days-only"]
    _is_said_by_the_api(path, sentence, cut)
    said = run("ledger", "import", archive, "--ledger", path)
    assert (said.exit_code, f"started before {cut}: of that time the ledger keeps sums of days" in said.stderr) == (
        1,
        True,
    )
    assert said.stdout.startswith(f"{archive}: 0 new, {count(path):,} known already, {4_000 - count(path):,} refused")
    sent = archive.read_bytes().splitlines()
    told = client(path, accepts=True).post("/v1/logs", content=next(each for each in sent if gone.encode() in each), headers={"Content-Type": "application/json"})  # fmt: skip
    assert told.json()["partialSuccess"]["rejectedLogRecords"] == "1"
    posted = {"id": gone, "provider": "openai", "model": "gpt-5", "input_tokens": 1, "started_at": gone_at}
    told = client(path, accepts=True).post("/v1/usage/records", json={"records": [posted]})
    assert (told.status_code, told.json()["field"]) == (400, "records[0].started_at")
    assert f"started before {cut}" in told.json()["detail"]
    monkeypatch.setenv("OTEL_COSTSPAN_LEDGER", str(path))
    with pytest.raises(LedgerError, match=f"started before {cut}"):
        library.record("piece", instance="a", rate="b", count=1, started_at=datetime.fromisoformat(gone_at))
    said = run("ledger", "import", path, "--ledger", tmp_path / "other.db")
    assert "as sums of days only: these are not imported" in said.stdout


def test_odd_records_and_the_newest_stay(tmp_path: Path) -> None:
    """A number beyond what sums hold, no time, and the record whose number must not be given away."""
    path = tmp_path / "ledger.db"
    with Store.open(path) as store:
        store.append(
            [call(id=f"o{n}", started_ns=FIRST_NS, price=Cost(2**41 if n == 1 else 5, EXACT)) for n in range(4)],
            Periods(),
        )
        store.connection.execute("UPDATE records SET started_ns = NULL WHERE id = 'o2'")
    before = run("usage", "--json", "--ledger", path).stdout
    assert run("ledger", "compact", *OLDER, "--ledger", path).stdout.startswith("1 record of 1 day")
    with Store.read(path) as store:
        assert store.select("SELECT id FROM records ORDER BY n") == [("o1",), ("o2",), ("o3",)]
    assert json.loads(run("usage", "--json", "--ledger", path).stdout)["rows"] == json.loads(before)["rows"]
    assert is_clean(path)


def test_a_file_of_an_older_version_is_made_smaller_when_it_is_asked(path: Path) -> None:
    """It cannot give back space in steps: what is free is said, with the way out; from then on it can."""
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
    connection.close()
    before, size = asked(path), path.stat().st_size
    said = run("ledger", "compact", *OLDER, "--ledger", path).stdout
    assert "is 0.0 MB smaller" in said
    assert "`costspan ledger compact --vacuum` makes the file smaller once" in said
    assert path.stat().st_size >= size
    assert run("ledger", "compact", "--vacuum", "--ledger", path).exit_code == 0
    assert path.stat().st_size < size * 0.8
    assert asked(path) == before
    with Store.read(path) as store:
        assert store.select("PRAGMA auto_vacuum") == [(2,)]


@pytest.mark.parametrize("words", [("--older-than", "31d"), ("--older-than", "400"), ("--older-than", "x")])
def test_a_mistaken_age_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    """And no ledger is begun by asking."""
    path = tmp_path / "ledger.db"
    assert run("ledger", "compact", *words, "--ledger", path).exit_code == 2
    assert run("ledger", "compact", *OLDER, "--ledger", path).exit_code == 1
    assert not path.exists()
