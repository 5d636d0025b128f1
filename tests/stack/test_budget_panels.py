"""What the budget panels show, with the compiled rules running in a real Prometheus, is what was truly spent."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from grafana.source.__main__ import dashboards

from costspan.alerting import compiled
from costspan.budgets.policy import load
from panel_fleet import Call, Fleet, Process
from panel_queries import Query, ask, filled, queries
from promtools import ROOT, Server, prometheus

DAY_S = 86_400
_PATIENCE_S = 60.0
#: Processes export in step, so that the edge of no window (5 minutes to a day) comes near an export while this runs.
_EVERY_S, _LAST_S = 600, 200
#: The labels that tell the series of a panel apart.
_LABELS = ("llm_budget", "llm_team", "llm_source", "llm_window")
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

    def of(self, panel: str, name: str, row: str = "") -> Values:
        """What a figure shows."""
        (query,) = [
            each for each in queries(self.board)
            if (each.panel, each.name) == (panel, name) and each.row.startswith(row)
        ]  # fmt: skip
        return self.told(query)

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
    panels = json.loads(files[compiled.PANELS])
    board = json.loads(dashboards(panels)["budgets.json"])
    fleet = spending_fleet(panels["time_zone"], now_s)
    with prometheus(folder, fleet.samples(), "rule_files: [rules.yml]\n") as server:
        found = Shown(server, board, fleet, now_s)
        deadline = time.monotonic() + _PATIENCE_S
        # A rule reads what others recorded a second before.
        while not all(map(found.told, queries(board))):
            assert time.monotonic() < deadline, [each for each in queries(board) if not found.told(each)]
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
        ("This month", shown.this(shown.fleet.month)),
        ("Today", shown.this(shown.fleet.day)),
        ("Last hour", shown.calls(shown.now_s - 3_600)),
    ):
        true = spent(calls, "team", "source")
        assert shown.of(name, name) == pytest.approx({"": sum(true.values())}, rel=1e-9)
        assert shown.of("What burns", name) == pytest.approx(true, rel=1e-9)
        assert sum(true.values()) > 0


def test_every_budget_shows_its_spend_its_limit_and_its_share(shown: Shown) -> None:
    """In USD and in tokens, as a whole and by team; calls without a team belong to no team's budget."""
    month, today = shown.this(shown.fleet.month), shown.this(shown.fleet.day)
    teams = spent([call for call in month if call.team != "unknown"], "team")
    beats = sum(call.tokens_in + call.tokens_out for call in month if call.source == "heartbeat")
    budgets: list[tuple[str, float, Values]] = [
        ("all-per-day", 5, {"": sum(spent(today).values())}),
        ("all-per-month", 100, {"": sum(spent(month).values())}),
        ("heartbeat-tokens", 5_000_000, {"": beats}),
        ("each-team", 40, teams),
    ]
    for name, limit, true in budgets:
        row = f"{name}:"
        spend = {f"{name},{team}".rstrip(","): value for team, value in true.items()}
        used = {who: value / limit for who, value in spend.items()}
        legend = "{{llm_team}}" if name == "each-team" else ""
        assert shown.of("Spent and limit", legend or "Spent", row) == pytest.approx(spend, rel=1e-9)
        assert shown.of("Spent and limit", "Limit", row) == {name: limit}
        assert shown.of("Used", legend or "used", row) == pytest.approx(used, rel=1e-9)
        whole = shown.of("All budgets", "Used")
        assert {who: value for who, value in whole.items() if who.split(",")[0] == name} == pytest.approx(
            used, rel=1e-9
        )


def test_the_pace_leads_where_it_leads(shown: Shown) -> None:
    """The projection is the share used by the part of the period that is over; the pace is 1 where spending is even."""
    (query,) = [each for each in queries(shown.board) if each.panel == "How much of the period is over"]
    found = shown.server.query(query.expression, time.time())
    over = {dict(labels)["llm_budget_period"]: value for labels, value in found.items()}
    assert over["day"] == pytest.approx(0.5, abs=0.05)
    used = shown.of("Used", "used", "all-per-day:")["all-per-day"]
    told = shown.of("At the end, at this pace", "at the end", "all-per-day:")["all-per-day"]
    assert told == pytest.approx(used / over["day"], rel=1e-3)
    hour = sum(spent(shown.calls(shown.now_s - 3_600)).values())
    assert shown.of("Pace", "{{llm_window}}", "all-per-day:")["all-per-day,1h"] == pytest.approx(
        hour / (5 / 24), rel=1e-9
    )
    assert shown.of("All budgets", "Pace, last hour")["all-per-day"] == pytest.approx(hour / (5 / 24), rel=1e-9)


def test_colours_change_at_the_thresholds_of_the_budgets(shown: Shown) -> None:
    """A threshold stands in budgets.yaml and nowhere else."""
    gauges = [panel for panel in shown.board["panels"] if panel["title"] == "Used"]
    steps = [[step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]] for panel in gauges]
    assert steps == [[None, 0.5, 1.0], [None, 0.5, 1.0], [None, 0.8], [None, 0.5, 1.0]]
