"""Settings that carry a promise: each follows from what is promised, and none can be changed without a check that fails.

No value is repeated here: a check derives what has to hold from the rules, panels, runbooks and other settings. `BROKEN`
changes each setting in a copy of the files, and the check has to notice. What only a running program shows is run: how
often Alertmanager tells in a month whose hours are hundredths of a second, and what `increase()` sees of a first sample.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack import Stack
from stack.compose import ROOT

from costspan.alerting.periods import PERIOD_RULES
from costspan.alerting.routes import IDENTITY
from costspan.ledger import outbox
from costspan.names import COST_USD
from promtools import program
from stack_clients import needing_programs, new_job, post, request

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_MIB = {"k": 1 / 1024, "m": 1, "g": 1024}
#: The longest month: 31 days, of which one has 25 hours; the month in which many zones set the clock back is one.
MONTH_S = 31 * 86_400 + 3_600
YEAR_S = 366 * 86_400
#: Prometheus looks so far back for the newest sample of a series (--query.lookback-delta).
LOOKBACK_S = 300
#: Prometheus says of an alert that it ends after so many times the longer of evaluation and resend delay (rules/alerting.go).
ENDS_AFTER = 4
GRADES = ("info", "warning", "critical")


def seconds(words: str) -> float:
    """A time as Prometheus and Alertmanager write it: `30s`, `1h30m`."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhdwy])", words))


class Files:
    """The files of the stack, below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def text(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def read(self, path: str) -> Any:
        return yaml.safe_load(self.text(path))

    @cached_property
    def services(self) -> dict[str, Any]:
        return self.read("docker-compose.yml")["services"]

    def flag(self, service: str, name: str) -> str:
        """The value of a flag, or of what Alertmanager and Prometheus take where none is given."""
        given = [word.partition("=")[2] for word in self.services[service]["command"] if word.startswith(f"--{name}=")]
        return given[0] if given else {"data.retention": "120h", "dispatch.start-delay": "0s"}.get(name, "")

    @cached_property
    def prometheus(self) -> Any:
        return self.read("prometheus/prometheus.yml")

    @cached_property
    def route(self) -> Any:
        return self.read("prometheus/alertmanager.yml")["route"]

    @cached_property
    def budget_route(self) -> Any:
        (route,) = [each for each in self.route["routes"] if "llm-budget" in str(each["matchers"])]
        return route

    @cached_property
    def alerts(self) -> list[dict[str, Any]]:
        groups = [
            group for file in ("budgets", "meter") for group in self.read(f"prometheus/rules/{file}.yml")["groups"]
        ]
        return [rule for group in groups for rule in group["rules"] if "alert" in rule]

    @property
    def evaluation_s(self) -> float:
        return seconds(self.prometheus["global"]["evaluation_interval"])

    @property
    def resend_s(self) -> float:
        return seconds(self.flag("prometheus", "rules.alert.resend-delay") or "1m")

    def asked_s(self) -> float:
        """How far back the farthest of all rules, runbooks and panels reads, at one moment."""
        files = [
            *(self.root / "prometheus").rglob("*.yml"),
            *(self.root / "prometheus" / "runbooks").glob("*.md"),
            *(self.root / "grafana" / "dashboards").glob("*.json"),
        ]
        text = "".join(file.read_text(encoding="utf-8") for file in files)
        return max(
            seconds(window) + seconds(offset)
            for window, offset in re.findall(r"\[(\d+[smhdwy])[^\]]*\](?: offset (\d+[smhdwy]))?", text)
        )


# -- what is promised -------------------------------------------------------------------------------------------------


def a_crossing_is_told_once_a_period(files: Files) -> None:
    """While an alert fires it is told again after `repeat_interval`, or as soon as Alertmanager has forgotten that it did.

    The alert stays for `keep_firing_for` after the end of the longest month.
    """
    kept = max(seconds(alert.get("keep_firing_for", "0s")) for alert in files.alerts if alert["alert"] == THRESHOLD)
    assert seconds(files.budget_route["repeat_interval"]) >= MONTH_S + kept
    assert seconds(files.flag("alertmanager", "data.retention")) >= seconds(files.budget_route["repeat_interval"])


def each_crossing_is_a_group_of_its_own(files: Files) -> None:
    """Or it would wait for the next round of an older one; a burn's windows are one group, told once."""
    assert set(files.budget_route["group_by"]) == {"alertname", "threshold", *IDENTITY}
    assert seconds(files.budget_route["group_interval"]) <= 2 * files.evaluation_s
    assert "continue" not in files.budget_route


def an_anomaly_that_goes_on_is_told_each_day(files: Files) -> None:
    """It has no period after which it is told anew: of all alerts of the budgets' route, these and no others."""
    again = {alert["alert"] for alert in files.alerts if alert["labels"]["component"] == "llm-budget"
             and any(matched(alert, route["matchers"]) and seconds(route["repeat_interval"]) == 86_400
                     for route in files.budget_route["routes"])}  # fmt: skip
    assert again == {"LlmSpendAnomaly", "LlmRunawaySession"}


def a_crossing_waits_less_than_an_evaluation(files: Files) -> None:
    """Told within two evaluations; but long enough that what silences it has come: all alerts come in one evaluation."""
    assert 0 < seconds(files.budget_route["group_wait"]) < files.evaluation_s


def the_meter_is_told_each_day_until_it_is_mended(files: Files) -> None:
    """Once for all processes of a service; a fault that nobody mends comes back with every day, and not more often."""
    assert files.route["receiver"] == "default"
    for alert in files.alerts:
        is_of_a_budget = alert["labels"]["component"] == "llm-budget"
        assert [matched(alert, route["matchers"]) for route in files.route["routes"]] == [is_of_a_budget]
    assert files.route["group_by"] == ["alertname", "job"]
    assert seconds(files.route["repeat_interval"]) == 86_400
    assert files.evaluation_s <= seconds(files.route["group_wait"]) <= seconds(files.route["group_interval"])
    for owner in ("", "platform"):
        labels = ["component=llm-meter", "severity=critical", *([f"owner={owner}"] if owner else [])]
        config = f"--config.file={files.root / 'prometheus' / 'alertmanager.yml'}"
        command = [program("amtool"), "config", "routes", "test", config, "--verify.receivers=default", *labels]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0, labels


def nothing_is_told_after_a_restart_before_what_silences_it_is_there(files: Files) -> None:
    """Prometheus hands over all alerts again within its resend delay and an evaluation. Told is written down each minute."""
    delay_s = seconds(files.flag("alertmanager", "dispatch.start-delay"))
    assert delay_s > files.resend_s + files.evaluation_s
    assert 0 < seconds(files.flag("alertmanager", "data.maintenance-interval")) <= 60


def an_outage_of_prometheus_ends_no_alert_for_four_minutes(files: Files) -> None:
    """As docs/stack.md says: so long Alertmanager believes that an alert goes on of which it hears nothing."""
    assert ENDS_AFTER * max(files.resend_s, files.evaluation_s) == 240


def prometheus_keeps_what_is_asked(files: Files) -> None:
    """A year's panel, and behind its first day as far as the farthest query reads."""
    kept = seconds(files.prometheus["storage"]["tsdb"]["retention"]["time"])
    assert kept >= YEAR_S + files.asked_s()


def prometheus_takes_whatever_the_collector_lets_pass(files: Files) -> None:
    """It refuses a whole request for one sample that is too late; the Collector lets points of so many hours pass."""
    (oldest,) = re.findall(
        r'datapoint\.time < Now\(\) - Duration\("(\w+)"\)', files.text("collector-config/allow-list.yaml")
    )
    window_s = seconds(files.prometheus["storage"]["tsdb"]["out_of_order_time_window"])
    # A point may wait in the Collector's queue after it was let pass: as long as the months that budgets read.
    assert window_s >= seconds(oldest) + 14 * 86_400
    assert window_s >= MONTH_S
    # What a dead process left is sent with its own time, and waits for so long to be.
    assert seconds(oldest) >= outbox.MOST_DAYS * 86_400


def the_collector_says_later_before_it_is_killed(files: Files) -> None:
    """Go collects garbage at the limit where the limiter begins to refuse; the kernel's limit is above both."""
    limiter = files.read("collector-config/collector.yaml")["processors"]["memory_limiter"]
    limit, soft = limiter["limit_mib"], limiter["limit_mib"] - limiter["spike_limit_mib"]
    service = files.services["collector"]
    (go,) = re.findall(r"^(\d+)MiB$", service["environment"]["GOMEMLIMIT"])
    size, unit = re.fullmatch(r"(\d+)([kmg])", service["mem_limit"]).groups()  # type: ignore[union-attr]
    assert 0 < int(go) <= soft < limit
    assert limit * 1.2 <= int(size) * _MIB[unit]
    assert seconds(limiter["check_interval"]) <= 1
    for name in ("agent", "gateway"):
        limiter = files.read(f"collector-config/{name}.yaml")["processors"]["memory_limiter"]
        assert 0 < limiter["spike_limit_percentage"] < limiter["limit_percentage"] < 90
        assert seconds(limiter["check_interval"]) <= 1


def after_an_outage_a_trace_is_judged_whole(files: Files) -> None:
    """Its spans wait on the disks of two agents, which ask again each at its own time: up to half as late again as said.

    The factor is `randomization_factor`, 0.5 where none is given (config/configretry of the Collector). A gateway judges
    a trace so long after its first span.
    """
    retry = files.read("collector-config/agent.yaml")["exporters"]["load_balancing/traces"]["retry_on_failure"]
    latest_s = seconds(retry["max_interval"]) * (1 + retry.get("randomization_factor", 0.5))
    judged = files.read("collector-config/gateway.yaml")["processors"]["tail_sampling"]["decision_wait"]
    assert retry["enabled"]
    assert latest_s < seconds(judged)


def a_burn_stays_until_no_slower_window_sees_it(files: Files) -> None:
    """Or the slower one, which it silences, would be told as news; and not longer than its own long window."""
    ruled = {alert["labels"]["llm_budget_period"] for alert in files.alerts if alert["alert"] == BURN}
    assert ruled >= {"day", "month"}
    for rules in map(PERIOD_RULES.__getitem__, sorted(ruled)):
        paces = rules.paces
        for faster, slower in itertools.zip_longest(paces, paces[1:]):
            burns = [
                alert for alert in files.alerts
                if alert["alert"] == BURN and alert["labels"]["llm_window"] == faster.long
                and alert["labels"]["llm_budget_period"] == rules.name
            ]  # fmt: skip
            assert burns
            for alert in burns:
                assert seconds((slower or faster).short) <= seconds(alert["keep_firing_for"]) <= seconds(faster.long)


def a_crossing_stays_over_a_gap_in_the_rules(files: Files) -> None:
    """A restart of Prometheus is one: without a sample for a lookback the alert would be over, and told again."""
    for alert in files.alerts:
        if alert["alert"] == THRESHOLD:
            assert LOOKBACK_S + 2 * files.evaluation_s < seconds(alert["keep_firing_for"]) <= 3_600


def whoever_silences_is_as_severe_as_what_it_silences(files: Files) -> None:
    """Or a page would become a mail."""
    rules = files.read("prometheus/alertmanager.yml")["inhibit_rules"]
    assert len(rules) == 5
    for rule, period in itertools.product(rules, PERIOD_RULES):
        alerts = [alert for alert in files.alerts if alert["labels"].get("llm_budget_period") == period]
        above, below = (
            {GRADES.index(alert["labels"]["severity"]) for alert in alerts if matched(alert, rule[side])}
            for side in ("source_matchers", "target_matchers")
        )
        assert not above or not below or min(above) >= max(below), rule


def matched(alert: dict[str, Any], matchers: list[str]) -> bool:
    labels = {"alertname": alert["alert"], **alert["labels"]}
    said = [re.fullmatch(r'(\w+)(=~?)"(.*)"', matcher) for matcher in matchers]
    return all(
        found and re.fullmatch(found[3] if found[2] == "=~" else re.escape(found[3]), labels.get(found[1], ""))
        for found in said
    )


def a_spent_budget_wakes_somebody_and_half_a_one_nobody(files: Files) -> None:
    """100 % is critical, a word in time is not; a month that would be over in less than three days is critical."""
    for alert in files.alerts:
        labels = alert["labels"]
        if alert["alert"] == THRESHOLD:
            spent = float(labels["threshold"])
            assert labels["severity"] == ("critical" if spent >= 100 else "warning" if spent >= 80 else "info")
        if alert["alert"] == BURN:
            (pace,) = [p for p in PERIOD_RULES[labels["llm_budget_period"]].paces if p.long == labels["llm_window"]]
            is_lost = labels["llm_budget_period"] == "month" and 31 / float(pace.factor) < 3
            assert labels["severity"] == ("critical" if is_lost else "warning")


def what_wakes_somebody_says_so_in_its_runbook(files: Files) -> None:
    """`at once` stands under Escalation of every alert on the meter that is critical, and of no other."""
    for alert in files.alerts:
        if alert["labels"]["component"] == "llm-meter":
            escalation = files.text(f"prometheus/runbooks/{alert['alert']}.md").partition("## Escalation")[2]
            is_urgent = "at once" in escalation.partition("## Resolution")[0]
            assert (alert["labels"]["severity"] == "critical") == is_urgent, alert["alert"]


def a_text_speaks_of_the_time_that_the_alert_waits(files: Files) -> None:
    """`for 30 minutes` in a summary is the rule's `for`, or the window of its expression."""
    spoken = 0
    for alert in files.alerts:
        for minutes in re.findall(r"for (\d+) minutes", alert["annotations"]["summary"]):
            spoken += 1
            assert alert.get("for") == f"{minutes}m" or f"[{minutes}m]" in alert["expr"], alert["alert"]
    assert spoken


THRESHOLD, BURN = "LlmBudgetThreshold", "LlmBudgetBurnRate"
PROMISES: list[Callable[[Files], None]] = [
    a_crossing_is_told_once_a_period,
    each_crossing_is_a_group_of_its_own,
    a_crossing_waits_less_than_an_evaluation,
    the_meter_is_told_each_day_until_it_is_mended,
    nothing_is_told_after_a_restart_before_what_silences_it_is_there,
    an_outage_of_prometheus_ends_no_alert_for_four_minutes,
    prometheus_keeps_what_is_asked,
    prometheus_takes_whatever_the_collector_lets_pass,
    the_collector_says_later_before_it_is_killed,
    after_an_outage_a_trace_is_judged_whole,
    an_anomaly_that_goes_on_is_told_each_day,
    a_burn_stays_until_no_slower_window_sees_it,
    a_crossing_stays_over_a_gap_in_the_rules,
    whoever_silences_is_as_severe_as_what_it_silences,
    a_spent_budget_wakes_somebody_and_half_a_one_nobody,
    what_wakes_somebody_says_so_in_its_runbook,
    a_text_speaks_of_the_time_that_the_alert_waits,
]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_setting_carries_its_promise(promise: Callable[[Files], None]) -> None:
    """As the files are."""
    promise(Files(ROOT))


COMPOSE, ALERTMANAGER, PROMETHEUS = "docker-compose.yml", "prometheus/alertmanager.yml", "prometheus/prometheus.yml"
BUDGETS, METER = "prometheus/rules/budgets.yml", "prometheus/rules/meter.yml"
COLLECTOR, AGENT, GATEWAY = (f"collector-config/{name}.yaml" for name in ("collector", "agent", "gateway"))
BROKEN: list[tuple[Callable[[Files], None], str, str, str]] = [
    # the promise, the file, what stands there (a regular expression), what somebody writes in its place
    (a_crossing_is_told_once_a_period, COMPOSE, r"--data\.retention=\w+", "--data.retention=120h"),
    (a_crossing_is_told_once_a_period, COMPOSE, r" +- --data\.retention=\w+\n", ""),
    (a_crossing_is_told_once_a_period, ALERTMANAGER, r"repeat_interval: 768h", "repeat_interval: 744h"),
    (a_crossing_is_told_once_a_period, ALERTMANAGER, r"repeat_interval: 768h", "repeat_interval: 800h"),
    (each_crossing_is_a_group_of_its_own, ALERTMANAGER, r" +- threshold\n", ""),
    (each_crossing_is_a_group_of_its_own, ALERTMANAGER, r"group_by:\n +- alertname\n +- threshold\n +- llm_budget\n", "group_by:\n        - alertname\n        - threshold\n"),
    (each_crossing_is_a_group_of_its_own, ALERTMANAGER, r"group_interval: 1m", "group_interval: 5m"),
    (a_crossing_waits_less_than_an_evaluation, ALERTMANAGER, r"group_wait: 10s", "group_wait: 30s"),
    (a_crossing_waits_less_than_an_evaluation, ALERTMANAGER, r"group_wait: 10s", "group_wait: 0s"),
    (a_crossing_waits_less_than_an_evaluation, PROMETHEUS, r"evaluation_interval: 30s", "evaluation_interval: 10s"),
    (the_meter_is_told_each_day_until_it_is_mended, ALERTMANAGER, r"repeat_interval: 24h", "repeat_interval: 4h"),
    (the_meter_is_told_each_day_until_it_is_mended, ALERTMANAGER, r'matchers:\n +- .component="llm-budget".', 'matchers:\n        - \'component=~"llm-budget|llm-meter"\'\n      continue: true'),
    (the_meter_is_told_each_day_until_it_is_mended, ALERTMANAGER, r"group_by:\n    - alertname\n    - job", "group_by:\n    - alertname"),
    (the_meter_is_told_each_day_until_it_is_mended, ALERTMANAGER, r"group_wait: 30s", "group_wait: 5s"),
    (nothing_is_told_after_a_restart_before_what_silences_it_is_there, COMPOSE, r"start-delay=100s", "start-delay=60s"),
    (nothing_is_told_after_a_restart_before_what_silences_it_is_there, COMPOSE, r"resend-delay=1m", "resend-delay=5m"),
    (nothing_is_told_after_a_restart_before_what_silences_it_is_there, COMPOSE, r" +- --data\.maintenance-interval=1m\n", ""),
    (an_outage_of_prometheus_ends_no_alert_for_four_minutes, COMPOSE, r"resend-delay=1m", "resend-delay=30s"),
    (prometheus_keeps_what_is_asked, PROMETHEUS, r"time: 400d", "time: 365d"),
    (prometheus_keeps_what_is_asked, PROMETHEUS, r"time: 400d", "time: 15d"),
    (prometheus_keeps_what_is_asked, BUDGETS, r"\[32d\]", "[60d]"),
    (prometheus_takes_whatever_the_collector_lets_pass, PROMETHEUS, r"window: 60d", "window: 45d"),
    (prometheus_takes_whatever_the_collector_lets_pass, "collector-config/allow-list.yaml", r"1080h", "2160h"),
    (the_collector_says_later_before_it_is_killed, COMPOSE, r"GOMEMLIMIT: 320MiB", "GOMEMLIMIT: 500MiB"),
    (the_collector_says_later_before_it_is_killed, COLLECTOR, r"limit_mib: 400", "limit_mib: 4000"),
    (the_collector_says_later_before_it_is_killed, COLLECTOR, r"spike_limit_mib: 80", "spike_limit_mib: 300"),
    (the_collector_says_later_before_it_is_killed, COLLECTOR, r"check_interval: 1s", "check_interval: 30s"),
    (the_collector_says_later_before_it_is_killed, AGENT, r"limit_percentage: 7\d", "limit_percentage: 99"),
    (the_collector_says_later_before_it_is_killed, GATEWAY, r"spike_limit_percentage: 15", "spike_limit_percentage: 95"),
    (after_an_outage_a_trace_is_judged_whole, AGENT, r"max_interval: 15s", "max_interval: 30s"),
    (after_an_outage_a_trace_is_judged_whole, GATEWAY, r"decision_wait: 30s", "decision_wait: 10s"),
    (an_anomaly_that_goes_on_is_told_each_day, ALERTMANAGER, r"LlmSpendAnomaly\|LlmRunawaySession", "LlmSpendAnomaly"),
    (a_burn_stays_until_no_slower_window_sees_it, BUDGETS, r"keep_firing_for: 30m", "keep_firing_for: 5m"),
    (a_burn_stays_until_no_slower_window_sees_it, BUDGETS, r"keep_firing_for: 2h", "keep_firing_for: 1h"),
    (a_burn_stays_until_no_slower_window_sees_it, BUDGETS, r"keep_firing_for: 30m", "keep_firing_for: 1d"),
    (a_crossing_stays_over_a_gap_in_the_rules, BUDGETS, r"keep_firing_for: 15m", "keep_firing_for: 1m"),
    (whoever_silences_is_as_severe_as_what_it_silences, BUDGETS, r"severity: critical", "severity: info"),
    (whoever_silences_is_as_severe_as_what_it_silences, ALERTMANAGER, r'llm_window=~"1d"', 'llm_window=~"1h|1d"'),
    (a_spent_budget_wakes_somebody_and_half_a_one_nobody, BUDGETS, r"severity: critical", "severity: warning"),
    (a_spent_budget_wakes_somebody_and_half_a_one_nobody, BUDGETS, r"severity: info", "severity: critical"),
    (what_wakes_somebody_says_so_in_its_runbook, METER, r"severity: critical", "severity: warning"),
    (what_wakes_somebody_says_so_in_its_runbook, METER, r"severity: warning", "severity: critical"),
    (a_text_speaks_of_the_time_that_the_alert_waits, METER, r"for: 30m", "for: 5m"),
    (a_text_speaks_of_the_time_that_the_alert_waits, METER, r"\[30m\]", "[10m]"),
]  # fmt: skip


@pytest.mark.parametrize(("promise", "file", "right", "wrong"), BROKEN, ids=[f"{row[2]}->{row[3]}" for row in BROKEN])
def test_no_setting_changes_unnoticed(
    promise: Callable[[Files], None], file: str, right: str, wrong: str, tmp_path: Path
) -> None:
    """In a copy of the files each is changed, and its promise does not hold any more."""
    for folder in ("collector-config", "prometheus", "grafana/dashboards"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / COMPOSE, tmp_path)
    promise(Files(tmp_path))
    text, count = re.subn(right, lambda _: wrong, (tmp_path / file).read_text(encoding="utf-8"))
    assert count
    (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError):
        promise(Files(tmp_path))


def test_every_promise_can_be_broken() -> None:
    """A check that nothing fails proves nothing."""
    assert {row[0] for row in BROKEN} == set(PROMISES)


# -- told once in a month, by a real Alertmanager -----------------------------------------------------------------------

#: An hour of the files takes so long: a month is 18 s.
HOUR_S = 0.024


@pytest.fixture
def a_short_month(tmp_path: Path) -> Iterator[Callable[[str, str], Stack]]:
    """Alertmanager and webhook of the compose file, with every time of hours shortened, and one word of it changed."""
    running: list[Stack] = []

    def shortened(words: str) -> str:
        return re.sub(r"\b(\d+)h\b", lambda hours: f"{round(int(hours[1]) * HOUR_S * 1_000)}ms", words)

    def started(right: str, wrong: str) -> Stack:
        retention = next(
            word for word in Files(ROOT).services["alertmanager"]["command"] if word.startswith("--data.retention")
        )
        haste = {
            retention: shortened(retention.replace(right, wrong)),
            "--data.maintenance-interval=1m": "--data.maintenance-interval=1s",
            "--dispatch.start-delay=100s": "--dispatch.start-delay=0s",
        }
        stack = needing_programs(lambda: Stack(tmp_path / "stack", only=["alertmanager", "webhook"], haste=haste))
        file = stack.configuration("alertmanager") / "alertmanager.yml"
        text = file.read_text().replace(right, wrong)
        file.write_text(shortened(text).replace("group_wait: 10s", "group_wait: 0s").replace(": 1m", ": 100ms"))
        running.append(stack)
        return stack.__enter__()

    yield started
    for stack in running:
        stack.__exit__(None, None, None)


def crossed(stack: Stack) -> float:
    """Hand over a crossing at the beginning of the month; returns when it ends, with the month, by the clock."""
    ends_s = time.time() + (MONTH_S + 900) / 3_600 * HOUR_S
    labels = {"alertname": THRESHOLD, "component": "llm-budget", "threshold": "100", "llm_period": "202610"}
    until = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ends_s)) + f".{int(ends_s % 1 * 1_000):03}Z"
    asked = urllib.request.Request(
        stack.url("alertmanager", 9093) + "/api/v2/alerts",
        json.dumps([{"labels": labels, "endsAt": until}]).encode(),
        {"Content-Type": "application/json", **stack.headers("alertmanager")},
    )
    urllib.request.urlopen(asked, timeout=30).close()
    return ends_s


def told(stack: Stack) -> list[str]:
    return [body["status"] for body in stack.notifications()]


def test_a_crossing_of_the_first_hour_is_told_once_in_the_longest_month(
    a_short_month: Callable[[str, str], Stack],
) -> None:
    """And then that it is over."""
    stack = a_short_month("", "")
    crossed(stack)
    stack.until(lambda: "resolved" in told(stack), "the month is to end")
    assert told(stack) == ["firing", "resolved"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("--data.retention=768h", "--data.retention=120h"), ("repeat_interval: 768h", "repeat_interval: 24h")],
)
def test_with_another_setting_it_would_be_told_again(
    a_short_month: Callable[[str, str], Stack], right: str, wrong: str
) -> None:
    """What the shortened month proves: Alertmanager's own default of five days, and a repetition each day, are seen."""
    stack = a_short_month(right, wrong)
    ends_s = crossed(stack)
    stack.until(lambda: told(stack).count("firing") > 1, "it is to be told again")
    assert time.time() < ends_s


# -- feature flags, by a real Prometheus ------------------------------------------------------------------------------------


def test_increase_sees_the_first_sample_of_a_process(tmp_path: Path) -> None:
    """`created-timestamp-zero-ingestion`: who asks in his own way sees a job that exported once, from its start on."""
    stack = needing_programs(lambda: Stack(tmp_path / "stack", only=["collector", "prometheus"]))
    with stack:
        job = new_job()
        body = request(job, COST_USD, value=1.5)
        (point,) = body.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
        point.start_time_unix_nano -= 60 * 10**9
        post(stack.url("collector", 4318), body)
        stack.until(lambda: stack.query(f'llm_cost_usd_total{{job="{job}"}}'), "the point is to arrive")
        assert stack.value(f'increase(llm_cost_usd_total{{job="{job}"}}[10m])') == pytest.approx(1.5, rel=0.02)


def test_every_feature_flag_is_tested() -> None:
    """A flag without a test is one that nobody needs."""
    assert Files(ROOT).flag("prometheus", "enable-feature").split(",") == ["created-timestamp-zero-ingestion"]
