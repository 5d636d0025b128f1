"""The files of the stack: what compose, Collector, Prometheus and Alertmanager are told, and that they agree."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack import MissingProgramError, allow_list, compose, routes
from stack.binaries import families, go_version, program
from stack.compose import ROOT
from stack.places import Places, free_port
from stack.webhook import Notifications, page

from stack_clients import needing_programs

COLLECTORS = ("collector.yaml", "agent.yaml", "gateway.yaml")
MONEY = {
    "collector.yaml": "otlp_http/prometheus",
    "agent.yaml": "otlp_http/money",
    "gateway.yaml": "otlp_http/prometheus",
}
FLEET = (
    "GATEWAY", "GATEWAY_HOST", "TOKEN_FILE", "CA_FILE", "CERT_FILE", "KEY_FILE", "QUEUE", "PROMETHEUS", "PROMETHEUS_AUTHORIZATION_FILE",
    "EVENTS", "TRACES",
)  # fmt: skip


def ours(name: str) -> str:
    """A program of the stack, or the test is skipped, aloud."""
    return str(needing_programs(lambda: program(name)))


def accepts(*command: str | Path, **environment: str) -> None:
    """The program says yes."""
    done = subprocess.run(
        [*map(str, command)], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("ci", "end"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_program_is_told_and_never_skipped_in_ci(
    ci: str, end: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is the sentence that says what was tried."""

    def missing() -> None:
        raise MissingProgramError("otelcol is not here")

    monkeypatch.setenv("CI", ci)
    with pytest.raises(end, match="otelcol is not here"):
        needing_programs(missing)


# --- Collector ------------------------------------------------------------------------------------------------


def test_the_allow_list_has_the_names_of_names_py() -> None:
    """What may pass is what costspan emits; `python -m stack generate` writes it."""
    text = allow_list.FILE.read_text(encoding="utf-8")
    assert allow_list.written(text) == text


@pytest.mark.parametrize("file", COLLECTORS)
def test_the_collector_takes_its_configuration(file: str) -> None:
    """`otelcol validate`, with the allow-list before it as in the command."""
    folder = ROOT / "collector-config"
    accepts(
        ours("otelcol"), "validate", f"--config={folder}/allow-list.yaml", f"--config={folder}/{file}",
        **{f"COSTSPAN_{name}": "https://127.0.0.1:1" for name in FLEET},
    )  # fmt: skip


@pytest.mark.parametrize("file", COLLECTORS)
def test_a_collector_limits_memory_first_and_lets_only_known_names_pass(file: str) -> None:
    """Every pipeline begins with the memory limiter and goes through the allow-list; none batches in memory."""
    wanted = {
        "metrics": {
            "filter/foreign", "transform/refused", "filter/metrics", "filter/refused", "transform/resource", "transform/metrics",
        },
        "logs": {"filter/events", "transform/resource", "redaction/attributes", "transform/texts"},
        "traces": {"transform/resource", "redaction/attributes", "transform/texts"},
    }  # fmt: skip
    pipelines = read(f"collector-config/{file}")["service"]["pipelines"]
    assert set(pipelines) == set(wanted)
    for signal, pipeline in pipelines.items():
        assert pipeline["processors"][0] == "memory_limiter"
        assert wanted[signal] <= set(pipeline["processors"])
        assert "batch" not in pipeline["processors"]


@pytest.mark.parametrize("file", COLLECTORS)
def test_the_way_of_money_loses_nothing(file: str) -> None:
    """On disk with fsync before it is acknowledged, one consumer, a full queue blocks, retried for ever, no batches."""
    said = read(f"collector-config/{file}")
    exporter = said["exporters"][MONEY[file]]
    queue = exporter["sending_queue"]
    assert said["service"]["pipelines"]["metrics"]["exporters"] == [MONEY[file]]
    assert exporter["retry_on_failure"]["max_elapsed_time"] == 0
    assert (queue["num_consumers"], queue["block_on_overflow"], "batch" in queue) == (1, True, False)
    assert said["extensions"][queue["storage"]]["fsync"] is True
    assert queue["storage"] in said["service"]["extensions"]


def test_only_spans_choose_a_gateway_by_what_they_hold() -> None:
    """The load-balancing exporter keeps a trace at one gateway; no figure of money goes through it."""
    said = read("collector-config/agent.yaml")
    assert said["exporters"]["load_balancing/traces"]["routing_key"] == "traceID"
    choosing = {
        signal: [name for name in pipeline["exporters"] if name.startswith("load_balancing")]
        for signal, pipeline in said["service"]["pipelines"].items()
    }
    assert choosing == {"metrics": [], "logs": [], "traces": ["load_balancing/traces"]}


def test_the_gateway_asks_for_a_token_under_tls_on_both_ways_in() -> None:
    """No way in without."""
    ways_in = read("collector-config/gateway.yaml")["receivers"]["otlp"]["protocols"]
    for way in ways_in.values():
        assert way["auth"] == {"authenticator": "bearertokenauth"}
        assert way["tls"]["min_version"] == "1.3"


def test_every_block_of_a_collector_is_explained() -> None:
    """A comment stands before each receiver, processor, exporter and extension."""
    for file in ("allow-list.yaml", *COLLECTORS):
        text = (ROOT / "collector-config" / file).read_text(encoding="utf-8")
        blocks = re.findall(r"^(?P<before>.*)\n  (?P<name>[a-z_]+(?:/[a-z]+)?):(?: &\w+)?$", text, re.MULTILINE)
        unexplained = [name for before, name in blocks if not before.startswith(("  #", "  pipelines", "service"))]
        assert set(unexplained) <= {"pipelines", "telemetry"}, file


# --- compose ----------------------------------------------------------------------------------------------------


def test_compose_takes_its_file() -> None:
    """`docker compose config -q`, by the plugin where it is installed."""
    docker = shutil.which("docker")
    has_plugin = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    command = [docker, "compose"] if docker and has_plugin and not has_plugin.returncode else [ours("docker-compose")]
    accepts(*command, "-f", compose.FILE, "config", "-q")


def test_no_service_is_open_to_the_network() -> None:
    """Nothing asks for a password, so everything is published on loopback."""
    for service in read("docker-compose.yml")["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_grafana_has_no_administrator_and_no_password() -> None:
    """A default password cannot be left open where there is none."""
    said = read("docker-compose.yml")["services"]["grafana"]["environment"]
    assert said["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert said["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert not any("PASSWORD" in name for name in said)


def test_every_image_is_pinned_and_every_server_checked() -> None:
    """A tag with a full version, built images aside; a health check for each service that listens."""
    for name, service in read("docker-compose.yml")["services"].items():
        bases = re.findall(r"FROM (\S+)", service.get("build", {}).get("dockerfile_inline", "")) or [service["image"]]
        assert all(re.search(r":v?\d+\.\d+\.\d+", base) for base in bases), name
        assert ("healthcheck" in service) == ("ports" in service), name


def test_versions_are_said_once() -> None:
    """The images, the Go modules and the Collector's manifest name the same versions."""
    manifest = read("collector-config/manifest.yaml")
    wanted = {name: family.version for name, family in families().items()}
    assert {name: go_version(name) for name in ("prometheus", "alertmanager")} == {
        name: wanted[name] for name in ("prometheus", "alertmanager")
    }
    assert go_version("collector-builder") == manifest["dist"]["version"] == wanted["collector"]
    parts = [
        part["gomod"].split()[1]
        for kind in ("receivers", "processors", "exporters", "extensions")
        for part in manifest[kind]
    ]
    assert set(parts) == {f"v{wanted['collector']}"}
    dockerfile = read("docker-compose.yml")["services"]["collector"]["build"]["dockerfile_inline"]
    assert f"opentelemetry-collector-contrib:{wanted['collector']}" in dockerfile


# --- Prometheus and Alertmanager ----------------------------------------------------------------------------------


def test_prometheus_takes_its_configuration() -> None:
    """`promtool check config`, rules included."""
    accepts(ours("promtool"), "check", "config", ROOT / "prometheus" / "prometheus.yml")


def test_every_part_of_the_way_is_scraped() -> None:
    """What is not scraped cannot be alerted on: Collectors of one machine and of the fleet, Prometheus, Alertmanager."""
    jobs = {job["job_name"]: job for job in read("prometheus/prometheus.yml")["scrape_configs"]}
    fixed = {name: job["static_configs"][0]["targets"] for name, job in jobs.items() if "static_configs" in job}
    assert fixed == {
        "collector": ["collector:8888"],
        "prometheus": ["prometheus:9090"],
        "alertmanager": ["alertmanager:9093"],
    }
    listed = {name: job["file_sd_configs"][0]["files"] for name, job in jobs.items() if "file_sd_configs" in job}
    assert listed == {"costspan-agents": ["targets/agents.yml"], "costspan-gateways": ["targets/gateways.yml"]}
    assert all((ROOT / "prometheus" / file).exists() for (file,) in listed.values())


@pytest.mark.parametrize("file", COLLECTORS)
def test_a_collector_shows_its_own_figures_to_prometheus(file: str) -> None:
    """At the port that is scraped, and not on loopback alone."""
    (reader,) = read(f"collector-config/{file}")["service"]["telemetry"]["metrics"]["readers"]
    assert reader["pull"]["exporter"]["prometheus"] == {"host": "0.0.0.0", "port": 8888}  # noqa: S104  # other machines ask


@pytest.mark.parametrize("receivers", ["receivers.yml", "receivers.example.yml"])
def test_alertmanager_takes_the_receivers(receivers: str, tmp_path: Path) -> None:
    """`amtool check-config` with a route in front, as `costspan budgets compile` puts it there."""
    shutil.copytree(ROOT / "prometheus" / "templates", tmp_path / "templates")
    text = (ROOT / "prometheus" / receivers).read_text(encoding="utf-8")
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: default}\n" + text, encoding="utf-8")
    accepts(ours("amtool"), "check-config", tmp_path / "alertmanager.yml")


def test_alertmanager_takes_its_configuration() -> None:
    """`amtool check-config` on the file that is in use."""
    accepts(ours("amtool"), "check-config", ROOT / "prometheus" / "alertmanager.yml")


def test_alertmanager_s_configuration_is_fresh() -> None:
    """It is compiled from the example budgets and receivers.yml; `make generate` writes it."""
    assert routes.written() == routes.FILE.read_text(encoding="utf-8")


def seconds(words: str) -> int:
    """Prometheus' way of writing a time: `30s`, `1m`."""
    return int(words[:-1]) * {"s": 1, "m": 60, "h": 3_600}[words[-1]]


def test_a_threshold_is_told_within_two_evaluations() -> None:
    """One evaluation goes from what arrived to the alert: one group of rules, nothing to wait for; then the group's wait."""
    groups = read("prometheus/rules/budgets.yml")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    thresholds = [rule for rule in rules if rule.get("alert") == "LlmBudgetThreshold"]
    assert thresholds
    assert not [rule for rule in thresholds if "for" in rule]
    before = {rule["record"] for rule in groups[0]["rules"] if "record" in rule}
    assert {rule["expr"].split("{")[0] for rule in thresholds} <= before
    assert all(rule in groups[0]["rules"] for rule in thresholds)
    settings = read("prometheus/prometheus.yml")["global"]
    assert "rule_query_offset" not in settings
    evaluation_s = seconds(groups[0].get("interval", settings["evaluation_interval"]))
    (route,) = [
        each for each in read("prometheus/alertmanager.yml")["route"]["routes"] if "llm-budget" in str(each["matchers"])
    ]
    assert seconds(route["group_wait"]) < evaluation_s


def test_no_secret_stands_in_the_receivers() -> None:
    """Every secret is named by the file that holds it."""
    text = (ROOT / "prometheus" / "receivers.example.yml").read_text(encoding="utf-8")
    secrets = re.findall(r"^[\s-]*(\w*(?:password|api_url|routing_key|token)\w*):", text, re.MULTILINE)
    assert len(secrets) == 3
    assert all(name.endswith("_file") for name in secrets)


# --- the same without docker ----------------------------------------------------------------------------------------

WRITTEN = [
    # service         in the container                               on this machine
    ("collector",     "endpoint: http://prometheus:9090/api",        "endpoint: http://127.0.0.1:{prometheus:9090}/api"),
    ("collector",     "endpoint: 0.0.0.0:4317",                      "endpoint: 127.0.0.1:{collector:4317}"),
    ("collector",     "host: 0.0.0.0\n  port: 8888",                 "host: 127.0.0.1\n  port: {collector:8888}"),
    ("collector",     "directory: /var/lib/otelcol/queue",           "directory: {folder}/data/collector-data/otelcol/queue"),
    ("prometheus",    "--storage.tsdb.path=/prometheus",             "--storage.tsdb.path={folder}/data/prometheus-data/prometheus"),
    ("prometheus",    "--config.file=/etc/prometheus/prometheus.yml", "--config.file={folder}/etc/prometheus/prometheus/prometheus.yml"),
    ("prometheus",    "- targets: [alertmanager:9093]",              "- targets: [127.0.0.1:{alertmanager:9093}]"),
    ("alertmanager",  "--cluster.listen-address=",                   "--cluster.listen-address="),
    ("webhook",       "/webhook/webhook.py",                         "{folder}/etc/webhook/webhook.py"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "inside", "outside"), WRITTEN, ids=[row[1].replace("\n", " ") for row in WRITTEN])
def test_what_was_written_for_containers_is_translated(service: str, inside: str, outside: str, tmp_path: Path) -> None:
    """Addresses and paths change and nothing else, so that the commands stay those of docker-compose.yml."""
    places = Places(tmp_path, compose.services(), fixed=False)
    expected = re.sub(r"\{(\w+):(\d+)\}", lambda found: f"{places.port(found[1], int(found[2]))}", outside)
    assert places.translate(service, inside) == expected.replace("{folder}", str(tmp_path))


def test_fixed_ports_are_those_of_the_compose_file(tmp_path: Path) -> None:
    """`make stack` listens where `docker compose up` would."""
    places = Places(tmp_path, compose.services(), fixed=True)
    assert places.address("webhook", 9095) == "127.0.0.1:9095"


def test_a_linked_configuration_never_overwrites_its_original(tmp_path: Path) -> None:
    """A folder that `make stack` used with links may be used again with copies."""
    original = ROOT / "prometheus" / "receivers.example.yml"
    before = original.read_bytes()
    for live in (True, False):
        Places(tmp_path, compose.services(), fixed=False).prepare("alertmanager", live=live)
    laid_out = tmp_path / "etc" / "alertmanager" / "prometheus" / "receivers.example.yml"
    assert not laid_out.is_symlink()
    assert original.read_bytes() == before


def test_a_free_port_is_free() -> None:
    """Two askers in a row need not get the same."""
    assert len({free_port() for _ in range(20)}) > 1


def test_the_webhook_remembers_over_a_restart_and_shows_no_markup(tmp_path: Path) -> None:
    """What was told stays; a summary is text, whatever stands in it."""
    kept = tmp_path / "notifications.jsonl"
    alert = {"status": "firing", "labels": {"alertname": "A"}, "annotations": {"summary": "<script>"}}
    Notifications(kept).add({"alerts": [alert]})
    again = Notifications(kept)
    assert [body["alerts"] for body in again.last] == [[alert]]
    assert "&lt;script&gt;" in page(again)


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    """Whoever starts the stack twice is told so."""
    places = Places(tmp_path, compose.services(), fixed=False)
    address = places.address("prometheus", 9090)
    assert places.taken() == []
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        assert places.taken() == [address]
