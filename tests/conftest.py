"""What every test gets: faults raised instead of stopped, no network but loopback, and a watched process."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A shell that starts `make test` in the background has it ignore SIGINT, and everything that tests start and end by it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("ANTHROPIC_OPEN_TELEMETRY", "false")  # its own spans: only where a test asks for them
# The providers of the tests are on loopback, where nobody's prices count unless it is said whose.
os.environ.setdefault("OTEL_COSTSPAN_HOSTS", "127.0.0.1=vendor")

from costspan import guard
from costspan.calls import patching
from costspan.ledger import notes, place
from costspan.scope.run import RUNS
from promtools import Server, prometheus
from provider import Provider
from watching import Watched

# How long an example takes says how busy the machine is, not whether the rule holds.
settings.register_profile("costspan", deadline=None)
settings.load_profile("costspan")

_DESCRIPTORS = Path("/proc/self/fd")  # of Linux
_MOST_LEFT_OPEN = 64
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test is named the same in every process: workers that share the tests out go by their names."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid}: the address of an object is no name; give the parameter an id")


@pytest.fixture(autouse=True)
def faults_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours fails the test that met it; what other tests met is not told in it."""
    monkeypatch.setattr(guard, "raise_again", True)
    monkeypatch.setattr(guard, "faults", dict[str, int]())
    monkeypatch.setattr(guard, "degraded", dict[str, str]())
    monkeypatch.setattr(guard, "_told", set[str]())
    monkeypatch.setattr(patching, "degraded", dict[str, str]())
    monkeypatch.setattr(patching, "unwatched", dict[str, str]())
    RUNS.clear()  # one that another test left, in a traceback or a cycle, would be asked about by every call


@pytest.fixture(autouse=True)
def descriptors_are_closed() -> Iterator[None]:
    """A test that leaves pipes and sockets open breaks another one, hours later: `select` knows 1,024 of them."""
    before = _open_descriptors()
    yield
    left = _open_descriptors() - before
    assert left < _MOST_LEFT_OPEN, f"this test left {left} file descriptors open"


def _open_descriptors() -> int:
    return sum(1 for _ in _DESCRIPTORS.iterdir()) if _DESCRIPTORS.is_dir() else 0


def is_here(address: Any) -> bool:
    """Whether a socket's address is on this machine; one that is no tuple is a Unix socket's path."""
    return not isinstance(address, tuple) or address[0] in _LOOPBACK


@pytest.fixture(autouse=True)
def no_network_but_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves the machine."""
    connect = socket.socket.connect

    def connect_to_loopback(self: socket.socket, address: Any) -> Any:
        if not is_here(address):
            raise AssertionError(f"a test connects to {address}: tests stay on loopback")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_to_loopback)


@pytest.fixture(autouse=True)
def no_notes_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a watched process leaves behind for `costspan usage` is not left to the user of this machine."""
    data_directory, home = place.data_directory, place.data_directory(os.environ)

    def elsewhere(environ: Mapping[str, str]) -> Path:
        found = data_directory(environ)
        return tmp_path_factory.getbasetemp() / "notes-of-tests" if found == home else found

    monkeypatch.setattr(notes, "data_directory", elsewhere)
    monkeypatch.setattr(place, "data_directory", elsewhere)  # of outboxes, too


@pytest.fixture
def watched() -> Iterator[Watched]:
    """This process with costspan installed, and everything it emits in memory."""
    with Watched() as process:
        yield process


@pytest.fixture(scope="session")
def provider_server() -> Iterator[Provider]:
    """A provider on loopback."""
    with Provider() as running:
        yield running


@pytest.fixture
def provider(provider_server: Provider) -> Provider:
    """A provider on loopback, with nothing asked so far."""
    gc.freeze()  # what the libraries hold need not be looked at again each time that a stream is let go of
    provider_server.reset()
    return provider_server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 for itself, and its key beside it."""
    if shutil.which("openssl") is None:
        assert not os.environ.get("CI")
        pytest.skip("openssl is missing: no certificate can be made")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",  # noqa: S607
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out",
         folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem"


@pytest.fixture(scope="module")
def empty_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prometheus that knows nothing but the time."""
    with prometheus(tmp_path_factory.mktemp("empty")) as server:
        yield server
