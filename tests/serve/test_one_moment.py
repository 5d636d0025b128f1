"""An answer is of one moment: what is booked while it is made is in none of its figures, or in all."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest

from costspan.budgets import status
from costspan.ledger.store import Store
from costspan.report import moment, usage
from ledger_calls import call, write
from read_page import ReadPage
from served import client

#: What the clock of the server shows: a day and a month that do not end while a test runs.
NOW_S: Final = datetime(2026, 11, 20, 12, tzinfo=timezone.utc).timestamp()
NOW_NS: Final = int(NOW_S) * 10**9
BUDGETS: Final = """
budgets:
  - {name: whole, period: month, limit_usd: 100}
"""


@pytest.fixture
def writing(tmp_path: Path) -> Any:
    """A ledger of three calls, to which each question adds one before it is answered; the path, and what opened it."""
    path = tmp_path / "ledger.db"
    write(path, *[call(started_ns=NOW_NS, team=team) for team in ("search", "ads", None)])
    real, opened = usage.cover.source, mock.Mock(side_effect=Store.read)

    def slowly(store: Store, wanted: Any) -> Any:
        write(path, call(started_ns=NOW_NS, team="late", source="heartbeat"))
        return real(store, wanted)

    with (
        mock.patch.object(usage.cover, "source", slowly),
        mock.patch.object(status.cover, "source", slowly),
        mock.patch.object(Store, "read", opened),
        mock.patch.object(moment, "time", mock.Mock(time=lambda: NOW_S)),
    ):
        yield path, opened


def test_the_page_is_of_one_moment(writing: Any, tmp_path: Path) -> None:
    """Cards, tables, lists, trust and budgets count the three calls that were there; the ledger is opened once."""
    path, opened = writing
    budgets = tmp_path / "budgets.yaml"
    budgets.write_text(BUDGETS)
    told = client(path, budgets=budgets).get("/?period=today&by=team").text
    page = ReadPage(told)
    assert opened.call_count == 1
    assert "late" not in told
    assert (page.figures["card-requests"][0], page.figures["card-month"][-1]) == (3, 3)
    of_days, of_groups = (sum(row[0] for row in page.rows[name].values()) for name in ("days", "groups"))
    assert (of_days, of_groups, page.figures["sure"][0]) == (3, 2 * 3, 3)  # groups have a row for the total


def test_an_answer_of_the_api_is_of_one_moment(writing: Any) -> None:
    """Sums of this month and of all time, outcomes and qualities are those of the same calls."""
    path, opened = writing
    asked = client(path)
    stats = asked.get("/v1/stats?period=all").json()
    assert opened.call_count == 1
    counts = [sum(row["totals"]["calls"] for row in stats[name]) for name in ("outcomes", "qualities")]
    assert counts == [stats["total"]["calls"]] * 2
    tokens = asked.get("/v1/usage/tokens").json()
    assert tokens["this_month"] == tokens["all_time"]
    assert tokens["all_time"]["calls"] > 3, "the next answer has its own moment"


def test_what_is_asked_again_at_one_moment_is_summed_up_once(tmp_path: Path) -> None:
    """For the table, the cards and the lists of the page, and for what the cache saved; days of another zone are another question."""
    path = tmp_path / "ledger.db"
    write(path, call(started_ns=NOW_NS), call(started_ns=NOW_NS + 11 * 3_600 * 10**9))
    made: list[str] = []
    real = Store.select

    def select(store: Store, sql: str, values: Any = ()) -> Any:
        made.append(f"{sql.partition(' AS ')[2]} {values}" if sql.startswith("CREATE TABLE temp.kept") else "")
        return real(store, sql, values)

    with mock.patch.object(Store, "select", select), mock.patch.object(moment, "time", mock.Mock(time=lambda: NOW_S)):
        assert client(path).get("/?period=this-month").status_code == 200
        sums = [sql for sql in made if " AS s0" in sql]
        assert len(sums) == len({*sums}) > 5
    with Store.read(path) as store, store.at_one_moment():
        days = [
            [row.key[0] for row in usage.ask(store, usage.Question(("day",), zone=zone), NOW_S).rows]
            for zone in (timezone.utc, timezone(timedelta(hours=2)))
        ]
    assert days == [["2026-11-20"], ["2026-11-20", "2026-11-21"]]
