"""report/: what was used and what it cost, as rows, text, JSON and CSV; sums are the ledger's to the nano-USD."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costspan.facts.call import Call
from costspan.facts.money import EXACT, Cost, Unpriced
from costspan.facts.periods import Periods
from costspan.facts.usage import Usage
from costspan.ledger.columns import COLUMNS
from costspan.ledger.store import Store
from costspan.report import Page, Question, Report, ask, summary
from costspan.report import period as periods
from costspan.report.amounts import average_usd, decimals_for, percent, share, short_usd, usd, usd_each
from costspan.report.as_data import write_csv, write_json
from costspan.report.as_text import show
from costspan.report.usage import NO_RECORDS, NOTHING, OK, Totals
from costspan.report.words import WORDS, filters
from ledger_calls import at_ns, call, write

UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
NOW_S = at_ns("2026-11-22 10:00") / 1e9


def priced(cents: int, **changed: Any) -> Call:
    """A call of so many cents and ten tokens in, one out."""
    usage = changed.pop("usage", Usage(input=10, output=1))
    quality = changed.pop("quality", EXACT)
    return call(price=Cost(cents * 10_000_000, quality), usage=usage, **changed)


CALLS = [
    priced(500, model="opus", team="search", started_ns=at_ns("2026-11-01 00:00")),
    priced(300, model="opus", team="ads", started_ns=at_ns("2026-11-21 23:30")),
    priced(100, model="haiku", team="search", source="heartbeat", started_ns=at_ns("2026-11-22 09:00")),
    priced(50, model="haiku", team=None, quality="estimated", outcome="abandoned", started_ns=at_ns("2026-10-31 23:59")),
    priced(25, model="haiku", team=None, quality="incomplete", started_ns=at_ns("2026-10-31 22:59")),
    call(model="own", price=Unpriced("unknown_model"), usage=Usage(input=7, output=3), started_ns=at_ns("2026-11-22 08:00")),
    call(model=None, request_model="gone", price=None, usage=None, outcome="error", started_ns=at_ns("2026-11-20 08:00")),
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterable[Store]:
    path = tmp_path_factory.mktemp("report") / "ledger.db"
    write(path, *CALLS)
    with Store.read(path) as store:
        yield store


def asked(store: Store, by: str = "", where: str = "", when: str = "all", zone: Any = UTC) -> Report:
    period = periods.parse(when, zone, NOW_S)
    return ask(store, Question(tuple(by.split()), filters(where.split()), period, zone), NOW_S)


ROWS: list[tuple[str, str, str, Any, list[Any]]] = [
    # by              where                    when                      zone    rows: key, requests, cents
    ("",              "",                      "all",                    UTC,    [((), 7, 975)]),
    ("model",         "",                      "all",                    UTC,    [(("opus",), 2, 800), (("haiku",), 3, 175),
                                                                                  (("own",), 1, 0), (("gone",), 1, 0)]),
    ("team",          "",                      "all",                    UTC,    [(("search",), 4, 600), (("ads",), 1, 300),
                                                                                  ((None,), 2, 75)]),
    ("quality",       "",                      "all",                    UTC,    [(("exact",), 3, 900), (("estimated",), 1, 50),
                                                                                  (("incomplete",), 1, 25), (("unpriced",), 1, 0),
                                                                                  ((None,), 1, 0)]),
    ("outcome",       "",                      "all",                    UTC,    [(("ok",), 5, 925), (("abandoned",), 1, 50),
                                                                                  (("error",), 1, 0)]),
    ("team model",    "team=search team=ads",  "this-month",             UTC,    [(("search", "opus"), 1, 500), (("ads", "opus"), 1, 300),
                                                                                  (("search", "haiku"), 1, 100), (("search", "own"), 1, 0),
                                                                                  (("search", "gone"), 1, 0)]),
    ("model",         "team=",                 "all",                    UTC,    [(("haiku",), 2, 75)]),
    ("model",         "model=*u* source=heartbeat", "all",               UTC,    [(("haiku",), 1, 100)]),
    ("",              "model=[ho]*",           "all",                    UTC,    []),
    ("source",        "",                      "today",                  UTC,    [(("heartbeat",), 1, 100), (("main_agent",), 1, 0)]),
    ("",              "model=OPUS source!=*AGENT", "all",                UTC,    []),
    ("model",         "Model=OPUS model=Ha*",  "all",                    UTC,    [(("opus",), 2, 800), (("haiku",), 3, 175)]),
    ("model",         "model==OPUS",           "all",                    UTC,    []),
    ("model",         "model!==OPUS model!==opus", "all",                UTC,    [(("haiku",), 3, 175), (("own",), 1, 0), (("gone",), 1, 0)]),
    ("model",         "model==haik*",          "all",                    UTC,    []),
    ("model",         "model!=OP* model!=own", "all",                    UTC,    [(("haiku",), 3, 175), (("gone",), 1, 0)]),
    ("team",          "team!=ads",             "all",                    UTC,    [(("search",), 4, 600), ((None,), 2, 75)]),
    ("team",          "team!= team!=ADS",      "all",                    UTC,    [(("search",), 4, 600)]),
    ("unpriced_reason", "quality=unpriced",    "all",                    UTC,    [(("unknown_model",), 1, 0)]),
    ("week",          "",                      "all",                    UTC,    [(("2026-10-26",), 3, 575), (("2026-11-16",), 4, 400)]),
    ("month",         "",                      "all",                    UTC,    [(("2026-10",), 2, 75), (("2026-11",), 5, 900)]),
    ("month",         "",                      "all",                    BERLIN, [(("2026-10",), 1, 25), (("2026-11",), 6, 950)]),
    ("day",           "model=opus",            "all",                    UTC,    [(("2026-11-01",), 1, 500), (("2026-11-21",), 1, 300)]),
    ("day",           "model=opus",            "all",                    BERLIN, [(("2026-11-01",), 1, 500), (("2026-11-22",), 1, 300)]),
    ("hour",          "",                      "yesterday",              UTC,    [(("2026-11-21T23:00Z",), 1, 300)]),
    ("hour",          "",                      "2026-11-22",             BERLIN, [(("2026-11-22T00:00+01:00",), 1, 300),
                                                                                  (("2026-11-22T09:00+01:00",), 1, 0),
                                                                                  (("2026-11-22T10:00+01:00",), 1, 100)]),
    ("model day",     "",                      "last-month",             UTC,    [(("haiku", "2026-10-31"), 2, 75)]),
    ("",              "",                      "last-month",             BERLIN, [((), 1, 25)]),
]  # fmt: skip


@pytest.mark.parametrize(("by", "where", "when", "zone", "rows"), ROWS)
def test_rows(store: Store, by: str, where: str, when: str, zone: Any, rows: list[Any]) -> None:
    """Calls are grouped by any words, filtered by any, in any period and time zone, the dearest (or the first) first."""
    report = asked(store, by, where, when, zone)
    found = [(row.key, row.totals.requests, row.totals.nano_usd / 10_000_000) for row in report.rows]
    assert found == rows
    assert report.total.nano_usd == sum(row.totals.nano_usd for row in report.rows)


STATES = [
    # where            when          state
    ("",               "all",        OK),
    ("team=nobody",    "all",        NOTHING),
    ("",               "2025",       NOTHING),
    ("model=own",      "all",        OK),
]  # fmt: skip


@pytest.mark.parametrize(("where", "when", "state"), STATES)
def test_nothing_found_is_told_apart(store: Store, where: str, when: str, state: str) -> None:
    """An answer without rows says whether there are records outside of its filters."""
    assert asked(store, "model", where, when).state == state


def test_an_empty_ledger_is_a_state_of_its_own(tmp_path: Path) -> None:
    """A ledger without a record is neither a missing one nor filters that miss."""
    Store.open(tmp_path / "ledger.db").close()
    with Store.read(tmp_path / "ledger.db") as store:
        assert asked(store, "model").state == NO_RECORDS


def test_unknown_is_not_zero(store: Store) -> None:
    """What has no price is counted apart, names its models, and makes the cost a lower bound."""
    report = asked(store)
    assert (report.total.unpriced_requests, report.total.unpriced_tokens) == (1, 10)
    assert [tuple(one) for one in report.unpriced] == [("openai", "own", "unknown_model", 1, 10)]
    assert report.total.is_lower_bound
    own = asked(store, where="model=own").total
    assert (own.has_price, own.is_lower_bound) == (False, True)
    failed = asked(store, where="outcome=error").total
    assert (failed.has_price, failed.is_lower_bound) == (True, False)


def test_estimated_and_incomplete_parts_are_told(store: Store) -> None:
    """The parts of the cost that are no final word stand beside it."""
    total = asked(store).total
    assert (total.estimated_nano_usd, total.incomplete_nano_usd) == (500_000_000, 250_000_000)


DAYS = [
    # when                        days
    ("all",                       23),
    ("this-month",                22),
    ("last-month",                31),
    ("today",                     1),
    ("7d",                        7),
    ("2026-11-03..2026-11-10",    8),
    ("2026-11-22..",              1),
    ("..2026-11-10",              11),
    ("2027",                      1),
]  # fmt: skip


@pytest.mark.parametrize(("when", "days"), DAYS)
def test_averages_go_over_the_days_that_have_begun(store: Store, when: str, days: int) -> None:
    """Days of the period to come are not days without use; an open period begins with the first record."""
    assert asked(store, when=when).days == days


PERIODS = [
    # text                     zone    from                 to
    ("all",                    UTC,    None,                None),
    ("today",                  UTC,    "2026-11-22 00:00",  "2026-11-23 00:00"),
    (" Today ",                BERLIN, "2026-11-21 23:00",  "2026-11-22 23:00"),
    ("yesterday",              UTC,    "2026-11-21 00:00",  "2026-11-22 00:00"),
    ("this-month",             BERLIN, "2026-10-31 23:00",  "2026-11-30 23:00"),
    ("last-month",             BERLIN, "2026-09-30 22:00",  "2026-10-31 23:00"),
    ("2026",                   UTC,    "2026-01-01 00:00",  "2027-01-01 00:00"),
    ("2026-12",                UTC,    "2026-12-01 00:00",  "2027-01-01 00:00"),
    ("2026-10-25",             BERLIN, "2026-10-24 22:00",  "2026-10-25 23:00"),
    ("2026-03-29",             BERLIN, "2026-03-28 23:00",  "2026-03-29 22:00"),
    ("2026-11-03..2026-11-10", UTC,    "2026-11-03 00:00",  "2026-11-11 00:00"),
    ("2026-09..2026-10",       UTC,    "2026-09-01 00:00",  "2026-11-01 00:00"),
    ("2026-11-03..",           UTC,    "2026-11-03 00:00",  None),
    ("..2026-11-03",           UTC,    None,                "2026-11-04 00:00"),
    ("1d",                     UTC,    "2026-11-22 00:00",  "2026-11-23 00:00"),
    ("30d",                    BERLIN, "2026-10-23 22:00",  "2026-11-22 23:00"),
    ("24h",                    BERLIN, "2026-11-21 10:00",  None),
    ("this-week",              BERLIN, "2026-11-15 23:00",  "2026-11-22 23:00"),
    ("last-week",              UTC,    "2026-11-09 00:00",  "2026-11-16 00:00"),
    ("2026-W44",               BERLIN, "2026-10-25 23:00",  "2026-11-01 23:00"),
    ("2026-w43",               BERLIN, "2026-10-18 22:00",  "2026-10-25 23:00"),
    ("2026-11-03T10:00..2026-11-03T12:30", BERLIN, "2026-11-03 09:00", "2026-11-03 11:30"),
    ("2026-11-03T10:00Z..2026-11-04", BERLIN, "2026-11-03 10:00", "2026-11-04 23:00"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "zone", "start", "end"), PERIODS)
def test_periods(text: str, zone: Any, start: str | None, end: str | None) -> None:
    """A period begins and ends where the calendar of its time zone says, on days of 23 and 25 hours too."""
    found = periods.parse(text, zone, NOW_S)
    assert (found.start_ns, found.end_ns) == (start and at_ns(start), end and at_ns(end))


BETWEEN = [
    # since                    until                  from                 to
    ("2026-11-03",             None,                  "2026-11-03 00:00",  None),
    (None,                     "2026-11-03",          None,                "2026-11-04 00:00"),
    ("7d",                     "yesterday",           "2026-11-16 00:00",  "2026-11-22 00:00"),
    ("14d",                    "7d",                  "2026-11-09 00:00",  "2026-11-16 00:00"),
    ("last-month",             "2026-11",             "2026-10-01 00:00",  "2026-12-01 00:00"),
    ("2026-W46",               "this-week",           "2026-11-09 00:00",  "2026-11-23 00:00"),
    ("2026-11-03 14:30",       "2026-11-03T15:00+01:00", None,             None),
    ("2026-11-03T14:30:00Z",   "2026-11-03T16:00+01:00", "2026-11-03 14:30", "2026-11-03 15:00"),
]  # fmt: skip


@pytest.mark.parametrize(("since", "until", "start", "end"), BETWEEN)
def test_since_and_until(since: str | None, until: str | None, start: str | None, end: str | None) -> None:
    """From the beginning of one day, week, month or time to the end of another; not the other way round."""
    if start is end:
        with pytest.raises(ValueError, match="it ends before it begins"):
            periods.between(since, until, UTC, NOW_S)
        return
    found = periods.between(since, until, UTC, NOW_S)
    assert (found.start_ns, found.end_ns) == (start and at_ns(start), end and at_ns(end))


@pytest.mark.parametrize("text", ["", "soon", "all", "2026-11-3", "2026-11-03T25:00", "2026-W54", "..2026", "0d"])
def test_a_mistaken_time_is_refused(text: str) -> None:
    """The sentence names what was given and what is expected."""
    with pytest.raises(ValueError, match="is no time: expected a day"):
        periods.between(text, None, UTC, NOW_S)


@pytest.mark.parametrize(
    "text", ["", "..", "soon", "2026-13", "2026-02-30", "2026-11-3", "0d", "7w", "2026-11-10..2026-11-03", "999999d", "9999", "2026-W54", "2026-11-03T14:30", "2026-11-03t"]
)  # fmt: skip
def test_a_mistaken_period_is_refused(text: str) -> None:
    """The sentence names what was given and what is expected."""
    with pytest.raises(ValueError, match=r"is no period: (expected today, yesterday|it ends before)"):
        periods.parse(text, UTC, NOW_S)


@pytest.mark.parametrize("text", ["", "team", "=x", "team:x", "day=2026-11-03", "colour=red"])
def test_a_mistaken_filter_is_refused(text: str) -> None:
    """The sentence names the words there are."""
    with pytest.raises(
        ValueError, match="is no filter: expected WORD=VALUE or WORD!=VALUE, the word one of session, task_type"
    ):
        filters([text])


AMOUNTS = [
    # nano-USD           exact                  in a column of      short
    (0,                  "0.000000000",         1_000_000_000_000,  "0.00"),
    (1,                  "0.000000001",         1_000_000_000_000,  "<0.01"),
    (1,                  "0.000000001",         5,                  "<0.000001"),
    (695_400,            "0.000695400",         695_400,            "0.000695"),
    (1_234_567_891_235,  "1234.567891235",      1_234_567_891_235,  "1,234.57"),
    (12_345_000_000,     "12.345000000",        12_345_000_000,     "12.3450"),
    (2**63,              "9223372036.854775808", 2**63,             "9,223,372,036.85"),
]  # fmt: skip


@pytest.mark.parametrize(("nano_usd", "exact", "largest", "short"), AMOUNTS)
def test_amounts(nano_usd: int, exact: str, largest: int, short: str) -> None:
    """Text for machines is exact; text for people is rounded, and never a zero for what is not."""
    assert (usd(nano_usd), short_usd(nano_usd, decimals_for(largest))) == (exact, short)


AVERAGES = [
    # of nano-USD      for      as people write it
    (8_501_000_000,    5,       "1.70"),
    (250_000_000,      1,       "0.25"),
    (100_000_000,      1,       "0.10"),
    (999_999_999,      1,       "1.00"),
    (8_521_000,        19,      "0.00045"),
    (45_000_000,       1,       "0.045"),
    (99_500_000,       1,       "0.10"),
    (1,                1_000,   "0.0000000000010"),
    (0,                3,       "0.00"),
    (10**18,           3,       "333,333,333.33"),
]  # fmt: skip


@pytest.mark.parametrize(("nano_usd", "count", "text"), AVERAGES)
def test_an_average_is_written_like_money(nano_usd: int, count: int, text: str) -> None:
    """With cents, and below a dollar with two figures that say something: never a zero for what is not."""
    assert average_usd(nano_usd, count) == text


def test_parts_of_nothing_are_not_zero() -> None:
    """An average over no request and a share of no cost are not known."""
    assert (usd_each(5, 0), share(0, 0), percent(0, 0)) == (None, None, "")
    assert (usd_each(1, 3), share(1, 3), percent(1, 10_000)) == ("0.000000000", "0.333333", "<0.1 %")


values = st.sampled_from(["a", "b", None])
sums = st.builds(
    priced,
    st.integers(0, 10**6), model=values, team=values, session=values, outcome=st.sampled_from(["ok", "error"]),
    started_ns=st.integers(at_ns("2026-10-20 00:00"), at_ns("2026-11-22 10:00")),
    usage=st.builds(Usage, input=st.integers(0, 2**40), output=st.integers(0, 2**40)),
)  # fmt: skip


@given(calls=st.lists(sums, max_size=20), groups=st.lists(st.sampled_from(WORDS), unique=True, max_size=3))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_rows_add_up_to_the_calls(
    tmp_path_factory: pytest.TempPathFactory, calls: list[Call], groups: list[str]
) -> None:
    """Whatever the groups, every call is in exactly one row, and no nano-USD is gained or lost."""
    path = tmp_path_factory.mktemp("sums") / "ledger.db"
    write(path, call(id="twin"), *calls, call(id="twin"))
    truth: dict[tuple[str | None, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in [call(), *calls]:
        assert isinstance(one.price, Cost)
        counted = one.usage.get("input") if one.usage else 0
        row = truth[tuple(value_of(one, word) for word in groups)]
        row[:] = [row[0] + 1, row[1] + counted, row[2] + one.price.nano_usd]
    with Store.read(path) as store:
        rows = list(ask(store, Question(tuple(groups), zone=BERLIN), NOW_S).rows)
    found = {row.key: [row.totals.requests, row.totals.input_tokens, row.totals.nano_usd] for row in rows}
    assert found == dict(truth)


def value_of(one: Call, word: str) -> str | None:
    moment = datetime.fromtimestamp(one.started_ns // 10**9, BERLIN)
    known = {
        "day": f"{moment:%Y-%m-%d}",
        "week": (moment.date() - timedelta(days=moment.weekday())).isoformat(),
        "month": f"{moment:%Y-%m}",
        "hour": moment.replace(minute=0, second=0).isoformat(timespec="minutes"),
        "model": one.request_model,
        "answered_model": one.answer.model,
        "quality": one.price.quality if isinstance(one.price, Cost) else None,
        "unpriced_reason": None,
        "kind": "call",
        "instance": None,
    }
    if word in known:
        return known[word]
    found = getattr(one.attribution, word, None) if hasattr(one.attribution, word) else getattr(one, word)
    return None if found is None else str(found)


def test_sums_beyond_64_bits_are_exact(tmp_path: Path) -> None:
    """Absurd counts of one faulty server do not keep anybody from the report."""
    most = 2**63 - 1
    write(tmp_path / "ledger.db", *[call(usage=Usage(input=most, output=1), price=Cost(most, EXACT)) for _ in range(3)])
    with Store.read(tmp_path / "ledger.db") as store:
        (row,) = asked(store, "model").rows
    assert (row.totals.requests, row.totals.input_tokens, row.totals.nano_usd) == (3, 3 * most, 3 * most)
    assert usd(row.totals.nano_usd) == "27670116110.564327421"


def written(write: Callable[..., None], report: Report) -> str:
    out = io.StringIO()
    write(report, out)
    return out.getvalue()


def test_json(store: Store) -> None:
    """One object: state, question, rows, total; money as exact text, unknown as null."""
    found = json.loads(written(write_json, asked(store, "model", "team=search", "this-month", BERLIN)))
    rows = [(row["model"], row["requests"], row["cost_usd"], row["share_of_cost"]) for row in found["rows"]]
    assert rows == [
        ("opus", 1, "5.000000000", "0.833333"),
        ("haiku", 1, "1.000000000", "0.166667"),
        ("own", 1, None, None),
        ("gone", 1, "0.000000000", "0.000000"),
    ]
    assert found["period"] == {
        "asked": "this-month", "from": "2026-11-01T00:00:00+01:00", "to": "2026-12-01T00:00:00+01:00",
        "time_zone": "Europe/Berlin", "days": 22,
    }  # fmt: skip
    assert (found["state"], found["groups"], found["is_lower_bound"]) == ("ok", ["model"], True)
    assert found["filters"] == [{"word": "team", "sign": "=", "value": "search"}]
    assert found["total"]["cost_per_day_usd"] == "0.272727273"
    assert found["unpriced"] == [
        {"provider": "openai", "model": "own", "reason": "unknown_model", "requests": 1, "tokens": 10}
    ]


def test_csv_keeps_odd_names_whole(tmp_path: Path) -> None:
    """Commas, quotes and line ends in a name come back as they were, in columns that stay."""
    names = ['a,b "c"', "line\nend", "ünïcode", "a=1+1", ""]
    write(tmp_path / "ledger.db", *[priced(100 - number, session=one) for number, one in enumerate(names)])
    with Store.read(tmp_path / "ledger.db") as store:
        text = written(write_csv, asked(store, "session team"))
    header, *rows = csv.reader(io.StringIO(text))
    assert header == [
        "session", "team", "requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
        "reasoning_tokens", "cost_usd", "share_of_cost", "cost_per_request_usd", "cost_per_day_usd", "estimated_usd",
        "incomplete_usd", "unpriced_requests", "unpriced_tokens", "items", "items_usd", "unpriced_items",
    ]  # fmt: skip
    assert [row[0] for row in rows] == names
    assert rows[0][:10] == [names[0], "search", "1", "10", "1", "0", "0", "0", "1.000000000", "0.204082"]


FORMULAS = [
    # a name                       as a cell of a spreadsheet
    ("=1+1",                       "'=1+1"),
    ("+41 79",                     "'+41 79"),
    ("-2",                         "'-2"),
    ("@SUM(A1)",                   "'@SUM(A1)"),
    ("\tx",                        "'\tx"),
    ("\rx",                        "'\rx"),
    ("  =1",                       "'  =1"),
    ("\uff1d1",                    "'\uff1d1"),
    ("a=b",                        "a=b"),
    ("'=1",                        "'=1"),
    ("1-2",                        "1-2"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "cell"), FORMULAS)
def test_a_name_is_no_formula(tmp_path: Path, name: str, cell: str) -> None:
    """A spreadsheet that opens the CSV shows the name and calculates nothing."""
    write(tmp_path / "ledger.db", priced(1, session=name))
    with Store.read(tmp_path / "ledger.db") as store:
        rows = list(csv.reader(io.StringIO(written(write_csv, asked(store, "session")), newline="")))
    assert rows[1][0] == cell


def test_csv_on_a_terminal_steers_nothing(tmp_path: Path) -> None:
    """In a file a name is kept as it came; where people look at it, it cannot clear the screen."""
    write(tmp_path / "ledger.db", priced(1, session="a\x1b[2Jb\u202e"))
    out = io.StringIO()
    out.isatty = lambda: True
    with Store.read(tmp_path / "ledger.db") as store:
        report = asked(store, "session")
        write_csv(report, out)
        assert "\na\\x1b[2Jb\\u202e,1," in out.getvalue()
        assert "\na\x1b[2Jb\u202e,1," in written(write_csv, report)


def test_rows_are_not_kept_in_memory(store: Store) -> None:
    """They can be gone through again, are counted, and a beginning of them is read alone."""
    rows = asked(store, "model").rows
    assert [len(rows), len(list(rows)), len(list(rows)), len(list(rows.first(2)))] == [4, 4, 4, 2]
    out = io.StringIO()
    write_json(asked(store, "model"), out, 1)
    found = json.loads(out.getvalue())
    assert [[row["model"] for row in found["rows"]], found["total"]["requests"]] == [["opus"], 7]


def text_of(report: Report, **more: Any) -> str:
    out = io.StringIO()
    show(report, Page(out, 200), **more)
    return "\n".join(" ".join(line.split()) for line in out.getvalue().splitlines() if "──" not in line)


def test_the_table_shows_a_lower_bound_and_what_is_unpriced(store: Store) -> None:
    """The word `unpriced` stands where a zero would lie, and a sum that leaves something out says so."""
    text = text_of(asked(store, "model"))
    assert "\nown 1 7 3 0 0 unpriced\n" in text
    assert "\nTotal 7 57 8 0 0 >= 9.7500 100.0 % >= 1.62\n" in text
    assert "A lower bound: without a price is 1 call with 10 tokens (own of openai: unknown model)." in text
    assert "A lower bound: 0.2500 USD (2.6 %) is of calls with a unit that has no price." in text
    assert "Estimated: 0.5000 USD (5.1 %) is of streams that were cut short." in text
    assert (
        "On average at least 1.62 USD a request that has a price; 0.3 requests and at least 0.42 USD a day, over 23 days."
        in text
    )


def test_top_folds_the_rest_into_one_row(store: Store) -> None:
    """The rows shown and the rest still add up to the total."""
    text = text_of(asked(store, "model team", "", "this-month"), top=1)
    assert "\nopus search 1 10 1 0 0 5.0000 55.6 % 5.00\n4 more 4 27 5 0 0 >= 4.0000 44.4 % 1.33\n" in text
    assert "\nTotal 5 37 6 0 0 >= 9.0000 100.0 % 2.25\n" in text


def test_states_in_words(store: Store) -> None:
    """Whoever sees no figures is told which of the reasons it is."""
    assert "Nothing in these filters and this period." in text_of(asked(store, "team", "team=nobody"))
    report = asked(store)
    report.state, report.total = NO_RECORDS, Totals()
    assert "No records yet: the ledger" in text_of(report)


def test_the_ledgers_losses_are_told(tmp_path: Path) -> None:
    """A report over a time in which records were lost says how many and of what amount."""
    with Store.open(tmp_path / "ledger.db") as store:
        store.append([call()], Periods(), [(3, 5_000_000, "full")])
    with Store.read(tmp_path / "ledger.db") as store:
        report = asked(store)
        assert (report.lost_records, report.lost_nano_usd) == (3, 5_000_000)
        assert "Missing: 3 records of 0.0050 USD that the ledger could not take." in text_of(report)
        assert asked(store, when="2025").lost_records == 0


def test_summary(store: Store) -> None:
    """The end of a run: by model, task type and source; what is uncertain; where the ledger lies; what to do next."""
    out = io.StringIO()
    summary(store, Page(out, 200), NOW_S)
    text = out.getvalue()
    for heading in ("Model ", "Task type ", "Source "):
        assert heading in text
    for sentence in ("Estimated: ", "A lower bound: ", f"The ledger: {store.path}", "costspan usage --by session"):
        assert sentence in text


def test_every_word_is_a_column_or_a_time() -> None:
    """The words of the report are those of the ledger's attribution and of the design."""
    assert set(COLUMNS) | {"day", "week", "month", "hour"} == set(WORDS)
