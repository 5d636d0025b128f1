"""What a person reads: the texts of the alerts as Prometheus fills them in, and the notifications made of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from test_rules import amtool

from costspan.alerting import compiled
from costspan.budgets.reading import parse
from promtools import ROOT, promtool

TEMPLATES = ROOT / "prometheus" / "templates" / "*.tmpl"
EXAMPLES = ROOT / "prometheus" / "receivers.example.yml"

# -- alerts, filled in by Prometheus' own tester ---------------------------------------------------------------------------

BUDGETS = """
runbooks: https://wiki.example/llm/
grafana: https://grafana.example/
budgets:
  - {name: teams, period: month, limit_usd: 40, each: team, thresholds: [50]}
  - name: odd
    period: month
    limit_usd: 0.5
    scope: {source: ['he said "100 %d"', 'a\\b{c}'], task_type: review}
    thresholds: [100]
    owner: 'o"{'
  - {name: both, period: month, limit_usd: 1, each: team, scope: {source: 'cut by 50%d'}, thresholds: [100]}
  - {name: tokens, period: day, limit_tokens: 1000, thresholds: [80]}
  - {name: calls, period: month, begins_on: 15, limit_requests: 200, thresholds: [50]}
  - {name: nothing, period: month, limit_usd: 0, scope: {provider: forbidden}, thresholds: [100]}
"""
SERIES = {
    'llm_cost_usd_total{llm_period="197001", llm_team="search & co", llm_task_type="review", llm_source="cron", gen_ai_request_model="gpt-5"}': "15",
    'llm_cost_usd_total{llm_period="197001", llm_team="search & co", llm_task_type="chat", gen_ai_request_model="o3"}': "6.25",
    'llm_cost_usd_total{llm_period="197001", llm_source="he said \\"100 %d\\"", llm_task_type="review"}': "0.625",
    'llm_cost_usd_total{llm_period="197001", llm_source="cut by 50%d", llm_team="t \\"u\\""}': "1.25",
    'llm_day_tokens_total{llm_weekday="4", llm_token_direction="input", gen_ai_request_model="gpt-5"}': "900",
    'llm_day_requests_total{llm_weekday="4", llm_team="ads"}': "120",
    'llm_cost_usd_total{llm_period="197001", gen_ai_provider_name="forbidden", gen_ai_request_model="x"}': "0.125",
}
DEAREST = "Dearest (team / task type / source / model): "
REST = "\nNothing is refused by this alert; what to do stands in the runbook."
USAGE = "https://grafana.example/d/costspan-usage?"
TOLD = [
    # alert, budget: summary, scope, description, dashboard
    (
        "LlmBudgetThreshold", "teams", "Budget teams (team search & co): 50 % of 40 USD a month is spent", "team search & co",
        ("53.12% of 40 USD a month is spent in 197001. Spent: 21.25 of 40 USD. At this pace: 1581.00 USD at the end of the"
        f" month.\n{DEAREST}search & co / review / cron / gpt-5: 15.00 USD; search & co / chat / unknown / o3: 6.25 USD.{REST}"),
        f"{USAGE}var-team=search+%26+co",
    ),
    (
        "LlmBudgetThreshold", "odd",
        'Budget odd (source he said "100 %d" or a\\b{c}, task type review): 100 % of 0.5 USD a month is spent',
        'source he said "100 %d" or a\\b{c}, task type review',
        ("125% of 0.5 USD a month is spent in 197001. Spent: 0.6250 of 0.5 USD. At this pace: 46.5000 USD at the end of the"
        f' month.\n{DEAREST}unknown / review / he said "100 %d" / unknown: 0.6250 USD.{REST}'),
        f"{USAGE}var-source=he%20said%20%22100%20%25d%22&var-source=a%5Cb%7Bc%7D&var-task_type=review",
    ),
    (
        "LlmBudgetThreshold",
        "both",
        'Budget both (team t "u", source cut by 50%d): 100 % of 1 USD a month is spent',
        'team t "u", source cut by 50%d',
        (
            "125% of 1 USD a month is spent in 197001. Spent: 1.25 of 1 USD. At this pace: 93.00 USD at the end of the month."
            f'\n{DEAREST}t "u" / unknown / cut by 50%d / unknown: 1.25 USD.{REST}'
        ),
        f"{USAGE}var-source=cut%20by%2050%25d&var-team=t+%22u%22",
    ),
    (
        "LlmBudgetThreshold", "tokens", "Budget tokens (all calls): 80 % of 1000 tokens a day is spent", "all calls",
        ("90% of 1000 tokens a day is spent in 19700101. Spent: 900 of 1000 tokens. At this pace: 2160 tokens at the end of"
        f" the day.\n{DEAREST}unknown / unknown / unknown / gpt-5: 900 tokens.{REST}"),
        "https://grafana.example/d/costspan-budgets?var-budget=tokens",
    ),
    (
        "LlmBudgetThreshold", "calls", "Budget calls (all calls): 50 % of 200 calls a month from day 15 is spent", "all calls",
        ("60% of 200 calls a month from day 15 is spent in the month from 19691215. Spent: 120 of 200 calls. At this pace: 214"
        f" calls at the end of the month.\n{DEAREST}ads / unknown / unknown / unknown: 120 calls.{REST}"),
        "https://grafana.example/d/costspan-budgets?var-budget=calls",
    ),
    (
        "LlmBudgetThreshold", "nothing", "Budget nothing (provider forbidden): 100 % of 0 USD a month is spent",
        "provider forbidden",
        f"Nothing may be spent. Spent: 0.1250 of 0 USD.\n{DEAREST}unknown / unknown / unknown / x: 0.1250 USD.{REST}",
        f"{USAGE}var-provider=forbidden",
    ),
]  # fmt: skip
MORE = {
    "teams": {"llm_team": "search & co", "llm_period": "197001", "threshold": "50", "severity": "info"},
    "odd": {"owner": 'o"{', "llm_period": "197001", "threshold": "100", "severity": "critical"},
    "both": {"llm_team": 't "u"', "llm_period": "197001", "threshold": "100", "severity": "critical"},
    "tokens": {"llm_period": "19700101", "threshold": "80", "severity": "warning", "llm_budget_period": "day"},
    "calls": {"llm_period": "19691215", "threshold": "50", "severity": "info", "llm_budget_period": "month-15"},
    "nothing": {"llm_period": "197001", "threshold": "100", "severity": "critical"},
}


def test_a_budget_s_alert_says_what_is_spent_where_that_leads_and_what_is_dearest(tmp_path: Path) -> None:
    """At 10:00 of the first day, with hostile names in scope and owner: every text, word for word."""
    compiled.write(compiled.compiled(parse(BUDGETS), "budgets.yaml"), tmp_path)
    expected = [
        {
            "exp_labels": {"component": "llm-budget", "llm_budget": budget, "llm_budget_period": "month", **MORE[budget]},
            "exp_annotations": {
                "summary": summary, "scope": scope, "description": description, "dashboard_url": page,
                "runbook_url": f"https://wiki.example/llm/{alert}.md",
            },
        }
        for alert, budget, summary, scope, description, page in TOLD
    ]  # fmt: skip
    told = [{"alertname": "LlmBudgetThreshold", "eval_time": "10h", "exp_alerts": expected}]
    series = [{"series": name, "values": f"{value}x60"} for name, value in SERIES.items()]
    story = {"interval": "10m", "input_series": series, "alert_rule_test": told}
    tests = {"rule_files": [compiled.BUDGET_RULES], "evaluation_interval": "10m", "tests": [story]}
    (tmp_path / "told.yml").write_text(json.dumps(tests))
    promtool("test", "rules", "told.yml", cwd=tmp_path)


CROSSED = """
runbooks: https://wiki.example/llm/
grafana: https://grafana.example/
budgets:
  - {name: each-account, period: month, limit_usd: 100, each: account, scope: {team: 'a"{b'}, thresholds: [80]}
  - {name: acme, rolling: 24h, limit_tokens: 1000, scope: {account: ['x",y="', 'c\\d']}, thresholds: [{at: 50, do: [alert]}], owner: 'o"{'}
"""
WHERE = "No metric says whose spend it is, nor how much: on that machine `costspan budgets status FILE` says how the budget stands,"
ENDS = "\nThis alert ends an hour after the last crossing, whatever is spent by then. It refuses nothing; what to do stands in the runbook."


def test_what_programs_tell_says_who_told_it_and_where_the_rest_stands(tmp_path: Path) -> None:
    """Two processes of one program and one of another have told it in the last hour, and one before that."""
    compiled.write(compiled.compiled(parse(CROSSED), "budgets.yaml"), tmp_path)
    expected = [
        ("each-account", "month", "80", "warning", None, 'each account, team a"{b', "80 % of 100 USD a month",
         ("80 % of 100 USD a month was reached in the last hour, each account for itself: 3 times. Told by web, night, whose log has the line"
         f" `budget each-account of account ... has spent ...`. {WHERE} and `costspan usage --by account` what each cost.{ENDS}")),
        ("acme", "24h", "50", "info", 'o"{', 'account x",y=" or c\\d', "50 % of 1000 tokens in any 24h",
         (f"50 % of 1000 tokens in any 24h was reached in the last hour. Told by web. {WHERE} and `costspan usage --by account` what each"
         f" cost.{ENDS}")),
    ]  # fmt: skip
    told = [
        {
            "exp_labels": {
                "component": "llm-budget", "llm_budget": name, "llm_budget_period": period, "threshold": threshold, "severity": severity,
                **({"owner": owner} if owner else {}),
            },
            "exp_annotations": {
                "summary": f"Budget {name} ({scope}): {reached} is spent", "scope": scope, "description": description,
                "dashboard_url": "https://grafana.example/d/costspan-budgets", "runbook_url": "https://wiki.example/llm/LlmBudgetCrossed.md",
            },
        }
        for name, period, threshold, severity, owner, scope, reached, description in expected
    ]  # fmt: skip
    of = 'llm_budget_crossings_total{{llm_budget_name="{}", llm_budget_threshold="{}", job="{}", instance="{}"}}'
    series = [
        {"series": of.format(*which), "values": values}
        for *which, values in (
            ("each-account", "80", "web", "1", "_x9 1x9"), ("each-account", "80", "web", "2", "_x10 1x9"),
            ("each-account", "80", "night", "3", "4x8 5x12"), ("each-account", "80", "before", "4", "7x20"),
            ("acme", "50", "web", "1", "_x9 1x9"), ("acme", "80", "web", "1", "_x9 1x9"),
        )
    ]  # fmt: skip
    story = {
        "interval": "10m", "input_series": series,
        "alert_rule_test": [{"alertname": "LlmBudgetCrossed", "eval_time": "110m", "exp_alerts": told}],
    }  # fmt: skip
    tests = {"rule_files": [compiled.BUDGET_RULES], "evaluation_interval": "10m", "tests": [story]}
    (tmp_path / "told.yml").write_text(json.dumps(tests))
    promtool("test", "rules", "told.yml", cwd=tmp_path)


def test_burn_and_forecast_say_it_as_well(tmp_path: Path) -> None:
    """The pace with its windows, what the long window cost, and what is spent of the whole."""
    compiled.write(compiled.compiled(parse(BUDGETS), "budgets.yaml"), tmp_path)
    labels = {"component": "llm-budget", "llm_budget": "teams", "llm_budget_period": "month", "llm_team": "a"}
    links = {"scope": "team a", "dashboard_url": f"{USAGE}var-team=a"}
    burn = {
        "exp_labels": {**labels, "severity": "critical", "llm_window": "1h"},
        "exp_annotations": {
            "summary": "Budget teams (team a): spending 111.6 times too fast for 40 USD a month",
            "description": "In the last 1h, and still in the last 5m, spending ran 111.6 times faster than 40 USD a month"
            " allows if spent evenly. Spent: 6.00 of 40 USD. At this pace: 4464.00 USD at the end of the month.\n"
            f"In the last 1h: {DEAREST}a / unknown / unknown / gpt-5: 6.00 USD.",
            "runbook_url": "https://wiki.example/llm/LlmBudgetBurnRate.md", **links,
        },
    }  # fmt: skip
    series = 'llm_cost_usd_total{llm_period="197001", llm_team="a", gen_ai_request_model="gpt-5"}'
    told = [
        {"expr": 'count by (llm_window) (ALERTS{alertname="LlmBudgetBurnRate", llm_window="1h", llm_budget="teams"})',
         "eval_time": "1h", "exp_samples": [{"labels": '{llm_window="1h"}', "value": 1}]},
    ]  # fmt: skip
    story = {
        "interval": "1m", "input_series": [{"series": series, "values": "0+0.1x60"}], "promql_expr_test": told,
        "alert_rule_test": [{"alertname": "LlmBudgetBurnRate", "eval_time": "1h", "exp_alerts": [burn]}],
    }  # fmt: skip
    rules = yaml.safe_load((tmp_path / compiled.BUDGET_RULES).read_text())
    for group in rules["groups"]:  # promtool compares all alerts of a name: the slower windows would come with it
        group["rules"] = [rule for rule in group["rules"] if rule.get("labels", {}).get("llm_window") not in {"6h", "1d"}
                          or "alert" not in rule]  # fmt: skip
    (tmp_path / "fast.yml").write_text(json.dumps(rules))
    tests = {
        "rule_files": ["fast.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": ["costspan-budgets", "costspan-rates"],
        "tests": [story],
    }
    (tmp_path / "burn.yml").write_text(json.dumps(tests))
    promtool("test", "rules", "burn.yml", cwd=tmp_path)


def test_every_link_is_absolute_and_leads_to_a_page_that_is_there() -> None:
    """Runbook pages and dashboards of this repository; both addresses come from budgets.yaml."""
    dashboards = {json.loads(file.read_text())["uid"] for file in (ROOT / "grafana" / "dashboards").glob("*.json")}
    for file in ("budgets", "meter"):
        groups = yaml.safe_load((ROOT / "prometheus" / "rules" / f"{file}.yml").read_text())["groups"]
        for notes in [rule["annotations"] for group in groups for rule in group["rules"] if "alert" in rule]:
            page = re.fullmatch(r"https://github\.com/costspan/costspan/blob/main/(.*)", notes["runbook_url"])
            board = re.match(r"http://localhost:3000/d/([\w-]+)", notes["dashboard_url"])
            assert page
            path, _, anchor = page[1].partition("#")
            assert (ROOT / path).is_file()
            assert anchor in {
                "",
                *(head.lower() for head in re.findall(r"^#+ (.*)$", (ROOT / path).read_text(), re.MULTILINE)),
            }
            assert board
            assert board[1] in dashboards


# -- notifications, rendered by Alertmanager's own tool ----------------------------------------------------------------------


def alert(
    summary: str = "", status: str = "firing", notes: dict[str, str] | None = None, **labels: str
) -> dict[str, Any]:
    named = {"alertname": "LlmBudgetThreshold", "severity": "warning", **labels}
    links = {"runbook_url": "https://wiki/Page.md", "dashboard_url": "http://grafana/d/costspan-usage?var-team=a"}
    said = {"summary": summary, "description": f"About {summary}.", **links, **(notes or {})}
    return {"status": status, "labels": named, "annotations": said}


def group(*alerts: dict[str, Any]) -> dict[str, Any]:
    """What Alertmanager hands to a template: https://pkg.go.dev/github.com/prometheus/alertmanager/template#Data"""

    def common(part: str) -> dict[str, str]:
        first, *others = (set(each[part].items()) for each in alerts)
        return dict(first.intersection(*others))

    is_firing = any(each["status"] == "firing" for each in alerts)
    return {
        "receiver": "default", "status": "firing" if is_firing else "resolved", "alerts": [*alerts], "groupLabels": {},
        "commonLabels": common("labels"), "commonAnnotations": common("annotations"), "externalURL": "http://localhost:9093",
    }  # fmt: skip


def rendered(text: str, data: dict[str, Any], folder: Path, templates: Path = TEMPLATES) -> str:
    (folder / "data.json").write_text(json.dumps(data))
    return amtool(
        "template", "render", f"--template.glob={templates}", f"--template.text={text}",
        f"--template.data={folder / 'data.json'}",
    )  # fmt: skip


A = {"llm_budget": "teams", "llm_team": "a"}
B = {"llm_budget": "teams", "llm_team": "b"}
OF_A, OF_B = {"scope": "team a"}, {"scope": "team b"}
ONE = alert("Budget teams (team a): 80 % is spent", notes=OF_A, **A)
OVER = alert("Budget teams (team a): 80 % is spent", "resolved", notes=OF_A, **A)
SLOW = alert("Budget teams (team a): slow burn", notes=OF_A, alertname="LlmBudgetBurnRate", llm_window="6h", **A)
FAST = alert(
    "Budget teams (team a): fast burn",
    notes=OF_A,
    alertname="LlmBudgetBurnRate",
    llm_window="1h",
    severity="critical",
    **A,
)
FAST_OVER = {**FAST, "status": "resolved"}
OTHER = alert("Budget teams (team b): 80 % is spent", notes=OF_B, **B)
INFO = alert("Budget x (all calls): 50 % is spent", notes={"scope": "all calls"}, llm_budget="x", severity="info")
LOSS = [alert(f"collector ({at}) loses", alertname="LlmPipelineLoss", job="collector", instance=at) for at in "12"]
GROUPS: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    # name: alerts, title, severity
    "one": ([ONE], "[warning] Budget teams (team a): 80 % is spent", "warning"),
    "one over": ([OVER], "[Over] Budget teams (team a): 80 % is spent", "warning"),
    "windows of a burn": ([SLOW, FAST], "[critical] LlmBudgetBurnRate of budget teams (team a): 2 firing", "critical"),
    "a window is over": ([FAST_OVER, SLOW], "[warning] LlmBudgetBurnRate of budget teams (team a): 1 firing, 1 over", "warning"),
    "two alerts of a budget": ([ONE, FAST], "[critical] Budget teams (team a): 2 firing", "critical"),
    "two teams": ([ONE, OTHER], "[warning] LlmBudgetThreshold of budget teams: 2 firing", "warning"),
    "two budgets": ([INFO, ONE], "[warning] LlmBudgetThreshold of budgets x (all calls); teams (team a): 2 firing", "warning"),
    "seven budgets": (
        [{**INFO, "labels": {**INFO["labels"], "llm_budget": f"b{at}"}} for at in range(7)],
        ("[info] LlmBudgetThreshold of budgets b0 (all calls); b1 (all calls); b2 (all calls); b3 (all calls); b4 (all calls);"
        " more: 7 firing"),
        "info",
    ),
    "all over": ([OVER, FAST_OVER], "[Over] Budget teams (team a): 2 over", "critical"),
    "the meter": (LOSS, "[warning] LlmPipelineLoss of collector: 2 firing", "warning"),
    "no severity": ([{**ONE, "labels": {"alertname": "Foreign"}}], "[warning] Budget teams (team a): 80 % is spent", "warning"),
}  # fmt: skip


@pytest.mark.parametrize(("alerts", "title", "severity"), GROUPS.values(), ids=GROUPS)
def test_a_title_names_budget_and_scope_and_the_highest_severity(
    alerts: list[dict[str, Any]], title: str, severity: str, tmp_path: Path
) -> None:
    """For one alert and for several, whatever differs between them."""
    data = group(*alerts)
    assert rendered('{{ template "costspan.title" . }}', data, tmp_path) == title
    assert rendered('{{ template "costspan.severity" . }}', data, tmp_path) == severity


LINKS = "What to do: https://wiki/Page.md\nDashboard: http://grafana/d/costspan-usage?var-team=a\n"
SILENCE = "Silence: http://localhost:9093/#/silences/new?filter=%7B"
TEXTS = {
    "one": (
        [ONE],
        "WARNING: Budget teams (team a): 80 % is spent\nAbout Budget teams (team a): 80 % is spent.\n" + LINKS + "\n"
        + SILENCE + "alertname%3D%22LlmBudgetThreshold%22%2C%20llm_budget%3D%22teams%22%2C%20llm_team%3D%22a%22%2C%20"
        "severity%3D%22warning%22%7D",
    ),
    "several": (
        [FAST_OVER, SLOW],
        "WARNING: Budget teams (team a): slow burn\nAbout Budget teams (team a): slow burn.\n" + LINKS
        + "\nOver: Budget teams (team a): fast burn\nDashboard: http://grafana/d/costspan-usage?var-team=a\n\n" + SILENCE
        + "alertname%3D%22LlmBudgetBurnRate%22%2C%20llm_budget%3D%22teams%22%2C%20llm_team%3D%22a%22%7D",
    ),
    "over": ([OVER], "Over: Budget teams (team a): 80 % is spent\nDashboard: http://grafana/d/costspan-usage?var-team=a\n\n"),
}  # fmt: skip


@pytest.mark.parametrize(("alerts", "text"), TEXTS.values(), ids=TEXTS)
def test_a_text_says_it_all(alerts: list[dict[str, Any]], text: str, tmp_path: Path) -> None:
    """Each alert with its figures, what to do, where to look; then how to silence these and no others."""
    assert rendered('{{ template "costspan.text" . }}', group(*alerts), tmp_path) == text


def test_a_silence_of_hostile_names_is_for_them_alone(tmp_path: Path) -> None:
    """Quotes, backslashes, blanks and signs of addresses are escaped twice: for the matcher and for the address."""
    link = rendered('{{ template "costspan.silence" . }}', group(alert(llm_team='a "b" \\ c+d&e=#')), tmp_path)
    assert "llm_team%3D%22a%20%5C%22b%5C%22%20%5C%5C%20c%2Bd%26e%3D%23%22" in link
    assert " " not in link


def templated(content: Any, path: str = "") -> dict[str, str]:
    """Every text of a receiver that is a template, by where it stands."""
    if isinstance(content, dict):
        inside = cast("dict[str, Any]", content).items()
        return {at: text for key, value in inside for at, text in templated(value, f"{path}.{key}").items()}
    if isinstance(content, list):
        return {at: text for value in cast("list[Any]", content) for at, text in templated(value, path).items()}
    return {path: content} if isinstance(content, str) and "{{" in content else {}


RECEIVERS = {each["name"]: templated(each) for each in yaml.safe_load(EXAMPLES.read_text())["receivers"]}


def test_every_receiver_that_writes_words_writes_ours() -> None:
    """Chat, mail and pager; the webhook gets the alerts as they are."""
    assert {name for name, texts in RECEIVERS.items() if texts} == {"research", "finance", "on-call"}


@pytest.mark.parametrize("name", [name for name, texts in RECEIVERS.items() if texts])
@pytest.mark.parametrize("case", GROUPS)
def test_every_receiver_example_is_rendered(name: str, case: str, tmp_path: Path) -> None:
    """Each of its templates, for one alert and for several: words, a link that is one, a severity that PagerDuty knows."""
    alerts, title, severity = GROUPS[case]
    data = group(*alerts)
    for path, text in RECEIVERS[name].items():
        said = rendered(text, data, tmp_path)
        if path.endswith((".href", ".title_link")):
            assert said.startswith(("http://grafana/d/", "https://wiki/")), path
        elif path.endswith(".severity"):
            assert said == severity
        elif path.endswith((".title", ".fallback", ".Subject", ".description")):
            assert said == title
        else:
            assert alerts[0]["annotations"]["summary"] in said, path
        assert "<no value>" not in said


# -- Slack ------------------------------------------------------------------------------------------------------------

HOSTILE = "<!channel> & <https://evil.example|click> *bold* &lt;"
ESCAPED = "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt; *bold* &amp;lt;"
HOSTILE_GROUPS = [
    [alert(HOSTILE, llm_budget=HOSTILE, llm_team=HOSTILE, notes={"scope": HOSTILE})],
    [alert(HOSTILE, llm_budget=HOSTILE, llm_team=team, notes={"scope": HOSTILE}) for team in ("a", HOSTILE)],
    [alert(f"{HOSTILE}{at}", llm_budget=f"{HOSTILE}{at}", alertname=f"{HOSTILE}{at}", notes={"scope": HOSTILE}) for at in "ab"],
    [alert(f"{HOSTILE}{at}", alertname=HOSTILE, job=HOSTILE, severity=HOSTILE, instance=at) for at in "ab"],
    [alert(HOSTILE, "resolved", llm_budget=HOSTILE, llm_team=team) for team in ("a", HOSTILE)],
]  # fmt: skip


@pytest.mark.parametrize("alerts", HOSTILE_GROUPS, ids=range(len(HOSTILE_GROUPS)))
def test_no_name_is_a_command_to_slack(alerts: list[dict[str, Any]], tmp_path: Path) -> None:
    """What stands between `<` and `>` calls people or hides an address: only our own links do."""
    data = group(*alerts)
    title = rendered('{{ template "costspan.slack.title" . }}', data, tmp_path)
    text = rendered('{{ template "costspan.slack.text" . }}', data, tmp_path)
    assert ESCAPED in title
    assert not re.search(r"[<>]", title)
    links = re.findall(r"<([^<>]*)>", text)
    assert all(re.fullmatch(r"https?://(?:wiki|grafana|localhost:9093)/[^|\s]*", link) for link in links)
    assert not re.search(r"[<>]", re.sub(r"<[^<>]*>", "", text))
    for said in (title, text):
        assert not re.search(r"&(?!amp;|lt;|gt;)", said)
    assert ESCAPED.upper() in text or ESCAPED in text


@pytest.mark.parametrize("case", GROUPS)
def test_slack_reads_the_same_words_as_everybody(case: str, tmp_path: Path) -> None:
    """But for the escapes, and the marks around links."""
    data = group(*GROUPS[case][0])
    for name in ("title", "text"):
        plain = rendered(f'{{{{ template "costspan.{name}" . }}}}', data, tmp_path)
        slack = rendered(f'{{{{ template "costspan.slack.{name}" . }}}}', data, tmp_path)
        assert re.sub(r"<([^<>]*)>", r"\1", slack).replace("&amp;", "&") == plain


def test_slack_shows_names_as_they_are() -> None:
    """No signs of emphasis in texts: `mrkdwn_in` names what has them, and by default that is the text."""
    receivers = yaml.safe_load(EXAMPLES.read_text())["receivers"]
    slack = [each for receiver in receivers for each in receiver.get("slack_configs", ())]
    assert slack
    for each in slack:
        assert "text" not in each["mrkdwn_in"]
        assert each["mrkdwn_in"]
        assert all("costspan.slack." in each[field] for field in ("title", "text", "fallback"))


# -- templates that are broken -------------------------------------------------------------------------------------------

BROKEN_TEMPLATES = [
    # what stands there, what somebody makes of it
    ('"critical" }}{{ $severity = "critical"', '"critical" }}{{ $severity = "warning"'),
    ("$alerts := .Alerts.Firing", "$alerts := .Alerts.Resolved"),
    ('$severity := "info"', '$severity := "warning"'),
    ("[Over]", "[resolved]"),
    ("eq (len .Alerts) 1", "eq (len .Alerts) 2"),
    ("lt $place 5", "lt $place 9"),
    ("with .CommonAnnotations.scope", "with .CommonAnnotations.scop"),
    ("range .Alerts.Firing", "range .Alerts"),
    ("range .Alerts.Resolved", "range .Alerts.Firing"),
    ("with .Annotations.runbook_url", "with .Annotations.runbook"),
    ("with .Annotations.dashboard_url", "with .Annotations.dashboard"),
    ("with .Annotations.description", "with .Annotations.text"),
    ("Silence: ", ""),
    ("| urlquery", ""),
    ("with len .Alerts.Resolved }}{{ . }} over", "with len .Alerts.Firing }}{{ . }} over"),
    ("with .CommonLabels.job", "with .CommonLabels.instance"),
    ('reReplaceAll "<" "&lt;"', 'reReplaceAll "<" "<"'),
    ('reReplaceAll "&" "&amp;" | reReplaceAll "<" "&lt;"', 'reReplaceAll "<" "&lt;"'),
    ('}}<{{ template "costspan.silence" . }}>', '}}{{ template "costspan.silence" . }}'),
    ('dict "of" . "slack" true', 'dict "of" . "slack" false'),
]  # fmt: skip
SLACK_GOLDEN = (
    "WARNING: a &lt;b&gt; &amp; c\nAbout a &lt;b&gt; &amp; c.\nWhat to do: <https://wiki/Page.md>\nDashboard: "
    "<http://grafana/d/costspan-usage?var-team=a>\n\nSilence: <http://localhost:9093/#/silences/new?filter=%7Balertname%3D%22"
    "LlmBudgetThreshold%22%2C%20llm_team%3D%22x%20%26%20y%22%2C%20severity%3D%22warning%22%7D>"
)


def told_otherwise(templates: Path, folder: Path) -> list[str]:
    """Which of the texts that stand here word for word are not what these templates write."""
    slack = group(alert("a <b> & c", llm_team="x & y"))
    goldens = [
        *(("title", group(*alerts), title) for alerts, title, _ in GROUPS.values()),
        *(("severity", group(*alerts), severity) for alerts, _, severity in GROUPS.values()),
        *(("text", group(*alerts), text) for alerts, text in TEXTS.values()),
        ("slack.text", slack, SLACK_GOLDEN),
        ("slack.title", slack, "[warning] a &lt;b&gt; &amp; c"),
    ]
    return [
        name
        for name, data, text in goldens
        if rendered(f'{{{{ template "costspan.{name}" . }}}}', data, folder, templates) != text
    ]


def test_the_templates_write_what_stands_here(tmp_path: Path) -> None:
    """All of it, Slack's too."""
    assert told_otherwise(TEMPLATES, tmp_path) == []


@pytest.mark.parametrize(("right", "wrong"), BROKEN_TEMPLATES, ids=[row[0] for row in BROKEN_TEMPLATES])
def test_a_broken_template_is_noticed(right: str, wrong: str, tmp_path: Path) -> None:
    """Each part of it is in some text that stands here word for word."""
    text = (TEMPLATES.parent / "costspan.tmpl").read_text()
    assert right in text
    (tmp_path / "broken.tmpl").write_text(text.replace(right, wrong))
    assert told_otherwise(tmp_path / "broken.tmpl", tmp_path)
