"""Who may write to Prometheus: the Collector, and nobody else who reaches it. Who may silence: those with the password."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack import Stack, password
from stack.binaries import program
from stack.compose import ROOT

from costspan.names import COST_USD
from stack_clients import needing_programs, new_job, post, request

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Collector, Prometheus and Alertmanager with the commands and files of the compose file."""
    only = ["collector", "prometheus", "alertmanager"]
    made = needing_programs(lambda: Stack(tmp_path_factory.mktemp("writing"), only=only))
    with made:
        yield made


def basic(words: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}


def said(
    stack: Stack, path: str, body: bytes | None, headers: dict[str, str], service: str = "prometheus", port: int = 9090
) -> int:
    """The status with which Prometheus, or another service, answers."""
    asked = urllib.request.Request(stack.url(service, port) + path, body, headers)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as fault:
        with fault:
            return fault.code


STRANGERS = {
    "who says nothing": {},
    "who guesses": basic("costspan:costspan"),
    "who has no password": basic("costspan:"),
    "who has another name": basic("admin:admin"),
    "who brings a token": {"Authorization": "Bearer costspan"},
}


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_cannot_make_up_money(stack: Stack, headers: dict[str, str]) -> None:
    """999 USD that nobody spent are refused, by OTLP and by remote write, and no series is there afterwards."""
    job = new_job()
    body = request(job, COST_USD, value=999.0).SerializeToString()
    typed = {"Content-Type": "application/x-protobuf", **headers}
    assert said(stack, "/api/v1/otlp/v1/metrics", body, typed) == 401
    assert said(stack, "/api/v1/write", body, typed) == 401
    assert said(stack, "/api/v1/query?query=up", None, headers) == 401
    assert stack.query(f'{{job="{job}"}}') == []


def test_what_strangers_sent_would_have_been_taken_with_the_password(stack: Stack) -> None:
    """The request itself is right: only the password was missing."""
    job = new_job()
    body = request(job, COST_USD, value=999.0).SerializeToString()
    typed = {"Content-Type": "application/x-protobuf", **stack.headers("prometheus")}
    assert said(stack, "/api/v1/otlp/v1/metrics", body, typed) == 200
    assert stack.value(f'llm_cost_usd_total{{job="{job}"}}') == 999.0


def test_the_collector_writes(stack: Stack) -> None:
    """It has the password: what programs send to it arrives, and nothing is refused on the way."""
    job = new_job()
    assert post(stack.url("collector", 4318), request(job, COST_USD, value=2.5)) == 200
    query = f'llm_cost_usd_total{{job="{job}"}}'
    stack.until(lambda: stack.value(query) == 2.5, "the money is to reach Prometheus")
    figures = stack.text("collector", 8888, "/metrics").splitlines()
    failed = [line for line in figures if line.startswith("otelcol_exporter_send_failed_metric_points")]
    assert all(line.endswith(" 0") for line in failed)


SILENCE = {
    "matchers": [{"name": "component", "value": "llm-budget", "isRegex": False, "isEqual": True}],
    "startsAt": "2026-11-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "somebody", "comment": "hush",
}  # fmt: skip


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_can_neither_silence_a_budget_nor_make_up_an_alert_nor_look(
    stack: Stack, headers: dict[str, str]
) -> None:
    """Alertmanager refuses him at every door, and no silence is there afterwards."""
    typed = {"Content-Type": "application/json", **headers}
    alert = json.dumps([{"labels": {"alertname": "MadeUp"}}]).encode()
    assert said(stack, "/api/v2/silences", json.dumps(SILENCE).encode(), typed, "alertmanager", 9093) == 401
    assert said(stack, "/api/v2/alerts", alert, typed, "alertmanager", 9093) == 401
    assert said(stack, "/api/v2/alerts", None, headers, "alertmanager", 9093) == 401
    assert said(stack, "/-/reload", b"", headers, "alertmanager", 9093) == 401
    assert _silences(stack) == []
    assert stack.get("alertmanager", 9093, "/api/v2/alerts?filter=alertname%3DMadeUp") == []


def test_with_the_password_a_silence_is_taken_and_taken_back(stack: Stack) -> None:
    """The request itself is right: only the password was missing. By amtool, as the runbooks say."""
    url = stack.url("alertmanager", 9093)
    word = (stack.secrets / password.PASSWORD).read_text(encoding="utf-8")
    asked = f"--alertmanager.url={url.replace('://', f'://{password.USER}:{word}@')}"
    amtool = str(needing_programs(lambda: program("amtool")))
    labels = ["alertname=LlmTelemetryStopped", "job=nightly"]
    added = [amtool, "silence", "add", *labels, "--duration=1h", "--author=a", "--comment=b", asked]
    made = subprocess.run(added, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    assert _silences(stack) == [made]
    subprocess.run([amtool, "silence", "expire", made, asked], check=True, timeout=30)
    assert _silences(stack) == []


def _silences(stack: Stack) -> list[str]:
    """The ids of those in force; Alertmanager remembers those that were taken back."""
    found = stack.get("alertmanager", 9093, "/api/v2/silences")
    return [each["id"] for each in found if each["status"]["state"] != "expired"]


def test_prometheus_reads_its_own_figures_and_knows_alertmanager(stack: Stack) -> None:
    """It knows both passwords, or the alerts about itself would be blind, and all others unheard."""
    for job in ("prometheus", "alertmanager"):
        stack.until(lambda job=job: stack.value(f'up{{job="{job}"}}') == 1, f"Prometheus is to scrape {job}")
    (found,) = stack.get("prometheus", 9090, "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    assert found["url"].startswith(stack.url("alertmanager", 9093))


@pytest.mark.parametrize("service", ["prometheus", "alertmanager"])
def test_the_health_check_of_the_compose_file_passes_and_needs_the_password(stack: Stack, service: str) -> None:
    """The container's own shell command, with this machine's addresses."""
    kind, command = SERVICES[service]["healthcheck"]["test"]
    here = stack.places.translate(service, command.replace("$$", "$"))
    assert kind == "CMD-SHELL"
    assert subprocess.run(["/bin/sh", "-c", here], check=False, timeout=30).returncode == 0
    without = here.replace("Authorization", "X-Nothing")
    assert subprocess.run(["/bin/sh", "-c", without], check=False, timeout=30).returncode != 0


# -- files --------------------------------------------------------------------------------------------------------------


def test_only_those_who_have_to_know_have_the_password() -> None:
    """Whoever makes it may write it, the others read it; the example's agent and the webhook never see it."""
    mounts = {
        name: words
        for name, body in SERVICES.items()
        for words in body.get("volumes", ())
        if words.startswith("prometheus-password:")
    }
    assert set(mounts) == {"password", "collector", "prometheus", "alertmanager", "grafana"}
    assert [name for name, words in mounts.items() if not words.endswith(":ro")] == ["password"]
    for server in ("prometheus", "alertmanager"):
        assert "--web.config.file=/run/costspan/web.yml" in SERVICES[server]["command"]
    assert SERVICES["password"]["network_mode"] == "none"
    for reader in ("collector", "prometheus", "alertmanager"):
        assert SERVICES[reader]["depends_on"]["password"]["condition"] == "service_completed_successfully"


def test_programs_share_a_network_with_the_collector_alone() -> None:
    """A program in a container does not even reach Prometheus."""
    networks = {
        name: set(body.get("networks", ["default"])) for name, body in SERVICES.items() if "network_mode" not in body
    }
    assert networks["agent"] == {"programs"}
    assert {name for name, joined in networks.items() if "programs" in joined} == {"agent", "collector"}


def test_grafana_reads_with_the_password() -> None:
    """From its file: it stands in no configuration."""
    settings = ROOT / "grafana" / "provisioning" / "datasources" / "prometheus.yaml"
    sources = yaml.safe_load(settings.read_text())["datasources"]
    assert {each["type"] for each in sources} == {"prometheus", "alertmanager"}
    for source in sources:
        assert (source["basicAuth"], source["basicAuthUser"]) == (True, password.USER)
        assert source["secureJsonData"] == {"basicAuthPassword": "$__file{/run/costspan/password}"}


def test_the_password_is_made_once_and_is_another_each_time(tmp_path: Path) -> None:
    """A restart changes nothing: a Collector that is told 401 would drop what it carries."""
    files = (password.PASSWORD, password.AUTHORIZATION, password.WEB)
    for folder in ("one", "other"):
        password.write(tmp_path / folder)
    before = {name: (tmp_path / "one" / name).read_text() for name in files}
    password.write(tmp_path / "one")
    assert {name: (tmp_path / "one" / name).read_text() for name in files} == before
    assert all((tmp_path / "other" / name).read_text() != before[name] for name in files)
    assert len(before[password.PASSWORD]) == 64
    assert base64.b64decode(before[password.AUTHORIZATION]).decode() == f"costspan:{before[password.PASSWORD]}"


def test_an_attempt_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    """The password is the last file: without it nothing else counts."""
    (tmp_path / password.WEB).write_text("half")
    password.write(tmp_path)
    assert "basic_auth_users" in (tmp_path / password.WEB).read_text()


def test_only_the_owner_of_a_stack_without_docker_can_read_its_password(stack: Stack) -> None:
    """The files are readable, as containers need them; the folder above is not."""
    assert (stack.folder / "data").stat().st_mode & 0o077 == 0
    assert stack.secrets.is_relative_to(stack.folder / "data")


def test_a_machine_without_bcrypt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither libcrypt nor htpasswd: no password, and no stack that asks for none."""
    monkeypatch.setattr(password, "_LIBRARIES", ("libnowhere.so",))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"neither libnowhere\.so has it, nor htpasswd"):
        password.write(tmp_path / "secrets")
    assert not (tmp_path / "secrets" / password.PASSWORD).exists()
