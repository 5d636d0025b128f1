"""From a day to its sessions to one call and its price; the table as CSV; budgets and how sure the figures are."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import time
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from costspan.facts.money import ESTIMATED, EXACT, Cost
from costspan.ledger import notes
from costspan.serve.asked import Caller
from costspan.serve.tokens import Tokens
from ledger_calls import UNPRICED, at_ns, call, write
from read_page import ReadPage
from served import client

HOSTILE: Final = '=cmd|"/c calc"!A1,\r\n\u202e<b>'


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Sixty calls of one session, one of another without a price, one that was cut short, one of another account."""
    path = tmp_path / "ledger.db"
    write(
        path,
        *[call(id=f"c{n:02}", started_ns=at_ns("2026-11-20 10:00") + n * 10**9, session="long") for n in range(60)],
        call(id="own-1", session=HOSTILE, model="own", price=UNPRICED),
        call(id="cut", session="cut", price=Cost(1_000_000_001, ESTIMATED), team=None),
        call(id="zeta", started_ns=at_ns("2026-11-21 10:00"), session="theirs", account="zeta"),
    )
    return path


def _link(page: ReadPage, pattern: str) -> str:
    return next(address for address in page.addresses if re.search(pattern, address))


def test_a_day_leads_to_sessions_to_a_call_to_its_price(ledger: Path) -> None:
    """By links alone."""
    asked = client(ledger)
    month = ReadPage(asked.get("/?period=2026-11").text)
    day = ReadPage(asked.get(_link(month, r"period=2026-11-20&by=session")).text)
    assert set(day.rows["groups"]) > {"long", "cut", "Total"}
    session = ReadPage(asked.get(_link(day, r"by=call&session=long")).text)
    assert (session.figures["card-requests"], len(session.rows["calls"])) == ([60], 50)
    rest = ReadPage(asked.get(_link(session, "after=")).text)
    assert list(rest.rows["calls"]) == [f"2026-11-20 10:00:0{n}" for n in range(9, -1, -1)]
    assert rest.rows["calls"]["2026-11-20 10:00:00"] == [812, 96, Decimal("0.000695400")]
    one = ReadPage(asked.get(_link(rest, "id=c00")).text)
    assert "session session-1" not in one.texts["call"]
    assert "session long" in one.texts["call"]
    assert "0.000695400 USD, exact" in one.texts["call"]
    assert "cache_read" in one.texts["steps"]


def test_a_call_of_another_is_not_there(ledger: Path) -> None:
    """Neither for a token of another account, nor one by the beginning of its id, nor one without an id."""
    token = "a-token-of-acme-0123456789"
    digest = hashlib.sha256(token.encode()).hexdigest()
    asked = client(ledger, tokens=Tokens({digest: Caller("portal", {"account": "acme"})}))
    asked.headers["Authorization"] = f"Bearer {token}"
    assert asked.get("/call?id=c00").status_code == 200
    assert [asked.get(f"/call?id={name}").status_code for name in ("zeta", "c0", "nobody", "")] == [404] * 4
    assert asked.get("/usage.csv?account=zeta").status_code == 403
    assert "zeta" not in asked.get("/?period=all&by=call").text + asked.get("/usage.csv?period=all&by=account").text
    assert client(ledger.with_name("none.db")).get("/call?id=c00").status_code == 404


def test_the_rows_come_as_csv(ledger: Path) -> None:
    """Those of the screen; no name is a formula, and a cost that nobody knows is empty."""
    asked = client(ledger)
    page = ReadPage(asked.get("/?period=2026-11&by=session").text)
    told = asked.get(_link(page, r"^/usage\.csv"))
    assert told.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(told.text, newline="")))
    assert {row["session"]: row["requests"] for row in rows} == {
        "long": "60",
        "cut": "1",
        "theirs": "1",
        f"'{HOSTILE}": "1",
    }
    assert {row["session"]: row["cost_usd"] for row in rows}[f"'{HOSTILE}"] == ""
    assert sum(Decimal(row["cost_usd"] or 0) for row in rows) == page.figures["card-cost"][0]
    calls = ReadPage(asked.get("/?period=2026-11&by=call&team=search").text)
    exported = list(csv.DictReader(io.StringIO(asked.get(_link(calls, "/v1/export")).text, newline="")))
    assert len(exported) == 62


def test_the_days_come_as_csv(ledger: Path) -> None:
    """Those of the table behind the chart, weeks where the bars are weeks."""
    asked = client(ledger)
    for period, step, name in (("2026-11", "day", "2026-11-20"), ("2026", "week", "2026-11-16")):
        page = ReadPage(asked.get(f"/?period={period}&team=search").text)
        told = asked.get(_link(page, r"^/days\.csv"))
        assert told.headers["content-disposition"] == f'attachment; filename="{step}s.csv"'
        rows = list(csv.DictReader(io.StringIO(told.text, newline="")))
        assert len(rows) == len(page.rows["days"])
        assert rows[0][step] == name
        assert sum(int(row["requests"]) for row in rows) == page.figures["card-requests"][0] == 62
        assert sum(Decimal(row["cost_usd"]) for row in rows) == page.figures["card-cost"][0]


def test_what_is_not_counted_is_told_to_whoever_sees_all_of_their_own(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing has been counted so far; not to an account, and not with the ledger of somebody else."""
    monkeypatch.setenv("XDG_DATA_HOME", str(ledger.parent))
    notes.leave(notes.UNWATCHED, "replicate", library="replicate", version="1.0.7")
    said = "calls made with replicate 1.0.7, which is not watched"
    for place in (ledger, ledger.with_name("none.db")):
        assert said in ReadPage(client(place, is_own=True).get("/").text).texts["not-counted"]
        assert "not-counted" not in ReadPage(client(place).get("/").text).texts
    token = "a-token-of-acme-0123456789"
    digest = hashlib.sha256(token.encode()).hexdigest()
    asked = client(ledger, is_own=True, tokens=Tokens({digest: Caller("portal", {"account": "acme"})}))
    asked.headers["Authorization"] = f"Bearer {token}"
    assert "not-counted" not in ReadPage(asked.get("/").text).texts


def test_how_sure_the_figures_are_is_told(ledger: Path) -> None:
    """Calls by the quality of their amounts, calls without a word, files that wait."""
    ledger.with_name(f"{ledger.name}-unsaved-1.jsonl").touch()
    page = ReadPage(client(ledger).get("/?period=2026-11").text)
    said = [" ".join(line.split()) for line in page.texts["sure"].splitlines() if line.strip()]
    assert said[:4] == ["1 estimated", "61 exact", "1 unpriced", "1 without team"]
    assert "Estimated: 1.00 USD" in page.texts["trust"]


def test_budgets_stand_on_the_page(ledger: Path) -> None:
    """What is spent, of which limit; nothing where the server has none."""
    budgets = ledger.with_name("budgets.yaml")
    budgets.write_text("time_zone: UTC\nbudgets:\n  - {name: all-of-it, period: month, limit_usd: 50, owner: us}\n")
    page = ReadPage(client(ledger, budgets=budgets).get("/").text)
    assert f"all-of-it {time.strftime('%Y-%m', time.gmtime())}" in page.texts["budgets"]
    assert "of 50 USD" in page.texts["budgets"]
    assert "budgets" not in ReadPage(client(ledger).get("/").text).texts


def _with_budgets(folder: Path, nano_usd: int, *budgets: str) -> ReadPage:
    """The page over one call of just now that cost so much, with these budgets."""
    file, path = folder / "budgets.yaml", folder / "now.db"
    file.write_text("time_zone: UTC\nbudgets:\n" + "".join(f"  - {{{each}, owner: us}}\n" for each in budgets))
    write(path, call(started_ns=int(time.time() * 1e9), price=Cost(nano_usd, EXACT)))
    return ReadPage(client(path, budgets=file).get("/").text)


def test_the_month_stands_against_the_budget_of_which_most_is_used(tmp_path: Path) -> None:
    """Of those in USD, by the month."""
    page = _with_budgets(
        tmp_path,
        250_000_000,
        "name: wide, period: month, limit_usd: 50",
        "name: tight, period: month, limit_usd: 0.5, scope: {team: search}",
        "name: tokens, period: month, limit_tokens: 1",
        "name: today, period: day, limit_usd: 0.001",
    )
    card = page.texts["card-month"]
    assert "0.25 of the 0.50 USD of tight" in card
    assert "projected" in card
    assert "wide" not in card


def test_small_budgets_are_readable(tmp_path: Path) -> None:
    """USD below a cent have their digits, and tokens are whole."""
    page = _with_budgets(
        tmp_path,
        4_470_000,
        "name: small, period: month, limit_usd: 0.004",
        "name: tokens, period: month, limit_tokens: 5000",
    )
    assert "0.0045 of the 0.0040 USD of small" in page.texts["card-month"]
    assert "0.0045 of 0.0040 USD" in page.texts["budgets"]
    assert re.search(r" of 5,000 tokens(, projected [\d,]+)?\s", page.texts["budgets"] + " ")


@pytest.mark.parametrize("query", ["by=call&after=x", "by=call&after=1-x"])
def test_a_place_that_is_none_is_named(ledger: Path, query: str) -> None:
    """400, with the field."""
    told = client(ledger).get(f"/?{query}")
    assert (told.status_code, "after=" in told.text) == (400, True)
