"""What a program asks the ledger: the same figures as the command line's, as values; bad questions are refused."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import openai
import pytest
from click.testing import CliRunner

import costspan
from costspan.cli.commands import costspan as command
from costspan.facts.money import INCOMPLETE, Cost
from costspan.ledger.faults import LedgerError
from costspan.ledger.store import Store
from costspan.ledger.writer import LedgerWriter
from ledger_calls import COST, UNPRICED, at_ns, call, two_teams, write
from provider import Provider
from watching import Watched

#: What one call of ledger_calls costs.
ONE: Final = Decimal("0.000695400")
NOBODY: Final[dict[str, Any]] = {"account": None, "team": None}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The calls of two teams."""
    return two_teams(tmp_path / "ledger.db")


def test_the_totals_are_those_of_the_command_line(ledger: Path) -> None:
    """Each figure of `costspan usage --json`, by every word."""
    usage = costspan.usage(ledger=ledger)
    for word in ("session", "task_type", "source", "team", "account", "provider", "model", "quality", "day", "month"):
        told = CliRunner().invoke(command, ["usage", "--by", word, "--ledger", str(ledger), "--json"])
        rows = json.loads(told.stdout)["rows"]
        found = usage.by(word)
        assert [row.words[word] for row in found] == [row[word] for row in rows]
        for row, text in zip(found, rows, strict=True):
            assert row.totals.calls == text["requests"]
            assert row.totals.input_tokens == text["input_tokens"]
            assert row.totals.cost_usd == Decimal(text["cost_usd"] or 0)
            assert row.totals.unpriced_calls == text["unpriced_requests"]
    total = usage.total()
    assert (total.calls, total.cost_usd) == (4, 2 * ONE + Decimal("1.000000001"))
    assert (total.estimated_usd, total.unpriced_calls, total.is_lower_bound) == (Decimal("1.000000001"), 1, True)
    assert not usage.total("2026-11-03").is_lower_bound


def test_words_choose_calls_to_the_letter(ledger: Path) -> None:
    """A value, none, several of which either is meant; the command line's filters beside them."""

    def calls(**words: Any) -> int:
        return costspan.usage(ledger=ledger, **words).total().calls

    assert [calls(team=team) for team in ("Search", "search", "ads", "*", ["Search", "ads"])] == [1, 1, 2, 0, 3]
    assert (calls(account=None), calls(account="acme"), calls(account="acme", team="ads")) == (1, 3, 2)
    assert (calls(where="team=SEARCH"), calls(where=["team=a*", "model=own"]), calls(where="account!=")) == (2, 1, 3)
    assert (calls(model="own"), calls(quality="unpriced"), calls(session=UUID(int=0))) == (1, 1, 0)


def test_days_are_those_of_the_zone_and_have_no_gaps(ledger: Path) -> None:
    """A call of half past eleven in the evening is of the next day in Berlin."""
    usage = costspan.usage(ledger=ledger)
    assert [(day.day, day.totals.calls) for day in usage.daily("2026-11-03..2026-11-06")] == [
        (date(2026, 11, number), calls) for number, calls in ((3, 1), (4, 0), (5, 3), (6, 0))
    ]
    for zone in ("Europe/Berlin", ZoneInfo("Europe/Berlin")):
        days = costspan.usage(ledger=ledger, time_zone=zone).daily("2026-11-03..2026-11-05")
        assert [day.totals.calls for day in days] == [0, 1, 3]
    today = datetime.now(timezone.utc).date()
    assert usage.daily()[-1].day == today
    assert [day.day for day in usage.daily("7d")] == [today - timedelta(days=back) for back in range(6, -1, -1)]


def test_records_come_in_pages_the_newest_first(tmp_path: Path) -> None:
    """Each once, whatever the size of a page, though many began at the same moment and others are booked meanwhile."""
    path = tmp_path / "ledger.db"
    made = [
        call(id=f"{number:03}", response_id=None, started_ns=at_ns("2026-11-05 08:00") + number // 7)
        for number in range(50)
    ]
    write(path, *made, call(team="ads"))
    usage = costspan.usage(ledger=path, team="search")
    whole = [one.id for one in usage.records()]
    assert whole == [one.id for one in reversed(made)]
    for size in (1, 7, 49, 50, 51):
        found, after = list[str](), None
        for _ in range(60):  # more pages than there are records, should one come again
            page = usage.records(limit=size, after=after)
            assert 0 < len(page) <= size
            found += [one.id for one in page]
            if not found[size:]:
                write(path, call(id=f"new{size}", response_id=None, started_ns=at_ns("2026-11-06 08:00")))
            if page.next is None:
                break
            after = page.next
        assert [one for one in found if "new" not in one] == whole


def test_a_record_has_everything_that_is_known(tmp_path: Path) -> None:
    """Its moment in UTC, the words, the counts by kind, an exact amount; None for what nobody knows."""
    path = tmp_path / "ledger.db"
    write(path, call(id="a"), call(id="b", price=UNPRICED, usage=None, response_id=None, **NOBODY))
    unknown, known = costspan.usage(ledger=path).records()
    assert (known.started_at, known.cost_usd) == (datetime(2026, 11, 20, 12, tzinfo=timezone.utc), ONE)
    assert (known.session, known.team, known.is_stream, known.request_model) == (
        "session-1",
        "search",
        False,
        "gpt-5.4-mini",
    )
    assert dict(known.units) == {"input": 812, "output": 96, "cache_read": 512, "reasoning": 32}
    assert (unknown.cost_usd, unknown.account, dict(unknown.units), unknown.unpriced_reason) == (
        None,
        None,
        {},
        "unknown_model",
    )
    assert costspan.usage(ledger=path).last_used() == known.started_at


def test_a_threshold_for_the_month_says_when_it_is_passed(tmp_path: Path) -> None:
    """True up to the very amount, False above it; calls of other months and other teams do not count."""
    path, now_ns = tmp_path / "ledger.db", int(datetime.now(timezone.utc).timestamp()) * 10**9
    write(
        path, call(started_ns=now_ns), call(started_ns=now_ns, team="ads"), call(started_ns=at_ns("2025-01-01 00:00"))
    )
    usage = costspan.usage(ledger=path, team="search")
    assert usage.within(month_usd=ONE)
    assert usage.within(month_usd=1)
    assert usage.within(month_usd="0.0006954")
    assert not usage.within(month_usd=0.000695)
    assert not usage.within(month_usd=0)
    assert usage.this_month().calls == 1


def test_what_was_lost_makes_a_lower_bound(tmp_path: Path) -> None:
    """So does a price for a part."""
    path = tmp_path / "ledger.db"
    write(path, call(price=Cost(5, INCOMPLETE)))
    assert costspan.usage(ledger=path).total().is_lower_bound
    writer = LedgerWriter(path)
    writer.lose([call(price=COST)], "for a test")
    writer.take([call(response_id=None)])
    writer.close()
    total = costspan.usage(ledger=path).total()
    assert (total.lost_calls, total.lost_usd) == (1, ONE)


def test_a_ledger_that_is_not_there_yet_has_no_calls(tmp_path: Path) -> None:
    """And is not made by asking."""
    usage = costspan.usage(ledger=tmp_path / "none.db")
    assert (usage.total().calls, usage.by("team"), usage.daily(), usage.last_used()) == (0, (), (), None)
    assert (len(usage.records()), usage.within(month_usd=0)) == (0, True)
    assert list(tmp_path.iterdir()) == []


MISTAKEN: Final[list[tuple[Callable[[Path], object], str]]] = [
    (lambda at: costspan.usage(teem="x", ledger=at), r"teem='x'.*session, task_type.*did you mean team"),
    (lambda at: costspan.usage(day="2026-11-05", ledger=at), "day='2026-11-05'.*session, task_type"),
    (lambda at: costspan.usage(team=[], ledger=at), r"team=\[\].*expected a value"),
    (lambda at: costspan.usage(team=1.5, ledger=at), "team=1.5.*expected a text"),
    (lambda at: costspan.usage(where="teem=x", ledger=at), "'teem=x' is no filter.*session, task_type"),
    (lambda at: costspan.usage(time_zone="Berlin", ledger=at), "'Berlin' is no known time zone"),
    (lambda at: costspan.usage(ledger=at).by("teem"), "'teem' is nothing to group by: expected session.*mean team"),
    (lambda at: costspan.usage(ledger=at).by("team", top=0), "top=0: expected a number from 1 on"),
    (lambda at: costspan.usage(ledger=at).total("this-mnth"), "'this-mnth' is no period: expected today"),
    (lambda at: costspan.usage(ledger=at).daily("tomorrow"), "'tomorrow' is no period"),
    (lambda at: costspan.usage(ledger=at).records(limit=0), "limit=0: expected a number from 1 to 1000"),
    (lambda at: costspan.usage(ledger=at).records(limit=1001), "limit=1001"),
    (lambda at: costspan.usage(ledger=at).records(after="x' OR 1"), "expected what came as `next`"),
    (lambda at: costspan.usage(ledger=at).records(after="9" * 19 + "-1"), "is no place in a list"),
    (lambda at: costspan.usage(ledger=at).within(month_usd="much"), "month_usd='much': expected an amount"),
    (lambda at: costspan.usage(ledger=at).within(month_usd=float("nan")), "month_usd=nan"),
    (lambda at: costspan.usage(ledger=at).within(month_usd=-1), "month_usd=-1: expected an amount"),
]


@pytest.mark.parametrize(("ask", "told"), MISTAKEN, ids=[told for _, told in MISTAKEN])
def test_a_mistaken_question_is_refused(ask: Callable[[Path], object], told: str, ledger: Path) -> None:
    """The error names what was said and what was expected; never another answer."""
    with pytest.raises(ValueError, match=told):
        ask(ledger)


def test_a_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """With the file and what is wrong."""
    path = tmp_path / "ledger.db"
    path.write_text("no database at all, but a text of some length")
    for ask in (lambda: costspan.usage(ledger=path).total(), lambda: costspan.usage(ledger=path).records()):
        with pytest.raises(LedgerError, match=r"ledger\.db cannot be read"):
            ask()


def test_a_name_is_a_value_and_no_sql(ledger: Path) -> None:
    """Session ids are chosen by strangers."""
    for name in ("' OR 1=1 --", '"; DROP TABLE records; --', "a*", "%"):
        assert costspan.usage(ledger=ledger, session=name).total().calls == 0
    with Store.read(ledger) as store:
        assert store.select("SELECT COUNT(*) FROM records") == [(4,)]


def test_the_programs_own_calls_are_in_the_answer(provider: Provider, tmp_path: Path) -> None:
    """At once, with the ledger and the zone that it was started with; from a task by a thread."""
    with (
        Watched(ledger=str(tmp_path / "own.db"), time_zone="Asia/Tokyo"),
        openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k") as client,
    ):
        spent = Decimal(0)
        for number in range(3):
            with costspan.attribution(session=f"s{number % 2}") as run:
                client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
            assert costspan.usage(session="s0").total().calls == number // 2 + 1
            spent += run.usage.cost_usd
        usage = costspan.usage(session="s0")
        assert costspan.usage().total().cost_usd == spent > usage.total().cost_usd > 0
        assert asyncio.run(asyncio.to_thread(usage.by, "model"))[0].totals == usage.total()
        assert usage.daily()[-1].day == datetime.now(ZoneInfo("Asia/Tokyo")).date()


@pytest.mark.usefixtures("watched")
def test_a_program_whose_calls_are_in_no_ledger_is_told(ledger: Path) -> None:
    """A monitor that looks at an empty ledger would never say stop. Another ledger may be asked all the same."""
    with pytest.raises(LedgerError, match="OTEL_COSTSPAN_LEDGER=on"):
        costspan.usage().within(month_usd=5)
    assert costspan.usage(ledger=ledger).total().calls == 4


@pytest.mark.parametrize(
    ("words", "question"),
    [({"by": "model"}, "by('model')"), ({"period": "7d"}, "total('7d')"), ({"top": 3}, "by('model', top=3)")],
)
def test_a_question_that_was_asked_as_a_filter_is_told(words: dict[str, Any], question: str) -> None:
    """As people try it from the options of the command line."""
    with pytest.raises(ValueError, match=re.escape(f"costspan.usage().{question}")):
        costspan.usage(**words)


def test_what_can_be_asked_is_seen_in_a_notebook(tmp_path: Path) -> None:
    """The object by itself says which calls it is about and what to ask."""
    shown = repr(costspan.usage(ledger=tmp_path / "ledger.db", team="search"))
    assert shown.startswith("<UsageQuery of team==search: ask .total()")
    assert "of all calls" in repr(costspan.usage(ledger=tmp_path / "ledger.db"))
