"""No two processes write one series of ours, whatever their resource says: operators and people fix instance ids."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from costspan import names
from costspan.cli import destinations
from costspan.cli.findings import OK
from costspan.facts.periods import Periods
from costspan.metrics.totals import Totals
from costspan.sdk.export_extra import ExportExtra
from costspan.sdk.identity import Identity
from launching import INSTRUMENT, start
from otlp_receiver import Received, over_http
from stand_in_process import client_environment, stand_in

CALLS: Final = 5
#: As the Kubernetes operator of OpenTelemetry sets it: the same for every start of a container.
FIXED: Final = "service.instance.id=shop.agents-7d4f.agent,service.name=agents"

PROGRAM: Final = f"""
import openai, os

def work():
    with openai.OpenAI() as client:
        for _ in range({CALLS}):
            client.chat.completions.create(model="gpt-4o-mini", messages=[{{"role": "user", "content": "How are you?"}}])

work()
if os.environ.get("FORKS"):
    child = os.fork()
    work()
    if child:
        os.waitpid(child, 0)
"""


def run(home: Path, endpoint: str, address: str, complaint: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    (home / "app.py").write_text(PROGRAM)
    sent = {
        "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of fork in a process with threads, those of the SDK, from Python 3.12 on
        "OTEL_COSTSPAN_SESSION": "tuesday",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    ended = start([INSTRUMENT, "python", "app.py"], home, **client_environment(address), **sent, **more)
    assert (ended.returncode, bool(ended.stderr)) == (0, bool(complaint)), ended.stderr
    assert complaint in ended.stderr
    return ended


def calls(received: Received) -> float:
    """How many calls Prometheus would add up: the receiver keeps the last value of each series, as Prometheus does."""
    return received.total(names.REQUESTS.name)


def processes(received: Received, metric: str = names.REQUESTS.name) -> set[str | None]:
    return {point.attributes.get(names.PROCESS) for point in received.points(metric)}


def test_two_runs_with_one_instance_id_are_two(tmp_path: Path) -> None:
    """One after the other, as a container that is restarted."""
    with over_http() as (endpoint, received), stand_in() as address:
        for name in ("first", "second"):
            run(tmp_path / name, endpoint, address, OTEL_RESOURCE_ATTRIBUTES=FIXED)
        assert received.instances(names.REQUESTS.name) == 1
        assert calls(received) == 2 * CALLS
        for metric in (names.REQUESTS, names.COST_USD, names.SESSION_COST_USD, names.DAY_COST_USD, names.DURATION_S):
            found = processes(received, metric.name)
            assert len(found) == 2, metric.name
            assert None not in found, metric.name


def test_two_at_once_and_their_children_are_four(tmp_path: Path) -> None:
    """As workers that were given one environment, and fork."""
    with over_http() as (endpoint, received), stand_in() as address, ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(run, tmp_path / name, endpoint, address, OTEL_RESOURCE_ATTRIBUTES=FIXED, FORKS="yes")
            for name in ("first", "second")
        ]
        for each in both:
            each.result()
        assert calls(received) == 2 * 3 * CALLS
        assert len(received.writers(names.REQUESTS.name)) == 4  # some SDKs give a child an id of its own


def test_where_the_sdk_made_the_id_there_is_no_more_of_it(tmp_path: Path) -> None:
    """A process that its resource tells apart needs no label: not in the parent, and not in its child."""
    with over_http() as (endpoint, received), stand_in() as address:
        run(tmp_path, endpoint, address, FORKS="yes")
        assert calls(received) == 3 * CALLS
        assert received.instances(names.REQUESTS.name) == 2
        assert processes(received) == {None}


@pytest.mark.parametrize(
    ("resource", "is_labelled"),
    [(Resource.create(), False), (Resource({}), True), (Resource({"service.instance.id": "by hand"}), True)],
    ids=["the SDK's", "none", "the program's"],
)
def test_what_the_program_sets_up_by_hand_is_looked_at(resource: Resource, *, is_labelled: bool) -> None:
    """A provider of the program's own may have a resource without an id, or with one that stays the same."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource, shutdown_on_exit=False)
    for scope in (names.SCOPE, "of the program"):
        provider.get_meter(scope).create_counter("counted").add(1, {"label": "value"})
    data = Identity(reader).added(reader.get_metrics_data())
    assert data is not None
    labels = {
        scope.scope.name: set(point.attributes)
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }
    assert labels == {names.SCOPE: {"label", names.PROCESS} if is_labelled else {"label"}, "of the program": {"label"}}


@pytest.mark.parametrize(("preference", "said"), [("delta", "metrics leave as deltas"), ("lowmemory", "")])
def test_deltas_are_told_and_no_spend_leaves_as_one_by_accident(tmp_path: Path, preference: str, said: str) -> None:
    """The stack refuses deltas. `lowmemory` asks for deltas of the SDK's plain counters only, and ours are none."""
    with over_http() as (endpoint, received), stand_in() as address:
        ended = run(
            tmp_path, endpoint, address, complaint=said, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=preference
        )
        assert ended.stderr.count("\n") == bool(said)
        assert calls(received) == CALLS
        money = {name for name in received.deltas if name.startswith("llm.")}
        assert bool(money) == (preference == "delta")


def test_the_child_of_a_fork_is_another_process_whatever_the_sdk_does() -> None:
    """Some releases leave the child the parent's resource: its label is its own all the same."""
    extra = ExportExtra(
        InMemoryMetricReader(), Totals(9), Periods(), None, None, leave_by_themselves=bool, after_delivery=bool
    )
    before = extra.identity.id
    extra.forget()
    assert extra.identity.id != before


def test_doctor_says_how_processes_are_told_apart() -> None:
    """An id that is set by hand is no mistake any more, and is named."""
    (found,) = destinations.instances({"OTEL_RESOURCE_ATTRIBUTES": FIXED})
    assert found.level == OK
    assert "costspan_process" in found.sentence
