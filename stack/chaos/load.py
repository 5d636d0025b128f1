"""Agents under load: started by the standard launcher, told what to do, ended in the ways in which programs end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Final

from stack.compose import ROOT
from stack.processes import mortal

_HERE: Final = Path(__file__).parent
_PATIENCE_S: Final = 60.0
# The provider of the cases stands on loopback, where nobody's prices count unless it is said whose.
_PRICED: Final = {"OTEL_COSTSPAN_HOSTS": "127.0.0.1=vendor"}


class Agent:
    """One process of a case; what it says on standard error goes to `log`.

    `clock` is the second at which its clock begins, if that is not the true one.
    """

    def __init__(self, environment: dict[str, str], log: Path, clock: int | None = None) -> None:
        self._log = log
        python = Path(sys.executable)
        if clock is None:
            command = [str(python.with_name("opentelemetry-instrument")), str(python), str(_HERE / "agent.py")]
        else:
            command = [str(python), str(_HERE / "shifted.py")]
            environment = {**environment, "CHAOS_CLOCK": str(clock)}
        with log.open("ab") as errors:
            self._process = self._start(command, environment, errors)

    def _start(self, command: list[str], environment: dict[str, str], errors: IO[bytes]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            mortal(command),
            cwd=ROOT,
            env={**os.environ, **_PRICED, **environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            bufsize=1,
        )

    @property
    def process(self) -> int:
        """The id of the process."""
        return self._process.pid

    def tell(self, *words: object) -> None:
        """Say what to do, without waiting for it."""
        assert self._process.stdin is not None  # noqa: S101  for the type
        self._process.stdin.write(" ".join(map(str, words)) + "\n")

    def wait(self) -> None:
        """Return when it has done the oldest thing it was told."""
        assert self._process.stdout is not None  # noqa: S101  for the type
        if self._process.stdout.readline() != "done\n":
            raise RuntimeError(f"an agent failed; the end of {self._log}:\n{self._log.read_text()[-2000:]}")

    def do(self, *words: object) -> None:
        """Say what to do, and return when it is done."""
        self.tell(*words)
        self.wait()

    def leave(self) -> None:
        """Let it come to its end; `ended` waits for that."""
        assert self._process.stdin is not None  # noqa: S101  for the type
        self._process.stdin.close()

    def terminate(self) -> None:
        """Ask it to end by SIGTERM, as an orchestrator does."""
        self._process.send_signal(signal.SIGTERM)

    def ended(self) -> None:
        """Return when it has ended."""
        try:
            self._process.wait(_PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
