"""From budgets.yaml to rules: golden pairs, the tools' own checks, and names that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from costspan.alerting import as_yaml, calendar, compiled, series
from costspan.alerting.rule import BUDGET_COMPONENT, METER_COMPONENT
from costspan.budgets.policy import Policy
from costspan.budgets.reading import load, parse
from costspan.cli import commands
from costspan.names import DURATION_S, HISTOGRAM, METRICS, prometheus_label
from promtools import ROOT, has_real_dates, program, prometheus, promtool

SHIPPED = ROOT / "prometheus"
RUNBOOKS = SHIPPED / "runbooks"
MONTHLY = ROOT / "examples" / "budgets" / "monthly.yaml"  # in a zone that changes its clock
ACCOUNT = ROOT / "examples" / "budgets" / "account.yaml"  # whose spend no counter tells apart
EXAMPLES = sorted((ROOT / "examples" / "budgets").glob("*.yaml"))
GOLDEN = sorted((ROOT / "tests" / "golden" / "rules").glob("*.yaml"))
SHIPPED_TESTS = sorted((SHIPPED / "rules-tests").glob("*.yml"))


def costspan(*words: str | Path) -> Result:
    """`costspan budgets ...`"""
    return CliRunner().invoke(commands.costspan, ["budgets", *map(str, words)], catch_exceptions=False)


def made(path: Path, folder: Path) -> Path:
    """The folder with the files compiled from a budgets.yaml."""
    compiled.write(compiled.compiled(load(path), path.name), folder)
    return folder


def rules_of(folder: Path) -> list[dict[str, Any]]:
    """Every rule in a folder of rule files."""
    files = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


# -- compiled files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_budgets_file_compiles_to_its_golden_files(path: Path) -> None:
    """A change of what comes out is seen in review: `costspan budgets compile NAME.yaml --out NAME` rewrites them."""
    assert compiled.stale(compiled.compiled(load(path), path.name), path.with_suffix("")) == []


def test_the_shipped_rules_come_from_the_shipped_budgets() -> None:
    """Nothing under prometheus/ that is compiled was edited by hand."""
    done = costspan("compile", ROOT / "examples" / "budgets" / "budgets.yaml", "--out", SHIPPED, "--check")
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, f"4 files under {SHIPPED} are up to date")


@pytest.mark.parametrize("path", [*EXAMPLES, *GOLDEN], ids=lambda path: path.stem)
def test_promtool_finds_no_fault_in_compiled_rules(path: Path, tmp_path: Path) -> None:
    """Every expression is valid, and no two rules make the same series."""
    folder = made(path, tmp_path)
    promtool(
        "check", "rules", "--lint=all", "--lint-fatal", folder / compiled.BUDGET_RULES, folder / compiled.METER_RULES
    )


@pytest.mark.parametrize("path", [*EXAMPLES, *GOLDEN], ids=lambda path: path.stem)
def test_compiled_rules_pass_their_compiled_tests(path: Path, tmp_path: Path) -> None:
    """Every budget crosses each of its thresholds in the test that is compiled with it."""
    folder = made(path, tmp_path)
    promtool("test", "rules", compiled.BUDGET_TESTS, cwd=folder)


BUDGETS = (compiled.BUDGET_TESTS, "")
SPEND = "rules-tests/spend.yml"
A_DAY, A_MONTH, TOKENS = (SPEND, "a day's spend"), (SPEND, "a month's spend"), (SPEND, "tokens are")


def budgets_of(count: int, more: str = "") -> Policy:
    """A budget a day and one a month for each of so many teams."""
    rows = [
        f"  - {{name: {period}-{at}, period: {period}, limit_usd: {10 + at}, scope: {{team: t{at}}}}}"
        for at in range(count)
        for period in ("day", "month")
    ]
    return parse("budgets:\n" + "\n".join(rows) + more)


def test_the_time_of_the_tests_grows_with_the_budgets_and_not_with_their_square() -> None:
    """Promtool evaluates all rules for each test: budgets that do not meet share one, and none waits longer in it."""

    def tests(policy: Policy) -> list[dict[str, Any]]:
        return yaml.safe_load(compiled.compiled(policy, "budgets.yaml")[compiled.BUDGET_TESTS])["tests"]

    few, many = tests(budgets_of(3)), tests(budgets_of(100))
    assert len(few) == len(many) == 1
    assert {each["eval_time"] for each in few[0]["promql_expr_test"]} == {
        each["eval_time"] for each in many[0]["promql_expr_test"]
    }


def test_budgets_that_count_the_same_calls_are_tested_apart(tmp_path: Path) -> None:
    """All, a team, the same team by a second budget, each team, tokens, a source of any team: every edge is still exact."""
    more = """
  - {name: all, period: month, limit_usd: 5}
  - {name: again, period: month, limit_usd: 7, scope: {team: [t1, t9]}}
  - {name: each, period: month, limit_usd: 9, each: team}
  - {name: each-source, period: month, limit_usd: 11, each: source, scope: {team: t2}}
  - {name: tokens, period: month, limit_tokens: 1000}
  - {name: day-tokens, period: day, limit_tokens: 1000, scope: {team: elsewhere}}
  - {name: beats, period: month, limit_usd: 3, scope: {source: heartbeat}}
"""
    compiled.write(compiled.compiled(budgets_of(3, more), "budgets.yaml"), tmp_path)
    promtool("test", "rules", compiled.BUDGET_TESTS, cwd=tmp_path)
    together = [
        test["name"].partition(":")[0]
        for test in yaml.safe_load((tmp_path / compiled.BUDGET_TESTS).read_text())["tests"]
    ]
    assert together == ["day-0 and 8 more", "all", "again and each-source", "each"]


BREAKS = [
    # what is broken in the compiled rules, and the tests that have to notice: a file and how the story's name begins
    (">= 0.8", ">= 0.801", BUDGETS, "a threshold that fires too late"),
    (">= 0.8", ">= 0.799", BUDGETS, "a threshold that fires too early"),
    ("vector(5)", "vector(6)", BUDGETS, "another limit"),
    ("[27h]", "[2h]", A_DAY, "a day that is looked for among its last hours"),
    ("max_over_time(llm_day_cost", "last_over_time(llm_day_cost", A_DAY, "a clock that stepped back"),
    ("and on (llm_weekday) llm:period:weekday", "", BUDGETS, "another weekday's spend"),
    ("and on (llm_period) llm:period:month", "", BUDGETS, "another month's spend"),
    ('llm_source="heartbeat"', 'llm_source!=""', BUDGETS, "another source's spend"),
    ('llm_team!~"|unknown"', 'llm_team!="x"', BUDGETS, "a team of nobody"),
    ('"llm_token_direction", "output"', '"llm_token_direction", "input"', TOKENS, "input and output as one"),
]


@pytest.mark.parametrize(("right", "wrong", "story", "_"), BREAKS, ids=[row[-1] for row in BREAKS])
def test_the_shipped_tests_notice_a_broken_rule(
    right: str, wrong: str, story: tuple[str, str], _: str, tmp_path: Path
) -> None:
    """A test that cannot fail proves nothing: each break of the rules fails a shipped test."""
    file, begins = story
    shutil.copytree(SHIPPED / "rules", tmp_path / "rules")
    shutil.copytree(SHIPPED / "rules-tests", tmp_path / "rules-tests")
    rules = tmp_path / compiled.BUDGET_RULES
    text = rules.read_text()
    assert right in text
    rules.write_text(text.replace(right, wrong))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", f"--run=^{begins}", file, cwd=tmp_path)


@pytest.mark.parametrize("path", SHIPPED_TESTS, ids=lambda path: path.stem)
def test_the_shipped_rules_pass_their_tests(path: Path) -> None:
    """All stories of prometheus/rules-tests/."""
    promtool("test", "rules", path.name, cwd=path.parent)


def test_a_rule_chain_crosses_a_change_of_the_clock_on_its_real_date(tmp_path: Path) -> None:
    """From the autumn change in Berlin through the end of the month, with the rules as they are loaded."""
    if not has_real_dates(tmp_path):
        pytest.skip("this promtool's tests begin in 1970 (before 3.9): real dates are proved by test_spend.py alone")
    budgets_yaml = tmp_path / "budgets.yaml"
    budgets_yaml.write_text(
        "time_zone: Europe/Berlin\nbudgets:\n"
        "  - {name: day, period: day, limit_usd: 5}\n  - {name: month, period: month, limit_usd: 8}\n"
    )
    folder = made(budgets_yaml, tmp_path)
    # Saturday 2026-10-24 00:00 in Berlin; a sample an hour; Sunday has 25 hours; November begins 193 hours later.
    story = {
        "start_timestamp": 1_792_792_800,
        "interval": "1h",
        "input_series": [
            {"series": 'llm_day_cost_usd_total{llm_weekday="6", instance="a"}', "values": "2x95 _x72 0.5x30"},
            {"series": 'llm_day_cost_usd_total{llm_weekday="7", instance="a"}', "values": "_x24 4x96"},
            {"series": 'llm_cost_usd_total{llm_period="202610", instance="a"}', "values": "6x192 7.9x20"},
            {"series": 'llm_cost_usd_total{llm_period="202611", instance="a"}', "values": "_x193 0.25x20"},
        ],
        "promql_expr_test": [
            _expected("llm:budget_spend:usd", hours, *samples)
            for hours, samples in (
                (23, (("day", "20261024", 2), ("month", "202610", 6))),
                (24, (("day", "20261025", 4), ("month", "202610", 6))),
                (48, (("day", "20261025", 4), ("month", "202610", 6))),
                (49, (("day", "20261026", 0), ("month", "202610", 6))),
                (169, (("day", "20261031", 0.5), ("month", "202610", 6))),
                (192, (("day", "20261031", 0.5), ("month", "202610", 6))),
                (193, (("day", "20261101", 0), ("month", "202611", 0.25))),
            )
        ],
    }
    tests = {"rule_files": [compiled.BUDGET_RULES], "evaluation_interval": "1h", "tests": [story]}
    (folder / "story.yml").write_text(json.dumps(tests))
    promtool("test", "rules", "story.yml", cwd=folder)


def _expected(name: str, hours: int, *samples: tuple[str, str, float]) -> dict[str, Any]:
    labels = '{}{{llm_budget="{}", llm_budget_period="{}", llm_period="{}"}}'
    return {
        "expr": name,
        "eval_time": f"{hours}h",
        "exp_samples": [
            {"labels": labels.format(name, period, period, word), "value": value} for period, word, value in samples
        ],
    }


# -- alerts and names -------------------------------------------------------------------------------------------------


def all_alerts(tmp_path: Path) -> list[dict[str, Any]]:
    """Every alert that can be compiled: with and without changes of the clock, and of budgets that programs tell."""
    rules = [*rules_of(SHIPPED / "rules"), *rules_of(made(MONTHLY, tmp_path) / "rules")]
    rules += rules_of(made(ACCOUNT, tmp_path) / "rules")
    return [rule for rule in rules if "alert" in rule]


def test_every_alert_has_a_runbook_and_every_runbook_an_alert(tmp_path: Path) -> None:
    """The two lists are the same, and the link of the alert leads to the page."""
    alerts = all_alerts(tmp_path)
    assert {alert["alert"] for alert in alerts} == {page.stem for page in RUNBOOKS.glob("*.md")}
    for alert in alerts:
        assert alert["annotations"]["runbook_url"].endswith(f"/prometheus/runbooks/{alert['alert']}.md")


def test_an_anomaly_that_nobody_wants_alerted_is_not() -> None:
    """Of `do`, only `alert` makes the alert; a file that says nothing of anomalies has it, too."""
    for said, is_alert in (("", True), ("anomaly: {factor: 2}\n", True), ("anomaly: {do: [log, callback]}\n", False)):
        policy = parse(said + "budgets: [{name: a, period: day, limit_usd: 1}]")
        files = compiled.compiled(policy, "b.yaml")
        for name in ("LlmSpendAnomaly", "LlmRunawaySession"):
            assert (f"alert: {name}" in files["rules/budgets.yml"]) is is_alert
            assert (name in files["alertmanager-routes.yml"]) is is_alert


CROSSED = """
budgets:
  - {name: each-account, period: month, limit_usd: 100, each: account, owner: research, thresholds: [80, {at: 90, do: [log]}, 100]}
  - {name: acme, period: month, limit_usd: 100, scope: {account: acme}}
  - {name: pace, rolling: 24h, limit_tokens: 10, each: team, thresholds: [50]}
  - {name: session, period: session, limit_usd: 1, thresholds: [100]}
  - {name: told, rolling: 1h, limit_usd: 1, thresholds: [{at: 100, do: [log]}]}
  - {name: seen, period: month, limit_usd: 5, thresholds: [40, 90]}
"""


def test_what_programs_tell_is_alerted_by_threshold_and_a_spent_session_wakes_nobody() -> None:
    """An alert for each threshold that alerts, of each budget whose spend no rule can see, and for no other."""
    files = compiled.compiled(parse(CROSSED), "b.yaml")
    rules = [rule for group in yaml.safe_load(files[compiled.BUDGET_RULES])["groups"] for rule in group["rules"]]
    labels = [rule["labels"] for rule in rules if rule.get("alert") == "LlmBudgetCrossed"]
    assert [(each["llm_budget"], each["threshold"], each["severity"], each.get("owner")) for each in labels] == [
        ("each-account", "80", "warning", "research"),
        ("each-account", "100", "critical", "research"),
        ("acme", "50", "info", None),
        ("acme", "80", "warning", None),
        ("acme", "100", "critical", None),
        ("pace", "50", "info", None),
        ("session", "100", "warning", None),
    ]
    quiet = compiled.compiled(
        parse("budgets: [{name: q, rolling: 1h, limit_usd: 1, thresholds: [{at: 100, do: [log]}]}]"), "b.yaml"
    )
    assert not [path for path, text in quiet.items() if "crossings" in text or "LlmBudgetCrossed" in text]


def test_what_programs_tell_is_told_again_for_what_came_since(tmp_path: Path) -> None:
    """Each hour, to the owner; of one budget the highest threshold alone, of one for each account every threshold."""
    receivers = tmp_path / "receivers.yml"
    receivers.write_text(RECEIVERS)
    made = compiled.with_receivers(parse(CROSSED), "b.yaml", ["default", "research"], RECEIVERS)
    (tmp_path / "alertmanager.yml").write_text(made)
    whole = yaml.safe_load(made)
    (budgets,) = whole["route"]["routes"]
    crossed, *others = budgets["routes"]
    stays = re.search(r"crossings_total\[(\w+)\]", compiled.compiled(parse(CROSSED), "b.yaml")[compiled.BUDGET_RULES])
    assert stays
    assert (crossed["matchers"], crossed["repeat_interval"]) == (['alertname="LlmBudgetCrossed"'], stays[1])
    assert [route["receiver"] for route in others] == ["research", "default"]
    silenced = [rule for rule in whole["inhibit_rules"] if 'alertname="LlmBudgetCrossed"' in rule["source_matchers"]]
    assert [(rule["source_matchers"][1:], rule["target_matchers"][1:], rule["equal"]) for rule in silenced] == [
        (
            ['llm_budget="acme"', f'threshold="{source}"'],
            ['llm_budget="acme"', f'threshold=~"{target}"'],
            ["llm_budget"],
        )
        for source, target in (("100", "80|50"), ("80", "50"))
    ]
    # What only programs tell has no part in what silences the alerts of others.
    assert [rule["source_matchers"][1] for rule in whole["inhibit_rules"][2:3]] == ['threshold="90"']
    test = ["config", "routes", "test", f"--config.file={tmp_path / 'alertmanager.yml'}", "alertname=LlmBudgetCrossed"]
    assert amtool(*test, "component=llm-budget", "owner=research").strip() == "research"
    assert amtool(*test, "component=llm-budget").strip() == "default"


def test_every_alert_is_tested(tmp_path: Path) -> None:
    """A story fires each alert by name; the end of the clock's table has its test on a real Prometheus."""
    written = [*SHIPPED_TESTS, made(ACCOUNT, tmp_path) / compiled.BUDGET_TESTS]
    tested = set(re.findall(r'alertname="(\w+)"', "".join(path.read_text() for path in written)))
    assert {alert["alert"] for alert in all_alerts(tmp_path)} == tested | {"LlmBudgetClockEnds"}


def test_every_alert_says_who_is_concerned_and_how_much(tmp_path: Path) -> None:
    """Component and severity are what routes go by; summary and description are what people read."""
    for alert in all_alerts(tmp_path):
        labels, notes = alert["labels"], alert["annotations"]
        assert labels["component"] in {BUDGET_COMPONENT, METER_COMPONENT}
        assert labels["severity"] in {"critical", "warning", "info"}
        assert notes["summary"]
        assert notes["description"]


def test_the_end_of_the_clock_is_told_half_a_year_before(tmp_path: Path) -> None:
    """The alert begins 180 days before the rules know no more (by the clock on the wall, in July)."""
    rules = {rule.get("alert") or rule["record"]: rule["expr"] for rule in rules_of(made(MONTHLY, tmp_path) / "rules")}
    ends = rules["LlmBudgetClockEnds"].replace(series.LOCAL_TIME.name, f"({rules[series.LOCAL_TIME.name]})")
    half_a_year_before_s = calendar.TABLE_END.timestamp() - 180 * 86_400
    with prometheus(tmp_path / "server") as server:
        assert server.query(ends, half_a_year_before_s - 7_201) == {}
        assert len(server.query(ends, half_a_year_before_s + 1)) == 1


def test_every_metric_and_label_in_a_rule_exists(tmp_path: Path) -> None:
    """A renamed metric breaks a test, not an alert at night."""
    metrics = {metric.prometheus: metric.labels for metric in METRICS if metric.kind != HISTOGRAM}
    metrics[f"{DURATION_S.prometheus}_count"] = DURATION_S.labels
    known = {*metrics, *series.FOREIGN_METRICS, *(each.name for each in series.RECORDED)}
    labels = {prometheus_label(label) for metric in METRICS for label in metric.labels}
    labels |= {label for each in series.RECORDED for label in each.labels} | set(series.FOREIGN_LABELS)
    folders = (SHIPPED, made(MONTHLY, tmp_path / "monthly"), made(ACCOUNT, tmp_path / "account"))
    for rule in [rule for folder in folders for rule in rules_of(folder / "rules")]:
        said = re.sub(r'"[^"]*"', '""', rule["expr"])
        assert set(re.findall(r"\b\w+(?=\{)|\b\w*:[\w:]+|\b\w+_(?:total|count|degraded)\b", said)) <= known, rule[
            "expr"
        ]
        used = {label for chosen in re.findall(r"\{([^}]*)\}", said) for label in re.findall(r"(\w+)\s*[=!]", chosen)}
        for listed in re.findall(r"(?:by|on|ignoring|group_left)\s*\(([\w, ]*)\)", said):
            used |= set(filter(None, re.split(r",\s*", listed)))
        assert used <= labels, rule["expr"]


def test_every_recorded_series_is_listed_and_every_listed_one_recorded(tmp_path: Path) -> None:
    """Dashboards and docs read series.RECORDED: each is recorded by some rule, and no rule records another.

    A week, a month from another day and calls are recorded where a budget is for them; of what all panels read the shipped
    rules record everything.
    """
    more = parse("budgets: [{name: a, period: month, begins_on: 2, limit_usd: 1, limit_tokens: 1, limit_requests: 1}]")
    compiled.write(compiled.compiled(more, "more.yaml"), tmp_path)
    folders = (SHIPPED, ROOT / "tests" / "golden" / "rules" / "berlin", tmp_path, made(ACCOUNT, tmp_path / "account"))
    shipped, golden, cycles, account = (
        {rule["record"] for rule in rules_of(folder / "rules") if "record" in rule} for folder in folders
    )
    asked = {series.CURRENT_WEEK.name, series.SPEND_WEEK.name, series.TOKENS_WEEK.name}
    asked |= {each.name for each in series.RECORDED if re.search("requests|cycle|days", each.name)}
    assert (golden | cycles) - shipped == asked
    assert account - shipped == {series.CROSSINGS_HOUR.name}
    assert golden | cycles | shipped | account == {each.name for each in series.RECORDED}


# -- Alertmanager -----------------------------------------------------------------------------------------------------

RECEIVERS = "receivers:\n  - name: default\n  - name: research\n"


@pytest.fixture
def alertmanager(tmp_path: Path) -> Path:
    """A whole configuration, compiled from an example with an owner that has a receiver and receivers."""
    (tmp_path / "receivers.yml").write_text(RECEIVERS)
    per_team = ROOT / "examples" / "budgets" / "per-team.yaml"
    assert costspan("compile", per_team, "--out", tmp_path, "--receivers", tmp_path / "receivers.yml").exit_code == 0
    return tmp_path / compiled.ALERTMANAGER


def test_pint_finds_no_fault_in_the_shipped_rules() -> None:
    """Its exceptions stand in prometheus/.pint.hcl, each with a reason."""
    pint = shutil.which("pint")
    if pint is None:
        pytest.skip("there is no pint on the PATH; build it from github.com/cloudflare/pint")
    command = [pint, "--config", str(SHIPPED / ".pint.hcl"), "--offline", "--no-color", "lint", str(SHIPPED / "rules")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"^(Warning|Bug|Fatal):", done.stdout + done.stderr, re.MULTILINE), done.stdout + done.stderr


def amtool(*words: str | Path) -> str:
    """What amtool says; fails the test if it says no."""
    done = subprocess.run(
        [program("amtool"), *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_amtool_finds_no_fault_in_the_compiled_configuration(alertmanager: Path) -> None:
    """Route, inhibition and the user's receivers fit together."""
    assert "SUCCESS" in amtool("check-config", alertmanager)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["component=llm-budget", "owner=research"], "research"),
        (["component=llm-budget", "owner=nobody"], "default"),
        (["component=llm-budget"], "default"),
        (["component=llm-budget", "alertname=LlmRunawaySession"], "default"),
        (["component=llm-meter", "owner=research"], "default"),
    ],
)
def test_an_owner_with_a_receiver_of_that_name_is_told(labels: list[str], receiver: str, alertmanager: Path) -> None:
    """All others are told by the default receiver."""
    amtool("config", "routes", "test", f"--config.file={alertmanager}", f"--verify.receivers={receiver}", *labels)


def test_a_higher_threshold_silences_all_lower_ones_of_its_budget_and_period(alertmanager: Path) -> None:
    """80 silences 50, 100 silences both and the forecast, a fast burn a slower one; identity is the budget, its period and its values."""
    rules = yaml.safe_load(alertmanager.read_text())["inhibit_rules"]
    silenced = [(rule["source_matchers"][1], rule["target_matchers"][-1]) for rule in rules]
    assert silenced == [
        ('threshold="100"', 'threshold=~"80|50"'),
        ('threshold="80"', 'threshold=~"50"'),
        ('llm_window="1h"', 'llm_window=~"6h|1d"'),
        ('llm_window="6h"', 'llm_window=~"1d"'),
        ('threshold="100"', 'alertname="LlmBudgetForecast"'),
    ]
    for rule in rules:
        assert rule["equal"] == ["llm_budget", "llm_period", *series.DIMENSION_LABELS]


# -- writing ----------------------------------------------------------------------------------------------------------


def test_compile_writes_all_files_or_none(tmp_path: Path) -> None:
    """A fault at the last file leaves the old files as they were, and no drafts."""
    made(EXAMPLES[0], tmp_path)
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    last = compiled.ROUTES
    (tmp_path / last).unlink()
    (tmp_path / last).mkdir()
    (tmp_path / last / "kept").touch()
    done = costspan("compile", EXAMPLES[1], "--out", tmp_path)
    assert done.exit_code == 1
    assert "cannot be written" in done.output
    assert not list(tmp_path.rglob(".*"))
    assert {path: path.read_text() for path in before if path.is_file()} == {
        path: text for path, text in before.items() if path.name != last
    }


def test_compile_refuses_a_bad_file_with_its_lines_and_writes_nothing(tmp_path: Path) -> None:
    """Generation fails with file, line, reason."""
    bad = tmp_path / "budgets.yaml"
    bad.write_text("budgets:\n  - name: a\n    period: never\n    limit_usd: 1\n")
    done = costspan("compile", bad, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert done.output == f"{bad}:3: budgets[0].period: is 'never': expected one of day, week, month, session\n"
    assert not (tmp_path / "out").exists()


def test_check_names_every_file_that_is_not_up_to_date(tmp_path: Path) -> None:
    """An edited, a missing and an unreadable file are told; nothing is written."""
    made(EXAMPLES[0], tmp_path)
    (tmp_path / compiled.BUDGET_RULES).write_text("edited")
    (tmp_path / compiled.BUDGET_TESTS).unlink()
    (tmp_path / compiled.ROUTES).write_bytes(b"\xff")
    done = costspan("compile", EXAMPLES[0], "--out", tmp_path, "--check")
    assert done.exit_code == 1
    assert [line.split(":")[0] for line in done.output.splitlines()] == [
        str(tmp_path / path) for path in (compiled.BUDGET_RULES, compiled.BUDGET_TESTS, compiled.ROUTES)
    ]
    assert not (tmp_path / compiled.BUDGET_TESTS).exists()


CONTENT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["1d", "off", "a\n  b", "'\""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@given(CONTENT)
def test_generated_yaml_is_read_back_as_it_was(content: Any) -> None:
    """Whatever is written, a YAML reader gets the same content."""
    assert yaml.safe_load(as_yaml.dump(content, title="two\nlines")) == content


def test_an_empty_policy_compiles(tmp_path: Path) -> None:
    """Rules without budgets still record spend and watch the meter."""
    compiled.write(compiled.compiled(Policy(()), "none"), tmp_path)
    promtool("check", "rules", tmp_path / compiled.BUDGET_RULES, tmp_path / compiled.METER_RULES)
