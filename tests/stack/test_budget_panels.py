"""What the budget panels show, with the compiled rules running in a real Prometheus, is what was truly spent."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from grafana.source import signals

from costspan.alerting import compiled
from costspan.budgets.reading import load, parse
from panel_fleet import Call, Fleet, Process
from panel_queries import Query, ask, filled, filters, queries
from promtools import ROOT, Server, prometheus

DAY_S = 86_400
_PATIENCE_S = 60.0
#: Processes export in step, so that the edge of no window (5 minutes to a day) comes near an export while this runs.
_EVERY_S, _LAST_S = 600, 200
#: The labels that tell the series of a panel apart.
_LABELS = ("llm_budget", "llm_budget_each", "llm_team", "llm_source", "owner")
Values = dict[str, float]


class Shown(NamedTuple):
    """A Prometheus in which the rules have recorded everything, the dashboard's queries, and what is true."""

    server: Server
    board: dict[str, Any]
    fleet: Fleet
    now_s: int

    def told(self, query: Query) -> Values:
        """What a query answers now, by the label that tells its series apart."""
        result, remarks = ask(self.server.address, "query", query=filled(query.expression, DAY_S))
        assert remarks == []
        return {",".join(filter(None, map(each["metric"].get, _LABELS))): float(each["value"][1]) for each in result}

    def of(self, panel: str, name: str) -> Values:
        """What a figure or a column shows."""
        (query,) = [each for each in queries(self.board) if (each.panel, each.name) == (panel, name)]
        return self.told(query)

    def column(self, name: str) -> Values:
        """A column of the table of budgets."""
        return self.of("Budgets", name)

    def calls(self, since_s: int = 0) -> list[Call]:
        """The calls that have arrived since a moment."""
        return [call for seen_s, call in self.fleet.seen if seen_s > since_s]

    def this(self, period: Callable[[Call], str]) -> list[Call]:
        """The calls of the current day or month."""
        now = period(Call(self.now_s, self.now_s, "", ""))
        return [call for call in self.calls() if period(call) == now]


def zone_where_it_is_noon(now_s: int) -> str:
    """A zone in which the day neither begins nor ends while the test runs. (POSIX: Etc/GMT-5 is ahead of UTC.)"""
    ahead = 12 - now_s // 3_600 % 24
    return f"Etc/GMT{-ahead:+d}"


def spending_fleet(zone: str, now_s: int) -> Fleet:
    """A long process and short jobs that have spent for 40 days, until three minutes ago."""
    end_s = now_s - _LAST_S
    long = Process("long", end_s - 40 * DAY_S, end_s, _EVERY_S * 36)
    recent = Process("recent", end_s - 2 * DAY_S, end_s, _EVERY_S)
    jobs = [
        Process(f"job-{hours}", end_s - hours * 3_600 - 600, end_s - hours * 3_600, 600) for hours in range(0, 900, 7)
    ]
    for number, process in enumerate([long, recent, *jobs]):
        for each, at_s in enumerate(range(process.start_s, process.end_s - 60, 7_000)):
            source = ("main_agent", "heartbeat")[each % 2]
            team = ("search", "support", "unknown")[(number + each) % 3]
            usd = (each % 50 + 1) / 1_000
            process.calls.append(
                Call(at_s, at_s + 9, "openai", "gpt-5", team, source, usd=usd, tokens_in=900 + each, tokens_out=7)
            )
    return Fleet(zone, [long, recent, *jobs])


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The dashboard of the example budgets over a fleet that spends until now; rules run on the real clock."""
    folder = tmp_path_factory.mktemp("budgets")
    now_s = round(time.time())
    policy = load(ROOT / "examples" / "budgets" / "budgets.yaml")
    files = compiled.compiled(dataclasses.replace(policy, time_zone=zone_where_it_is_noon(now_s)), "budgets.yaml")
    (folder / "rules.yml").write_text(files[compiled.BUDGET_RULES])
    board = json.loads((ROOT / "grafana" / "dashboards" / "budgets.json").read_text())
    fleet = spending_fleet(zone_where_it_is_noon(now_s), now_s)
    with prometheus(folder, fleet.samples(), "rule_files: [rules.yml]\n") as server:
        found = Shown(server, board, fleet, now_s)
        deadline = time.monotonic() + _PATIENCE_S
        # A rule reads what others recorded a second before.
        # The highest threshold is told where one is reached; no program of this fleet has found an anomaly or told a crossing, and none of these
        # budgets counts calls (tests/budgets/test_rules.py has one).
        silent = {
            "Threshold",
            signals.ANOMALIES_FOUND.name,
            signals.CROSSINGS_TOLD.name,
            signals.SPENT_CALLS.name,
            signals.OF_CALLS.name,
        }
        recorded = [each for each in queries(board) if each.name not in silent]
        while not all(map(found.told, recorded)):
            assert time.monotonic() < deadline, [each for each in recorded if not found.told(each)]
            time.sleep(0.5)
        yield found


def spent(calls: list[Call], *by: str) -> Values:
    """What calls cost, by fields of them."""
    found: Values = defaultdict(float)
    for call in calls:
        found[",".join(map(call.word, by))] += call.usd or 0.0
    return found


def test_spend_to_date_and_what_burns_is_what_was_spent(shown: Shown) -> None:
    """Month, day and last hour, as a whole and by who spends it."""
    for name, calls in (
        ("Month to date", shown.this(shown.fleet.month)),
        ("Day to date", shown.this(shown.fleet.day)),
        ("Last hour", shown.calls(shown.now_s - 3_600)),
    ):
        true = spent(calls, "team", "source")
        assert shown.of(name, name) == pytest.approx({"": sum(true.values())}, rel=1e-9)
        assert shown.of("What burns", name) == pytest.approx(true, rel=1e-9)
        assert sum(true.values()) > 0


EXAMPLES = {
    "all-per-day": ("usd", 5),
    "all-per-month": ("usd", 100),
    "heartbeat-tokens": ("tokens", 5e6),
    "each-team": ("usd", 40),
}


def budget_of(row: str) -> str:
    """The budget of a row, whoever it is for."""
    return row.split(",", maxsplit=1)[0]


@pytest.fixture(scope="module")
def truth(shown: Shown) -> dict[str, Values]:
    """What is spent of each budget: in USD, in tokens, and as a share. Calls without a team belong to no team's budget."""
    month, today = shown.this(shown.fleet.month), shown.this(shown.fleet.day)
    teams = spent([call for call in month if call.team != "unknown"], "team")
    beats = sum(call.tokens_in + call.tokens_out for call in month if call.source == "heartbeat")
    usd = {
        "all-per-day": sum(spent(today).values()),
        "all-per-month": sum(spent(month).values()),
        **{f"each-team,{team}": value for team, value in teams.items()},
    }
    tokens = {"heartbeat-tokens": float(beats)}
    used = {row: value / EXAMPLES[budget_of(row)][1] for row, value in {**usd, **tokens}.items()}
    return {"usd": usd, "tokens": tokens, "used": used}


def test_a_row_for_every_budget_and_everybody_it_is_for(shown: Shown, truth: dict[str, Values]) -> None:
    """In USD and in tokens, as a whole and by team, with limit and owner; nothing where there is nothing to say."""
    assert shown.column("Spent, USD") == pytest.approx(truth["usd"], rel=1e-9)
    assert shown.column("Spent, tokens") == pytest.approx(truth["tokens"], rel=1e-9)
    assert shown.column("Used") == pytest.approx(truth["used"], rel=1e-9)
    assert {*truth["usd"]} == {"all-per-day", "all-per-month", "each-team,search", "each-team,support"}
    for unit in ("usd", "tokens"):
        limits = {
            row + ("" if row.startswith("each-team") else ",platform"): EXAMPLES[budget_of(row)][1]
            for row in truth[unit]
        }
        assert shown.column("Limit, USD" if unit == "usd" else "Limit, tokens") == limits


def test_the_colour_of_a_budget_is_that_of_its_thresholds(shown: Shown, truth: dict[str, Values]) -> None:
    """State and threshold follow from the recorded thresholds: those of budgets.yaml, which stand nowhere else."""
    thresholds = {"heartbeat-tokens": (0.8,)}
    crossed = {
        row: max([each for each in thresholds.get(budget_of(row), (0.5, 0.8, 1.0)) if value >= each], default=0.0)
        for row, value in truth["used"].items()
    }
    last = {row: 0.8 if budget_of(row) in thresholds else 1.0 for row in crossed}
    states = {row: (value > 0) + (value >= last[row]) for row, value in crossed.items()}
    assert shown.column("Threshold") == {row: value for row, value in crossed.items() if value}
    assert shown.column("State") == states


def test_the_pace_leads_where_it_leads(shown: Shown, truth: dict[str, Values]) -> None:
    """The projection is the share used by the part of the period that is over; the pace is 1 where spending is even."""
    (query,) = [each for each in queries(shown.board) if each.panel == "How much of the period is over"]
    found = shown.server.query(query.expression, time.time())
    over = {dict(labels)["llm_budget_period"]: value for labels, value in found.items()}
    assert over["day"] == pytest.approx(0.5, abs=0.05)
    periods = {row: "day" if row == "all-per-day" else "month" for row in truth["used"]}
    leads = {row: value / over[periods[row]] for row, value in truth["used"].items()}
    assert shown.column("At the end") == pytest.approx(leads, rel=1e-3)
    hour = sum(spent(shown.calls(shown.now_s - 3_600)).values())
    assert shown.column("Pace")["all-per-day"] == pytest.approx(hour / (5 / 24), rel=1e-9)
    assert shown.of("Pace in the time range", "{{llm_budget}} {{llm_budget_each}}") == shown.column("Pace")
    assert shown.of("Used in the time range", "{{llm_budget}} {{llm_budget_each}}") == shown.column("Used")


def test_only_the_budgets_that_are_chosen_are_shown(shown: Shown) -> None:
    """The variable offers every budget by its name, and every column of the table obeys it."""
    (asked,) = filters(shown.board).values()
    match = re.fullmatch(r"label_values\((.+), (\w+)\)", asked)
    assert match is not None
    found, _ = ask(shown.server.address, "query", query=f"group by ({match[2]}) ({match[1]})")
    assert {each["metric"][match[2]] for each in found} == {*EXAMPLES}
    for query in queries(shown.board):
        if query.panel in {"Budgets", "Used in the time range", "Pace in the time range"}:
            text = filled(query.expression, DAY_S, {"budget": "all-per-day|each-team"})
            rows, _ = ask(shown.server.address, "query", query=text)
            assert {row["metric"]["llm_budget"] for row in rows} <= {"all-per-day", "each-team"}


# A limit, what is spent, and what is shown: state, threshold, and whether there is a limit beside it.
EDGES = [
    ("just below the first threshold",  "limit_usd: 10", 4.999,  0, None),
    ("at the first threshold",          "limit_usd: 10", 5.0,    1, 0.5),
    ("between the second and the limit", "limit_usd: 10", 9.999, 1, 0.8),
    ("at the limit",                    "limit_usd: 10", 10.0,   2, 1.0),
    ("twice the limit",                 "limit_usd: 10", 20.0,   2, 1.0),
    ("nothing may be spent",            "limit_usd: 0",  0.001,  2, 1.0),
    ("nothing is spent",                "limit_usd: 10", None,   None, None),
    ("thresholds above the limit",      "limit_usd: 10\n    thresholds: [90, 150]", 14.0, 1, 0.9),
    ("the last above the limit",        "limit_usd: 10\n    thresholds: [90, 150]", 15.0, 2, 1.5),
]  # fmt: skip


def test_states_at_the_edges_of_thresholds(tmp_path: Path) -> None:
    """Each threshold to the tenth of a percent; a budget without spend has a row with its limit and no state."""
    now_s = round(time.time())
    zone = zone_where_it_is_noon(now_s)
    written = [
        f"  - name: edge-{number}\n    period: month\n    scope: {{team: team-{number}}}\n    {limit}\n"
        for number, (_, limit, *_) in enumerate(EDGES)
    ]
    policy = parse(f"time_zone: {zone}\nbudgets:\n" + "".join(written))
    process = Process("one", now_s - 7_200, now_s - _LAST_S, 600)
    process.calls = [
        Call(now_s - 4_000, now_s - 3_999, "openai", "gpt-5", f"team-{number}", usd=usd)
        for number, (_, _, usd, *_) in enumerate(EDGES) if usd is not None
    ]  # fmt: skip
    (tmp_path / "rules.yml").write_text(compiled.compiled(policy, "budgets.yaml")[compiled.BUDGET_RULES])
    board = json.loads((ROOT / "grafana" / "dashboards" / "budgets.json").read_text())
    fleet = Fleet(zone, [process])
    with prometheus(tmp_path, fleet.samples(), "rule_files: [rules.yml]\n") as server:
        shown = Shown(server, board, fleet, now_s)
        deadline = time.monotonic() + _PATIENCE_S
        while len(shown.column("At the end")) < len(process.calls) or not shown.column("State"):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        states, crossed, limits = shown.column("State"), shown.column("Threshold"), shown.column("Limit, USD")
    for number, (story, limit, _, state, threshold) in enumerate(EDGES):
        name = f"edge-{number}"
        assert (states.get(name), crossed.get(name)) == (state, threshold), story
        assert limits[name] == float(limit.split()[1]), story
