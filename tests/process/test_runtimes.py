"""gevent, trio and uvloop: a program gets what it gets without costspan, and each of its calls is booked for whom it was made."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from answers import Asked, Reply
from launching import BIN, COSTSPAN, rows, start
from provider import Provider
from runtimes import APPLICATION, NEVER, NUMBER, RUNTIMES
from stand_in_process import client_environment

_GIVEN_UP = "given up"


def needs(*modules: str) -> None:
    """Skip the test, aloud, where a runtime is not installed."""
    if "gevent" in modules and find_spec("trio") is not None:
        pytest.skip("trio is installed here, which a program that is patched by gevent cannot import")
    for module in modules:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed here: `make test-matrix` has an environment with it")


def answering(provider: Provider, is_over: threading.Event) -> Callable[[Asked], Reply]:
    """What the API says, but for who asks not to be answered."""

    def answer(asked: Asked) -> Reply:
        if asked.body["messages"][0]["content"] == NEVER:
            is_over.wait(60)
        return provider.usual(asked)

    return answer


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_program_on_another_runtime(name: str, provider: Provider, tmp_path: Path) -> None:
    """It says nothing else than without costspan and ends; the call that it gave up is abandoned, and of unknown cost."""
    runtime = RUNTIMES[name]
    needs(runtime.needs)
    (tmp_path / "program.py").write_text(runtime.program)
    is_over = threading.Event()
    provider.replies.extend([answering(provider, is_over)] * 2 * (NUMBER + 3))
    try:
        bare, ours = (
            start([*before, str(BIN / "python"), "program.py"], tmp_path, **client_environment(provider.url))
            for before in ([], [COSTSPAN, "run"])
        )
    finally:
        is_over.set()
    assert (ours.returncode, ours.stdout, without_warnings(ours.stderr)) == (0, "done\n", without_warnings(bare.stderr))
    booked = {row["session"]: row for row in rows(tmp_path)}
    assert _GIVEN_UP in booked, sorted(
        (str(row["session"]), row["outcome"], row["error_type"]) for row in rows(tmp_path)
    )
    lost = booked.pop(_GIVEN_UP)
    assert booked.keys() == {f"s{at}" for at in range(NUMBER)} | runtime.sessions
    assert {(row["outcome"], row["quality"]) for row in booked.values()} == {("ok", "exact")}
    assert (lost["outcome"], lost["error_type"], lost["unpriced_reason"]) == ("abandoned", runtime.error, "no_usage")


def without_warnings(said: str) -> str:
    """What a program said, but for gevent's own warning of a late patch, which tells the modules that it finds."""
    return "\n".join(
        line for line in said.splitlines() if "MonkeyPatchWarning" not in line and "monkey.patch" not in line
    )


def read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def test_gunicorns_gevent_workers_with_a_preloaded_application(provider: Provider, tmp_path: Path) -> None:
    """The patch comes after the fork, when the library and costspan's parts for it are there: no worker stands still."""
    needs("gevent", "gunicorn")
    (tmp_path / "app.py").write_text(APPLICATION)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}
    environ = kept | {"HOME": str(tmp_path), "XDG_DATA_HOME": ""} | client_environment(provider.url)
    command = [COSTSPAN, "run", str(BIN / "gunicorn"), "app:application", "--bind", "127.0.0.1:0", "--preload"]
    with subprocess.Popen(
        [*command, "--worker-class", "gevent", "--workers", "2"],
        cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True,
    ) as served:  # fmt: skip
        try:
            found: Any = next(filter(None, (re.search(r"http://\S+:\d+", line) for line in served.stderr or ())))
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(read, [found[0]] * NUMBER))
        finally:
            served.send_signal(signal.SIGTERM)
            said = served.stderr.read() if served.stderr else ""
    assert answers == [b"done"] * NUMBER
    assert "Traceback" not in said
    assert [(row["outcome"], row["quality"]) for row in rows(tmp_path)] == [("ok", "exact")] * NUMBER
