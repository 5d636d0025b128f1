"""Where calls are not counted, or not here, a word says so by name: on the log, in `usage`, `explain` and `doctor`."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

import bedrock_caller
from answers import whole
from costspan import names, unwatched
from costspan.calls import patching
from costspan.cli import watching
from costspan.cli.findings import NOTE, WRONG
from costspan.clients import CLIENTS
from costspan.clients.libraries import NOT_WATCHED, REMARKS, SERVICES, WAITED_FOR
from costspan.emit import reach
from costspan.ledger import notes
from costspan.metrics import health
from costspan.report import notices
from costspan.report.period import Period
from launching import APP, BIN, COSTSPAN, INSTRUMENT, start
from otlp_receiver import over_http
from provider import Provider
from stand_in_process import client_environment, stand_in

NOW_S: Final = 1_800_000_000.0
NEVER: Final = ("begins with the first call", "No ledger yet")


@pytest.fixture(scope="module")
def address() -> Generator[str]:
    with stand_in() as where:
        yield where


@pytest.fixture
def app(tmp_path: Path) -> str:
    path = tmp_path / "agent.py"
    path.write_text(APP)
    return str(path)


def usage(home: Path, *words: str, **environ: str) -> str:
    """What is printed, on one line: where a sentence is broken is the width's affair."""
    ended = start([COSTSPAN, "usage", *words], home, **environ)
    assert ended.returncode == 0, ended.stderr
    return " ".join(ended.stdout.split())


def module_file(place: Path, module: str) -> None:
    """An empty module of that name, with the packages it lies in."""
    *packages, last = module.split(".")
    for package in packages:
        place /= package
        place.mkdir(exist_ok=True)
        (place / "__init__.py").touch()
    (place / f"{last}.py").touch()


# --- libraries ------------------------------------------------------------------------------------------------


def test_no_library_is_both_watched_and_not() -> None:
    """Who adds a client takes its line out of the other table."""
    assert not set(NOT_WATCHED) & {module.partition("._")[0] for module in WAITED_FOR.values()}
    assert set(REMARKS) <= set(NOT_WATCHED.values())
    assert set(SERVICES) <= set(WAITED_FOR)


def test_every_library_that_is_not_watched_is_named_when_it_is_imported(tmp_path: Path) -> None:
    """Once on the log, with what is watched; in another process by `usage`, as JSON too, and by `doctor`."""
    library = tmp_path / "library"
    library.mkdir()
    for module in NOT_WATCHED:
        if not (library / module.replace(".", "/")).exists():
            module_file(library, module)
    app = tmp_path / "agent.py"
    app.write_text("\n".join(f"import {module}" for module in NOT_WATCHED for _ in range(2)))
    none = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    ended = start([INSTRUMENT, "python", str(app)], tmp_path, PYTHONPATH=str(library), **none)
    assert ended.returncode == 0
    report = usage(tmp_path)
    told = json.loads(usage(tmp_path, "--json"))["notices"]
    doctor = " ".join(start([COSTSPAN, "doctor"], tmp_path).stdout.split())
    for name in NOT_WATCHED.values():
        version = re.escape(unwatched.version_of(name))  # of the one that is installed here, if it is
        named = rf"{re.escape(name)}{version and f' {version}'}"
        said = rf"costspan: {named} is imported and not watched: calls made with it are not counted"
        assert len(re.findall(said, ended.stderr)) == 1
        assert re.search(rf"Not counted: calls made with {named}, which is not watched", report)
        assert any(re.search(rf"calls made with {named},", sentence) for sentence in told)
        assert re.search(rf"calls made with {named},", doctor)
    assert "agent.py" in report
    assert ended.stderr.count("OTEL_COSTSPAN_HTTP_CLIENTS=true counts") == len(NOT_WATCHED)
    assert not [word for word in NEVER if word in report]
    assert len(told) == len(NOT_WATCHED)


def test_a_library_that_is_not_watched_is_named_with_its_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On the log, in the note for `usage`, and in the gauge of what does not work as intended."""
    notes_lie_at(tmp_path, monkeypatch)
    monkeypatch.setitem(NOT_WATCHED, "reading", "click")
    unwatched.imported("reading")
    version = metadata.version("click")
    note = json.loads((tmp_path / "not-watched.click").read_text())
    assert (note["library"], note["version"]) == ("click", version)
    assert patching.unwatched == {"click": version}
    labels = [labels for _, labels in health._degraded()]
    assert {names.CLIENT: "click", names.PLACE: "not watched"} in labels


def test_a_function_of_a_watched_library_that_is_not_counted_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once on the log; by `usage` with the program that called it; and in the gauge."""
    place = tmp_path / ".local" / "share" / "costspan" / "notes"
    notes_lie_at(place, monkeypatch)
    for _ in range(2):
        unwatched.used("litellm", "video_generation")
    assert caplog.text.count("video_generation of litellm was called, which is not watched") == 1
    told = notices.of({"HOME": str(tmp_path)}, time.time(), last_ns=None, ledger=tmp_path / "ledger.db")
    assert [sentence.partition(". ")[0] for sentence in told] == [
        "Not counted: calls of litellm's video_generation, which is not watched"
    ]
    assert patching.unwatched == {"litellm video_generation": ""}


def test_a_host_of_which_nobody_said_whose_prices_count_is_named(app: str, address: str) -> None:
    """Once on the log, at the foot of `usage`, and by `doctor`."""
    home = Path(app).parent
    environ = {**client_environment(address), "OTEL_COSTSPAN_HOSTS": ""}
    ended = start([COSTSPAN, "run", "python", app], home, **environ)
    said = "nobody said whose prices count at 127.0.0.1:"
    assert ended.stderr.count(f"costspan: calls are unpriced: {said}") == 1
    assert f"Without a price: {said}" in usage(home)
    doctor = " ".join(start([COSTSPAN, "doctor"], home).stdout.split())
    assert f"hosts calls are unpriced: {said}" in doctor
    followed = " ".join(start([COSTSPAN, "doctor"], home, OTEL_COSTSPAN_HOSTS="127.0.0.1=vendor").stdout.split())
    assert said not in followed
    assert "have a price by the settings of now; those booked before stay without one" in followed


def test_of_aws_only_a_client_that_calls_models_is_met(tmp_path: Path) -> None:
    """All services are called by one library: a program that uses others alone loads next to nothing of costspan."""
    told = "; import costspan.instrumentor as i; print(i.pipeline is not None)"
    make = "import boto3; boto3.client({!r}, region_name='us-east-1')"
    make_async = (
        "import asyncio, aiobotocore.session as s\n"
        "async def make():\n"
        "  async with s.get_session().create_client({!r}, region_name='us-east-1'): pass\n"
        "asyncio.run(make())"
    )
    for service, is_met in (("s3", False), ("bedrock-runtime", True), ("bedrock-agent-runtime", True)):
        for program in (make, make_async):
            ended = start(
                [COSTSPAN, "run", "python", "-c", program.format(service) + told],
                tmp_path,
                AWS_EC2_METADATA_DISABLED="true",
            )
            assert (ended.stdout, ended.stderr) == (f"{is_met}\n", "")


def test_doctor_names_the_libraries_that_are_installed_and_not_watched() -> None:
    """Before anything is called."""
    (found,) = watching.not_watched({"x": "click", "y": "no-such-distribution", "litellm": "litellm"})
    assert found.level == NOTE
    assert "installed and not watched: click" in found.sentence
    assert "OTEL_COSTSPAN_HTTP_CLIENTS=true counts" in found.sentence
    assert "no-such" not in found.sentence


# --- where the record went ------------------------------------------------------------------------------------


def test_an_endpoint_that_took_the_record_is_named(app: str, address: str) -> None:
    """Who has just made calls is told where they are, without a password that stands in the address."""
    home = Path(app).parent
    with over_http() as (endpoint, _):
        told = endpoint.replace("http://", "http://user:secret@")
        where = {"OTEL_EXPORTER_OTLP_ENDPOINT": told, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        ended = start([COSTSPAN, "run", "python", app], home, **client_environment(address), **where)
        assert (ended.returncode, ended.stderr) == (0, "")
    report = usage(home)
    assert "calls of agent.py" in report
    assert f"went by OTLP to {endpoint.removeprefix('http://')}, so no ledger was written" in report
    assert "OTEL_COSTSPAN_LEDGER=on" in report
    assert "secret" not in report
    assert not [word for word in NEVER if word in report]
    explained = start([COSTSPAN, "explain", "--last"], home)
    assert "went by OTLP to" in explained.stderr


@pytest.mark.parametrize(("setting", "sentence"), [
    ("off", "are in no ledger, which was switched off there"),
    ("{home}/mine.db", "are in the ledger {home}/mine.db: costspan usage --ledger {home}/mine.db"),
])  # fmt: skip
def test_a_record_that_is_not_in_the_ledger_asked_is_told(app: str, address: str, setting: str, sentence: str) -> None:
    """Until later calls are in it; and a ledger asked by its name says nothing of others."""
    home = Path(app).parent
    setting, sentence = setting.format(home=home), sentence.format(home=home)
    chosen = {"OTEL_COSTSPAN_LEDGER": setting}
    assert start([COSTSPAN, "run", "python", app], home, **client_environment(address), **chosen).stderr == ""
    assert sentence in usage(home)
    if setting != "off":
        assert "Not in this ledger" not in usage(home, **chosen)
        assert "Not in this ledger" not in usage(home, "--ledger", setting)
    assert start([COSTSPAN, "run", "python", app], home, **client_environment(address)).stderr == ""
    assert "Not in this ledger" not in usage(home)


def test_a_program_that_made_no_call_is_told(tmp_path: Path) -> None:
    """Started by `costspan run`, and nothing was booked: with the way to find out why. Calls then silence it."""
    (tmp_path / "idle.py").touch()
    start([COSTSPAN, "run", "python", "idle.py", "--key", "sk-secret"], tmp_path)
    report = usage(tmp_path)
    assert "idle.py" in report
    assert "was started by costspan run, and no call of it has been booked" in report
    assert "costspan doctor" in report
    kept = "".join(
        path.read_text() for path in notes.directory({"HOME": str(tmp_path)}).parent.rglob("*") if path.is_file()
    )
    assert "secret" not in kept


# --- the launcher and Pythons without costspan ----------------------------------------------------------------


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without costspan."""
    place = tmp_path_factory.mktemp("other")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=120)
    return place / "bin" / "python"


@pytest.mark.parametrize("way", ["itself", "by a launcher", "beside a folder named costspan"])
def test_a_python_without_costspan_says_so_when_it_imports_a_client(
    way: str, tmp_path: Path, bare_python: Path
) -> None:
    """Whatever starts it; once for each library; and `usage` says so afterwards."""
    for module in ("openai", "replicate"):
        (tmp_path / f"{module}.py").write_text("")
    (tmp_path / "agent.py").write_text("import replicate, openai\nimport openai, sys\nprint(sys.argv[1:])")
    if way == "beside a folder named costspan":
        (tmp_path / "costspan").mkdir()
    command = [str(bare_python), "agent.py", "sk-secret"]
    if way == "by a launcher":
        command = ["sh", "-c", 'exec "$0" "$@"', *command]
    ended = start([COSTSPAN, "run", *command], tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "['sk-secret']\n")
    for name in ("openai", "replicate"):
        sentence = f"costspan: {bare_python} has no costspan, so its calls with {name} are not counted"
        assert ended.stderr.count(sentence) == 1
        assert "calls of agent.py" in usage(tmp_path)
        assert f"with {name}: it ran on {bare_python}, which has no costspan" in usage(tmp_path)
    assert ended.stderr.count("\n") == 2
    assert "secret" not in usage(tmp_path)


def test_a_python_without_costspan_and_without_clients_says_nothing(tmp_path: Path, bare_python: Path) -> None:
    """`poetry run` is such a one: what it starts may have costspan."""
    ended = start([COSTSPAN, "run", str(bare_python), "-c", "import json, sys; print(sys.path[0] == '')"], tmp_path)
    assert (ended.stdout, ended.stderr) == ("True\n", "")


@pytest.mark.parametrize("option", ["-S", "-I", "-E", "-sE"])
def test_a_python_that_heeds_no_environment_is_told(option: str, tmp_path: Path) -> None:
    """Nothing of ours can run there."""
    ended = start([COSTSPAN, "run", "python", option, "-c", "print('ran')"], tmp_path)
    assert ended.stdout == "ran\n"
    assert "so its calls are not counted" in ended.stderr


def test_a_folder_that_hides_costspan_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`costspan run` is not misled by it; the other launcher, which puts the place first on the path, is."""
    monkeypatch.chdir(tmp_path)
    assert list(watching.not_watched({})) == []
    module_file(tmp_path, "costspan.x")
    (found,) = watching.not_watched({})
    assert found.level == WRONG
    assert f"{tmp_path}/costspan/__init__.py hides the installed costspan" in found.sentence
    counted = "import costspan.instrumentor as i; print(i.pipeline, i._setup is not None)"
    script = tmp_path / "bin" / "agent"
    script.parent.mkdir()
    script.write_text(f"#!{BIN}/python\n{counted}")
    script.chmod(0o755)
    assert start([COSTSPAN, "run", str(script)], tmp_path).stdout == "None True\n"


def test_the_environments_own_sitecustomize_runs(tmp_path: Path) -> None:
    """And the program's path is its own; a child of it is counted too."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("print('own')\nimport sys\nsys.own = True")
    child = "import costspan.instrumentor as i, sys; print(i._setup is not None, sys.own)"
    program = (
        "import subprocess, sys; print([place for place in sys.path if 'starting' in place]);"
        f"subprocess.run([sys.executable, '-c', {child!r}])"
    )
    ended = start([COSTSPAN, "run", "python", "-uc", program], tmp_path, PYTHONPATH=str(tmp_path / "own"))
    assert (ended.stdout, ended.stderr) == ("own\nown\n[]\nown\nTrue True\n", "")  # the command's own Python first


# --- attribution ----------------------------------------------------------------------------------------------

ATTRIBUTED: Final = """
import costspan
@costspan.attribution(team="search")
def search(): ...
{between}
for _ in range(3):
    search()
    with costspan.attribution(session="4711"): ...
"""
INSTALLED: Final = "from costspan.instrumentor import CostspanInstrumentor; CostspanInstrumentor().instrument()"


@pytest.mark.parametrize(
    ("command", "between", "environ", "count"),
    [
        (["python"], "", {}, 1),
        (["python"], INSTALLED, {}, 0),
        (["python"], INSTALLED, {"OTEL_COSTSPAN_ENABLED": "false"}, 0),
        (["python"], INSTALLED.replace("instrument()", "instrument(enabled='no')"), {}, 0),
        (["python"], "", {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "costspan"}, 0),
        ([COSTSPAN, "run", "python"], "", {}, 0),
    ],
    ids=["alone", "installed in time", "switched off", "switched off by keyword", "disabled", "costspan run"],
)
def test_attribution_where_nothing_is_counted_is_told_once(
    command: list[str], between: str, environ: dict[str, str], count: int, tmp_path: Path
) -> None:
    """When the first scope is entered, unless it was said that nothing is to be counted."""
    (tmp_path / "agent.py").write_text(ATTRIBUTED.format(between=between))
    ended = start([*command, "agent.py"], tmp_path, **environ)
    assert ended.returncode == 0
    assert ended.stderr.count("nothing is counted in this process: start the program by `costspan run`") == count
    assert ended.stderr.count("\n") == count


# --- the notes ------------------------------------------------------------------------------------------------


def notes_lie_at(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def directory(_: object) -> Path:
        return place

    monkeypatch.setattr(notes, "directory", directory)


def test_notes_are_private_few_and_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the user alone, one a fact, of bounded length."""
    notes_lie_at(tmp_path / "data" / "notes", monkeypatch)
    monkeypatch.setattr(sys, "argv", [f"/secret/place/{'x' * 9_000}.py", "secret"])
    for number in range(50):
        notes.leave(notes.RECORD, "otlp", where="y" * 9_000 + str(number))
    (path,) = (tmp_path / "data" / "notes").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.stat().st_size < 600
    assert "secret" not in path.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"at": "now", "kind": "record"}',
        '{"at": 1}',
        "[" * 9_999,
        "\x00",
        '{"at": 1e400, "kind": "record"}',
    ],
)
def test_a_note_that_cannot_be_read_is_passed_over(text: str, tmp_path: Path) -> None:
    """The report comes all the same."""
    environ = {"HOME": str(tmp_path)}
    place = tmp_path / ".local" / "share" / "costspan" / "notes"
    place.mkdir(parents=True)
    (place / "record").write_text(text)
    (place / "a-folder").mkdir()
    assert notices.of(environ, NOW_S, last_ns=None, ledger=tmp_path / "ledger.db") == []


def test_where_no_note_can_be_left_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full or foreign directory is no reason to disturb a program."""
    (tmp_path / "file").touch()
    notes_lie_at(tmp_path / "file" / "notes", monkeypatch)
    notes.leave(notes.STARTED)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_notes_are_of_their_period_and_grow_old(tmp_path: Path) -> None:
    """A report on last year says nothing of today, and today's nothing of last year."""
    environ = {"HOME": str(tmp_path)}
    place = tmp_path / ".local" / "share" / "costspan" / "notes"
    place.mkdir(parents=True)
    note = {"kind": notes.UNWATCHED, "at": NOW_S - 100, "library": "cohere", "program": "agent.py"}
    (place / "not-watched.cohere").write_text(json.dumps(note))

    def told(now_s: float, period: Period) -> int:
        return len(notices.of(environ, now_s, period, last_ns=None, ledger=tmp_path / "ledger.db"))

    before = Period("before", None, int(NOW_S - 1_000) * 10**9)
    since = Period("since", int(NOW_S - 1_000) * 10**9, None)
    assert [told(NOW_S, period) for period in (Period("all"), before, since)] == [1, 0, 1]
    assert told(NOW_S + 40 * 86_400, Period("all")) == 0


# --- ports where nobody listens -------------------------------------------------------------------------------


def test_a_port_where_nobody_listens_is_named_in_one_line(app: str, address: str) -> None:
    """`opentelemetry-instrument` without an endpoint: before the exporters' own errors, and the ledger has the calls."""
    home = Path(app).parent
    quick = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "1"}
    ended = start([INSTRUMENT, "python", app], home, **client_environment(address), **quick)
    lines = ended.stderr.splitlines()
    assert lines[0].startswith("costspan: nobody listens at localhost:4317, where OpenTelemetry's exporters send")
    assert "costspan run" in lines[0]
    assert ended.stderr.count("costspan: ") == 1
    assert "calls" in lines[0]
    assert '"requests": 3' in usage(home, "--json")


def test_of_a_chosen_endpoint_the_way_out_is_another(app: str, address: str) -> None:
    """Where an endpoint is set, the ledger has nothing and `costspan run` sends as well: neither is advised."""
    quick = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "1"}
    dead = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    ended = start([COSTSPAN, "run", "python", app], Path(app).parent, **client_environment(address), **quick, **dead)
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("costspan: ")]
    assert "nobody listens at 127.0.0.1:9" in line
    assert "start a Collector there" in line
    assert "costspan run" not in line


SILENT: Final[list[tuple[dict[str, str], list[str]]]] = [
    ({}, ["localhost:4317"]),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ["localhost:4318"]),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, ["127.0.0.1:9"]),
    ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9"}, ["localhost:4317", "127.0.0.1:9"]),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4317"}, []),
    ({"OTEL_SDK_DISABLED": "true"}, []),
    ({"OTEL_CONFIG_FILE": "otel.yaml"}, []),
    ({f"OTEL_{signal}_EXPORTER": "none" for signal in reach.SIGNALS}, []),
    ({f"OTEL_{signal}_EXPORTER": "console" for signal in reach.SIGNALS}, []),
]


@pytest.mark.parametrize(("environ", "ports"), SILENT, ids=[str(number) for number, _ in enumerate(SILENT)])
def test_which_ports_are_tried(environ: dict[str, str], ports: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this machine to which an exporter of OTLP sends."""

    def nobody(host: str, port: int) -> bool:
        assert host in {"localhost", "127.0.0.1"}, port
        return False

    monkeypatch.setattr(reach, "listens", nobody)
    assert reach.silent_here(environ) == ports


# --- what a watched library asks for, and nobody counts -----------------------------------------------------------------


def _told(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = re.findall(r"costspan: (\S+) of (\S+) was called, which is not watched", caplog.text)
    return [f"{library} {route}" for route, library in found]


@pytest.mark.usefixtures("watched")
def test_requests_that_cost_and_are_not_counted_are_named(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    """Once, by library and path, without an id; what costs nothing is not."""
    openai: Any = pytest.importorskip("openai")
    with openai.OpenAI(api_key="local", base_url=provider.url, max_retries=0) as client:
        provider.replies.append(whole({"id": "x"}))
        client.get("/containers", cast_to=object)
        assert _told(caplog) == [], "a list costs nothing"
        for path in ("/containers", "/containers", "/evals/eval_1/runs", "/embeddings/of/no/endpoint", "/files"):
            provider.replies.append(whole({"id": "x"}))
            client.post(path, cast_to=object, body={})
    assert _told(caplog) == ["openai containers", "openai evals.runs"]
    assert list(patching.unwatched) == _told(caplog)
    assert {note["route"] for note in notes.found(os.environ) if note.get("library") == "openai"} >= {
        "containers",
        "evals.runs",
    }


def _guardrail(url: str) -> None:
    with contextlib.closing(bedrock_caller.sync_client(url)) as client:
        client.apply_guardrail(guardrailIdentifier="g", guardrailVersion="1", source="INPUT", content=[])
        client.count_tokens(modelId="amazon.nova-lite-v1:0", input={"converse": {"messages": []}})


def _embed_job(url: str) -> None:
    cohere: Any = pytest.importorskip("cohere")
    with httpx.Client() as http:
        client = cohere.Client(api_key="local", base_url=url, httpx_client=http)
        client.embed_jobs.create(model="embed-v4.0", dataset_id="d", input_type="clustering")


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize(
    ("way", "told"),
    [(_guardrail, "bedrock guardrail.version.apply"), (_embed_job, "cohere embed-jobs")],
    ids=["bedrock", "cohere"],
)
def test_libraries_of_every_shape_name_what_is_not_counted(
    way: Callable[[str], None], told: str, provider: Provider,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """By the path, wherever the library says it; a count of tokens, which is free, is not named."""
    provider.replies.extend([whole({"job_id": "j", "action": "NONE", "outputs": []}), whole({"inputTokens": 1})])
    way(provider.url)
    assert _told(caplog) == [told]


@pytest.mark.filterwarnings("ignore:Realtime music generation")
@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize(
    ("module", "client", "method", "told"),
    [
        ("openai", "AsyncOpenAI", "realtime.translations.connect", "openai realtime.translations.connect"),
        ("openai", "OpenAI", "realtime.translations.connect", "openai realtime.translations.connect"),
        ("google.genai", "Client", "aio.live.music.connect", "google_genai live.music.connect"),
    ],
    ids=["async", "sync", "google"],
)
def test_sessions_that_are_not_counted_are_named(
    module: str, client: str, method: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """When one is about to be opened."""
    found: Any = getattr(pytest.importorskip(module), client)(api_key="local")
    for name in method.split("."):
        found = getattr(found, name)
    assert found(model="m") is not None
    assert _told(caplog) == [told]


def test_nothing_is_both_counted_and_said_not_to_be() -> None:
    """Of every library."""
    for client in CLIENTS:
        for path in client.uncounted:
            assert client.endpoint(path.replace("{}", "x"), "post") is None, (client.name, path)
