"""Runbooks: while its alert fires, and an hour after the job has ended, every query of a page names the culprit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from costspan.alerting import calendar, compiled
from costspan.alerting.literals import labels, selector
from costspan.alerting.rules import GROUPS
from costspan.budgets.reading import load
from promtools import ROOT, has_real_dates, promtool

PAGES = ROOT / "prometheus" / "runbooks"
BUDGETS = ROOT / "examples" / "budgets" / "budgets.yaml"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Escalation", "Resolution"]

# -- pages ------------------------------------------------------------------------------------------------------------


def sections(page: Path) -> dict[str, str]:
    """The text of a page by its headings."""
    _, *parts = re.split(r"^## (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def queries(text: str) -> list[str]:
    """The PromQL of a section, in order."""
    return re.findall(r"^```promql\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


ALL = sorted(PAGES.glob("*.md"))


@pytest.mark.parametrize("page", ALL, ids=lambda path: path.stem)
def test_a_runbook_answers_the_same_questions_in_the_same_order(page: Path) -> None:
    """What it means, who is concerned, how to see it, how to stop it, whom to tell, how to know that it is over."""
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE) == [
        page.stem,
        *SECTIONS,
    ]
    said = sections(page)
    assert all(len(part.strip()) > 20 for part in said.values())
    assert said["Impact"].strip().startswith("Concerned: ")
    assert queries(said["Diagnosis"])
    assert len(queries(said["Resolution"])) == 1
    assert set(re.findall(r"^```(\w+)$", text, re.MULTILINE)) <= {"promql", "sh"}
    assert sum(map(len, map(queries, said.values()))) == text.count("```promql")


@pytest.mark.parametrize("page", ALL, ids=lambda path: path.stem)
def test_a_runbook_names_what_to_type_or_to_set(page: Path) -> None:
    """A command or a variable: not only that something should be done."""
    said = sections(page)["Mitigation"]
    assert "```sh" in said or re.search(r"`[A-Z_]{6,}[=`]|`(?:docker|kubectl|costspan|pip) |`\w+\.yml`|`[\w-]+/", said)


@pytest.mark.parametrize(
    "name", ["LlmBudgetThreshold", "LlmBudgetCrossed", "LlmBudgetBurnRate", "LlmSpendAnomaly", "LlmRunawaySession"]
)
def test_a_runbook_about_spend_says_how_to_stop_it(name: str) -> None:
    """End the program, or take its key away; and that switching costspan off stops nothing."""
    said = sections(PAGES / f"{name}.md")["Mitigation"]
    for needed in ("kubectl scale", "docker compose stop", "kill PID", "OPENAI_API_KEY", "OTEL_COSTSPAN_ENABLED=false"):
        assert needed in said


# -- stories: what happened, and whom the queries have to name --------------------------------------------------------

WHO = {
    "job": "night-batch", "llm_team": "search", "llm_task_type": "review", "llm_source": "cron",
    "gen_ai_request_model": "o3",
}  # fmt: skip
PROCESS = {"job": "night-batch", "instance": "p-1"}
HOST = {**PROCESS, "host_name": "host-7"}
COLLECTOR = {"job": "collector", "instance": "c-1"}
GATEWAY = {"job": "gateway", "instance": "g-1"}
MODEL = {"gen_ai_provider_name": "openai", "gen_ai_request_model": "o3"}
ALERTMANAGER = {"job": "alertmanager", "instance": "a-1"}
PROMETHEUS = {"job": "prometheus", "instance": "prom-1"}
# Somebody else, who spends less, and of whom no query may speak first.
OTHER = {
    "job": "chat", "instance": "q-1", "llm_team": "support", "llm_task_type": "answer", "llm_source": "main_agent",
    "gen_ai_request_model": "gpt-5-mini", "gen_ai_provider_name": "openai",
}  # fmt: skip


class Story(NamedTuple):
    """What Prometheus is told, and what the queries of a page have to name, in their order.

    `interval`, `fires`, `ended` and `over` are minutes; one sample an interval. `alert` are labels that choose the one
    alert, `fill` are the words that a reader puts into a query. `over`: when the page says that it is over; an hour
    after the job has ended, if nothing is said. `budgets` and `start_s` choose other rules and another day than 1970-01-01.
    """

    series: dict[str, str]
    named: list[Mapping[str, str]]
    fires: int
    ended: int
    interval: int = 5
    over: int = 0
    alert: Mapping[str, str] = {}
    budgets: Path = BUDGETS
    start_s: float = 0


def of(metric: str, values: str, *who: Mapping[str, str], **more: str) -> dict[str, str]:
    """One series."""
    return {selector(metric, **{label: value for each in (*who, more) for label, value in each.items()}): values}


def culprit(metric: str, values: str, **more: str) -> dict[str, str]:
    return of(metric, values, WHO, PROCESS, {"gen_ai_provider_name": "openai"}, more)


def other(metric: str, values: str, **more: str) -> dict[str, str]:
    return of(metric, values, OTHER, more)


INFO = of("target_info", "1x60", HOST) | of("target_info", "1x60", OTHER, host_name="host-8")
MONTH = {"llm_period": "197001"}
SPENT = (
    culprit("llm_cost_usd_total", "0+0.5x90", **MONTH)
    | other("llm_cost_usd_total", "0+0.0002x30 0.006x400", **MONTH)
    | culprit("llm_day_cost_usd_total", "0+0.5x90", llm_weekday="4")
    | other("llm_day_cost_usd_total", "0+0.0002x30 0.006x400", llm_weekday="4")
    | of("llm_session_cost_usd_total", "0+0.5x90", WHO, PROCESS, session_id="circle")
    | of("llm_session_cost_usd_total", "0+0.0002x30 0.006x400", OTHER, session_id="short")
    | INFO
)
SESSION = {"job": "night-batch", "session_id": "circle"}
RUNAWAY = {"llm_anomaly_kind": "loop", "llm_task_type": "review"}
NOTICED = {"job": "chat", "instance": "q-1"}
CROSSED = {"llm_budget_name": "acme", "llm_budget_threshold": "80"}
LEDGER = culprit("llm_cost_usd_total", "5x20") | other("llm_cost_usd_total", "5x60")
GAP = "1x10 _x40"  # heard until minute 50


def silent(values: str = GAP) -> dict[str, str]:
    """One process that falls silent after 50 minutes, and others."""
    return culprit("llm_requests_total", values) | other("llm_requests_total", "1x60")


STORIES: dict[str, Story] = {
    "LlmBudgetBurnRate": Story(SPENT, [WHO, PROCESS, SESSION, HOST], fires=80, ended=90, interval=1),
    "LlmBudgetThreshold": Story(
        SPENT, [WHO, WHO, {**PROCESS, "llm_team": "search", "gen_ai_request_model": "o3"}, HOST], fires=80, ended=90, interval=1,
    ),
    "LlmBudgetForecast": Story(
        culprit("llm_cost_usd_total", "0+0.3x24", **MONTH) | other("llm_cost_usd_total", "0+0.0006x280", **MONTH)
        | culprit("llm_day_cost_usd_total", "0+0.3x24", llm_weekday="4") | INFO,
        [WHO, {label: text for label, text in WHO.items() if label != "job"}, HOST],
        fires=420, ended=720, over=8_220, interval=30, alert={"llm_budget": "all-per-day"},
    ),
    "LlmSpendAnomaly": Story(
        culprit("llm_cost_usd_total", "0+1x200 203.01+3.01x9") | other("llm_cost_usd_total", "0+1x220")
        | of("target_info", "1x210", HOST),
        [{"llm_team": "search"}, WHO, PROCESS, HOST], fires=203 * 60, ended=210 * 60, interval=60,
    ),
    "LlmRunawaySession": Story(
        of("llm_anomalies_total", "_x11 1+1x12", PROCESS, RUNAWAY, llm_team="unknown")
        | of("llm_anomalies_total", "1x60", {"job": "chat", "instance": "q-1"}, llm_anomaly_kind="session", llm_task_type="answer")
        | of("llm_anomalies_total", "0+9x60", {"job": "chat", "instance": "q-1"}, llm_anomaly_kind="hour", llm_team="support")
        | of("llm_session_cost_usd_total", "0+0.5x23", WHO, PROCESS, session_id="circle")
        | of("llm_session_cost_usd_total", "0+0.0002x60", OTHER, session_id="short") | INFO,
        [{"job": "night-batch", **RUNAWAY}, PROCESS, SESSION, HOST], fires=100, ended=115,
    ),
    "LlmBudgetCrossed": Story(
        of("llm_budget_crossings_total", "_x11 1+1x12", PROCESS, CROSSED) | of("llm_budget_crossings_total", "1x60", NOTICED, CROSSED)
        | INFO,
        [{"job": "night-batch", **CROSSED}, PROCESS, HOST], fires=100, ended=115, alert={"llm_budget": "acme", "threshold": "80"},
        budgets=ROOT / "examples" / "budgets" / "account.yaml",
    ),
    "LlmBudgetClockEnds": Story(
        {}, [{}], fires=7 * 60, ended=60, interval=60, over=-1,
        budgets=ROOT / "examples" / "budgets" / "monthly.yaml", start_s=calendar.TABLE_END.timestamp() - 180 * 86_400,
    ),
    "LlmUnpricedModel": Story(
        culprit("llm_unpriced_requests_total", "_x11 1+1x12", llm_unpriced_reason="unknown_model")
        | other("llm_unpriced_requests_total", "7x60", llm_unpriced_reason="unknown_model")
        | culprit("llm_unpriced_tokens_total", "_x11 900+900x12") | other("llm_unpriced_tokens_total", "100x60"),
        [{"job": "night-batch", "llm_team": "search", **MODEL, "llm_unpriced_reason": "unknown_model"}, MODEL],
        fires=100, ended=115,
    ),
    "LlmRateLimitsHit": Story(
        culprit("gen_ai_client_inference_duration_seconds_count", "0+2x20", error_type="RateLimitError")
        | culprit("gen_ai_client_inference_duration_seconds_count", "0+10x20")
        | other("gen_ai_client_inference_duration_seconds_count", "0+10x60")
        | of("llm_ratelimit_remaining", "10x20", PROCESS, MODEL, llm_ratelimit_dimension="tokens")
        | of("llm_ratelimit_limit", "100x20", PROCESS, MODEL, llm_ratelimit_dimension="tokens")
        | other("llm_ratelimit_remaining", "90x60", llm_ratelimit_dimension="tokens")
        | other("llm_ratelimit_limit", "100x60", llm_ratelimit_dimension="tokens"),
        [{**WHO, "error_type": "RateLimitError"}, {**MODEL, "llm_ratelimit_dimension": "tokens"}], fires=60, ended=100,
    ),
    "LlmEstimatedShareHigh": Story(
        culprit("llm_cost_usd_total", "0+0.2x40", llm_cost_quality="estimated")
        | other("llm_cost_usd_total", "0+1x40", llm_cost_quality="exact")
        | culprit("llm_requests_total", "0+1x40", llm_outcome="abandoned") | other("llm_requests_total", "0+9x40", llm_outcome="ok"),
        [{**WHO, "llm_cost_quality": "estimated"}, WHO], fires=120, ended=200, over=1_700,
    ),
    "LlmUnattributedShareHigh": Story(
        of("llm_cost_usd_total", "0+0.5x40", {**WHO, "llm_team": "unknown", "llm_task_type": "unknown"}, PROCESS)
        | other("llm_cost_usd_total", "0+1x40") | INFO,
        [*[{label: WHO[label] for label in ("job", "llm_source", "gen_ai_request_model")}] * 2, HOST],
        fires=120, ended=200, over=1_700,
    ),
    "LlmMeterBroken": Story(
        culprit("llm_cost_usd_total", "1 2 " * 45) | other("llm_cost_usd_total", "0+1x200") | INFO,
        [PROCESS, HOST], fires=70, ended=90, interval=1,
    ),
    "LlmLabelOverflow": Story(
        culprit("costspan_labels_folded_total", "0+1x20") | other("costspan_labels_folded_total", "3x60")
        | {series: "1x20" for task in "abcdef" for series in culprit("llm_requests_total", "", llm_task_type=task)}
        | other("llm_requests_total", "1x60"),
        [PROCESS, {"job": "night-batch", "of": "llm_task_type"}], fires=60, ended=100,
    ),
    "LlmTelemetryAbsent": Story(
        culprit("llm_requests_total", "1x10 _x25 1x20") | other("llm_requests_total", "1x4 _x60")
        | of("up", "1x10 0x30", COLLECTOR) | of("up", "1x60", PROMETHEUS),
        [{"job": "night-batch"}, COLLECTOR], fires=85, ended=50, over=200,
    ),
    "LlmTelemetryStopped": Story(silent() | INFO, [{"job": "night-batch"}, PROCESS, HOST], fires=85, ended=50, over=170),
    "LlmPipelineDown": Story(
        of("up", "1x10 0x10 1x40", COLLECTOR) | of("up", "1x60", GATEWAY) | of("up", "0x60", {"job": "node"}) | silent(),
        [COLLECTOR, {"job": "night-batch"}], fires=70, ended=100,
    ),
    "LlmPipelineLoss": Story(
        of("otelcol_exporter_send_failed_metric_points_total", "0x10 5x40", COLLECTOR, exporter="otlp_http/prometheus")
        | of("otelcol_exporter_send_failed_metric_points_total", "4x50", GATEWAY, exporter="otlp_http/prometheus")
        | of("otelcol_exporter_enqueue_failed_metric_points", "_x10 5x40", COLLECTOR, exporter="otlp_http/prometheus")
        | of("otelcol_receiver_refused_metric_points", "0x10 5x40", COLLECTOR, receiver="otlp")
        | of("otelcol_receiver_refused_metric_points", "4x50", GATEWAY, receiver="otlp")
        | of("prometheus_tsdb_too_old_samples_total", "0x10 5x40", PROMETHEUS),
        [*[{**COLLECTOR, "exporter": "otlp_http/prometheus"}] * 2, {**COLLECTOR, "receiver": "otlp"}, PROMETHEUS],
        fires=55, ended=55,
    ),
    "LlmPipelineQueueFull": Story(
        of("otelcol_exporter_queue_size", "0x5 800x10 0x40", COLLECTOR, exporter="otlp_http/prometheus")
        | of("otelcol_exporter_queue_capacity", "1000x60", COLLECTOR, exporter="otlp_http/prometheus")
        | of("otelcol_exporter_queue_size", "700x60", GATEWAY, exporter="otlp_http/prometheus")
        | of("otelcol_exporter_queue_capacity", "1000x60", GATEWAY, exporter="otlp_http/prometheus")
        | of("up", "1x5 0x10 1x40", PROMETHEUS) | of("up", "1x60", COLLECTOR),
        [{**COLLECTOR, "exporter": "otlp_http/prometheus"}, PROMETHEUS], fires=40, ended=75,
    ),
    "LlmPointsRefused": Story(
        {series: "_x5 1x10" for at in "123"
         for series in of("costspan_points_refused", "", PROCESS, instance=f"p-{at}", costspan_reason="delta")}
        | of("costspan_points_refused", "_x5 1x2", PROCESS, costspan_reason="delta", otel_scope_name="costspan")
        | of("costspan_points_refused", "1x5", OTHER, costspan_reason="time") | INFO
        | of("otelcol_processor_filter_datapoints_filtered", "0x10 5x40", COLLECTOR, filter="filter/metrics")
        | of("otelcol_processor_filter_datapoints_filtered", "4x50", GATEWAY, filter="filter/metrics")
        | of("otelcol_processor_filter_datapoints_filtered", "0+9x50", GATEWAY, filter="filter/foreign"),
        [{"job": "night-batch", "costspan_reason": "delta"}, {**PROCESS, "costspan_reason": "delta"}, HOST, COLLECTOR],
        fires=55, ended=75,
    ),
    "LlmWrongToken": Story(
        of("http_server_request_duration_count", "_x10 1x40", GATEWAY, http_response_status_code="401")
        | of("http_server_request_duration_count", "0+99x50", COLLECTOR, http_response_status_code="200")
        | of("rpc_server_call_duration_count", "0x10 5x40", GATEWAY, rpc_response_status_code="UNAUTHENTICATED")
        | of("rpc_server_call_duration_count", "0+99x50", COLLECTOR, rpc_response_status_code="OK")
        | silent(),
        [GATEWAY, GATEWAY, {"job": "night-batch"}], fires=55, ended=55,
    ),
    "LlmNotificationsFailed": Story(
        of("alertmanager_notifications_failed_total", "0x10 5x40", ALERTMANAGER, integration="slack", reason="clientError")
        | of("alertmanager_notifications_failed_total", "4x50", ALERTMANAGER, integration="webhook", reason="other")
        | of("prometheus_notifications_errors_total", "0x10 5x40", PROMETHEUS, alertmanager="http://a-1"),
        [{**ALERTMANAGER, "integration": "slack", "reason": "clientError"}, {**PROMETHEUS, "alertmanager": "http://a-1"}],
        fires=55, ended=55,
    ),
    "LlmLedgerMismatch": Story(
        LEDGER | culprit("costspan_ledger_written_usd_total", "4x20") | other("costspan_ledger_written_usd_total", "5x60") | INFO,
        [PROCESS, HOST], fires=65, ended=100,
    ),
    "LlmLedgerLoss": Story(
        culprit("costspan_ledger_lost_total", "0+1x20") | other("costspan_ledger_lost_total", "2x60")
        | culprit("costspan_ledger_lost_usd_total", "0+0.5x20") | other("costspan_ledger_lost_usd_total", "2x60") | INFO,
        [PROCESS, PROCESS, HOST], fires=60, ended=100,
    ),
    "LlmOutboxWaiting": Story(
        culprit("costspan_outbox_waiting", "0x4 2x15") | other("costspan_outbox_waiting", "0x60") | INFO,
        [PROCESS, HOST], fires=60, ended=100,
    ),
    "LlmMeterFault": Story(
        culprit("costspan_errors_total", "0+1x20", costspan_place="emit.spans")
        | other("costspan_errors_total", "2x60", costspan_place="ledger") | INFO,
        [{**PROCESS, "costspan_place": "emit.spans"}, HOST], fires=60, ended=100,
    ),
    "LlmClientDegraded": Story(
        culprit("costspan_degraded", "1x20", costspan_client="openai", costspan_place="openai._base_client")
        | other("costspan_degraded", "0x60", costspan_client="anthropic", costspan_place="anthropic._base_client") | INFO,
        [{**PROCESS, "costspan_client": "openai", "costspan_place": "openai._base_client"}, HOST], fires=60, ended=100,
    ),
    "LlmTimeZoneMismatch": Story(
        culprit("llm_day_cost_usd_total", "1+1x320", llm_weekday="4")
        | other("llm_day_cost_usd_total", "1+1x287 288x60", llm_weekday="4")
        | other("llm_day_cost_usd_total", "_x288 1+1x60", llm_weekday="5") | of("target_info", "1x320", HOST),
        [{"job": "night-batch", "llm_weekday": "4"}, HOST], fires=1_490, ended=1_600,
    ),
}  # fmt: skip


def filled(query: str, story: Story) -> str:
    """A query as a reader types it: with the name of the job that the alert or the query before has named."""
    jobs = [who["job"] for who in story.named if "job" in who]
    return query.replace('"JOB"', f'"{jobs[0]}"') if jobs else query


def expected(expression: str, minute: int, who: Mapping[str, str] | None) -> dict[str, Any]:
    """That an expression gives one series with these labels; none, if nobody is to be named."""
    samples = [] if who is None else [{"labels": labels(who), "value": 1}]
    return {"expr": expression, "eval_time": f"{minute}m", "exp_samples": samples}


def named(query: str, minute: int, who: Mapping[str, str]) -> dict[str, Any]:
    """That the first row of a query has the labels of the culprit."""
    return expected(f"group by ({', '.join(who)}) (topk(1, {query}))", minute, who)


def checks(name: str, story: Story, page: Path) -> list[dict[str, Any]]:
    """What has to hold of the page while the alert fires, an hour after the job has ended, and when it is over."""
    said = sections(page)
    asked = [filled(query, story) for query in queries(said["Diagnosis"])]
    assert len(asked) == len(story.named), "each query of the page names somebody"
    assert not [query for query in asked if re.search(r'"[A-Z]+"', query)], "nothing is left to fill in"
    (end,) = queries(said["Resolution"])
    fires = selector("ALERTS", alertname=name, alertstate="firing", **story.alert)
    made = [expected(f"group({fires})", story.fires, {}), expected(f"group({end})", story.fires, {})]
    moments = (story.fires, story.ended + 60)
    made += [named(query, at, who) for at in moments for query, who in zip(asked, story.named, strict=True)]
    return made if story.over < 0 else [*made, expected(f"group({end})", story.over or story.ended + 60, None)]


def played(name: str, story: Story, folder: Path, page: Path) -> None:
    """Play a story under the compiled rules."""
    compiled.write(compiled.compiled(load(story.budgets), "budgets.yaml"), folder)
    tests = {
        "rule_files": [compiled.BUDGET_RULES, compiled.METER_RULES],
        "evaluation_interval": f"{story.interval}m",
        "group_eval_order": list(GROUPS),
        "tests": [
            {
                "interval": f"{story.interval}m",
                "input_series": [{"series": series, "values": values} for series, values in story.series.items()],
                "promql_expr_test": checks(name, story, page),
                **({"start_timestamp": round(story.start_s)} if story.start_s else {}),
            }
        ],
    }
    (folder / "runbook.yml").write_text(json.dumps(tests))
    promtool("test", "rules", "runbook.yml", cwd=folder)


def test_every_runbook_has_its_story() -> None:
    """No page comes without."""
    assert set(STORIES) == {page.stem for page in ALL}


@pytest.mark.parametrize(("name", "story"), STORIES.items(), ids=STORIES)
def test_every_query_names_the_culprit_while_the_alert_fires_and_an_hour_after_the_end(
    name: str, story: Story, tmp_path: Path
) -> None:
    """Its first row has the labels of the program, model, team, process or part of the stack that is at fault."""
    if story.start_s and not has_real_dates(tmp_path):
        pytest.skip("this promtool's tests begin in 1970 (before 3.9)")
    played(name, story, tmp_path, PAGES / f"{name}.md")


BREAKS = [
    # alert, what is broken in its page
    ("LlmBudgetBurnRate", "topk(5, sum", "bottomk(1, sum"),
    ("LlmBudgetBurnRate", "[2h]", "[5m]"),
    ("LlmBudgetThreshold", "llm_day_cost_usd_total[27h]", "llm_day_cost_usd_total[2m]"),
    ("LlmUnpricedModel", "sum by (job, llm_team,", "sum by (llm_team,"),
    ("LlmTelemetryStopped", "time() - max", "max"),
    ("LlmPipelineQueueFull", "max_over_time(otelcol_exporter_queue_size[2h])", "otelcol_exporter_queue_size"),
    ("LlmClientDegraded", "costspan_degraded[15m]", "costspan_degraded[1d]"),
]


@pytest.mark.parametrize(("name", "right", "wrong"), BREAKS)
def test_a_broken_query_is_noticed(name: str, right: str, wrong: str, tmp_path: Path) -> None:
    """Another order, another window, a label less, an end that never comes."""
    text = (PAGES / f"{name}.md").read_text()
    assert right in text
    (tmp_path / f"{name}.md").write_text(text.replace(right, wrong))
    with pytest.raises(AssertionError, match="FAILED"):
        played(name, STORIES[name], tmp_path, tmp_path / f"{name}.md")
