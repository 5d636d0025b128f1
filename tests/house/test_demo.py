"""The demo does what its page says, from a checkout and from a wheel, and the README shows what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from costspan.cli.demo import environment
from costspan.ledger.store import Store
from otlp_receiver import over_http
from stand_in_process import EXAMPLE, ROOT

COSTSPAN: Final = str(Path(sys.executable).parent / "costspan")


def run_demo(home: Path, *options: str, **more: str) -> str:
    """Run the demo with a home of its own; what it printed. It says nothing on the side."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environ = kept | {"HOME": str(home), "XDG_DATA_HOME": "", "COLUMNS": "", "TERM": "dumb"} | more
    ended = subprocess.run(
        [COSTSPAN, "demo", *options], cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=300
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    return ended.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def printed(home: Path) -> str:
    return run_demo(home)


@contextmanager
def ledger(home: Path) -> Generator[Store]:
    with Store.read(home / ".local" / "share" / "costspan" / "demo.db") as store:
        yield store


def asked(home: Path, question: str) -> set[Any]:
    """The answers of the demo's ledger; a single column as plain values."""
    with ledger(home) as store:
        return {row[0] if len(row) == 1 else row for row in store.select(question)}


def test_the_ledger_has_what_the_stand_in_served(printed: str) -> None:
    """Token by token, but for the stream that was cut short, which says so."""
    assert re.search(r"The stand-in counted .*: \d+ whole answers, [\d,]+ input and [\d,]+ output tokens", printed)
    assert "The ledger has the same (1 more cut short: estimated)." in printed


def test_the_report_answers_every_question(printed: str) -> None:
    """By model, task type and source; what is estimated and unpriced; where the ledger lies; what comes next."""
    for words in ("Model", "Task type", "Source", "Estimated: ", "acme-triage-8b", "unpriced", "The ledger: ", "Next:"):
        assert words in printed


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("SELECT source FROM calls", {"main_agent", "task_agent", "heartbeat"}),
        ("SELECT task_type FROM calls", {"support_chat", "triage", "summarise", "research", "index", "watch"}),
        ("SELECT session FROM calls", {"anna", "ben", "night", "index", "watchdog"}),
        ("SELECT client FROM calls", {"openai", "anthropic"}),
        ("SELECT is_stream FROM calls", {0, 1}),
        ("SELECT operation FROM calls", {"chat", "embeddings"}),
        ("SELECT outcome FROM calls", {"ok", "error", "abandoned"}),
        ("SELECT quality FROM calls WHERE is_complete = 0", {"estimated"}),
        ("SELECT request_model FROM calls WHERE unpriced_reason = 'unknown_model'", {"acme-triage-8b"}),
        ("SELECT COUNT(*) FROM calls WHERE reasoning_tokens > 0", {1}),
        ("SELECT COUNT(*) > 1 FROM calls WHERE cache_read_tokens > 0", {1}),
        ("SELECT http_status FROM calls WHERE outcome = 'error'", {500}),
    ],
)
@pytest.mark.usefixtures("printed")
def test_the_demo_shows_every_kind_of_call(home: Path, question: str, answers: set[Any]) -> None:
    """Sources, task types, sessions, clients, streams, failures, an unpriced model, a stream that is broken off."""
    assert asked(home, question) == answers


def test_a_second_run_starts_anew(home: Path, printed: str) -> None:
    """The demo's own ledger holds one run, and every run has the same figures, but for the port and the day."""

    def timeless(words: str) -> str:
        return re.sub(r"^On average.*$", "", re.sub(r":\d{4,5}:", ":port:", words), flags=re.MULTILINE)

    assert timeless(run_demo(home)) == timeless(printed)


def test_telemetry_goes_nowhere_unless_it_is_asked_to(tmp_path: Path) -> None:
    """Spend that was never spent must not reach a Collector by accident; `--send` sends it, to the ledger as well."""
    with over_http() as (endpoint, received):
        where = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        run_demo(tmp_path, **where)
        assert received.names() == set()
        printed = run_demo(tmp_path, "--send", "--ledger", str(tmp_path / "mine.db"), **where)
        assert received.total("llm.requests") == len(received.spans) > 0
        assert f"The ledger: {tmp_path / 'mine.db'}" in printed


def test_the_agent_is_started_with_the_launchers_defaults() -> None:
    """What the user has set stays; the ledger and the stand-in are the demo's."""
    given = {"OTEL_METRICS_EXPORTER": "console", "OTEL_SERVICE_NAME": "mine"}
    started = environment(given, Path("demo.db"), "http://127.0.0.1:1")
    assert started.pop("PYTHONPATH").split(os.pathsep)[0].endswith("costspan/cli/starting")
    assert started.pop("_COSTSPAN_NOTES").endswith("/notes")
    assert started == given | {
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_COSTSPAN_LEDGER": "demo.db",
        "OTEL_COSTSPAN_HOSTS": "127.0.0.1=vendor",
        "STAND_IN_URL": "http://127.0.0.1:1",
    }


@pytest.mark.parametrize("file", ["skills.py", "heartbeat.py"])
def test_the_calling_code_knows_nothing_of_costspan(file: str) -> None:
    """That is the point of the example: the word stands in a comment at most."""
    code = [line for line in (EXAMPLE / file).read_text().splitlines() if not line.startswith('"""')]
    assert not [line for line in code if "costspan" in line]


def test_the_readme_shows_what_the_demo_prints(home: Path, printed: str) -> None:
    """Every paragraph of the README's block is one of the demo's, however wide the page is."""
    block = re.search(r"<!-- make demo -->\n```text\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block
    words = " ".join(re.sub("\u2500+", "", printed.replace(str(home), "~")).split())
    shown = [" ".join(re.sub("\u2500+", "", part).split()) for part in block[1].split("\n\n")]
    assert [part for part in shown if part not in words] == []
