"""`costspan budgets status`: what the ledger says of each budget, to the nano-dollar and by the calendar of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from costspan.budgets.periods import DAY, MONTH, Period
from costspan.cli.commands import costspan
from costspan.facts.money import Cost
from costspan.facts.periods import NS_PER_S, zone
from costspan.ledger import notes
from ledger_calls import UNPRICED, USAGE, at_ns, call, write

FILE = """\
time_zone: Europe/Berlin
budgets:
  - {name: day, period: day, limit_usd: 5}
  - {name: month, period: month, limit_usd: 100, owner: finance}
  - {name: tokens, period: month, limit_tokens: 10_000, scope: {source: heartbeat}, thresholds: [9.08, 9.081]}
  - {name: team, period: month, limit_usd: 2, each: team}
  - {name: few, period: month, limit_usd: 1, scope: {model: [gpt-5, o3], team: search}}
  - {name: none, period: month, limit_usd: 0, scope: {provider: acme}}
"""


def dollars(usd: float, **changed: Any) -> Any:
    """A call of that cost."""
    return call(price=Cost(round(usd * 10**9), "exact"), **changed)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger with calls on both sides of midnight and of the month's beginning in Berlin."""
    path = tmp_path / "ledger.db"
    write(
        path,
        dollars(50, started_ns=at_ns("2026-10-31 22:59:59")),  # still October in Berlin
        dollars(1.5, started_ns=at_ns("2026-10-31 23:00")),  # the first second of November
        dollars(0.25, started_ns=at_ns("2026-11-14 22:59:59"), request_model="gpt-5"),
        dollars(
            4, started_ns=at_ns("2026-11-14 23:00"), team="ads", source="heartbeat"
        ),  # the first second of the 15th
        dollars(0.000000001, started_ns=at_ns("2026-11-15 10:00"), team=None),
        call(price=UNPRICED, started_ns=at_ns("2026-11-15 10:00"), team="ads", provider="acme"),
        dollars(9, started_ns=at_ns("2026-11-30 23:00")),  # December
    )
    return path


def status(folder: Path, ledger: Path, *words: str) -> Result:
    """`costspan budgets status` for noon of the fifteenth."""
    file = folder / "budgets.yaml"
    file.write_text(FILE)
    command = ["budgets", "status", str(file), "--ledger", str(ledger), "--at", "2026-11-15T12:00", *words]
    return CliRunner().invoke(costspan, command, catch_exceptions=False, env={"COLUMNS": "120"})


ROWS = [
    # budget, value, spent, used, crossed, calls, unpriced
    ("day",    None,     4.000000001,  0.8000000002,  "80",   3, 1),
    ("month",  None,     5.750000001,  0.0575,        None,   5, 1),
    ("tokens", None,     908,          0.0908,        "9.08", 1, 0),
    ("team",   "ads",    4.0,          2.0,           "100",  2, 1),
    ("team",   "search", 1.75,         0.875,         "80",   2, 0),
    ("few",    None,     0.25,         0.25,          None,   1, 0),
    ("none",   None,     0.0,          None,          None,   1, 1),
]  # fmt: skip


def test_each_budget_is_read_from_the_ledger_to_the_nano_dollar(tmp_path: Path, ledger: Path) -> None:
    """Days and months begin where the file's time zone says; scopes and values pick their calls and no others."""
    assert USAGE.get("input") + USAGE.get("output") == 908
    told = json.loads(status(tmp_path, ledger, "--json").stdout)
    words = ("budget", "value", "spent", "used", "crossed", "calls", "unpriced")
    assert [tuple(each[word] for word in words) for each in told] == ROWS
    assert {each["period"] for each in told if each["budget"] == "day"} == {"20261115"}
    assert {each["period"] for each in told if each["budget"] != "day"} == {"202611"}


def test_the_projection_goes_on_at_the_pace_of_the_period(tmp_path: Path, ledger: Path) -> None:
    """At noon half of the day is over, and 14.5 of 30 days of the month."""
    told = {each["budget"]: each for each in json.loads(status(tmp_path, ledger, "--json").stdout)}
    assert told["day"]["projected"] == pytest.approx(8.000000002)
    assert told["month"]["projected"] == pytest.approx(5.750000001 * 30 / 14.5)


def test_the_table_tells_state_and_lower_bounds(tmp_path: Path, ledger: Path) -> None:
    """A crossed threshold and an unpriced call are said in words."""
    lines = [" ".join(line.split()) for line in status(tmp_path, ledger).output.splitlines()]
    assert "day 2026-11-15 >= 4.00 5.00 USD 80.0% 8.00 over 80 %" in lines
    assert "team: ads 2026-11 >= 4.00 2.00 USD 200.0% 8.28 over 100 %" in lines
    assert "tokens 2026-11 908 10,000 tokens 9.1% 1,879 over 9.08 %" in lines
    assert "A lower bound: day has 1 call without a price." in lines
    assert f"The models: `costspan usage --unpriced --ledger {ledger}`." in " ".join(lines)


def test_many_lower_bounds_are_a_few_sentences(tmp_path: Path) -> None:
    """Two hundred models without a price are five sentences and a number; long names are shortened in them."""
    ledger = tmp_path / "ledger.db"
    write(ledger, *(call(model=f"model-{n:03}-{'x' * 90}", price=UNPRICED) for n in range(200)))
    file = tmp_path / "each.yaml"
    file.write_text("budgets:\n  - {name: each, period: month, limit_usd: 5, each: model}\n")
    command = ["budgets", "status", str(file), "--ledger", str(ledger), "--at", "2026-11-20T13:00"]
    lines = CliRunner().invoke(costspan, command).output.splitlines()
    said = [line for line in lines if "lower bound" in line.lower()]
    assert len(said) == 6
    assert said[0].startswith("A lower bound: each: model-000-xxx")
    assert max(map(len, said)) < 160
    assert said[-1] == "Lower bounds, too: 195 rows more, with >= before the amount."
    assert sum(">= 0.00" in line for line in lines) == 200


def test_without_a_ledger_nothing_is_spent_and_that_is_said(tmp_path: Path) -> None:
    """A machine on which nothing ran yet shows the limits."""
    done = status(tmp_path, tmp_path / "none.db", "--json")
    assert done.exit_code == 0
    assert "no ledger yet" in done.stderr
    told = json.loads(done.stdout)
    assert [(each["budget"], each["spent"], each["calls"]) for each in told] == [
        (name, 0, 0) for name in ("day", "month", "tokens", "few", "none")
    ]


def test_a_file_that_is_no_ledger_is_told(tmp_path: Path) -> None:
    """The command ends with 1 and a sentence."""
    (tmp_path / "ledger.db").write_text("not a database, " * 100)
    done = status(tmp_path, tmp_path / "ledger.db")
    assert done.exit_code == 1
    assert "cannot be read" in done.output


def test_a_moment_that_is_none_is_refused(tmp_path: Path, ledger: Path) -> None:
    """The command line is mistaken: exit code 2."""
    done = status(tmp_path, ledger, "--at", "noon")
    assert done.exit_code == 2
    assert "expected e.g. 2026-11-22T12:00" in done.output


SPANS = [
    # moment and start are in UTC; how many hours the period has
    ("Europe/Berlin",    DAY,   "2027-03-28 12:00", "2027-03-27 23:00", 23),
    ("Europe/Berlin",    DAY,   "2026-10-25 12:00", "2026-10-24 22:00", 25),
    ("Europe/Berlin",    MONTH, "2026-10-31 22:59", "2026-09-30 22:00", 31 * 24 + 1),
    ("America/New_York", MONTH, "2026-11-15 00:00", "2026-11-01 04:00", 30 * 24 + 1),
    ("UTC",              MONTH, "2026-12-31 23:59", "2026-12-01 00:00", 31 * 24),
    ("UTC",              MONTH, "2028-02-10 00:00", "2028-02-01 00:00", 29 * 24),
    ("Africa/Cairo",     DAY,   "2027-04-30 09:00", "2027-04-29 22:00", 23),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "period", "moment", "start", "hours"), SPANS, ids=lambda each: getattr(each, "name", None)
)
def test_a_period_begins_and_ends_by_the_clock_of_its_zone(
    name: str, period: Period, moment: str, start: str, hours: int
) -> None:
    """Days of 23 and 25 hours, and the months with them."""
    _, start_ns, end_ns, _ = period.around(zone(name), at_ns(moment))
    assert start_ns == at_ns(start)
    assert end_ns - start_ns == hours * 3_600 * NS_PER_S


NEW = """\
time_zone: Europe/Berlin
budgets:
  - {name: week, period: week, limit_usd: 10}
  - {name: cycle, period: month, begins_on: 15, limit_usd: 10, limit_tokens: 10_000, limit_requests: 3}
  - {name: cycle-31, period: month, begins_on: 31, limit_requests: 100}
  - {name: rolling, rolling: 24h, limit_usd: 10}
  - {name: session, period: session, limit_usd: 60, hard: true}
  - {name: account, period: month, limit_usd: 100, scope: {account: [acme, nobody]}}
  - {name: each-account, period: month, limit_usd: 100, each: account}
"""
NEW_ROWS = [
    # budget, value, period, spent, crossed, calls, over
    ("week",           None,        "2026W46",  4.250000001, None,  4, 0),  # Monday the 9th on
    ("cycle:usd",      None,        "20261115", 13.000000001, "100", 4, 3.000000001),
    ("cycle:tokens",   None,        "20261115", 3632,        None,  4, 0),
    ("cycle:requests", None,        "20261115", 4,           "100", 4, 1),
    ("cycle-31",       None,        "20261031", 6,           None,  6, 0),
    ("rolling",        None,        "24h",      4.250000001, None,  4, 0),
    ("session",        "session-1", "session",  55.750000001, "80", 6, 0),
    ("account",        None,        "202611",   5.750000001, None,  5, 0),
    ("each-account",   "acme",      "202611",   5.750000001, None,  5, 0),
]  # fmt: skip


def test_every_period_scope_and_unit_is_read_from_the_ledger(tmp_path: Path, ledger: Path) -> None:
    """At noon of Sunday the fifteenth; what no call has is told with its line, and is no fault."""
    file = tmp_path / "new.yaml"
    file.write_text(NEW)
    command = ["budgets", "status", str(file), "--ledger", str(ledger), "--at", "2026-11-15T12:00"]
    done = CliRunner().invoke(costspan, [*command, "--json"], catch_exceptions=False)
    words = ("budget", "value", "period", "spent", "crossed", "calls", "over")
    assert [tuple(each[word] for word in words) for each in json.loads(done.stdout)] == NEW_ROWS
    assert done.stderr == (
        f"{file}:8: budgets[5].limit_usd: account counts no call so far: none in the ledger has account 'nobody'\n"
    )
    shown = [
        " ".join(line.split())
        for line in CliRunner().invoke(costspan, command, env={"COLUMNS": "120"}).output.splitlines()
    ]
    assert "cycle:requests from 2026-11-15 4 3 calls 133.3% 240 over 100 %" in shown


def test_calls_that_are_in_no_ledger_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget whose calls went by OTLP is not unspent: Prometheus has them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("OTEL_COSTSPAN_LEDGER", raising=False)
    (tmp_path / "budgets.yaml").write_text(FILE)
    notes.leave(notes.RECORD, "otlp", how="otlp", where="collector:4318")
    told = CliRunner().invoke(costspan, ["budgets", "status", str(tmp_path / "budgets.yaml")])
    assert "went by OTLP to collector:4318, so no ledger was written" in told.stderr
    named = CliRunner().invoke(
        costspan, ["budgets", "status", str(tmp_path / "budgets.yaml"), "--ledger", str(tmp_path / "x.db")]
    )
    assert "OTLP" not in named.stderr


def test_many_values_are_some_rows_and_a_number(tmp_path: Path) -> None:
    """Sessions may be thousands: those with the highest spend are shown, JSON has all."""
    ledger, file = tmp_path / "ledger.db", tmp_path / "sessions.yaml"
    write(ledger, *(dollars(n / 100, session=f"s{n}") for n in range(1_050)))
    file.write_text("budgets:\n  - {name: runs, period: session, limit_usd: 5}\n")
    command = ["budgets", "status", str(file), "--ledger", str(ledger)]
    lines = CliRunner().invoke(costspan, command).output.splitlines()
    assert sum("runs: s" in line for line in lines) == 1_000
    assert lines[-1] == "Not shown: 50 values more of runs, each with less spent (--json has all)."
    assert len(json.loads(CliRunner().invoke(costspan, [*command, "--json"]).stdout)) == 1_050


def test_check_tells_what_is_most_likely_meant_otherwise(tmp_path: Path) -> None:
    """A provider that has no calls, a day that months lack, a budget that Prometheus cannot watch: told, and taken."""
    file = tmp_path / "budgets.yaml"
    file.write_text(
        "budgets:\n  - {name: a, period: month, begins_on: 30, limit_usd: 1, scope: {provider: opneai}}\n"
        "  - {name: b, period: session, limit_usd: 1, limit_tokens: 5, hard: true}\n"
    )
    done = CliRunner().invoke(costspan, ["budgets", "check", str(file)])
    assert done.exit_code == 0
    assert "  b:tokens: 5 tokens a session for each session, refuses from 5 tokens" in done.output.splitlines()
    assert f"{file}: 2 budgets" in done.output
    assert (
        f"{file}:2: budgets[0].limit_usd: a is for provider 'opneai'; none is called so, unless OTEL_COSTSPAN_HOSTS names it; did you mean openai?"
        in done.stderr
    )
    assert "a begins on day 30: in a month without it, on the last day of the month" in done.stderr
    assert (
        "no rule for the spend of b:usd: counters do not carry the session; programs that obey the file tell its thresholds"
        in done.stderr
    )
