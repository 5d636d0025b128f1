"""cli/doctor.py and what it looks at: everything that keeps figures from being counted or arriving is found."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from costspan.cli import destinations, doctor, watching
from costspan.cli.commands import costspan
from costspan.cli.findings import NOTE, OK, WRONG, Finding
from costspan.cli.masking import masked
from costspan.clients import CLIENTS
from costspan.facts.periods import Periods
from costspan.ledger.inspection import examine, has_room
from costspan.ledger.store import Store
from costspan.settings import Settings
from ledger_calls import NOON_NS, at_ns, call, write

NOW_S = at_ns("2026-11-22 10:00") / 1e9


def levels(found: Iterable[Finding]) -> list[str]:
    return [finding.level for finding in found]


def text(found: Iterable[Finding]) -> str:
    return "\n".join(finding.sentence for finding in found)


@pytest.fixture
def listener() -> Iterable[int]:
    """A port where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def silent() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


ENDPOINTS: list[tuple[dict[str, str], str, int, bool]] = [
    # environment                                                                     host         port   chosen
    ({},                                                                              "localhost", 4317,  False),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},                                "localhost", 4318,  False),
    ({"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf"},                        "localhost", 4318,  False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:9"},                           "collector", 9,     True),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:9"},                                  "collector", 9,     True),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.example/v1"},                      "otlp.example", 443, True),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://b:2"}, "b", 2, True),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:port"},                                "a",         80,    True),
]  # fmt: skip


@pytest.mark.parametrize(("environ", "host", "port", "chosen"), ENDPOINTS)
def test_the_endpoint_is_found_as_the_sdk_finds_it(
    environ: dict[str, str], host: str, port: int, *, chosen: bool
) -> None:
    """A signal's own endpoint goes before the common one, the default before nothing."""
    assert destinations.endpoint("METRICS", environ) == (host, port, chosen)


def test_somebody_or_nobody_listens(listener: int, silent: int) -> None:
    """A port is asked, and nothing is sent to it."""
    assert destinations.listens("127.0.0.1", listener)
    assert not destinations.listens("127.0.0.1", silent)


def set_up_by(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let these packages set up the SDK under the launcher, whatever is installed here."""

    def entry_points(group: str) -> list[str]:
        assert group == "opentelemetry_configurator"
        return list(packages)

    monkeypatch.setattr(destinations.metadata, "entry_points", entry_points)


def metrics(environ: dict[str, str]) -> Finding:
    return next(one for one in destinations.telemetry(environ) if one.sentence.startswith("metrics"))


def test_where_the_counters_go(listener: int, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that somebody chose and nobody answers at is wrong; the default and `none` are worth a note."""
    set_up_by(monkeypatch, "distro")
    there = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{listener}"}
    nowhere = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{silent}"}
    assert metrics(there).level == OK
    assert metrics(nowhere).level == WRONG
    assert metrics({"OTEL_METRICS_EXPORTER": "none", **nowhere}).level == NOTE
    assert metrics({"OTEL_METRICS_EXPORTER": "prometheus", **nowhere}).level == OK
    assert metrics({"OTEL_METRICS_EXPORTER": "otlp_proto_http", **nowhere}).level == WRONG


@pytest.mark.parametrize("environ", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_CONFIG_FILE": "otel.yaml"}])
def test_what_takes_the_decision_away_is_told(environ: dict[str, str]) -> None:
    """A disabled SDK and a configuration file make the other variables void."""
    assert levels(destinations.telemetry(environ)) == [NOTE]


def test_an_endpoint_without_an_sdk_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the launcher nothing is sent unless some package sets up the SDK."""
    set_up_by(monkeypatch)
    assert levels(destinations.telemetry({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1"})) == [WRONG]
    assert levels(destinations.telemetry({})) == [NOTE]


@pytest.mark.parametrize(
    ("preference", "is_wrong"), [("delta", True), ("Delta ", True), ("lowmemory", False), ("", False)]
)
def test_deltas_do_not_arrive_in_the_stack(preference: str, *, is_wrong: bool) -> None:
    """The default of some vendors' backends; costspan's Collector refuses them, so whoever sets it has to know."""
    found = destinations.telemetry({destinations.TEMPORALITY: preference, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1"})
    assert any("refuses deltas" in each.sentence for each in found if each.level == WRONG) == is_wrong


IDS: list[tuple[dict[str, str], list[str]]] = [
    # environment                                                                   levels
    ({"OTEL_SERVICE_NAME": "agent"},                                                [OK]),
    ({},                                                                            [OK, NOTE]),
    ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a"},                                [OK]),
    ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a, service.instance.id=pod-1"},     [OK]),
]  # fmt: skip


@pytest.mark.parametrize(("environ", "found"), IDS)
def test_instance_ids(environ: dict[str, str], found: list[str]) -> None:
    """An id that is set by hand is the same in every process: what tells them apart then is named."""
    assert levels(destinations.instances(environ)) == found


def test_an_sdk_that_sets_no_instance_id_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 1.44 the SDK leaves processes without an id of their own, and costspan tells them apart."""

    def version(name: str) -> str:
        assert name == "opentelemetry-sdk"
        return "1.43.0"

    monkeypatch.setattr(destinations.metadata, "version", version)
    (found,) = destinations.instances({"OTEL_SERVICE_NAME": "agent"})
    assert (found.level, "sets no service.instance.id" in found.sentence) == (OK, True)


def test_settings_and_their_mistakes() -> None:
    """Every mistake is wrong, with what is used instead; what is set is shown."""
    environ = {"OTEL_COSTSPAN_SPANS": "maybe", "OTEL_COSTSPAN_LEGER": "on", "OTEL_COSTSPAN_TEAM": "search"}
    found = list(doctor.settings(Settings.read(environ), environ))
    assert levels(found) == [WRONG, WRONG, OK]
    assert "OTEL_COSTSPAN_TEAM=search" in found[-1].sentence
    assert levels(doctor.settings(Settings.read({"OTEL_COSTSPAN_ENABLED": "no"}), {})) == [NOTE, OK]


def test_prices_age_and_mistakes(tmp_path: Path) -> None:
    """An old table is worth a note; a mistake in the user's own prices is wrong."""
    assert levels(doctor.prices(Settings.read({}), NOW_S)) == [OK]
    assert levels(doctor.prices(Settings.read({}), NOW_S + 200 * 86_400)) == [NOTE]
    bad = tmp_path / "prices.yaml"
    bad.write_text("prices: 5")
    assert levels(doctor.prices(Settings.read({"OTEL_COSTSPAN_PRICES": str(bad)}), NOW_S)) == [WRONG, OK]
    bad.write_text("prices: [{match: {provider: openrouter}, multiplier: 0.9}]")
    assert levels(doctor.prices(Settings.read({"OTEL_COSTSPAN_PRICES": str(bad)}), NOW_S)) == [NOTE, OK]


def ledger_findings(path: Path, **environ: str) -> list[Finding]:
    return list(doctor.the_ledger(examine(path), Settings.read(environ), environ))


def test_a_sound_ledger(tmp_path: Path) -> None:
    """Path, records and the last call are told."""
    path = tmp_path / "ledger.db"
    assert "no ledger yet" in text(ledger_findings(path))
    write(path, call(started_ns=NOON_NS), call(started_ns=NOON_NS - 5))
    found = ledger_findings(path)
    assert levels(found) == [OK]
    assert "ledger.db is sound: 2 records, 0.1 MB, last call 2026-11-20 12:00:00+00:00" in text(found)


def test_the_ledgers_losses_are_wrong(tmp_path: Path) -> None:
    """Records that were lost are told with their amount and the reason of the last loss."""
    with Store.open(tmp_path / "ledger.db") as store:
        store.append([call()], Periods(), [(3, 5_000_000, "database or disk is full")])
    found = ledger_findings(tmp_path / "ledger.db")
    assert levels(found) == [OK, WRONG]
    assert "3 records of 0.005000 USD so far, the last because: database or disk is full" in text(found)


def test_a_corrupt_ledger_is_wrong_and_one_set_aside_a_note(tmp_path: Path) -> None:
    """What is broken now, and what was moved aside before."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database" * 100)
    (tmp_path / "ledger.db.corrupt-20261101T000000Z").write_bytes(b"older")
    found = ledger_findings(path)
    assert levels(found) == [WRONG, NOTE]
    assert "file is not a database" in text(found)


def test_a_ledger_that_others_may_read_is_a_note(tmp_path: Path) -> None:
    """Records say who works on what."""
    write(tmp_path / "ledger.db", call())
    (tmp_path / "ledger.db").chmod(0o644)
    assert levels(ledger_findings(tmp_path / "ledger.db")) == [OK, NOTE]


def test_whether_a_ledger_is_written_at_all(tmp_path: Path) -> None:
    """Off by its setting, or because OTLP takes the record, is told; so is a place where it cannot be made."""
    path = tmp_path / "ledger.db"
    assert "is off" in text(ledger_findings(path, OTEL_COSTSPAN_LEDGER="off"))
    assert "no ledger is written" in text(ledger_findings(path, OTEL_EXPORTER_OTLP_ENDPOINT="http://a:1"))
    (tmp_path / "file").write_text("")
    assert has_room(tmp_path / "file" / "ledger.db") == f"{tmp_path / 'file'} is no directory"
    assert WRONG in levels(ledger_findings(tmp_path / "file" / "ledger.db"))


@pytest.mark.parametrize("module", [None, "", "class SyncAPIClient: ..."])
def test_a_library_that_moved_its_methods_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str | None
) -> None:
    """A patch point that is gone means calls that are not counted: loud, not silent."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    root = f"moved_{tmp_path.name}"
    (tmp_path / root).mkdir()
    (tmp_path / root / "__init__.py").write_text("")
    if module is not None:
        (tmp_path / root / "_base_client.py").write_text(module)
    (found,) = watching.clients([replace(CLIENTS[0], name=root, distribution="click", module=f"{root}._base_client")])
    assert found.level == WRONG
    assert "is not watched, its calls are not counted" in found.sentence


def test_http_libraries_are_told_of_where_they_are_watched() -> None:
    """Nothing is said of them by default."""
    assert list(watching.http_clients(Settings.read({}))) == []
    found = list(watching.http_clients(Settings.read({"OTEL_COSTSPAN_HTTP_CLIENTS": "on"})))
    assert "watched at" in found[0].sentence
    assert found[0].sentence.startswith("httpx ")


def test_a_library_that_is_not_installed_is_a_note() -> None:
    """It costs nobody a figure."""
    absent = replace(CLIENTS[0], name="absent", distribution="no-such-distribution")
    (found,) = watching.clients([absent])
    assert (found.level, found.sentence) == (NOTE, "not installed in this Python: no-such-distribution")


LAUNCHER: list[tuple[dict[str, str], list[str]]] = [
    # environment                                                       levels
    ({},                                                                [OK]),
    ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask"},                [OK]),
    ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask, costspan"},      [WRONG]),
    ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"},                    [WRONG]),
]  # fmt: skip


@pytest.mark.parametrize(("environ", "found"), LAUNCHER)
def test_the_launcher(environ: dict[str, str], found: list[str]) -> None:
    """Costspan is found by the standard launcher, unless it is switched off by name."""
    assert levels(watching.launcher({"PATH": os.environ["PATH"], **environ})) == found


def test_the_command(tmp_path: Path) -> None:
    """The exit code says whether something is wrong, and JSON carries every finding."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "XDG_"))}
    command = [str(Path(sys.executable).parent / "costspan"), "doctor", "--json"]
    environ = {**quiet, "HOME": str(tmp_path), "OTEL_COSTSPAN_LEDGER": "~nosuch/ledger.db"}
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=300)
    said = json.loads(ran.stdout)
    assert (ran.returncode, said["is_well"]) == (1, False), ran.stderr
    assert {finding["topic"] for finding in said["findings"]} >= {
        "launcher", "settings", "clients", "prices", "ledger", "telemetry", "instance ids",
    }  # fmt: skip
    clients = [finding for finding in said["findings"] if finding["topic"] == "clients"]
    assert {finding["level"] for finding in clients} <= {OK, NOTE}
    assert list(tmp_path.iterdir()) == []


DISTRIBUTIONS: list[tuple[list[tuple[str, str]], str | None]] = [
    # entry points: name, package                                              what is said
    ([("distro", "opentelemetry-distro")],                                     None),
    ([("splunk", "splunk-opentelemetry"), ("distro", "opentelemetry-distro")], "choose by OTEL_PYTHON_DISTRO (splunk or distro)"),
    ([("distro", "opentelemetry-distro"), ("distro", "elastic")],              "no variable can choose: uninstall"),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "said"), DISTRIBUTIONS)
def test_two_that_set_the_sdk_up(
    entries: list[tuple[str, str]], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher takes the first that it finds: who has two of them is told how to choose."""

    def entry_points(group: str) -> list[SimpleNamespace]:
        brought = entries if group == "opentelemetry_distro" else []
        return [SimpleNamespace(name=name, dist=SimpleNamespace(name=package)) for name, package in brought]

    monkeypatch.setattr(watching.metadata, "entry_points", entry_points)
    told = [one.sentence for one in watching.neighbours() if "opentelemetry_distro" in one.sentence]
    assert len(told) == (said is not None)
    assert all(str(said) in sentence for sentence in told)


@pytest.mark.parametrize("installed", [["langfuse"], ["logfire"], []])
def test_who_exports_every_span_is_named(installed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Langfuse takes our spans beside its own: how to keep them out is said."""
    monkeypatch.setattr(watching, "_distributions", lambda: iter(installed))
    told = [one.sentence for one in watching.neighbours() if "should_export_span" in one.sentence]
    assert len(told) == ("langfuse" in installed)
    assert all("OTEL_COSTSPAN_SPANS=false" in sentence for sentence in told)


# --- what is sent to others -------------------------------------------------------------------------------------------

SECRETS: dict[str, str] = {
    "OPENAI_API_KEY": "sk-proj-4Fh1secret",
    "COSTSPAN_SERVE_TOKEN": "tok-9c1f77aa",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer eyJhbGciOi.payload,x-tenant=acme-4711",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://reporter:hunter2-otlp@127.0.0.1:9/v1?api_key=qs-31415",
    "OTEL_COSTSPAN_HOSTS": "https://me:hunter2-hosts@llm.example=openai",
    "OTEL_COSTSPAN_PRICES": "s3://akid:hunter2-prices@bucket/prices.yaml",
    "OTEL_COSTSPAN_TIME_ZONE": "sk-proj-4Fh1secret",  # pasted into the wrong variable
    "OTEL_COSTSPAN_BUDGET_STORE": "redis://bob:hunter2-store@127.0.0.1:9/0",
    "OTEL_CONFIG_FILE": "",
}


def test_what_is_put_into_an_issue_has_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys, tokens, headers and passwords in addresses of the environment stand in no finding, mistakes included."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OTEL_COSTSPAN_LEDGER", str(tmp_path / "ledger.db"))
    printed = CliRunner().invoke(costspan, ["doctor", "--json"]).output
    assert [finding for finding in json.loads(printed)["findings"] if finding["topic"] == "settings"]
    secrets = ("4Fh1secret", "9c1f77aa", "eyJhbGciOi", "acme-4711", "hunter2", "31415", "reporter", "akid")
    assert [secret for secret in secrets if secret in printed] == []
    assert "***" in printed


def test_what_is_no_secret_stays() -> None:
    """A mask over everything would help nobody."""
    said = "metrics go by OTLP to collector:4318; see costspan@0.1.0, 12:30 and http://localhost:3000/a?page=2"
    assert masked(said, {"GIT_AUTHOR_NAME": "collector", "API_KEY": "see"}) == said
    assert masked("a://u:p@h b", {}) == "a://***@h b"
