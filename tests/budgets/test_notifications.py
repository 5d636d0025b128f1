"""Who is told what, when and how often: real Prometheus, real Alertmanager, a webhook; only the waiting is shorter."""

from __future__ import annotations

import json
import random
import re
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from stack import Stack, routes

from costspan.alerting import compiled, series
from costspan.budgets.reading import load
from costspan.names import COST_USD
from launching import APP, INSTRUMENT, start
from stack_clients import needing_programs, post, request
from stand_in_process import client_environment, stand_in

# Shipped: an evaluation every 30 s, a group waits 10 s and is looked at each minute, alerts come again after a minute. Here
# a tenth of it.
EVALUATION_S = 3
GROUP_WAIT_S = 1
GROUP_INTERVAL_S = 6
HASTE = {
    "--rules.alert.resend-delay=1m": "--rules.alert.resend-delay=6s",
    "--dispatch.start-delay=100s": "--dispatch.start-delay=10s",
}
BUDGETS = """
time_zone: UTC
budgets:
  - {name: mine, period: month, limit_usd: 10, each: team}
  - {name: theirs, period: month, limit_requests: 5, each: account, thresholds: [50, 100]}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All services with one budget for each team, under the compiled rules, routes and inhibition."""
    folder = tmp_path_factory.mktemp("notifications")
    made = needing_programs(lambda: Stack(folder / "stack", haste=HASTE))
    budgets = folder / "budgets.yaml"
    budgets.write_text(BUDGETS)
    home = made.configuration("prometheus")
    compiled.write(compiled.compiled(load(budgets), budgets.name), home)
    _edit(home / "prometheus.yml", r"evaluation_interval: \w+", f"evaluation_interval: {EVALUATION_S}s")
    receivers = made.configuration("alertmanager") / "receivers.yml"
    (receivers.parent / "alertmanager.yml").write_text(routes.written(budgets, receivers))
    _edit(receivers.parent / "alertmanager.yml", r"group_wait: 10s", f"group_wait: {GROUP_WAIT_S}s")
    _edit(receivers.parent / "alertmanager.yml", r"group_interval: 1m", f"group_interval: {GROUP_INTERVAL_S}s")
    with made:
        yield made


def _edit(file: Path, pattern: str, by: str) -> None:
    text, count = re.subn(pattern, by, file.read_text())
    assert count == 1
    file.write_text(text)


def spends(stack: Stack, team: str, usd: float) -> None:
    """The one process of a team stands at this sum; returns when Prometheus has it."""
    month = time.strftime("%Y%m", time.gmtime())
    labels = {"llm.team": team, "llm.period": month}
    post(stack.url("collector", 4318), request(team, COST_USD, value=usd, labels=labels, instance=team))
    query = f'sum(llm_cost_usd_total{{job="{team}"}})'
    stack.until(lambda: stack.value(query) == pytest.approx(usd), f"{usd} USD of {team} are to arrive")


def known_s(stack: Stack, team: str, usd: float) -> float:
    """At which evaluation, by the clock of Prometheus, the rules first knew of this sum: however late that was."""
    spend = f'llm:budget_spend:usd{{llm_team="{team}"}}'
    found = stack.value(f"min(min_over_time((timestamp({spend}) and {spend} >= {usd})[10m:1s]))")
    assert found is not None
    return found


def fired_s(stack: Stack, team: str, threshold: str) -> float:
    """At which evaluation, by the same clock, the alert of a threshold began of which the team's owner was told."""
    alerts = [alert for body in stack.notifications() for alert in body["alerts"]]
    wanted = {"llm_team": team, "threshold": threshold}
    begun = next(alert["startsAt"] for alert in alerts if wanted.items() <= alert["labels"].items())
    return datetime.fromisoformat(begun[:19] + "+00:00").timestamp()


def told(stack: Stack, team: str, status: str = "firing") -> list[str]:
    """The thresholds of which the team's owner was told, in order."""
    alerts = [alert for body in stack.notifications() for alert in body["alerts"]]
    return [
        alert["labels"]["threshold"]
        for alert in alerts
        if alert["labels"].get("llm_team") == team and "threshold" in alert["labels"] and alert["status"] == status
    ]


def silenced(stack: Stack, team: str) -> set[str]:
    """The thresholds that fire and are silenced by a higher one, as Alertmanager sees it."""
    alerts = stack.get("alertmanager", 9093, f"/api/v2/alerts?filter=llm_team%3D%22{team}%22")
    labels = [alert["labels"] for alert in alerts if alert["status"]["inhibitedBy"]]
    return {each["threshold"] for each in labels if "threshold" in each}


def evaluations_pass(stack: Stack, count: int) -> None:
    """Wait until the rules of the budgets have been evaluated so many times more."""
    seen = set[str]()

    def enough() -> bool:
        groups = stack.get("prometheus", 9090, "/api/v1/rules")["data"]["groups"]
        seen.update(group["lastEvaluation"] for group in groups if group["name"] == "costspan-budgets")
        return len(seen) > count

    stack.until(enough, f"{count} evaluations are to pass")


def raised(stack: Stack, team: str, *thresholds: int, period: str = "202611", is_over: bool = False) -> None:
    """Hand alerts to Alertmanager as Prometheus does, in this order, each in a request of its own."""
    for threshold in thresholds:
        labels = {
            "alertname": "LlmBudgetThreshold", "component": "llm-budget", "severity": "info", "threshold": str(threshold),
            series.BUDGET_LABEL: "mine", series.EVERY_LABEL: "month", series.PERIOD_LABEL: period, "llm_team": team,
        }  # fmt: skip
        ends_s = time.time() + (-1 if is_over else 3_600)
        alert = {"labels": labels, "endsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends_s))}
        asked = urllib.request.Request(
            stack.url("alertmanager", 9093) + "/api/v2/alerts",
            json.dumps([alert]).encode(),
            {"Content-Type": "application/json", **stack.headers("alertmanager")},
        )
        urllib.request.urlopen(asked, timeout=30).close()


def handed(stack: Stack, alerts: list[dict[str, str]]) -> None:
    """Hand alerts with these labels to Alertmanager, all in one request."""
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3_600))
    body = json.dumps([{"labels": labels, "endsAt": ends} for labels in alerts]).encode()
    asked = urllib.request.Request(
        stack.url("alertmanager", 9093) + "/api/v2/alerts",
        body,
        {"Content-Type": "application/json", **stack.headers("alertmanager")},
    )
    urllib.request.urlopen(asked, timeout=30).close()


def burning(team: str, window: str) -> dict[str, str]:
    """The labels of a burn, as the rules write them."""
    severity = "critical" if window == "1h" else "warning"
    return {
        "alertname": "LlmBudgetBurnRate", "component": "llm-budget", "severity": severity, series.WINDOW_LABEL: window,
        series.BUDGET_LABEL: "mine", series.EVERY_LABEL: "month", "llm_team": team,
    }  # fmt: skip


def crossing(team: str, threshold: str) -> dict[str, str]:
    """The labels of a crossed threshold, as the rules write them."""
    return {
        "alertname": "LlmBudgetThreshold", "component": "llm-budget", "severity": "info", "threshold": threshold,
        series.BUDGET_LABEL: "mine", series.EVERY_LABEL: "month", series.PERIOD_LABEL: "202611", "llm_team": team,
    }  # fmt: skip


def heard(stack: Stack, team: str) -> list[str]:
    """Thresholds and windows of which a team's owner was told, however often."""
    return all_heard(stack).get(team, [])


def all_heard(stack: Stack) -> dict[str, list[str]]:
    """The same of all teams, sorted."""
    found: dict[str, list[str]] = {}
    for alert in (alert for body in stack.notifications() for alert in body["alerts"] if alert["status"] == "firing"):
        labels = alert["labels"]
        found.setdefault(labels.get("llm_team", ""), []).append(
            labels.get("threshold") or labels.get(series.WINDOW_LABEL, "")
        )
    return {team: sorted(what) for team, what in found.items()}


def settled(stack: Stack) -> None:
    """Return when all is told of what Alertmanager was handed before: two later alerts of others were, in turn."""
    for number in range(2):
        last = f"last-{time.monotonic_ns()}"
        raised(stack, last, 100)
        stack.until(lambda: told(stack, last), f"alert {number} after the others is to be told")  # noqa: B023


# -- Prometheus, Alertmanager and webhook -----------------------------------------------------------------------------


def test_each_crossing_is_told_within_two_evaluations_and_once(stack: Stack) -> None:
    """50, then 80, then 100 %; the higher silences the lower in Alertmanager, and none is told again while it burns.

    The rules find it with the evaluation that knows of the sum, by their own clock: how long a busy machine then takes
    to tell, and how long Alertmanager waits after its start, is not theirs. (It waits less than an evaluation after that:
    test_stack_files.py.)
    """
    thresholds = ("50", "80", "100")
    for count, usd in enumerate((4.99, 5.0, 8.0, 10.0)):
        spends(stack, "climbs", usd)
        if count:
            stack.until(lambda: len(told(stack, "climbs")) == count, f"{usd} USD are to be told")  # noqa: B023
            assert fired_s(stack, "climbs", thresholds[count - 1]) - known_s(stack, "climbs", usd) <= EVALUATION_S
        evaluations_pass(stack, 2)
        assert told(stack, "climbs") == list(thresholds[:count])
        assert silenced(stack, "climbs") == {*thresholds[: max(count - 1, 0)]}
    spends(stack, "climbs", 25.0)
    evaluations_pass(stack, 2)
    assert told(stack, "climbs") == list(thresholds)


def test_who_leaps_over_all_thresholds_at_once_is_told_of_the_highest_alone(stack: Stack) -> None:
    """Three alerts of one evaluation; 100 % silences 80 and 50 before they are told."""
    spends(stack, "leaps", 12.0)
    stack.until(lambda: told(stack, "leaps"), "the leap is to be told")
    assert fired_s(stack, "leaps", "100") - known_s(stack, "leaps", 12.0) <= EVALUATION_S
    evaluations_pass(stack, 2)
    assert told(stack, "leaps") == ["100"]
    assert silenced(stack, "leaps") == {"50", "80"}


def test_who_leaps_over_two_thresholds_is_told_of_the_higher_and_later_of_the_last(stack: Stack) -> None:
    """80 % silences 50, and is not silenced itself."""
    spends(stack, "leaps-twice", 9.0)
    stack.until(lambda: told(stack, "leaps-twice"), "the leap is to be told")
    evaluations_pass(stack, 2)
    assert told(stack, "leaps-twice") == ["80"]
    spends(stack, "leaps-twice", 10.0)
    stack.until(lambda: len(told(stack, "leaps-twice")) == 2, "the rest is to be told")
    assert told(stack, "leaps-twice") == ["80", "100"]
    assert silenced(stack, "leaps-twice") == {"50", "80"}


def test_what_programs_tell_of_an_account_is_told_once_and_not_again_by_a_restart(stack: Stack, tmp_path: Path) -> None:
    """Three programs in turn that share a store, three calls each: the first reaches 50 %, the second 100 %, the third nothing new.

    Each has ended before Prometheus hears of it, and has counted from zero: two counters of one, one of nothing.
    """
    (tmp_path / "budgets.yaml").write_text(BUDGETS)
    (tmp_path / "app.py").write_text(APP)
    more = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("collector", 4318), "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_COSTSPAN_BUDGETS": str(tmp_path / "budgets.yaml"), "OTEL_COSTSPAN_ACCOUNT": "acme",
    }  # fmt: skip
    lines: list[str] = []
    with stand_in() as address:
        for job in ("first", "second", "third"):
            sent = {**client_environment(address), **more, "OTEL_SERVICE_NAME": job}
            ended = start([INSTRUMENT, "python", "app.py"], tmp_path, **sent)
            assert ended.returncode == 0, ended.stderr
            lines += [line for line in ended.stderr.splitlines() if "budget theirs of account acme has spent" in line]
            query = f'sum(llm_requests_total{{job="{job}"}})'
            stack.until(lambda query=query: stack.value(query) == 3, f"the calls of {job} are to arrive")
    assert len(lines) == 2
    stack.until(lambda: len(told_by_programs(stack)) >= 2, "both thresholds are to be told")
    evaluations_pass(stack, 2)
    settled(stack)
    told = [(alert["threshold"], alert["severity"]) for alert in told_by_programs(stack)]
    assert sorted(told) == [("100", "critical"), ("50", "info")]
    counted = [row["metric"] for row in stack.query("llm_budget_crossings_total")]
    assert sorted((each["job"], each["llm_budget_name"], each["llm_budget_threshold"]) for each in counted) == [
        ("first", "theirs", "50"), ("second", "theirs", "100"),
    ]  # fmt: skip
    assert not any("acme" in each.values() for each in counted)


def told_by_programs(stack: Stack) -> list[dict[str, str]]:
    """The labels of the crossings that programs have told, in the order in which somebody heard of them."""
    alerts = [alert for body in stack.notifications() for alert in body["alerts"] if alert["status"] == "firing"]
    return [alert["labels"] for alert in alerts if alert["labels"]["alertname"] == "LlmBudgetCrossed"]


@pytest.mark.parametrize("service", ["alertmanager", "prometheus"])
def test_nothing_is_told_again_or_late_when_a_service_was_restarted(stack: Stack, service: str) -> None:
    """What was silenced before stays silenced: the alerts come again in any order, and none is told."""
    team = f"outlives-{service}"
    spends(stack, team, 12.0)
    stack.until(lambda: told(stack, team), "the leap is to be told")
    stack.stop(service)
    stack.start(service)
    stack.until(lambda: silenced(stack, team) == {"50", "80"}, "the alerts are to come again", 90)
    settled(stack)
    assert told(stack, team) == ["100"]


# -- Alertmanager and webhook: orders in which Prometheus could hand over ---------------------------------------------

ORDERS = [
    # the alerts in the order of their arrival, and what is told
    ((50, 80, 100), ["100"]),
    ((100, 80, 50), ["100"]),
    ((80, 100, 50), ["100"]),
    ((50, 80),      ["80"]),
    ((80, 50),      ["80"]),
]  # fmt: skip


@pytest.mark.parametrize(("order", "heard"), ORDERS, ids=[str(row[0]) for row in ORDERS])
def test_the_order_in_which_alerts_arrive_does_not_matter(
    stack: Stack, order: tuple[int, ...], heard: list[str]
) -> None:
    """Within the time that a group waits, only the highest is told, and that once."""
    team = "in-order-" + "-".join(map(str, order))
    raised(stack, team, *order)
    stack.until(lambda: told(stack, team), "the highest is to be told")
    raised(stack, team, *order)
    settled(stack)
    assert told(stack, team) == heard


def test_a_lower_threshold_that_comes_after_a_higher_was_told_is_silenced(stack: Stack) -> None:
    """However late it comes."""
    raised(stack, "late", 100)
    stack.until(lambda: told(stack, "late"), "100 % are to be told")
    raised(stack, "late", 80, 50)
    settled(stack)
    assert told(stack, "late") == ["100"]
    assert silenced(stack, "late") == {"50", "80"}


def test_another_team_and_another_period_are_not_silenced(stack: Stack) -> None:
    """100 % of November silence neither 50 % of December nor those of somebody else; December is told anew."""
    raised(stack, "spender", 100)
    raised(stack, "saver", 50)
    raised(stack, "spender", 50, period="202612")
    stack.until(lambda: told(stack, "saver") and len(told(stack, "spender")) == 2, "both are to be told")
    raised(stack, "spender", 100, period="202612")
    settled(stack)
    assert sorted(told(stack, "spender")) == ["100", "100", "50"]
    assert told(stack, "saver") == ["50"]


def test_the_end_of_a_period_tells_nothing_that_was_silenced(stack: Stack) -> None:
    """All thresholds end with their period; in no order does a lower one get loose."""
    raised(stack, "ends", 50, 80, 100)
    stack.until(lambda: told(stack, "ends"), "100 % are to be told")
    raised(stack, "ends", 100, 80, 50, is_over=True)
    settled(stack)
    assert told(stack, "ends") == ["100"]


@pytest.mark.parametrize("order", [("1h", "6h", "1d"), ("1d", "6h", "1h"), ("6h", "1d", "1h")], ids="-".join)
def test_a_budget_that_burns_is_told_once_however_many_windows_see_it(stack: Stack, order: tuple[str, ...]) -> None:
    """The shortest window, which is the most severe, silences the others."""
    team = "burns-" + "-".join(order)
    handed(stack, [burning(team, window) for window in order])
    stack.until(lambda: heard(stack, team), "the burn is to be told")
    handed(stack, [burning(team, window) for window in reversed(order)])
    settled(stack)
    assert heard(stack, team) == ["1h"]


def test_a_slow_burn_that_grows_fast_is_told_again_and_the_slow_one_is_not(stack: Stack) -> None:
    """Worse is news; that the slower windows see it later is none."""
    handed(stack, [burning("grows", "6h")])
    stack.until(lambda: heard(stack, "grows"), "the slow burn is to be told")
    handed(stack, [burning("grows", "1h")])
    stack.until(lambda: "1h" in heard(stack, "grows"), "the fast burn is to be told", 90)
    handed(stack, [burning("grows", "1d")])
    settled(stack)
    assert sorted(heard(stack, "grows")) == ["1h", "6h"]


def test_a_storm_of_crossings_pages_nobody_twice_and_forgets_nobody(stack: Stack) -> None:
    """A thousand and more alerts of 180 teams, handed over three times in any order: one threshold and one burn each."""
    teams = [f"storm-{number}" for number in range(180)]
    thresholds, windows = ("50", "80", "100"), ("1h", "6h", "1d")
    alerts = [crossing(team, each) for team in teams for each in thresholds]
    alerts += [burning(team, each) for team in teams for each in windows]
    for seed in range(3):
        random.Random(seed).shuffle(alerts)  # noqa: S311  the order of a storm is no secret
        handed(stack, alerts)
    stack.until(
        lambda: sum(len(what) for team, what in all_heard(stack).items() if team in teams) >= 2 * len(teams),
        "all teams are to be told",
        120,
    )
    handed(stack, alerts)
    settled(stack)
    known = all_heard(stack)
    assert {team: known.get(team) for team in teams} == {team: ["100", "1h"] for team in teams}


def test_a_thousand_crossings_are_a_thousand_pages_one_each(stack: Stack) -> None:
    """334 teams that go over 50, then 80, then 100 %: none is missing, none comes twice, however often all are handed over.

    Prometheus hands every alert over again each minute: here with each batch of new ones, in any order.
    """
    teams = [f"climbs-{number}" for number in range(334)]
    order, before = random.Random(7), list[dict[str, str]]()  # noqa: S311  the order of a storm is no secret
    for threshold in ("50", "80", "100"):
        new = [crossing(team, threshold) for team in teams]
        for at in range(0, len(new), 84):
            before += new[at : at + 84]
            order.shuffle(before)
            handed(stack, before)
        stack.until(
            lambda threshold=threshold: len(pages(stack, teams, threshold)) >= len(teams),
            "all teams are to be told",
            180,
        )
    handed(stack, before)
    an_interval_passes(stack)
    for threshold in ("50", "80", "100"):
        assert sorted(pages(stack, teams, threshold)) == sorted(teams)


def an_interval_passes(stack: Stack) -> None:
    """Return when every group was looked at once more: what is over is told with the next `group_interval`."""
    raised(stack, "passes", 100)
    stack.until(lambda: told(stack, "passes"), "an alert after the others is to be told")
    raised(stack, "passes", 100, is_over=True)
    stack.until(lambda: told(stack, "passes", "resolved"), "its end is to be told", 90)


def pages(stack: Stack, teams: list[str], threshold: str) -> list[str]:
    """The teams of which somebody was told that they crossed a threshold, as often as that was told.

    From the file of the webhook: it answers with the last thousand notifications only.
    """
    file = stack.places.path("webhook", "/var/lib/webhook/notifications.jsonl")
    whole, _, _ = (file.read_text(encoding="utf-8") if file.exists() else "").rpartition("\n")
    bodies = [json.loads(line) for line in whole.splitlines()]
    alerts = [alert for body in bodies for alert in body["alerts"] if alert["status"] == "firing"]
    told = [alert["labels"].get("llm_team", "") for alert in alerts if alert["labels"].get("threshold") == threshold]
    among = set(teams)
    return [team for team in told if team in among]
