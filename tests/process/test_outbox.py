"""What a process had not delivered when it ended arrives in the end: once, in its own name, to the token."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

import costspan
from costspan import names
from costspan.ledger import outbox_lines
from exits.running import BIN, PROGRAM, ended, environment
from otlp_receiver import Received, Receiver, attributes, over_grpc, over_http
from places import ROOT
from stand_in_process import client_environment, served, stand_in

KILLED: Final = ROOT / "tests" / "support" / "killed.py"
LAUNCHER: Final = str(BIN / "opentelemetry-instrument")
#: How much longer than the SDK alone a program may take to end while nobody answers.
MOST_MORE_S: Final = 2.0
#: What a busy machine adds to either of them.
UNEVEN_S: Final = 1.0


class Home:
    """A user's home, with programs under costspan that call one provider and send to one receiver."""

    def __init__(self, home: Path, provider: str, endpoint: str, received: Received, receiver: Receiver) -> None:
        self._runs = 0
        self.provider = provider
        self.received = received
        self.environ = environment(home, home / "ledger.db", receiver) | client_environment(provider)
        self.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        self.outbox = home / ".local" / "share" / "costspan" / "outbox"

    def run(self, *program: str, **more: str) -> tuple[int, str]:
        """Run a program of tests/support/exits to its end."""
        self._runs += 1  # a program looks into its ledger for its own calls
        environ = self.environ | {"OTEL_COSTSPAN_LEDGER": str(self.outbox.with_name(f"{self._runs}.db"))} | more
        return ended([LAUNCHER, "python", str(PROGRAM), *program], environ, None)

    def kill(self, after_s: float, **more: str) -> list[tuple[int, int]]:
        """Kill a program that calls so long after its first call; the tokens of the calls that it had seen returned."""
        command = [LAUNCHER, "python", str(KILLED), "100000"]
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, env=self.environ | {"OTEL_COSTSPAN_LEDGER": "auto"} | more, **pipes) as program:
            assert program.stdout
            first = program.stdout.readline()
            time.sleep(after_s)
            program.kill()
            rest, complaints = program.communicate()
        assert first, complaints
        lines = (first + rest).decode().splitlines()
        return [(int(given), int(made)) for given, made in map(str.split, lines)]

    def deliver(self, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`costspan deliver`."""
        command = [str(BIN / "costspan"), "deliver", *options]
        return subprocess.run(
            command, env=self.environ | more, capture_output=True, text=True, timeout=120, check=False
        )

    def left(self) -> list[Path]:
        """The outboxes that there are. No journal stays without one."""
        outboxes = sorted(self.outbox.glob("*.outbox"))
        assert {path.stem for path in self.outbox.glob("*.journal")} <= {path.stem for path in outboxes}
        return outboxes

    def events(self) -> dict[str, dict[str, Any]]:
        """The usage events that came, by id."""
        return {said[names.EVENT_ID]: said for said in map(attributes, self.received.events)}

    def usd_each(self) -> float:
        """What a call costs here: every answer has the same tokens."""
        (nano_usd,) = {said[names.COST_NANO_USD] for said in self.events().values()}
        return nano_usd / 1e9

    def check(self, unseen: int = 0) -> None:
        """The receiver has of every request that was served: its counters once, its tokens, and one event. Of so many at
        most the program did not live to see the answer.
        """
        events = self.events()
        told = {said[names.RESPONSE_ID] for said in events.values()}
        requests = served(self.provider)["requests"]
        known = [request for request in requests if request["id"] in told]
        assert len(requests) - unseen <= len(known) == len(events) == self.received.total(names.REQUESTS.name)
        for metric, unit in ((names.INPUT_TOKENS, "input"), (names.OUTPUT_TOKENS, "output")):
            assert self.received.total(metric.name) == sum(request[unit] for request in known)
        nano_usd = sum(said[names.COST_NANO_USD] for said in events.values())
        for metric in (names.COST_USD, names.DAY_COST_USD, names.SESSION_COST_USD):
            assert self.received.total(metric.name) == pytest.approx(nano_usd / 1e9, rel=1e-9)


@contextmanager
def at_home(home: Path, receiver: Receiver = over_http) -> Generator[Home]:
    with stand_in() as provider, receiver() as (endpoint, received):
        yield Home(home, provider, endpoint, received, receiver)


@pytest.mark.parametrize("receiver", [over_http, over_grpc])
def test_the_next_program_delivers_what_a_killed_one_could_not(tmp_path: Path, receiver: Receiver) -> None:
    """Counters and events of a process that was killed come with the next one's, in the killed one's name."""
    with at_home(tmp_path, receiver) as home:
        home.kill(0.3)
        assert len(home.left()) == 1
        assert home.received.names() == set()
        assert home.run("normal_end") == (0, "")
        home.check(unseen=1)
        assert home.received.instances(names.REQUESTS.name) == 2
        assert home.left() == []


@pytest.mark.parametrize("receiver", [over_http, over_grpc])
def test_the_command_delivers_once(tmp_path: Path, receiver: Receiver) -> None:
    """`costspan deliver` sends what was left, without any program; the second time there is nothing."""
    with at_home(tmp_path, receiver) as home:
        assert home.run("sigkill")[0] == -9
        assert home.received.total(names.REQUESTS.name) == 1
        first, second = home.deliver(), home.deliver()
        assert (first.returncode, first.stderr) == (0, "")
        assert first.stdout.startswith("Delivered 2 calls of 1 program, 0.000054 USD, to ")
        assert (second.returncode, second.stdout, second.stderr) == (0, "Nothing waits to be delivered.\n", "")
        home.check()
        assert len(home.received.events) == 2  # the one that had arrived was not sent again


def test_an_id_that_all_processes_share_keeps_them_apart(tmp_path: Path) -> None:
    """With a fixed service.instance.id what is delivered late carries the identity that the process had."""
    with at_home(tmp_path) as home:
        fixed = {"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=mine"}
        for _ in range(2):
            assert home.run("sigkill", **fixed)[0] == -9
        assert home.deliver().returncode == 0
        home.check()
        assert len(home.received.writers(names.COST_USD.name)) == 2


def test_a_child_that_leaves_without_a_word_is_delivered_too(tmp_path: Path) -> None:
    """A forked child that ends by os._exit has an outbox of its own, which its parent delivers at its end."""
    with at_home(tmp_path) as home:
        assert home.run("fork_os_exit") == (0, "")
        assert home.deliver().returncode == 0
        home.check()
        assert home.left() == []


def test_several_deliverers_at_once_deliver_once(tmp_path: Path) -> None:
    with at_home(tmp_path) as home:
        for _ in range(3):
            assert home.run("sigkill")[0] == -9
        command = [str(BIN / "costspan"), "deliver"]
        deliverers = [subprocess.Popen(command, env=home.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                      for _ in range(4)]  # fmt: skip
        for deliverer in deliverers:
            deliverer.communicate()
        assert home.deliver().returncode == 0
        home.check()
        assert len(home.received.events) == 6


@pytest.mark.parametrize("state", ["is_away", "rejects"])
@pytest.mark.parametrize("receiver", [over_http, over_grpc])
def test_what_is_refused_stays(tmp_path: Path, receiver: Receiver, state: str) -> None:
    """A status of 500, and a success for a part of the message alone, are no delivery; later it is made good."""
    with at_home(tmp_path, receiver) as home:
        assert home.run("sigkill")[0] == -9
        setattr(home.received, state, True)
        refused = home.deliver()
        assert refused.returncode == 1
        assert "it did not take what 1 program left" in refused.stderr
        assert len(home.left()) == 1
        setattr(home.received, state, False)
        assert home.deliver().returncode == 0
        home.check()


def test_a_program_whose_messages_are_taken_in_part_keeps_them(tmp_path: Path) -> None:
    """What the SDK takes for a success is none; the outbox stays, and what is sent later adds nothing twice."""
    with at_home(tmp_path) as home:
        home.received.rejects = True
        status, complaints = home.run("normal_end")
        assert status == 0
        assert "took a message not, or not whole: it rejected 1 of it (too many)" in complaints
        assert len(home.left()) == 1
        home.received.rejects = False
        assert home.deliver().returncode == 0
        home.check()


def test_another_endpoint_is_not_given_it(tmp_path: Path) -> None:
    """Where the environment names another endpoint, its headers are for that one: nothing is sent, and it is said."""
    with at_home(tmp_path) as home:
        assert home.run("sigkill")[0] == -9
        elsewhere = home.deliver(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
        assert elsewhere.returncode == 1
        assert "the environment names another endpoint" in elsewhere.stderr
        assert home.deliver(OTEL_EXPORTER_OTLP_ENDPOINT="").returncode == 0
        home.check()


def test_switched_off_nothing_is_kept(tmp_path: Path) -> None:
    with at_home(tmp_path) as home:
        for off in ({"OTEL_COSTSPAN_OUTBOX": "off"}, {"OTEL_COSTSPAN_LEDGER": "off"}):
            home.kill(0, **off)
        assert home.left() == []


def test_a_place_that_cannot_be_written_stops_no_program(tmp_path: Path) -> None:
    """A file where the directory should be: the program runs, delivers as ever, and says why nothing is kept."""
    with at_home(tmp_path) as home:
        (tmp_path / "file").touch()
        status, complaints = home.run("normal_end", OTEL_COSTSPAN_OUTBOX=str(tmp_path / "file"))
        assert status == 0
        assert "costspan: the outbox" in complaints
        assert "cannot be written" in complaints
        home.check()


@pytest.mark.parametrize("place", ["head", "line"])
def test_a_damaged_outbox_is_set_aside(tmp_path: Path, place: str) -> None:
    """What can be read is delivered, under the same identity; the file is kept for whoever wants to look."""
    with at_home(tmp_path) as home:
        assert home.run("sigkill")[0] == -9
        (path,) = home.left()
        lines = path.read_bytes().splitlines(keepends=True)
        lines[0 if place == "head" else 1] = b'{"costspan": "out\xff\n'
        path.write_bytes(b"".join(lines))
        home.deliver()
        (aside,) = home.left()
        assert aside.name == f"corrupt-{path.name}"
        assert home.received.total(names.REQUESTS.name) == 1


def test_an_outbox_of_a_newer_version_waits_for_it(tmp_path: Path) -> None:
    with at_home(tmp_path) as home:
        assert home.run("sigkill")[0] == -9
        (path,) = home.left()
        head, *rest = path.read_text().splitlines(keepends=True)
        path.write_text(json.dumps(json.loads(head) | {"version": outbox_lines.VERSION + 1}) + "\n" + "".join(rest))
        refused = home.deliver()
        assert refused.returncode == 1
        assert "newer costspan" in refused.stderr
        assert home.left() == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give a file away")
def test_an_outbox_of_another_user_is_let_be(tmp_path: Path) -> None:
    with at_home(tmp_path) as home:
        assert home.run("sigkill")[0] == -9
        (path,) = home.left()
        os.chown(path, 12_345, -1)
        assert home.deliver().returncode == 0
        assert home.left() == [path]
        assert home.received.total(names.REQUESTS.name) == 1


def test_killed_at_any_moment_nothing_is_lost(tmp_path: Path) -> None:
    """Every call that a program saw return is counted, once; a call whose answer it did not live to see may be."""
    moments = random.Random(20_261_129)  # noqa: S311
    with at_home(tmp_path) as home:
        returned: list[tuple[int, int]] = []
        for _ in range(6):
            returned += home.kill(
                moments.uniform(0, 0.5), OTEL_METRIC_EXPORT_INTERVAL="100", OTEL_BLRP_SCHEDULE_DELAY="50"
            )
            assert home.deliver().returncode == 0
        served_calls, counted = len(served(home.provider)["requests"]), home.received.total(names.REQUESTS.name)
        assert len(returned) <= counted <= served_calls
        assert len(home.events()) == counted
        assert home.received.total(names.COST_USD.name) == pytest.approx(counted * home.usd_each(), rel=1e-9)


SDK_ALONE: Final = """
import os
from opentelemetry import metrics, trace
metrics.get_meter("mine").create_counter("mine").add(1)
trace.get_tracer("mine").start_span("mine").end()
os.write(1, b"ends\\n")
"""


@contextmanager
def hanging() -> Generator[str]:
    """An endpoint that takes connections and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=100)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def refusing() -> Generator[str]:
    """An endpoint where nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    yield address


@contextmanager
def faulty() -> Generator[str]:
    """An endpoint that answers every request with 500."""
    with over_http() as (address, received):
        received.is_away = True
        yield address


def _end_s(command: list[str], environ: dict[str, str]) -> float:
    """How long a program takes from its last line to its end."""
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([LAUNCHER, sys.executable, *command], env=environ, **pipes) as program:
        assert program.stdout
        assert program.stdout.readline()
        began_s = time.monotonic()
        program.communicate()
    assert program.returncode == 0
    return time.monotonic() - began_s


@pytest.mark.parametrize("endpoint", [refusing, hanging, faulty])
def test_an_end_waits_no_longer_than_the_sdk_alone(tmp_path: Path, endpoint: Any) -> None:
    """Whatever the endpoint does, a program ends with costspan as it would without: what is not delivered is kept."""
    with at_home(tmp_path) as home, endpoint() as address, ThreadPoolExecutor(2) as both:
        environ = home.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": address}
        alone = both.submit(_end_s, ["-c", SDK_ALONE], environ | {"OTEL_COSTSPAN_ENABLED": "false"})
        ours = both.submit(_end_s, [str(KILLED), "1"], environ)
        assert ours.result() < alone.result() + MOST_MORE_S + UNEVEN_S
        assert len(home.left()) == 1


def test_killed_at_any_moment_the_ledger_has_every_call(tmp_path: Path) -> None:
    """Where telemetry goes nowhere, too: what no thread had written is booked by whoever opens the ledger next."""
    moments, ledger = random.Random(20_261_130), tmp_path / "own.db"  # noqa: S311
    with at_home(tmp_path) as home:
        returned: list[tuple[int, int]] = []
        for _ in range(6):
            returned += home.kill(
                moments.uniform(0, 0.5), OTEL_COSTSPAN_LEDGER=str(ledger), OTEL_EXPORTER_OTLP_ENDPOINT="",
                OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none",
            )  # fmt: skip
        counted = costspan.usage(ledger=ledger).total().calls
        assert len(returned) <= counted <= len(served(home.provider)["requests"])
        assert not list(tmp_path.glob("own.db.*-*"))
