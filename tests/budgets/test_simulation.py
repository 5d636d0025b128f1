"""`costspan budgets simulate`: the calls of a ledger against a file, and against a reference that counts all anew for each call."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from test_calendars import cycle

from costspan.budgets.policy import Budget, Policy
from costspan.budgets.reading import load, parse
from costspan.budgets.simulation import Crossed, simulate
from costspan.cli.commands import costspan
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.facts.usage import Usage
from costspan.ledger.store import Store
from ledger_calls import UNPRICED, at_ns, call, write
from places import ROOT

ZONE = "Europe/Berlin"
START = at_ns("2026-10-24 00:00")
HOUR_NS = 3_600 * 10**9


def _key(period: str, ns: int) -> object:
    at = datetime.fromtimestamp(ns // 10**9, ZoneInfo(ZONE)).date()
    if period.startswith("month-"):
        return cycle(int(period[6:]), at)
    return {"day": at, "week": at.isocalendar()[:2], "month": (at.year, at.month), "session": None}[period]


def _amount(budget: Budget, made: Call) -> int:
    if budget.unit == "usd":
        return made.price.nano_usd if isinstance(made.price, Cost) else 0
    return 1 if budget.unit == "requests" else made.answer.usage.counts["input"] if made.answer.usage else 0


def _word(made: Call, word: str) -> str | None:
    words = {"session": made.attribution[0], "team": made.attribution[3], "account": made.attribution[4]}
    return words[word]


def _counts(budget: Budget, made: Call) -> bool:
    chosen = all(_word(made, word) in values for word, values in budget.scope.items())
    return chosen and (budget.each is None or _word(made, budget.each) is not None)


def _spent(budget: Budget, now: Call, before: list[Call]) -> int:
    """What counts at the start of a call: everything is added up again."""

    def is_together(other: Call) -> bool:
        if not _counts(budget, other) or (budget.each and _word(other, budget.each) != _word(now, budget.each)):
            return False
        if budget.period == "24h":
            return other.started_ns > now.started_ns - 24 * HOUR_NS
        return _key(budget.period, other.started_ns) == _key(budget.period, now.started_ns)

    return sum(_amount(budget, other) for other in before if is_together(other))


def reference(policy: Policy, calls: list[Call], start_ns: int) -> Iterator[tuple[str, str, str, str | None]]:
    """Event, call, budget, and the threshold: by definition, in the time of the square of the calls."""
    made: list[Call] = []
    for now in calls:
        concerned = [budget for budget in policy.budgets if _counts(budget, now)]
        scale = {"usd": 10**9, "tokens": 1, "requests": 1}
        for budget in concerned if now.started_ns >= start_ns else []:
            if budget.hard:
                refuse = [each.percent for each in budget.thresholds if "refuse" in each.actions]
                ceiling = budget.limit * scale[budget.unit] * min([*refuse, Decimal(100)]) / 100
                spent = _spent(budget, now, made)
                if spent >= ceiling or spent + _amount(budget, now) > ceiling:
                    yield "refused", str(now.id), budget.name, None
                    break
        else:
            for budget in concerned:
                spent = _spent(budget, now, made)
                after = spent + _amount(budget, now)
                for threshold in budget.thresholds:
                    edge = budget.limit * scale[budget.unit] * threshold.percent / 100
                    if now.started_ns >= start_ns and after and after >= edge and not (spent and spent >= edge):
                        yield "crossed", str(now.id), budget.name, f"{threshold.percent:f}"
            made.append(now)


FILE = f"""\
time_zone: {ZONE}
budgets:
  - {{name: day, period: day, limit_usd: 5, thresholds: [50, 100, 150]}}
  - {{name: week, period: week, limit_usd: 12, each: team, hard: true}}
  - {{name: cycle, period: month, begins_on: 31, limit_usd: 20, limit_tokens: 900}}
  - {{name: rolling, rolling: 24h, limit_requests: 4, each: account, hard: true, thresholds: [50, {{at: 75, do: [log, refuse]}}]}}
  - {{name: session, period: session, limit_usd: 4.000000001, scope: {{team: [a, b]}}}}
"""

CALLS = st.lists(
    st.tuples(
        st.integers(0, 12 * 24 * 2), st.sampled_from([0, 1, 999_999_999, 10**9, 2_500_000_001, 4 * 10**9]),
        st.integers(0, 300), st.sampled_from(["a", "b", None]), st.sampled_from(["x", "y", None]),
        st.sampled_from(["s", "t", None]),
    ),
    min_size=1, max_size=40,
)  # fmt: skip


def made_calls(rows: list[tuple[int, int, int, str | None, str | None, str | None]]) -> list[Call]:
    """Calls at half hours around a change of the clock, a turn of the week and one of the month."""
    return [
        call(
            started_ns=START + half * HOUR_NS // 2, price=Cost(nano, "exact"), usage=Usage(input=tokens), team=team,
            account=account, session=session, response_id=None,
        )
        for half, nano, tokens, team, account, session in rows
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(CALLS, st.integers(0, 10 * 24))
def test_what_is_simulated_is_what_adding_up_by_definition_says(
    rows: list[tuple[int, int, int, str | None, str | None, str | None]], start_h: int
) -> None:
    """Every period, unit and scope, hard and soft, from any hour on."""
    calls, policy, start_ns = made_calls(rows), parse(FILE), START + start_h * HOUR_NS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        write(path, *calls)
        with Store.read(path) as store:
            events = list(simulate(policy, store, start_ns, START + 365 * 24 * HOUR_NS))
    told = [
        ("crossed", each.call, each.budget.name, f"{each.threshold.percent:f}")
        if isinstance(each, Crossed)
        else ("refused", each.call, each.budget.name, None)
        for each in events
    ]
    calls.sort(key=lambda each: each.started_ns)
    assert told == list(reference(policy, calls, start_ns))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Four calls of 2 USD on one day, one on the next, and one without a price."""
    path = tmp_path / "ledger.db"
    hours = ("2026-11-20 09:00", "2026-11-20 10:00", "2026-11-20 11:00", "2026-11-20 12:00", "2026-11-21 09:00")
    write(
        path,
        *(call(started_ns=at_ns(hour), price=Cost(2 * 10**9, "exact"), id=f"c{at}") for at, hour in enumerate(hours)),
        call(started_ns=at_ns("2026-11-20 13:00"), price=UNPRICED, id="c9"),
    )
    return path


def simulated(folder: Path, ledger: Path, *words: str) -> Result:
    """`costspan budgets simulate` of a hard budget of 5 USD a day."""
    file = folder / "budgets.yaml"
    file.write_text("budgets:\n  - {name: five, period: day, limit_usd: 5, hard: true}\n")
    command = ["budgets", "simulate", str(file), "--ledger", str(ledger), "--period", "2026-11", *words]
    return CliRunner().invoke(costspan, command, catch_exceptions=False, env={"COLUMNS": "120"})


EVENTS = [
    # call, event, threshold, amount, spent
    ("c1", "crossed", "50", None,          "4.000000000"),
    ("c1", "crossed", "80", None,          "4.000000000"),
    ("c2", "refused", None, "2.000000000", "4.000000000"),
    ("c3", "refused", None, "2.000000000", "4.000000000"),
]  # fmt: skip


def test_json_and_csv_name_each_call(tmp_path: Path, ledger: Path) -> None:
    """Exact amounts as texts; one line for each crossing and each refused call. What has no price costs no room, and is no zero
    where nothing is left.
    """
    told = json.loads(simulated(tmp_path, ledger, "--json").output)
    assert [tuple(each[word] for word in ("call", "event", "threshold", "amount", "spent")) for each in told] == EVENTS
    assert told[0]["time"] == "2026-11-20T10:00:00.000000000Z"
    assert told[0]["period"] == "20261120"
    rows = list(csv.DictReader(io.StringIO(simulated(tmp_path, ledger, "--csv").output)))
    assert [(row["call"], row["event"], row["threshold"], row["amount"], row["spent"]) for row in rows] == [
        tuple(value or "" for value in row) for row in EVENTS
    ]
    assert rows[0]["actions"] == "log alert"


def test_people_are_told_crossings_and_how_much_is_refused(tmp_path: Path, ledger: Path) -> None:
    """A line for each crossing, a line for each budget and period that refuses."""
    lines = [" ".join(line.split()) for line in simulated(tmp_path, ledger).output.splitlines()]
    assert "2026-11-20 10:00:00 five 2026-11-20 80 % 4.000000 USD log, alert" in lines
    assert "2026-11-20 11:00:00 five 2026-11-20 2 4.000000 USD" in lines
    assert "2 crossings, 2 calls refused. --json and --csv name each call." in lines
    assert "A program refuses earlier than this: of five, a call of" in lines[-2] + lines[-1]


def test_a_call_without_a_price_is_no_zero_where_nothing_is_left(tmp_path: Path) -> None:
    """A budget that is spent to the last nano-dollar refuses it: what it would cost is not known."""
    path = tmp_path / "ledger.db"
    write(
        path,
        call(started_ns=at_ns("2026-11-20 09:00"), price=Cost(5 * 10**9, "exact"), id="full"),
        call(started_ns=at_ns("2026-11-20 10:00"), price=UNPRICED, id="unknown"),
    )
    told = json.loads(simulated(tmp_path, path, "--json").output)
    assert [each["call"] for each in told if each["event"] == "refused"] == ["unknown"]


def test_a_call_leaves_a_window_when_it_is_as_old_as_the_window(tmp_path: Path) -> None:
    """Not a nanosecond before: the second call is refused a nanosecond too early, and the third is made."""
    path, file, first = tmp_path / "ledger.db", tmp_path / "budgets.yaml", at_ns("2026-11-20 09:00")
    file.write_text("budgets:\n  - {name: one, rolling: 24h, limit_requests: 1, hard: true}\n")
    write(path, *(call(started_ns=first + ns, response_id=None) for ns in (0, 24 * HOUR_NS - 1, 24 * HOUR_NS)))
    with Store.read(path) as store:
        events = list(simulate(load(file), store, 0, 2**62))
    assert [each.started_ns - first for each in events if not isinstance(each, Crossed)] == [24 * HOUR_NS - 1]


def test_nothing_that_happens_is_said(tmp_path: Path, ledger: Path) -> None:
    """A period without calls: an empty list, a table of headings, a sentence."""
    assert json.loads(simulated(tmp_path, ledger, "--period", "2020", "--json").output) == []
    assert simulated(tmp_path, ledger, "--period", "2020", "--csv").output.count("\n") == 1
    assert "No threshold would have been crossed." in simulated(tmp_path, ledger, "--period", "2020").output


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--json", "--csv"), "two forms of one answer"), (("--period", "soon"), "'soon' is no period: expected today")],
)
def test_a_mistaken_command_line_is_refused(words: tuple[str, ...], said: str, tmp_path: Path, ledger: Path) -> None:
    """Exit code 2."""
    done = simulated(tmp_path, ledger, *words)
    assert done.exit_code == 2
    assert said in done.output


# -- the plans of examples/budgets, each by what it does --------------------------------------------------------------

PLANS = [
    # file, calls (tokens, USD, account), and what happens: budget, threshold or refused
    ("plan-free", [(79_999, 0, "x"), (1, 0, "x"), (20_001, 0, "x"), (20_000, 0, "x"), (1, 0, "x")],
     ["free 80", "free refused", "free 100", "free refused"]),
    ("plan-developer", [(4_000_000, 10, "x"), (1_000_000, 10, "x"), (9_000_000, 180, "x"), (1, 0.01, "x")],
     ["developer 80", "developer 100", "developer-bill 50", "developer-bill 80", "developer-bill 100", "developer-bill refused"]),
    ("plan-business", [(1_000_000, 0, "x"), (11_500_000, 0, "x"), (12_500_000, 0, "x")],
     ["business-day 50", "business 50", "business-day 80", "business-day 100", "business 80", "business 100"]),
    ("plan-unlimited", [(10**9, 19, "x"), (10**9, 1, "x"), (1, 0.000000001, "x")],
     ["max-usd-per-session 100", "max-usd-per-session refused"]),
    ("day-with-warning", [(1, 3.999999999, "x"), (1, 0.000000001, "x"), (1, 1, "x"), (1, 5, "x")],
     ["five-a-day 80", "five-a-day 100"]),
    ("account", [(1, 500, "other"), (1, 99.5, "acme"), (1, 1, "acme"), (1, 0.5, "acme")],
     ["acme 50", "acme 80", "acme-pace 50", "acme-pace 80", "acme-pace 100", "acme refused", "acme 100"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "calls", "happens"), PLANS, ids=[row[0] for row in PLANS])
def test_a_plan_does_what_its_first_line_says(
    name: str, calls: list[tuple[int, float, str]], happens: list[str], tmp_path: Path
) -> None:
    """What is told and what is refused, in order, by calls of one session a minute apart."""
    write(tmp_path / "ledger.db", *(
        call(
            started_ns=at_ns("2026-11-20 09:00") + at * 60 * 10**9, usage=Usage(input=tokens), account=account,
            price=Cost(round(usd * 10**9), "exact"), response_id=None,
        )
        for at, (tokens, usd, account) in enumerate(calls)
    ))  # fmt: skip
    with Store.read(tmp_path / "ledger.db") as store:
        events = list(simulate(load(ROOT / "examples" / "budgets" / f"{name}.yaml"), store, 0, 2**62))
    told = [
        f"{each.budget.name} {each.threshold.percent:f}" if isinstance(each, Crossed) else f"{each.budget.name} refused"
        for each in events
    ]
    assert told == happens
