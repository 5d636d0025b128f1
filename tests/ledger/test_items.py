"""Cost items that are no call: uptime, storage and pieces, in every total and told apart from calls."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import json
import math
import os
import subprocess
import sys
import threading
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest
from click.testing import CliRunner

import costspan
from costspan import recording
from costspan.budgets.reading import parse
from costspan.budgets.status import standings
from costspan.cli.commands import costspan as command
from costspan.facts.call import Answer, Call
from costspan.facts.cost_items import CLIENT
from costspan.facts.money import Unpriced
from costspan.facts.usage import Usage
from costspan.ledger.faults import LedgerError
from costspan.ledger.item_rows import item
from costspan.ledger.store import Store
from costspan.pricing import OverrideError, Prices
from ledger_calls import call, write
from read_page import ReadPage
from served import client

# pyright: reportPrivateUsage=false
PRICES: Final = """
prices:
  - match: {model: own}
    usd_per_million: {input: 1, output: 1}
rates:
  a100: {usd_per_hour: 2.5}
  disk: {usd_per_gb_hour: 0.00011}
  license: {usd_each: 4}
"""
NOW: Final = datetime.now(timezone.utc)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own ledger for this program, with one call of 0.0006954 USD of team search, and prices with rates."""
    path = tmp_path / "ledger.db"
    (tmp_path / "prices.yaml").write_text(PRICES)
    monkeypatch.setenv("OTEL_COSTSPAN_LEDGER", str(path))
    monkeypatch.setenv("OTEL_COSTSPAN_PRICES", str(tmp_path / "prices.yaml"))
    write(path, call(started_ns=int(NOW.timestamp()) * 10**9, team="search"))
    return path


def book_three() -> None:
    with costspan.attribution(team="search", session="run-7"):
        assert costspan.record("uptime", instance="gpu-1", rate="a100", count=90, id="u1") == Decimal("0.0625")
        assert costspan.record("storage", instance="bucket", rate="disk", count=3 * 10**9) == Decimal("0.00033")
        assert costspan.record("piece", instance="tool", rate="nowhere", count=2) is None


def test_items_stand_in_every_total_and_are_no_calls(ledger: Path) -> None:
    """In code, on the command line, in CSV, in budgets: their cost counts, their number is told apart, none is a request."""
    book_three()
    total = costspan.usage().total()
    assert (total.calls, total.items, total.unpriced_items, total.unpriced_calls) == (1, 3, 1, 0)
    assert total.items_usd == Decimal("0.06283")
    assert total.cost_usd == Decimal("0.0635254")
    assert total.is_lower_bound
    by_kind = {tuple(row.words.values()): row.totals.cost_usd for row in costspan.usage().by("kind", "instance")}
    assert by_kind == {
        ("uptime", "gpu-1"): Decimal("0.0625"), ("call", None): Decimal("0.0006954"),
        ("storage", "bucket"): Decimal("0.00033"), ("piece", "tool"): 0,
    }  # fmt: skip
    assert costspan.usage(team="search", kind="uptime").total().items == 1
    (row,) = costspan.usage(session="run-7", instance="gpu-1").records()
    assert (row.kind, row.instance, row.units, row.cost_usd) == (
        "uptime",
        "gpu-1",
        {"uptime_ms": 90_000},
        Decimal("0.0625"),
    )
    assert costspan.usage().unattributed()["account"] == 0
    told = CliRunner().invoke(command, ["usage", "--by", "team", "--ledger", str(ledger)]).stdout
    assert "items that are no call" in told
    assert "A lower bound: without a price is 1 item" in told
    assert "On average 0.00070 USD a request;" in told, "what is no call is in no average of calls"
    rows = [
        *csv.DictReader(
            io.StringIO(CliRunner().invoke(command, ["usage", "--by", "kind", "--csv", "--ledger", str(ledger)]).stdout)
        )
    ]
    assert {row["kind"]: (row["requests"], row["items"], row["cost_usd"]) for row in rows}["piece"] == ("0", "1", "")
    limits = parse(
        "budgets:\n  - {name: all, period: month, limit_usd: 1}\n  - {name: n, period: month, limit_requests: 9}\n"
    )
    with Store.read(ledger) as store:
        usd, requests = standings(limits, store, int(NOW.timestamp() * 1e9))
    assert (usd.counted, usd.unpriced, requests.counted) == (63_525_400, 1, 1)


def test_an_item_is_booked_once_by_its_id(ledger: Path) -> None:
    """And its price is explained as it was made."""
    for _ in range(2):
        costspan.record("uptime", instance="gpu-1", rate="a100", count=90, id="u1")
    assert costspan.usage().total().items == 1
    told = CliRunner().invoke(command, ["explain", "u1", "--ledger", str(ledger)]).stdout
    assert "90,000 uptime_ms at the rate 'a100'" in told
    assert "0.062500000 USD" in told


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kind": "lease"}, "expected one of uptime, storage, piece"), ({"count": -1}, "from 0 on"), ({"count": True}, "from 0 on"),
        ({"count": float("nan")}, "from 0 on"), ({"kind": "piece", "count": 1.5}, "of pieces a whole one"),
        ({"rate": ""}, "rate="), ({"instance": 5}, "instance="), ({"started_at": datetime(2026, 1, 1)}, "with a zone"),  # noqa: DTZ001
    ],
)  # fmt: skip
@pytest.mark.usefixtures("ledger")
def test_mistakes_are_told_and_nothing_is_booked(changed: dict[str, Any], said: str) -> None:
    """Each names the word and what was expected."""
    wrong: dict[str, Any] = {"kind": "uptime", "instance": "gpu-1", "rate": "a100", "count": 90, **changed}
    with pytest.raises(ValueError, match=said):
        costspan.record(**wrong)
    assert costspan.usage().total().items == 0


@pytest.mark.usefixtures("ledger")
def test_without_a_ledger_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost in silence."""
    monkeypatch.setenv("OTEL_COSTSPAN_LEDGER", "off")
    with pytest.raises(LedgerError, match="expected OTEL_COSTSPAN_LEDGER=on"):
        costspan.record("uptime", instance="gpu-1", rate="a100", count=1)


def test_uptime_is_booked_as_it_passes(ledger: Path) -> None:
    """Intervals without gap and overlap, each a row, within with and async with; for whom the scope is."""
    written = threading.Event()
    real, handed = recording._book, list[int]()

    def book(calls: Any) -> None:
        handed.append(len(calls))
        real(calls)
        written.set()

    async def again() -> None:
        async with costspan.uptime(instance="gpu-2", rate="a100"):
            await asyncio.sleep(0.002)

    with mock.patch.object(recording, "_book", book), costspan.attribution(team="ml"):
        with costspan.uptime(instance="gpu-1", rate="a100", interval_s=0.01):
            assert written.wait(30)
        asyncio.run(again())
    with Store.read(ledger) as store:
        rows = store.select(
            "SELECT id, started_ns, duration_s, units, cost_nano_usd, team FROM calls WHERE request_model = 'gpu-1' ORDER BY n"
        )
    assert len(rows) >= 2
    assert max(handed) == 1, "what is booked is let go of"
    for before, after in itertools.pairwise(rows):
        assert after[1] == before[1] + round(before[2] * 1_000) * 1_000_000
    for number, (call_id, _, duration_s, units, nano_usd, team) in enumerate(rows):
        passed_ms = json.loads(units)["uptime_ms"]
        assert (call_id[36:], passed_ms, team) == (f"-{number}", round(duration_s * 1_000), "ml")
        assert nano_usd == round(Decimal(2_500_000_000) * passed_ms / 3_600_000)
    assert costspan.usage(instance="gpu-2").total().items == 1


@pytest.mark.usefixtures("ledger")
def test_a_forked_child_books_none() -> None:
    """It leaves the same block; the time is the parent's, under the id that the child would take."""
    up = costspan.uptime(instance="gpu-1", rate="a100")
    up.__enter__()
    threading.Event().wait(0.005)
    child = os.fork()
    if not child:
        up.__exit__(None, None, None)
        os._exit(0)
    os.waitpid(child, 0)
    assert costspan.usage().total().items == 0
    up.__exit__(None, None, None)
    assert costspan.usage().total().items == 1


@pytest.mark.usefixtures("ledger")
def test_what_the_ledger_cannot_take_waits(caplog: pytest.LogCaptureFixture) -> None:
    """An interval that fails is booked with the next one, once; and it is said."""
    with mock.patch.object(recording, "_book", side_effect=LedgerError("locked")):
        up = costspan.uptime(instance="gpu-1", rate="a100")
        up.__enter__()
        threading.Event().wait(0.005)
        up._pass()
    assert caplog.messages == ["costspan: uptime of gpu-1 waits to be booked: locked"]
    threading.Event().wait(0.005)
    up.__exit__(None, None, None)
    assert costspan.usage(instance="gpu-1").total().items == 2


@pytest.mark.usefixtures("ledger")
def test_a_kill_takes_one_interval_at_most() -> None:
    """What had passed is in the ledger."""
    program = (
        "import costspan, os, time, signal\n"
        "with costspan.uptime(instance='gpu-1', rate='a100', interval_s=0.05):\n"
        "    while not costspan.usage(instance='gpu-1').total().items: time.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == -9
    assert costspan.usage(instance="gpu-1").total().items >= 1


def test_rates_are_read_with_the_prices(tmp_path: Path) -> None:
    """Exact, for their kind alone; mistakes are named with their line."""
    file = tmp_path / "prices.yaml"
    file.write_text(PRICES)
    prices = Prices.load(file)
    assert prices.item("uptime", "a100", 1).nano_usd == 694  # type: ignore[union-attr] - 694.4
    assert prices.item("storage", "a100", 1) == Unpriced("no_price", "the rate 'a100' is for uptime, not for storage")
    assert prices.price("x", None, "own", Answer(Usage(input=1_000_000, output=0)), 0).nano_usd == 10**9  # type: ignore[union-attr]
    file.write_text(
        "rates:\n  a: {usd_per_hour: x}\n  b: {usd_per_hour: 1, usd_each: 1}\n  c: {usd_per_week: 1}\n  d: 5\n  a: {usd_each: 1}\n"
    )
    with pytest.raises(OverrideError) as told:
        Prices.load(file)
    assert [one.split(": ")[0] for one in told.value.mistakes] == [f"prices.yaml:{line}" for line in (2, 3, 4, 5, 6)]


def test_the_server_books_and_shows_items(ledger: Path, tmp_path: Path) -> None:
    """By POST, once; in summary, records, budgets' unit and on the page, where nothing is a request."""
    asked = client(ledger, overrides=tmp_path / "prices.yaml", accepts=True)
    said = {"id": "u1", "type": "uptime", "instance": "gpu-1", "rate": "a100", "seconds": 90, "team": "ml"}
    other = {"id": "s1", "type": "storage", "instance": "b", "rate": "none", "byte_hours": 5}
    first = asked.post("/v1/usage/records", json={"records": [said, other]}).json()
    again = asked.post("/v1/usage/records", json={"records": [said, other]}).json()
    assert (first["booked"], again["booked"], again["duplicates"]) == (2, 0, 2)
    assert [(one["cost_usd"], one["unpriced_reason"]) for one in first["records"]] == [
        ("0.062500000", None),
        (None, "no_price"),
    ]
    for mistaken, field in (({"seconds": None}, "seconds"), ({"rate": None}, "rate"), ({"type": "lease"}, "type")):
        refused = asked.post("/v1/usage/records", json={"records": [{**said, **mistaken}]})
        assert (refused.status_code, refused.json()["field"]) == (400, f"records[0].{field}")
    endless = json.dumps({"records": [{**said, "seconds": math.inf}]})
    refused = asked.post("/v1/usage/records", content=endless, headers={"content-type": "application/json"})
    assert (refused.status_code, refused.json()["field"]) == (400, "records[0].seconds")
    rows = asked.get("/v1/usage/summary?by=kind,instance").json()["rows"]
    assert {(row["words"]["instance"], row["totals"]["items"], row["totals"]["calls"]) for row in rows} == {
        (None, 0, 1), ("gpu-1", 1, 0), ("b", 1, 0),
    }  # fmt: skip
    told = asked.get("/?by=kind").text
    page = ReadPage(told)
    assert "0.062 USD of it for 1" in page.texts["card-cost"]
    assert "without-price" not in page.texts, "that list is of models"
    assert page.figures["card-requests"] == [1]
    assert {key: row[-1] for key, row in page.rows["groups"].items()}["uptime|gpu-1"] == Decimal("0.0625")
    assert "1 item whose rate the prices file lacks" in page.texts["trust"]
    assert page.figures["sure"][0] == 1
    assert "sources" not in page.texts
    only = asked.get("/?instance=b").text
    assert "Nothing matches" not in only
    card = ReadPage(only).texts["card-cost"]
    assert card.startswith("Costno price"), "unknown is not zero"
    assert "0.00 USD" not in card


def test_an_item_is_a_call_of_no_library() -> None:
    """What marks it in the ledger is no client library's name."""
    made: Call = item("i", "piece", "x", "y", 1, call().price, 0)  # type: ignore[arg-type]
    assert (made.client, made.request_model, made.answer.model) == (CLIENT, "x", "y")


def test_a_day_with_items_alone_is_charted_and_marked_where_one_has_no_price(ledger: Path) -> None:
    """In the picture and its words; and it has a row in the table beside it and in the CSV."""
    book_three()
    asked = client(ledger)
    whole, calls = (asked.get(f"/?period=all{more}").text for more in ("", "&kind=call"))
    assert ('class="unknown"' in whole, "1 item without a price" in whole) == (True, True)
    assert ('class="unknown"' in calls, "1 item without a price" in calls) == (False, False)
    for kind, cost in (("uptime", "0.062500000"), ("piece", "")):
        (row,) = csv.DictReader(io.StringIO(asked.get(f"/days.csv?period=all&kind={kind}").text))
        assert (row["requests"], row["cost_usd"]) == ("0", cost)
        assert list(ReadPage(asked.get(f"/?period=all&kind={kind}").text).rows["days"]) == [row["day"]]
