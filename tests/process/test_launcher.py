"""A program started by a launcher, no line of it changed: its calls arrive wherever the environment sends them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, cast

import pytest

from costspan import names
from costspan.cli.run import embedded_defaults
from launching import APP, COSTSPAN, INSTRUMENT, rows, start
from otlp_receiver import Received, attributes, over_grpc, over_http
from stand_in_process import client_environment, served, stand_in

CALLS: Final = 3
WHO: Final = {
    "OTEL_COSTSPAN_SESSION": "tuesday",
    "OTEL_COSTSPAN_TASK_TYPE": "greeting",
    "OTEL_COSTSPAN_SOURCE": "task_agent",
}

SHOW_PROMETHEUS: Final = "import prometheus_client; print(prometheus_client.generate_latest().decode())"


@pytest.fixture
def address() -> Generator[str]:
    with stand_in() as where:
        yield where


@pytest.fixture
def app(tmp_path: Path) -> str:
    """A program without a word of costspan."""
    path = tmp_path / "app.py"
    path.write_text(APP)
    return str(path)


def start_app(app: str, address: str, **more: str) -> str:
    """Run the app under OpenTelemetry's launcher; what it printed. It must end well and say nothing on the side."""
    ended = start([INSTRUMENT, "python", app], Path(app).parent, **client_environment(address), **WHO, **more)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.mark.parametrize(("protocol", "receiver"), [("http/protobuf", over_http), ("grpc", over_grpc)])
def test_spans_counters_and_events_arrive_over_otlp(app: str, address: str, protocol: str, receiver: Any) -> None:
    """Each call is one span, one event, its tokens and its cost; what arrives is what was served."""
    with receiver() as (endpoint, received):
        start_app(app, address, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
        truth = served(address)["totals"]
        assert len(received.spans) == len(received.events) == received.total(names.REQUESTS.name) == CALLS
        assert received.total(names.INPUT_TOKENS.name) == truth["input"]
        assert received.total(names.OUTPUT_TOKENS.name) == truth["output"]
        assert received.total(names.COST_USD.name) == pytest.approx(total_of_spans(received), rel=1e-9)
        assert received.total(names.SESSION_COST_USD.name) == pytest.approx(total_of_spans(received), rel=1e-9)


def total_of_spans(received: Received) -> float:
    """The cost by the spans; it is not nothing."""
    total = sum(attributes(span)[names.COST_AMOUNT] for span in received.spans)
    assert total > 0
    return total


def test_every_signal_says_who_a_call_was_for(app: str, address: str) -> None:
    """Session, task type and source stand on spans and session counters; on the others, all but the session."""
    with over_http() as (endpoint, received):
        start_app(app, address, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
        who = {names.TASK_TYPE: "greeting", names.SOURCE: "task_agent"}
        for point in received.points(names.COST_USD.name) + received.points(names.REQUESTS.name):
            assert {name: point.attributes[name] for name in who} == who
            assert names.SESSION not in point.attributes
        for holder in [
            *map(attributes, received.spans),
            *[p.attributes for p in received.points(names.SESSION_TOKENS.name)],
        ]:
            assert {name: holder[name] for name in who} == who
            assert holder[names.SESSION] == "tuesday"


def test_with_an_endpoint_the_ledger_is_a_setting(app: str, address: str) -> None:
    """OTLP takes the record; the ledger joins in when it is asked to."""
    home = Path(app).parent
    with over_http() as (endpoint, _):
        where = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        start_app(app, address, **where)
        assert rows(home) == []
        start_app(app, address, **where, OTEL_COSTSPAN_LEDGER="on")
        assert len(rows(home)) == CALLS


def test_counters_arrive_on_the_console(app: str, address: str) -> None:
    """OTEL_METRICS_EXPORTER=console prints them as JSON when the program ends: totals first, then the sessions."""
    none = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    printed = start_app(app, address, OTEL_METRICS_EXPORTER="console", **none)
    tokens = sum(
        point["value"]
        for message in printed.replace("}\n{", "}\0{").split("\0")
        for resource in json.loads(message)["resource_metrics"]
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
        if metric["name"] == names.INPUT_TOKENS.name
        for point in metric["data"]["data_points"]
    )
    assert tokens == served(address)["totals"]["input"]


def test_counters_arrive_at_the_prometheus_exporter(app: str, address: str) -> None:
    """The names are those of names.py, and the values those of the stand-in."""
    Path(app).write_text(APP + SHOW_PROMETHEUS)
    printed = start_app(
        app,
        address,
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_EXPORTER_PROMETHEUS_PORT="0",
        OTEL_TRACES_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )
    lines = [line for line in printed.splitlines() if line.startswith(names.INPUT_TOKENS.prometheus + "{")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in lines) == served(address)["totals"]["input"]


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"OTEL_SDK_DISABLED": "true"}, id="the SDK is disabled"),
        pytest.param({f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}, id="no exporter"),
    ],
)
def test_the_ledger_takes_the_record_where_telemetry_goes_nowhere(
    app: str, address: str, environ: dict[str, str]
) -> None:
    """Tokens, cost and attribution stand in the ledger without any SDK."""
    start_app(app, address, **environ)
    booked = rows(Path(app).parent)
    truth = served(address)["totals"]
    assert len(booked) == CALLS
    assert sum(row["input_tokens"] for row in booked) == truth["input"]
    assert sum(row["output_tokens"] for row in booked) == truth["output"]
    assert all(row["cost_nano_usd"] > 0 for row in booked)
    assert {(row["session"], row["task_type"], row["source"]) for row in booked} == {
        ("tuesday", "greeting", "task_agent")
    }


def test_costspan_run_needs_no_setting_at_all(app: str, address: str) -> None:
    """Nothing configured: the ledger takes the record, nothing is sent, nothing is said."""
    home = Path(app).parent
    ended = start([COSTSPAN, "run", "python", app], home, **client_environment(address))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert len(rows(home)) == CALLS


def test_costspan_run_sends_where_the_user_says(app: str, address: str) -> None:
    """With an endpoint, telemetry goes there and nothing is switched off."""
    home = Path(app).parent
    with over_http() as (endpoint, received):
        where = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        ended = start([COSTSPAN, "run", "python", app], home, **client_environment(address), **where)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert received.total(names.REQUESTS.name) == CALLS
    assert rows(home) == []


ALONE: Final = {"_COSTSPAN_ALONE": "1"}
NONE: Final = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}


@pytest.mark.parametrize(
    ("environ", "added"),
    [
        # what the user has set                              what the launcher adds
        ({}, ALONE),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ALONE),
        (NONE, ALONE),
        ({"OTEL_TRACES_EXPORTER": "none"}, ALONE),
        ({"OTEL_PYTHON_CONFIGURATOR": "mine"}, {}),
        ({"OTEL_PYTHON_DISTRO": "mine"}, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}, {}),
        ({"OTEL_CONFIG_FILE": "otel.yaml"}, {}),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, {n: "none" for n in NONE if "METRICS" not in n}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, {n: "none" for n in NONE if "TRACES" not in n}),
        (dict.fromkeys(NONE, "console"), {}),
    ],
)
def test_the_launcher_never_changes_what_the_user_has_set(environ: dict[str, str], added: dict[str, str]) -> None:
    """It adds `none` for each signal that goes nowhere beside one that goes somewhere; where none does, its own mark."""
    assert embedded_defaults(environ) == added


COMMANDS: Final[list[Any]] = [
    # command                                                     what it prints
    (["python", "-c", "print(1)"], "1\n"),
    (["python", "-m", "platform", "--terse"], None),
    (["python", "greet.py", "--help", "-x"], "['greet.py', '--help', '-x']\n"),
    (["./greet.py", "a b"], "['./greet.py', 'a b']\n"),
    (["pytest", "--version"], None),
    ([sys.executable, "-c", "print(2)"], "2\n"),
    (["sh", "-c", "echo $0", "word"], "word\n"),
]


def command_name(value: object) -> str:
    """The command in a row's name, not the path of this machine nor what is printed."""
    return " ".join(Path(word).name for word in cast("list[str]", value)[:2]) if isinstance(value, list) else ""


@pytest.mark.parametrize(("command", "printed"), COMMANDS, ids=command_name)
def test_whatever_can_be_started_can_be_run(tmp_path: Path, command: list[str], printed: str | None) -> None:
    """Python, a module, a script, a console command, a shell: with their own arguments, in their own words."""
    script = tmp_path / "greet.py"
    script.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv)\n")
    script.chmod(0o755)
    alone = start(command, tmp_path)
    ended = start([COSTSPAN, "run", *command], tmp_path)
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", alone.stdout if printed is None else printed)


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_exit_code_is_the_programs_own(tmp_path: Path, code: int) -> None:
    """The launcher becomes the program."""
    assert start([COSTSPAN, "run", "python", "-c", f"raise SystemExit({code})"], tmp_path).returncode == code


def test_a_signal_reaches_the_program(tmp_path: Path) -> None:
    """No process stands between: the one that was started is the program, and SIGTERM ends it as it would alone."""
    tells = "import os, signal, time; print(os.getpid(), flush=True); time.sleep(60)"
    command = [COSTSPAN, "run", "python", "-c", tells]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        assert int(program.stdout.readline()) == program.pid
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == -signal.SIGTERM


def test_show_starts_nothing(tmp_path: Path) -> None:
    """The line it prints is the one it would run."""
    shown = start([COSTSPAN, "run", "--show", "python", "app.py", "a b"], tmp_path).stdout
    assert shown.startswith("_COSTSPAN_ALONE=1 PYTHONPATH=")
    assert shown.endswith(
        f"/costspan/cli/starting _COSTSPAN_NOTES={tmp_path}/.local/share/costspan/notes python app.py 'a b'\n"
    )


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("nosuch", '"nosuch" is no command on the PATH and no executable file'),
        ("plain.py", "for a Python file write: costspan run python plain.py"),
    ],
)
def test_a_command_that_is_not_there_is_named(tmp_path: Path, command: str, sentence: str) -> None:
    """A sentence with the way out, and the shell's own exit code for it."""
    (tmp_path / "plain.py").touch()
    ended = start([COSTSPAN, "run", command], tmp_path)
    assert ended.returncode == 127
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
