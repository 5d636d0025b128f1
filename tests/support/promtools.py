"""Real Prometheus programs for the tests: found or built, or the test says why they are missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from stack import MissingProgramError, binaries

ROOT = Path(__file__).parents[2]
_STARTED = re.compile(r'msg="Listening on".* address=(127\.0\.0\.1:[1-9]\d*)')
_PATIENCE_S = 60.0


def program(name: str) -> str:
    """The path of a program, built first where need be; skips the test, aloud, where it cannot be had."""
    try:
        return str(binaries.program(name))
    except MissingProgramError as fault:
        if os.environ.get("CI"):
            pytest.fail(f"CI has to prove the rules on the real program: {fault}")
        pytest.skip(f"the rules are not proved on this machine: {fault}")


def promtool(*arguments: str | Path, cwd: Path | None = None) -> str:
    """What promtool says; fails the test if it says no."""
    command = [program("promtool"), *map(str, arguments)]
    environ = {**os.environ, "GOGC": "400"}  # its garbage is collected less often: an eighth of its time
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def has_real_dates(folder: Path) -> bool:
    """Whether this promtool's tests may begin at a real date (`start_timestamp`, since 3.9)."""
    probe = folder / "probe.yml"
    probe.write_text("tests: [{start_timestamp: 1774746000}]\n")
    asked = [program("promtool"), "test", "rules", str(probe)]
    return subprocess.run(asked, capture_output=True, timeout=60, check=False).returncode == 0


class Server:
    """A running Prometheus."""

    def __init__(self, address: str, headers: Mapping[str, str] = {}) -> None:
        self.address = address
        self._headers = dict(headers)

    def query(self, expression: str, moment_s: float) -> dict[tuple[tuple[str, str], ...], float]:
        """The instant vector of an expression at a moment: values by their sorted labels."""
        found = self._asked("query", query=expression, time=f"{moment_s:.3f}")
        if found["resultType"] == "scalar":
            return {(): float(found["result"][1])}
        return {_sorted(each): float(each["value"][1]) for each in found["result"]}

    def told_in(self, expression: str, seconds: Sequence[int]) -> dict[int, set[tuple[tuple[str, str], ...]]]:
        """The labels that an expression gives in each of some seconds on end, all asked for at once."""
        found = self._asked("query_range", query=expression, start=str(seconds[0]), end=str(seconds[-1]), step="1")
        told: dict[int, set[tuple[tuple[str, str], ...]]] = {second: set() for second in seconds}
        for each in found["result"]:
            for second, _ in each["values"]:
                told[second].add(_sorted(each))
        return told

    def _asked(self, what: str, **words: str) -> dict[str, Any]:
        form = urllib.parse.urlencode(words).encode()
        asked = urllib.request.Request(f"http://{self.address}/api/v1/{what}", form, self._headers)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return json.load(answer)["data"]


def _sorted(result: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(result["metric"].items()))


@contextmanager
def prometheus(
    folder: Path, samples: str = "", more_settings: str = "", filled_store: Path | None = None
) -> Generator[Server]:
    """A Prometheus on a free port of this machine that holds the samples (OpenMetrics text with times).

    `more_settings` is added to its configuration, which is written into the folder. `filled_store` is a folder of
    blocks to use instead of an empty one.
    """
    store, settings = filled_store or folder / "store", folder / "prometheus.yml"
    folder.mkdir(parents=True, exist_ok=True)
    store.mkdir(parents=True, exist_ok=filled_store is not None)
    settings.write_text("global: {scrape_interval: 1h, evaluation_interval: 1s}\n" + more_settings)
    if samples:
        (folder / "samples.txt").write_text(samples + "# EOF\n")
        promtool(
            "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics", folder / "samples.txt", store
        )
    command = [
        program("prometheus"), f"--config.file={settings}", f"--storage.tsdb.path={store}",
        "--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:0",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Server(_address(process))
        finally:
            process.terminate()
            process.communicate(timeout=_PATIENCE_S)


def _address(process: subprocess.Popen[str]) -> str:
    """Where it listens, once it says that it is ready."""
    assert process.stderr is not None
    address, is_ready, said = "", False, list[str]()
    hangs = threading.Timer(_PATIENCE_S, process.kill)
    hangs.start()
    try:
        for line in process.stderr:
            said.append(line)
            if started := _STARTED.search(line):
                address = started[1]
            is_ready = is_ready or "Server is ready" in line
            if is_ready and address:  # told in either order
                return address
    finally:
        hangs.cancel()
    pytest.fail("Prometheus did not start:\n" + "".join(said[-20:]))
