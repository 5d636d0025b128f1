"""A program of the stack while it runs: started, asked for its health, stopped or killed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

HEALTHY_S: Final = 60.0
STOPPED_S: Final = 20.0


def until(holds: Callable[[], object], what: str, within_s: float = HEALTHY_S) -> None:
    """Ask again and again until the answer is true; a TimeoutError that says `what` when it takes too long."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_s:g} s in vain: {what}")
        time.sleep(0.05)


def answers(url: str, headers: Mapping[str, str] = {}) -> bool:
    """True where something answers with success at the address."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers)), timeout=5) as answer:
            return answer.status == 200  # noqa: PLR2004  HTTP's word for success
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def mortal(command: Sequence[str]) -> list[str]:
    """A command whose process the kernel ends when we end, however we end, where the system can do that (Linux)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else [*command]


class Running:
    """A program with its command line, its log file and the address that tells its health."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        health: str,
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = environment
        self._health = health
        self._headers = headers
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program; it may need a while until it is healthy."""
        if self.runs():
            raise RuntimeError(f"{self.name} is running already")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                mortal(self._command),
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def process(self) -> int:
        """The id of the process; a RuntimeError before its start."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    def runs(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.poll() is None

    def wait_until_healthy(self) -> None:
        """Return once the health check passes; a RuntimeError with the end of the log if the program ends before."""

        def is_settled() -> bool:
            return answers(self._health, self._headers()) or not self.runs()

        until(is_settled, f"{self.name} does not answer at {self._health}; its log: {self.log}")
        if not self.runs():
            raise RuntimeError(f"{self.name} ended at once. The end of {self.log}:\n{self._last_words()}")

    def stop(self) -> None:
        """End it as an operator would: asked first, killed if it does not listen."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it hang: it keeps its ports, and answers nothing."""
        self._tell(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._tell(signal.SIGCONT)

    def reload(self) -> None:
        """Make it read its configuration again."""
        self._tell(signal.SIGHUP)

    def _tell(self, word: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(word)

    def _end(self, word: signal.Signals) -> None:
        if self._process is None:
            return
        self._tell(word)
        self._tell(signal.SIGCONT)
        try:
            self._process.wait(STOPPED_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
