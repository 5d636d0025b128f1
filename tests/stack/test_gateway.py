"""The fleet for real: program -> Collector on the machine -> gateway with TLS and token -> Prometheus, event store."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
import yaml
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode
from stack import Stack
from stack.chaos.load import Agent
from stack.chaos.provider import Bill, serving
from stack.compose import ROOT

from collectors import agent, find_gateways, gateway, in_pods, judge_at_once, make_certificate, scrape
from costspan import names
from costspan.alerting.series import FOREIGN_METRICS
from costspan.names import COST_USD
from otlp_receiver import Received, attributes, over_http
from stack_clients import needing_programs, new_job, post, program, request

#: The team and service of the program whose traces are sampled.
SAMPLED = "sampled"
CALLS = 40


class Fleet(NamedTuple):
    """A running fleet, and what came out where events and traces go."""

    stack: Stack
    received: Received
    certificate: str


@pytest.fixture(scope="module", params=["machines", "kubernetes"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Fleet]:
    """A gateway, a machine with the right token, a machine with a wrong one, and Prometheus.

    Once with the files as they are, once with arguments, variables and files of the pods that kustomize makes.
    """
    folder = tmp_path_factory.mktemp("fleet")
    make_certificate(folder)
    with over_http() as (store, received):
        way_in = gateway("gateway", folder, store)
        machine, stranger = agent("machine", folder, "gateway"), agent("stranger", folder, "gateway", is_known=False)
        if request.param == "kubernetes":
            way_in, machine, stranger = in_pods(folder, way_in, machine, stranger)
        stack = needing_programs(lambda: Stack(folder / "stack", only=["prometheus"], more=[way_in, machine, stranger]))
        judge_at_once(stack, "gateway")
        find_gateways(stack, ["machine", "stranger"], ["gateway"])
        scrape(stack, agents=["machine", "stranger"], gateways=["gateway"])
        with stack:
            yield Fleet(stack, received, f"{folder}/cert.pem")


def counted(fleet: Fleet, name: str, metric: str) -> float:
    """What a Collector says of itself: the sum of the lines that begin so."""
    lines = fleet.stack.text(name, 8888, "/metrics").splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(metric))


def test_money_crosses_the_fleet(fleet: Fleet) -> None:
    """Two Collectors, TLS and a token between a program and Prometheus change no figure."""
    job = new_job()
    with program(fleet.stack.url("machine", 4318), job) as sender:
        sender.count(COST_USD, 12.34)
    query = f'llm_cost_usd_total{{job="{job}"}}'
    fleet.stack.until(lambda: fleet.stack.value(query) == 12.34, "the money is to reach Prometheus")


def test_what_the_machine_accepted_waits_for_the_gateway(fleet: Fleet) -> None:
    """While the gateway is away the machine's Collector keeps everything, and its own death changes nothing."""
    job = new_job()
    fleet.stack.stop("gateway")
    with program(fleet.stack.url("machine", 4318), job) as sender:
        sender.count(COST_USD, 3.5)
    fleet.stack.kill("machine")
    fleet.stack.start("machine", "gateway")
    query = f'llm_cost_usd_total{{job="{job}"}}'
    fleet.stack.until(lambda: fleet.stack.value(query) == 3.5, "the money is to reach Prometheus")


def test_a_wrong_token_is_refused_and_counted_on_both_sides(fleet: Fleet) -> None:
    """The gateway lets nothing in, and both Collectors say so in their own metrics."""
    job = new_job()
    with program(fleet.stack.url("stranger", 4318), job) as sender:
        sender.count(COST_USD, 99.0)

    refused = 'http_server_request_duration_count{http_request_method="POST",http_response_status_code="401"'
    assert refused.partition("{")[0] in FOREIGN_METRICS  # LlmWrongToken watches it
    fleet.stack.until(lambda: counted(fleet, "gateway", refused), "the gateway is to count the refusal")
    lost = "otelcol_exporter_send_failed_metric_points"
    fleet.stack.until(lambda: counted(fleet, "stranger", lost), "the stranger is to count its loss")
    assert fleet.stack.query(f'llm_cost_usd_total{{job="{job}"}}') == []


def rule(alert: str) -> str:
    """What a shipped rule asks."""
    groups = yaml.safe_load((ROOT / "prometheus" / "rules" / "meter.yml").read_text(encoding="utf-8"))["groups"]
    (asked,) = [each["expr"] for group in groups for each in group["rules"] if each.get("alert") == alert]
    return asked


@pytest.mark.parametrize(("alert", "collector"), [("LlmPipelineLoss", "stranger"), ("LlmWrongToken", "gateway")])
def test_an_alert_on_the_pipeline_sees_the_collectors_of_the_fleet(fleet: Fleet, alert: str, collector: str) -> None:
    """Prometheus scrapes agents and gateways from its files of targets, and the shipped rule names the one concerned."""
    with program(fleet.stack.url("stranger", 4318), new_job()) as sender:
        sender.count(COST_USD, 99.0)
    where = fleet.stack.places.address(collector, 8888)

    def named() -> set[str]:
        return {row["metric"].get("instance", "") for row in fleet.stack.query(rule(alert))}

    fleet.stack.until(lambda: where in named(), f"{alert} is to name {where}")


def test_a_gateway_passes_on_whose_points_an_agent_refused(fleet: Fleet) -> None:
    """The shipped rule names the program behind the agent, and why."""
    job = new_job()
    post(fleet.stack.url("machine", 4318), request(job, COST_USD, delta=True))

    def named() -> set[tuple[str, str]]:
        rows = [row["metric"] for row in fleet.stack.query(rule("LlmPointsRefused"))]
        return {(row["job"], row.get("costspan_reason", "")) for row in rows}

    fleet.stack.until(lambda: (job, "delta") in named(), f"{job} is to be named")


def test_the_whole_fleet_is_scraped(fleet: Fleet) -> None:
    """Each Collector by the job of its kind."""
    for job, count in (("costspan-agents", 2), ("costspan-gateways", 1)):
        up = f'sum(up{{job="{job}"}})'
        fleet.stack.until(lambda up=up, count=count: fleet.stack.value(up) == count, f"{up} is to be {count}")


WRONG_TOKENS = [{}, {"authorization": "Bearer wrong-token"}, {"authorization": "Basic cmlnaHQtdG9rZW4="}]
RIGHT_TOKEN = {"authorization": "Bearer right-token"}


@pytest.mark.parametrize("token", WRONG_TOKENS, ids=["none", "wrong", "another scheme"])
def test_a_program_without_the_token_is_refused_by_http(fleet: Fleet, token: dict[str, str]) -> None:
    """401, counted, and nothing of it in Prometheus; with the token the same request is taken."""
    refused = 'http_server_request_duration_count{http_request_method="POST",http_response_status_code="401"'
    before, job = counted(fleet, "gateway", refused), new_job()
    trusting = ssl.create_default_context(cafile=fleet.certificate)
    url = f"https://{fleet.stack.places.address('gateway', 4318)}/v1/metrics"

    def send(value: float, headers: dict[str, str]) -> int:
        body = request(job, COST_USD, value=value).SerializeToString()
        asked = urllib.request.Request(url, body, {"Content-Type": "application/x-protobuf", **headers})
        with urllib.request.urlopen(asked, timeout=30, context=trusting) as answer:
            return answer.status

    with pytest.raises(urllib.error.HTTPError) as told:
        send(99.0, token)
    told.value.close()
    assert told.value.code == 401
    assert send(1.5, RIGHT_TOKEN) == 200
    query = f'sum(llm_cost_usd_total{{job="{job}"}})'
    fleet.stack.until(lambda: fleet.stack.value(query) == 1.5, "what was sent with the token is to arrive")
    fleet.stack.until(lambda: counted(fleet, "gateway", refused) == before + 1, "the refusal is to be counted")


@pytest.mark.parametrize("token", WRONG_TOKENS, ids=["none", "wrong", "another scheme"])
def test_a_program_without_the_token_is_refused_by_grpc(fleet: Fleet, token: dict[str, str]) -> None:
    """UNAUTHENTICATED, counted, and nothing of it in Prometheus; with the token the same request is taken."""
    refused = 'rpc_server_call_duration_count{rpc_method="opentelemetry.proto.collector.metrics.v1.MetricsService/Export",rpc_response_status_code="UNAUTHENTICATED"'
    before, job = counted(fleet, "gateway", refused), new_job()
    trusting = grpc.ssl_channel_credentials(Path(fleet.certificate).read_bytes())
    with grpc.secure_channel(fleet.stack.places.address("gateway", 4317), trusting) as channel:
        stub: Any = MetricsServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
            stub.Export(request(job, COST_USD, value=99.0), metadata=[*token.items()], timeout=30)
        stub.Export(request(job, COST_USD), metadata=[*RIGHT_TOKEN.items()], timeout=30)
    query = f'sum(llm_cost_usd_total{{job="{job}"}})'
    fleet.stack.until(lambda: fleet.stack.value(query) == 1.5, "what was sent with the token is to arrive")
    fleet.stack.until(lambda: counted(fleet, "gateway", refused) == before + 1, "the refusal is to be counted")


def test_a_usage_event_arrives_and_no_other_log_line(fleet: Fleet) -> None:
    """An event keeps the attributes that names.py knows; a log line, which may hold anything, is dropped."""
    provider = LoggerProvider()
    provider.add_log_record_processor(
        SimpleLogRecordProcessor(OTLPLogExporter(f"{fleet.stack.url('machine', 4318)}/v1/logs"))
    )
    logger = provider.get_logger("costspan")
    logger.emit(LogRecord(body="the prompt was: who are you?"))
    known = {names.EVENT_ID: "event-1", names.SESSION: "anna", names.COST_NANO_USD: 12}
    logger.emit(LogRecord(event_name=names.USAGE_EVENT, attributes={**known, "prompt": "who are you?"}))
    provider.shutdown()

    def arrived() -> list[tuple[str, dict[str, object]]]:
        events = [(event.event_name, attributes(event)) for event in fleet.received.events]
        return [event for event in events if event[1].get(names.TEAM) != SAMPLED]

    fleet.stack.until(arrived, "the event is to arrive")
    assert arrived() == [
        (names.USAGE_EVENT, known)
    ]  # fmt: skip


def test_a_failed_span_arrives_without_what_it_quotes(fleet: Fleet) -> None:
    """Tail sampling keeps every failed trace; prompts in attributes, status or exception do not leave."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{fleet.stack.url('machine', 4318)}/v1/traces")))
    with provider.get_tracer("costspan").start_as_current_span("chat gpt-5") as span:
        span.set_attributes({names.REQUEST_MODEL: "gpt-5", "gen_ai.input.messages": "who are you?"})
        span.record_exception(ValueError("who are you?"))
        span.set_status(Status(StatusCode.ERROR, "who are you?"))
    provider.shutdown()

    def failed() -> list[Any]:
        return [span for span in fleet.received.spans if span.name == "chat gpt-5"]

    fleet.stack.until(failed, "the span is to arrive")
    (arrived,) = failed()
    assert attributes(arrived) == {names.REQUEST_MODEL: "gpt-5"}
    assert "who are you?" not in str(arrived)


def test_tail_sampling_changes_no_figure(fleet: Fleet, tmp_path: Path) -> None:
    """The gateway keeps one good trace in a hundred; counters and usage events still say all that was served."""
    bill = Bill()
    with serving(bill) as provider:
        agent = Agent(
            {
                "CHAOS_CASE": SAMPLED,
                "CHAOS_PROVIDER": provider,
                "OTEL_SERVICE_NAME": SAMPLED,
                "OTEL_EXPORTER_OTLP_ENDPOINT": fleet.stack.url("machine", 4318),
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_COSTSPAN_ASK_USAGE": "always",
            },
            tmp_path / "agent.log",
        )
        agent.do("call", CALLS)
        agent.leave()
        agent.ended()
    served = bill.of(SAMPLED)

    def events() -> dict[str, int]:
        said = [attributes(event) for event in fleet.received.events]
        return {one[names.EVENT_ID]: one[names.COST_NANO_USD] for one in said if one.get(names.TEAM) == SAMPLED}

    fleet.stack.until(lambda: len(events()) == CALLS, "an event of each call is to arrive")
    assert sum(events().values()) == served
    query = f'sum(llm_cost_usd_total{{job="{SAMPLED}"}})'
    fleet.stack.until(lambda: fleet.stack.value(query) == pytest.approx(served / 1e9, rel=1e-9), "the sum is to arrive")
    dropped = 'otelcol_processor_tail_sampling_global_count_traces_sampled{decision="not_sampled"'
    fleet.stack.until(lambda: counted(fleet, "gateway", dropped) > CALLS / 2, "most traces are to be dropped")
