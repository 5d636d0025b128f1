"""The stack that tests and `make stack` run, beside the one that docker-compose.yml describes."""

from __future__ import annotations

import base64
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack import Stack
from stack.compose import ROOT
from stack.processes import until

from costspan.names import COST_USD
from promtools import Server
from stack_clients import needing_programs, new_job, post, request

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
#: What does not run here, and why. The example agent is what a user starts: tests/stack/test_stack.py does.
ONLY_BY_DOCKER = {"grafana": "its front end cannot be built by Go alone", "agent": "it is a program, not the stack"}
#: What runs before all others, and ends.
FIRST = {"password"}
#: Ports of containers that the compose file does not publish.
INSIDE = {"collector": (8888, 13133)}
#: Services whose command begins with the program; the others' images start theirs by themselves.
NAMES_ITS_PROGRAM = {"webhook", "password"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The stack as the tests start it, not started."""
    return needing_programs(lambda: Stack(tmp_path_factory.mktemp("compose")))


@pytest.fixture(scope="module")
def started(stack: Stack) -> Iterator[Stack]:
    with stack:
        yield stack


def as_in_a_container(stack: Stack, service: str, text: str) -> str:
    """A text of the running stack with addresses and paths as a container has them."""
    for name, body in COMPOSE.items():
        for port in (*(int(words.split(":")[2]) for words in body.get("ports", ())), *INSIDE.get(name, ())):
            here = stack.places.port(name, port)
            text = text.replace(f"127.0.0.1:{here}", f"{name}:{port}")
            text = re.sub(rf"host: 127\.0\.0\.1(\s+)port: {here}\b", rf"host: 0.0.0.0\1port: {port}", text)
    for words in COMPOSE[service].get("volumes", ()):
        inside = words.split(":")[1]
        text = text.replace(str(stack.places.path(service, inside)), inside)
    return text


def as_written(service: str, text: str) -> str:
    """A text of the compose file or of a configuration, where a service calls itself by its name."""
    text = text.replace("host: 127.0.0.1\n", "host: 0.0.0.0\n")
    return re.sub(r"(?<![\w.])(?:0\.0\.0\.0|127\.0\.0\.1):(?=\d)", f"{service}:", text)


def test_every_service_runs_here_or_says_why_not(stack: Stack) -> None:
    """A service that is added to the compose file is added to the tests."""
    assert set(stack.running) | set(ONLY_BY_DOCKER) | FIRST == set(COMPOSE)
    assert not set(stack.running) & {*ONLY_BY_DOCKER, *FIRST}


@pytest.mark.parametrize("service", sorted(set(COMPOSE) - set(ONLY_BY_DOCKER)))
def test_configurations_are_those_of_the_compose_file(service: str, stack: Stack) -> None:
    """Every mounted file, word for word but for addresses and paths."""
    compared = 0
    for words in COMPOSE[service]["volumes"]:
        source, inside = words.split(":")[:2]
        if not source.startswith("."):
            continue
        original, here = ROOT / source, stack.places.path(service, inside)
        for file in [original] if original.is_file() else [each for each in original.rglob("*") if each.is_file()]:
            copy = here / file.relative_to(original) if original.is_dir() else here
            told = as_in_a_container(stack, service, copy.read_text(encoding="utf-8"))
            true = file.read_text(encoding="utf-8")
            assert told in {true, as_written(service, true)}, file
            compared += 1
    assert compared


@pytest.mark.parametrize("service", sorted(set(COMPOSE) - set(ONLY_BY_DOCKER)))
def test_processes_run_the_commands_of_the_compose_file(service: str, started: Stack) -> None:
    """What the kernel says of the running process: its words and its environment."""
    asked = COMPOSE[service]["command"][1 if service in NAMES_ITS_PROGRAM else 0 :]
    if service in FIRST:
        words = [as_in_a_container(started, service, word) for word in started.command(service)[1:]]
        assert words == [as_written(service, word) for word in asked]
        return
    process = Path("/proc") / str(started.running[service].process)
    if not process.exists():
        pytest.skip("this system does not show processes in /proc")
    _, *words = (process / "cmdline").read_text().rstrip("\0").split("\0")
    given = {as_in_a_container(started, service, each) for each in (process / "environ").read_text().split("\0")}
    body = COMPOSE[service]
    assert [as_in_a_container(started, service, word) for word in words] == [
        as_written(service, word) for word in asked
    ]
    assert {f"{name}={value}" for name, value in body.get("environment", {}).items()} <= given


@pytest.mark.usefixtures("stack")
def test_it_starts_as_the_page_says_and_stops_at_ctrl_c(tmp_path: Path) -> None:
    """The command behind `make stack`: it says where to send, takes money, and leaves nothing behind."""
    assert "$(BIN)/python -m stack run\n" in (ROOT / "stack.mk").read_text()
    command = [sys.executable, "-u", "-m", "stack", "run", "--free-ports", "--for", "300", "--folder", str(tmp_path)]
    log = tmp_path / "said"
    with log.open("w") as file, subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file) as process:
        try:
            until(lambda: "Ctrl-C stops it" in log.read_text() or process.poll() is not None, "the stack is to start")
            said = dict(
                re.findall(r"^(\S.*?)\s+(?:OTEL_EXPORTER_OTLP_ENDPOINT=)?http://(\S+)", log.read_text(), re.MULTILINE)
            )
            assert set(said) == {"Prometheus", "Alertmanager", "Notifications", "Send here"}, log.read_text()
            (secret,) = re.findall(r"^Its password\s+(\S+) \(user costspan\)$", log.read_text(), re.MULTILINE)
            basic = base64.b64encode(f"costspan:{Path(secret).read_text()}".encode()).decode()
            job = new_job()
            assert post(f"http://{said['Send here']}", request(job, COST_USD)) == 200
            until(lambda: _known(said["Prometheus"], basic, job), "the money is to arrive")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    assert (process.returncode, log.read_text().splitlines()[-1]) == (0, "stopped")
    for address in said.values():
        host, _, port = address.partition(":")
        with socket.socket() as probe:
            assert probe.connect_ex((host, int(port))) != 0


def _known(address: str, basic: str, job: str) -> bool:
    return bool(
        Server(address, {"Authorization": f"Basic {basic}"}).query(f'llm_cost_usd_total{{job="{job}"}}', time.time())
    )
