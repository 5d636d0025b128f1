"""The stack for real: programs -> Collector -> Prometheus -> Alertmanager -> webhook, as docker-compose.yml has it."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from stack import HASTE, Stack
from stack.chaos.load import Agent
from stack.chaos.offline import CALL_USD
from stack.chaos.series import expected
from stack.compose import ROOT

from costspan import names
from costspan.ledger.store import Store
from costspan.names import COST_USD, METRICS, Metric
from launching import APP, INSTRUMENT, start
from stack_clients import needing_programs, new_job, post, program, request, together
from stand_in_process import client_environment, served, stand_in
from tenants import TENANTS, serving

DAY_S = 86_400
#: More kinds of work than a process tells apart.
_MOST_KINDS = 320

RULES = """
groups:
  - name: test
    interval: 1s
    rules:
      - alert: TestSpend
        expr: llm_cost_usd_total{job="spender"} > 5
        labels: {component: test}
        annotations: {summary: '{{ $labels.job }} spent {{ $value }} USD'}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All services, running, with one alert of the tests' own."""
    made = needing_programs(lambda: Stack(tmp_path_factory.mktemp("stack"), haste=HASTE))
    rules = made.configuration("prometheus") / "rules"
    rules.mkdir(exist_ok=True)
    for rule in rules.iterdir():
        rule.unlink()
    (rules / "test.yml").write_text(RULES)
    routes = made.configuration("alertmanager") / "alertmanager.yml"
    routes.write_text(re.sub(r"group_wait: \w+", "group_wait: 1s", routes.read_text()))
    with made:
        yield made


def collector(stack: Stack) -> str:
    return stack.url("collector", 4318)


def arrives(stack: Stack, expression: str, value: float) -> None:
    """Wait until a query gives a value."""

    def is_there() -> bool:
        found = stack.value(expression)
        return found is not None and math.isclose(found, value, rel_tol=1e-9)

    stack.until(is_there, f"{expression} is to become {value}")


def evaluated(stack: Stack) -> str:
    """When the tests' rule was last evaluated, in ISO 8601."""
    return stack.get("prometheus", 9090, "/api/v1/rules")["data"]["groups"][0]["lastEvaluation"]


@pytest.fixture(scope="module")
def all_metrics(stack: Stack) -> str:
    """The job of a program that has sent every metric of names.py."""
    job = new_job()
    with program(collector(stack), job) as sender:
        for metric in METRICS:
            sender.count(metric, 3)
    return job


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_arrives_under_the_name_and_labels_that_names_py_predicts(
    stack: Stack, all_metrics: str, metric: Metric
) -> None:
    """`Metric.prometheus` is what rules and panels ask for, so it must be what Prometheus makes of it."""
    name = metric.prometheus + ("_sum" if metric.kind == names.HISTOGRAM else "")
    arrives(stack, f'{name}{{job="{all_metrics}"}}', 3)
    labels = stack.query(f'{name}{{job="{all_metrics}"}}')[0]["metric"]
    assert set(labels) - {"__name__", "job", "instance"} == {names.prometheus_label(each) for each in metric.labels}


def test_what_the_collector_accepted_survives_its_death_and_prometheus_absence(stack: Stack) -> None:
    """Accepted means kept: the program is gone, the Collector is killed, Prometheus comes back later."""
    job = new_job()
    stack.stop("prometheus")
    with program(collector(stack), job) as sender:
        sender.count(COST_USD, 12.34)
    stack.kill("collector")
    stack.start("collector")
    stack.start("prometheus")
    arrives(stack, f'llm_cost_usd_total{{job="{job}"}}', 12.34)


def test_a_fixed_instance_id_takes_no_cent_away(stack: Stack, tmp_path: Path) -> None:
    """Two starts of a container whose operator gives it one id, each with three calls: Prometheus has all six."""
    job = new_job()
    fixed = f"service.name={job},service.instance.id=one-for-all"
    with stand_in() as address:
        for _ in range(2):
            sent = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector(stack), "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
            app = tmp_path / "app.py"
            app.write_text(APP)
            ended = start(
                [INSTRUMENT, "python", str(app)], tmp_path, **client_environment(address), **sent,
                OTEL_RESOURCE_ATTRIBUTES=fixed,
            )  # fmt: skip
            assert (ended.returncode, ended.stderr) == (0, "")
        assert len(served(address)["requests"]) == 6
    arrives(stack, f'sum(max_over_time(llm_requests_total{{job="{job}"}}[1h]))', 6)


@pytest.mark.parametrize("age_d", [0.05, 0.5, 3, 29])
def test_the_last_word_of_a_program_counts_however_late_it_comes(stack: Stack, age_d: float) -> None:
    """A job that ended during an outage never sends again; Prometheus takes its figure when the Collector can bring it.

    Without an out-of-order window, what is more than an hour behind the newest sample is refused for ever.
    """
    job, then = new_job(), time.time() - age_d * DAY_S
    assert post(collector(stack), request(job, COST_USD, time_s=then)) == 200
    arrives(stack, f'sum(last_over_time(llm_cost_usd_total{{job="{job}"}}[32d]))', 1.5)


@pytest.mark.parametrize("back_h", [1, 30])
def test_a_clock_that_steps_back_takes_no_cent_away(stack: Stack, back_h: int) -> None:
    """The higher value comes with the earlier time: what a series has reached is its spend, not its newest sample."""
    job, now_s = new_job(), time.time()
    for value, time_s in ((2.0, now_s - 60), (3.5, now_s - back_h * 3_600), (4.0, now_s - back_h * 3_600 + 60)):
        sent = request(job, COST_USD, value=value, time_s=time_s, instance=job)
        assert post(collector(stack), sent) == 200
    arrives(stack, f'sum(max_over_time(llm_cost_usd_total{{job="{job}"}}[32d]))', 4.0)
    assert stack.value(f'sum(last_over_time(llm_cost_usd_total{{job="{job}"}}[32d]))') == 2.0


def test_a_foreign_label_is_dropped_and_no_money_with_it(stack: Stack) -> None:
    """Points that only a foreign label told apart are one series afterwards, and their sum."""
    job = new_job()
    with program(collector(stack), job, **{"process.command_line": "secret"}) as sender:
        sender.count(COST_USD, 1.25, prompt="Who is my neighbour?")
        sender.count(COST_USD, 2.5, prompt="Where does he live?")
        sender.count(COST_USD, 4.0, llm_source="heartbeat")
    arrives(stack, f'sum(llm_cost_usd_total{{job="{job}"}})', 7.75)
    assert len(stack.query(f'llm_cost_usd_total{{job="{job}"}}')) == 2
    said = str(stack.query(f'{{job="{job}"}}'))
    assert "prompt" not in said
    assert "secret" not in said


def test_the_host_of_a_program_is_found_by_its_job_and_a_new_version_makes_no_new_series(stack: Stack) -> None:
    """As the runbooks ask: `target_info`, by the resource's attributes. Of those only the environment is on the money."""
    job = new_job()
    host = {
        "service.instance.id": "i-1",
        "host.name": "host-7",
        "process.pid": "4711",
        "service.version": "2",
        "deployment.environment.name": "test",
    }
    with program(collector(stack), job, **host) as sender:
        sender.count(COST_USD, 1.25)
    arrives(stack, f'sum(llm_cost_usd_total{{job="{job}"}})', 1.25)
    (found,) = stack.query(f'last_over_time(target_info{{job="{job}"}}[1d])')
    assert {"host_name": "host-7", "process_pid": "4711", "service_version": "2"}.items() <= found["metric"].items()
    (money,) = stack.query(f'llm_cost_usd_total{{job="{job}"}}')
    known = {names.prometheus_label(label) for label in COST_USD.labels}
    assert set(money["metric"]) - known == {"__name__", "job", "instance", "deployment_environment_name"}
    assert money["metric"]["instance"] == found["metric"]["instance"] == "i-1"


def test_a_foreign_metric_is_dropped(stack: Stack) -> None:
    """What is not ours cannot spoil a request that carries money."""
    job = new_job()
    foreign = COST_USD._replace(name="http.server.requests")
    post(collector(stack), together(request(job, foreign), request(job, COST_USD)))
    arrives(stack, f'llm_cost_usd_total{{job="{job}"}}', 1.5)
    assert {row["metric"]["__name__"] for row in stack.query(f'{{job="{job}"}}')} == {"llm_cost_usd_total"}


POISON = [
    # what                      the point                                        in Prometheus  why it is refused
    ("huge label value",        {"labels": {"llm.team": "t" * 1_000_000}},       1.5,  None),
    ("binary label value",      {"labels": {"llm.team": bytes(range(256))}},     1.5,  None),
    ("thousands of values",     {"labels": {"llm.team": [f"t-{n}" for n in range(5_000)]}}, 1.5, None),
    ("huge session",            {"labels": {"session.id": "s" * 1_000_000}},     1.5,  None),
    ("a reason of its own",     {"labels": {"costspan.reason": "delta"}},        1.5,  None),
    ("clock ahead by a year",   {"time_s": time.time() + 365 * DAY_S},           1.5,  None),
    ("clock at 1970",           {"time_s": 1},                                   None, "time"),
    ("not a number",            {"value": math.nan},                             None, "value"),
    ("endless",                 {"value": math.inf},                             None, "value"),
    ("negative money",          {"value": -1000.0},                              None, "value"),
    ("delta",                   {"delta": True},                                 None, "delta"),
    ("no name",                 {"name": ""},                                    None, None),
]  # fmt: skip


@pytest.mark.parametrize(("what", "changes", "value", "reason"), POISON, ids=[row[0] for row in POISON])
def test_a_poisoned_point_costs_nobody_else_a_cent_and_its_sender_is_named(
    stack: Stack, what: str, changes: dict[str, object], value: float | None, reason: str | None
) -> None:
    """In one request with a good point, the good one arrives; what is impossible is left out, what can be mended is."""
    good, bad = new_job(), new_job()
    post(collector(stack), together(request(bad, COST_USD, **changes), request(good, COST_USD)))
    arrives(stack, f'llm_cost_usd_total{{job="{good}"}}', 1.5)
    assert stack.value(f'last_over_time(llm_cost_usd_total{{job="{bad}"}}[1h])') == value, what
    assert all(len(label) <= 200 for label in labels(stack, bad))
    assert refused(stack, good, bad) == ({(bad, reason)} if reason else set())


def refused(stack: Stack, *jobs: str) -> set[tuple[str, str]]:
    """Whose points a Collector reports as refused, and why; one series each."""
    rows = stack.query(f'costspan_points_refused{{job=~"{"|".join(jobs)}"}}')
    told = [(row["metric"]["job"], row["metric"]["costspan_reason"]) for row in rows]
    assert len(told) == len(set(told))
    assert {row["value"][1] for row in rows} <= {"1"}
    return set(told)


def test_the_program_that_sends_deltas_is_named_and_so_is_one_with_other_histograms(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the SDK's own settings; a program that sends both right and wrong points is named, its right ones arrive."""
    deltas, exponential = new_job(), new_job()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    with program(collector(stack), deltas) as sender:
        sender.count(COST_USD, 1.5)
        sender.count(names.DURATION_S, 0.5)
        sender.count(names.DEGRADED, 1)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram")
    with program(collector(stack), exponential) as sender:
        sender.count(COST_USD, 1.5)
        sender.count(names.DURATION_S, 0.5)
    arrives(stack, f'sum(costspan_degraded{{job="{deltas}"}})', 1)
    arrives(stack, f'llm_cost_usd_total{{job="{exponential}"}}', 1.5)
    assert refused(stack, deltas, exponential) == {(deltas, "delta"), (exponential, "kind")}
    assert stack.query(f'llm_cost_usd_total{{job="{deltas}"}}') == []


def labels(stack: Stack, job: str) -> set[str]:
    """Every value of every label that a job has."""
    return {value for row in stack.query(f'{{job="{job}"}}') for value in row["metric"].values()}


def agent(stack: Stack, job: str, tmp_path: Path) -> Agent:
    """A program with the real client under the real launcher, its answers made on the spot."""
    environment = {
        "CHAOS_CASE": job, "CHAOS_PROVIDER": "http://127.0.0.1:1", "OTEL_SERVICE_NAME": job,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector(stack), "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "30",
    }  # fmt: skip
    return Agent(environment, tmp_path / "agent.log")


def test_thousands_of_poisoned_words_are_capped_before_they_reach_prometheus(stack: Stack, tmp_path: Path) -> None:
    """A program that makes up words without end: bounded series, short labels, and no cent less."""
    job, calls = new_job(), 2_000
    poisoned = agent(stack, job, tmp_path)
    poisoned.do("poison", calls)
    poisoned.leave()
    poisoned.ended()
    arrives(stack, f'sum(llm_cost_usd_total{{job="{job}"}})', calls * CALL_USD)
    arrives(stack, f'sum(llm_session_cost_usd_total{{job="{job}"}})', calls * CALL_USD)
    assert stack.value(f'count({{job="{job}",__name__!~"llm_session_.*"}})') < expected(_MOST_KINDS)  # type: ignore[operator]
    assert stack.value(f'sum(costspan_labels_folded_total{{job="{job}"}})') > calls  # type: ignore[operator]
    said = labels(stack, job)
    assert max(map(len, said)) <= 200
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(said))


def test_ten_thousand_tenants_reach_prometheus_each_exact(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process tells apart, the shipped Collector and Prometheus keep apart: nothing is dropped, joined or cut."""
    job = new_job()
    monkeypatch.setenv("OTEL_SERVICE_NAME", job)
    exporter = OTLPMetricExporter(f"{collector(stack)}/v1/metrics", timeout=60)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
    with serving(reader) as service:
        service.serves(TENANTS)
        assert service.exports()
        spent = service.expected()
    arrives(stack, f'count(last_over_time(llm_cost_usd_total{{job="{job}"}}[1h]))', len(TENANTS))
    for metric in ("llm_cost_usd_total", "llm_day_cost_usd_total"):
        arrives(
            stack, f'sum(max_over_time({metric}{{job="{job}"}}[27h]))', sum(cost for *_, cost in spent.values()) / 1e9
        )
    rows = stack.query(f'max_over_time(gen_ai_client_inference_usage_input_tokens_total{{job="{job}"}}[1h])')
    labels = [names.prometheus_label(each) for each in (names.TEAM, names.TASK_TYPE, names.REQUEST_MODEL, names.SOURCE)]
    told = {tuple(row["metric"][label] for label in labels): float(row["value"][1]) for row in rows}
    assert told == {tenant: given for tenant, (given, *_) in spent.items()}
    assert stack.value(f'sum(last_over_time(costspan_labels_folded_total{{job="{job}"}}[1h]))') == 0


def test_the_example_agent_of_the_compose_file_tells_prometheus_what_its_ledger_has(
    stack: Stack, tmp_path: Path
) -> None:
    """Its command and environment, as docker-compose.yml has them."""
    bins, said, ledger = Path(sys.executable).parent, stack.environment("agent"), tmp_path / "ledger.db"
    job = said["OTEL_SERVICE_NAME"]
    environment = {**os.environ, **said, "PATH": f"{bins}:{os.environ['PATH']}", "OTEL_COSTSPAN_LEDGER": str(ledger)}
    subprocess.run(
        stack.services["agent"].command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120
    )
    with Store.read(ledger) as store:
        [(calls, nano_usd)] = store.select("SELECT count(*), sum(cost_nano_usd) FROM calls")
    assert calls > 10
    arrives(stack, f'sum(last_over_time(llm_requests_total{{job="{job}"}}[1h]))', calls)
    arrives(stack, f'sum(last_over_time(llm_cost_usd_total{{job="{job}"}}[1h]))', nano_usd / 1e9)


def test_series_are_the_function_that_the_page_gives(stack: Stack, tmp_path: Path) -> None:
    """Of models, task types, sources, teams and sessions."""
    job = new_job()
    working = agent(stack, job, tmp_path)
    working.do("work", 3, 2, 3, 2)
    working.do("sessions", 20)
    working.leave()
    working.ended()
    # The sessions are one more kind of work.
    arrives(stack, f'count({{job="{job}"}})', expected(3 * 2 * 3 * 2 + 1, sessions=20, has_ledger=False))


def test_a_usage_event_is_kept_with_its_sender(stack: Stack) -> None:
    """The row behind the sums: what names.py knows of the call, who sent it, and no free text."""
    job = new_job()
    provider = LoggerProvider(resource=Resource({"service.name": job, "process.command_line": "secret"}))
    exporter = OTLPLogExporter(f"{collector(stack)}/v1/logs")
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger("costspan")
    logger.emit(LogRecord(event_name=names.USAGE_EVENT, attributes={names.SESSION: "anna", "prompt": "secret"}))
    provider.shutdown()
    file = stack.data("collector") / "events" / "usage.jsonl"
    stack.until(lambda: job in file.read_text(), "the event is to be in the file")
    (line,) = [line for line in file.read_text().splitlines() if job in line]
    assert "secret" not in line
    assert '{"key":"session.id","value":{"stringValue":"anna"}}' in line


def test_an_alert_reaches_the_webhook_once(stack: Stack) -> None:
    """Prometheus finds it, Alertmanager tells it, the webhook shows it; it goes on burning and is not told again."""
    with program(collector(stack), "spender") as sender:
        sender.count(COST_USD, 6.5)

    def told() -> list[str]:
        alerts = [alert for body in stack.notifications() for alert in body["alerts"]]
        return [alert["annotations"]["summary"] for alert in alerts if alert["labels"]["alertname"] == "TestSpend"]

    stack.until(told, "the alert is to reach the webhook")
    last = evaluated(stack)
    stack.until(lambda: evaluated(stack) > last, "the rule is to be evaluated again")
    assert told() == ["spender spent 6.5 USD"]
    assert "spender spent 6.5 USD" in stack.text("webhook", 9095, "/")


def test_the_stack_watches_itself(stack: Stack) -> None:
    """Prometheus scrapes Collector, Alertmanager and itself: the pipeline alerts have something to look at."""
    stack.until(lambda: len(stack.query("up == 1")) == 3, "three targets are to be up")
    arrives(stack, 'max(otelcol_exporter_queue_capacity{job="collector"})', 1_000_000)
