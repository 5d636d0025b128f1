"""Who may write to Prometheus: the Collector, and nobody else who reaches it."""

from __future__ import annotations

import base64
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack import Stack, password
from stack.compose import ROOT

from costspan.names import COST_USD
from stack_clients import needing_programs, new_job, post, request

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Collector and Prometheus with the commands and files of the compose file."""
    made = needing_programs(lambda: Stack(tmp_path_factory.mktemp("writing"), only=["collector", "prometheus"]))
    with made:
        yield made


def basic(words: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}


def said(stack: Stack, path: str, body: bytes | None, headers: dict[str, str]) -> int:
    """The status with which Prometheus answers."""
    asked = urllib.request.Request(stack.url("prometheus", 9090) + path, body, headers)
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


def test_prometheus_reads_its_own_figures(stack: Stack) -> None:
    """It knows its own password, or the alerts about itself would be blind."""
    stack.until(lambda: stack.value('up{job="prometheus"}') == 1, "Prometheus is to scrape itself")


def test_the_health_check_of_the_compose_file_passes_and_needs_the_password(stack: Stack) -> None:
    """The container's own shell command, with this machine's addresses."""
    kind, command = SERVICES["prometheus"]["healthcheck"]["test"]
    here = stack.places.translate("prometheus", command.replace("$$", "$"))
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
    assert set(mounts) == {"password", "collector", "prometheus", "grafana"}
    assert [name for name, words in mounts.items() if not words.endswith(":ro")] == ["password"]
    assert "--web.config.file=/run/costspan/web.yml" in SERVICES["prometheus"]["command"]
    assert SERVICES["password"]["network_mode"] == "none"
    for reader in ("collector", "prometheus"):
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
    (source,) = [each for each in yaml.safe_load(settings.read_text())["datasources"] if each["type"] == "prometheus"]
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
