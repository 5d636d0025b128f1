"""docs/in-code.md: every example of an in-code start runs in its real runtime, and the ledger has its calls with whom they are for."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from ledger_calls import booked
from otlp_receiver import over_http
from stand_in_process import ROOT, client_environment, served, stand_in

EXAMPLES: Final = ROOT / "examples" / "in_code"
BIN: Final = Path(sys.executable).parent
WHO: Final = ("session", "task_type", "source")


@pytest.fixture
def address() -> Generator[str]:
    with stand_in() as where:
        yield where


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of the examples, in which they may leave what they like."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "in_code", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def environ(address: str, ledger: Path, tmp_path: Path) -> dict[str, str]:
    """No launcher, no exporter; the clients find the stand-in, and costspan the ledger."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHONPATH", "COV"))}
    path = f"{BIN}{os.pathsep}{kept['PATH']}"
    made = {"HOME": str(tmp_path), "PATH": path, "OTEL_COSTSPAN_LEDGER": str(ledger), "NO_PROXY": "*"}
    return {**kept, **client_environment(address), **made}


@contextmanager
def server(command: str, place: Path, environ: Mapping[str, str]) -> Generator[str]:
    """The address that the server tells on its standard error, until SIGTERM or SIGINT ends it."""
    with subprocess.Popen(shlex.split(command), cwd=place, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said: list[str] = []
        try:
            for line in process.stderr:
                said.append(line)
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    yield found[0]
                    break
            else:
                pytest.fail("".join(said))
        finally:
            process.send_signal(signal.SIGINT if "flask" in command.split(maxsplit=1)[0] else signal.SIGTERM)
            process.stderr.read()


def asked(address: str, path: str, conversation: str, customer: str = "acme") -> str:
    url = f"{address}{path}?{urllib.parse.urlencode({'question': 'Where is order 4711?'})}"
    request = urllib.request.Request(url, headers={"x-conversation": conversation, "x-customer": customer})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


SERVERS = [
    # command                                              path       task type       source
    ("uvicorn fastapi_app:app --port 0",                   "/answer", "support_chat", "main_agent"),
    ("uvicorn fastapi_app:app --port 0",                   "/stream", "live_chat",    "main_agent"),
    ("flask --app flask_app run --port 0",                 "/answer", "support_chat", None),
    ("gunicorn flask_app:app --bind 127.0.0.1:0",          "/answer", "support_chat", None),
    ("gunicorn django_app:application --bind 127.0.0.1:0", "/answer", "support_chat", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "path", "task_type", "source"), SERVERS, ids=lambda value: str(value).replace("/", " ")
)
def test_a_server(
    command: str, path: str, task_type: str, source: str | None, place: Path, environ: dict[str, str], ledger: Path
) -> None:
    """Two conversations, one call each, kept apart; a client gets its whole answer."""
    with server(command, place, environ) as where:
        answers = [asked(where, path, conversation) for conversation in ("anna", "ben")]
    assert all("order 4711" in answer for answer in answers)
    assert sorted(booked(ledger, *WHO, "quality")) == [
        ("anna", task_type, source, "exact"),
        ("ben", task_type, source, "exact"),
    ]


def test_a_customer_beyond_his_budget_gets_a_429_and_others_go_on(
    place: Path, environ: dict[str, str], ledger: Path
) -> None:
    """Of a whole answer and of a stream, before its response has begun."""
    (place / "mine.yaml").write_text(
        "budgets: [{name: plan, period: month, each: account, limit_requests: 1, hard: true}]"
    )
    with server("uvicorn fastapi_app:app --port 0", place, {**environ, "OTEL_COSTSPAN_BUDGETS": "mine.yaml"}) as where:
        assert "order 4711" in asked(where, "/answer", "anna", customer="acme")
        for path in ("/answer", "/stream"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                asked(where, path, "anna", customer="acme")
            said = json.loads(refused.value.read())
            assert (refused.value.code, said["budget"], said["customer"]) == (429, "plan", "acme")
            assert said["resets_at"].endswith("-01T00:00:00+00:00")
        assert "order 4711" in asked(where, "/stream", "ben", customer="globex")
    assert sorted(booked(ledger, "account", "outcome")) == [
        ("acme", "ok"), ("acme", "refused"), ("acme", "refused"), ("globex", "ok"),
    ]  # fmt: skip


WORKER = """
from celery_app import app
folder = {folder!r}
app.conf.update(broker_transport_options=dict(data_folder_in=folder, data_folder_out=folder, control_folder=folder))
"""


def test_a_celery_worker(place: Path, environ: dict[str, str], ledger: Path, tmp_path: Path) -> None:
    """Tasks in forked workers, for the conversation that the message names."""
    (tmp_path / "queue").mkdir()
    (place / "worker.py").write_text(WORKER.format(folder=str(tmp_path / "queue")))
    environ["BROKER"] = "filesystem://"
    ask = "import worker, celery_app; [celery_app.answer.delay('Where is order 4711?', who) for who in ('anna', 'ben')]"
    subprocess.run([sys.executable, "-c", ask], cwd=place, env=environ, check=True)
    command = [
        BIN / "celery",
        "--app",
        "worker",
        "worker",
        "--pool",
        "prefork",
        "--concurrency",
        "2",
        "--loglevel",
        "info",
    ]
    with subprocess.Popen(command, cwd=place, env=environ, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr
        try:
            done = (line for line in worker.stderr if "succeeded in" in line)
            assert [next(done, None) is not None for _ in range(2)] == [True, True]
        finally:
            worker.terminate()
            worker.stderr.read()
    assert sorted(booked(ledger, *WHO)) == [
        ("anna", "night_shift", "task_agent"),
        ("ben", "night_shift", "task_agent"),
    ]


FROZEN = """
import os, lambda_function
event = {"question": "Where is order 4711?", "conversation": "anna"}
assert "order 4711" in lambda_function.handler(event, None)["answer"]
os._exit(0)
"""


def test_a_frozen_function_keeps_its_call_in_the_ledger(place: Path, environ: dict[str, str], ledger: Path) -> None:
    """Nothing runs after the handler, and nothing has to."""
    subprocess.run([sys.executable, "-c", FROZEN], cwd=place, env=environ, check=True)
    assert booked(ledger, *WHO) == [("anna", "support_chat", None)]


def test_a_frozen_function_has_sent_its_call(place: Path, environ: dict[str, str], ledger: Path) -> None:
    """With an endpoint, counters, span and event have arrived when the handler has returned."""
    with over_http() as (endpoint, received):
        environ |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_COSTSPAN_LEDGER": "auto",
        }
        subprocess.run([sys.executable, "-c", FROZEN], cwd=place, env=environ, check=True)
    assert [point.value for point in received.points("llm.requests")] == [1]
    assert not ledger.exists()


def test_a_test_suite(place: Path, environ: dict[str, str]) -> None:
    """Every test is a session of its own; the suite passes as it would without costspan."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    ran = subprocess.run(command, cwd=place / "pytest", env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert booked(place / "pytest" / "costs.db", *WHO) == [
        ("test_agent.py::test_an_answer_comes", "test", None),
        ("test_agent.py::test_an_answer_comes_in_pieces", "test", None),
    ]


def test_a_notebook(place: Path, environ: dict[str, str], ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells run in a real kernel, and the last one shows what they cost."""
    for name in set(os.environ) - set(environ):
        monkeypatch.delenv(name)
    for name, value in {**environ, "IPYTHONDIR": str(place), "JUPYTER_PLATFORM_DIRS": "1"}.items():
        monkeypatch.setenv(name, value)
    nbformat: Any = importlib.import_module("nbformat")  # neither has types
    notebook = nbformat.read(place / "notebook.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "install" not in cell.metadata.get("tags", ())]
    notebook.cells.append(nbformat.v4.new_code_cell("%run -e -m costspan usage --bye"))
    client: Any = importlib.import_module("nbclient").NotebookClient
    client(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(place)}}).execute()
    shown = "".join(output["text"] for output in notebook.cells[-2].outputs if output["output_type"] == "stream")
    assert re.search(r"notebook +\(not set\) +1 ", shown), shown
    assert re.search(r"notebook +experiment +1 ", shown)
    mistaken = "".join(str(output) for output in notebook.cells[-1].outputs)
    assert "No such option" in mistaken
    assert "SystemExit" not in mistaken, mistaken
    assert sorted(booked(ledger, "session", "is_stream")) == [("notebook", 0), ("notebook", 1)]


def test_the_image_starts_the_program_under_the_launcher(place: Path, environ: dict[str, str], tmp_path: Path) -> None:
    """What the Dockerfile sets and starts, done here: the ledger lies in the volume."""
    file = (place / "docker" / "Dockerfile").read_text()
    (ledger,) = re.findall(r"^ENV OTEL_COSTSPAN_LEDGER=(/data/.*)$", file, re.MULTILINE)
    (command,) = re.findall(r"^CMD (\[.*\])$", file, re.MULTILINE)
    (copied,) = re.findall(r"^COPY (agent\.py) \.$", file, re.MULTILINE)
    assert (place / copied).is_file()
    environ["OTEL_COSTSPAN_LEDGER"] = str(tmp_path / ledger[1:])
    ran = subprocess.run(json.loads(command), cwd=place, env=environ, capture_output=True, text=True, check=True)
    assert ("order 4711" in ran.stdout, ran.stderr) == (True, "")
    assert booked(tmp_path / ledger[1:], "outcome") == ["ok"]


def test_uv_run_starts_the_launcher(place: Path, environ: dict[str, str], ledger: Path) -> None:
    """`uv run costspan run python agent.py` in an environment that has costspan."""
    environ["VIRTUAL_ENV"] = str(BIN.parent)
    command = [BIN / "uv", "run", "--no-project", "--active", "--offline", "costspan", "run", "python", "agent.py"]
    ran = subprocess.run(command, cwd=place, env=environ, capture_output=True, text=True, check=False)
    assert (ran.returncode, "order 4711" in ran.stdout) == (0, True), ran.stderr
    assert booked(ledger, "outcome") == ["ok"]


TWICE = """
import logging, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s")
import costspan
costspan.instrument(session="first")
costspan.instrument()
costspan.CostspanInstrumentor().instrument()
costspan.instrument(session="second")
import openai
openai.OpenAI().chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
"""


@pytest.mark.parametrize("launcher", ["", "costspan run "])
def test_starting_twice_is_starting_once(
    launcher: str, place: Path, environ: dict[str, str], ledger: Path, address: str
) -> None:
    """In code, by the class, under a launcher: one call is one record, and who says what no longer counts is told."""
    environ["OTEL_COSTSPAN_SESSION"] = "launched"
    command = [*shlex.split(launcher), "python", "-c", TWICE]
    ran = subprocess.run(command, cwd=place, env=environ, capture_output=True, text=True, check=True)
    told = [line for line in ran.stdout.splitlines() if line.startswith("costspan: ")]
    sentence = "costspan: it has been started already, by a launcher or in code; these have no effect any more: session"
    assert told == [sentence] * (2 if launcher else 1)
    assert booked(ledger, "session") == ["launched" if launcher else "first"]
    assert len(served(address)["requests"]) == 1


def test_a_name_of_the_package_costs_nothing_until_it_is_used() -> None:
    """`import costspan` loads this one file: not OpenTelemetry, not the settings."""
    code = (
        "import sys; before = set(sys.modules); import costspan; names = dir(costspan);"
        "print([name for name in set(sys.modules) - before if name.startswith(('costspan.', 'wrapt', 'opentelemetry'))]);"
        "print(names == sorted(costspan.__all__), callable(costspan.instrument), costspan.CostspanInstrumentor.__module__, costspan.flush())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == ["[]", "True True costspan.instrumentor None"]
