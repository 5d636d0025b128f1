"""Somebody at a shell who types what a page says, with the files that pages speak of and a stand-in for the providers."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from places import ROOT
from stand_in_process import client_environment
from store_servers import free_port

BIN: Final = Path(sys.executable).parent
BASH: Final = shutil.which("bash") or "/bin/bash"
PROGRAM: Final = """
import openai
with openai.OpenAI() as client:
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Where is order 4711?"}])
"""
#: Programs of the reader's own, by the names that pages give them.
PROGRAMS: Final = ("agent.py", "app.py", "job.py", "watchdog.py", "your_agent.py", "your_program.py", "your/agent.py")
REQUEST: Final = '{"messages": [{"role": "user", "content": "Which invoice is due first?"}]}'
TABLE: Final = ROOT / "src" / "costspan" / "pricing" / "prices.jsonl"
#: Ends while it holds something, as a program that is killed.
ORDER: Final = """
import os, costspan
costspan.reserve(account="acme", amount_usd="0.01", key="order-17")
os._exit(0)
"""
#: A mistake that a server tells ends `curl`, and the name of the page's server leads to this machine.
CURL: Final = 'fail-with-body\ncacert = "{home}/cert.pem"\nresolve = "costs.example.com:{port}:127.0.0.1"\n'
CERTIFICATE: Final = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout key.pem -out cert.pem"
    " -subj /CN=costs.example.com -addext subjectAltName=DNS:costs.example.com"
)


class Reader:
    """A home directory, a shell in it, and at most one command that goes on until Ctrl+C."""

    def __init__(self, home: Path, stand_in: str) -> None:
        self.home, self.port = home, free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON", "COV"))}
        own = {"HOME": str(home), "XDG_DATA_HOME": "", "PATH": f"{home}/bin:{BIN}:{kept['PATH']}", "BROWSER": "true"}
        self.environ = {**kept, **client_environment(stand_in), **own}
        self.places = {"0.0.0.0": "127.0.0.1", "/var/log/otel": str(home)}  # noqa: S104  # nobody listens there
        self.accepts = False
        self._kept: list[str] = []
        self._going_on: subprocess.Popen[bytes] | None = None
        self._screen = -1
        self._lay_out()

    def _lay_out(self) -> None:
        for name in PROGRAMS:
            (self.home / name).parent.mkdir(exist_ok=True)
            (self.home / name).write_text(PROGRAM)
        shutil.copytree(ROOT / "examples" / "agent", self.home / "examples" / "agent")
        shutil.copy(ROOT / "examples" / "budgets" / "account.yaml", self.home / "budgets.yaml")
        shutil.copytree(ROOT / "prometheus", self.home / "prometheus")
        shutil.copy(TABLE, self.home)
        (self.home / "request.json").write_text(REQUEST)
        (self.home / "own.yaml").write_text("prices: []\n")
        (self.home / ".curlrc").write_text(CURL.format(home=self.home, port=self.port))
        (self.home / "bin").mkdir()
        ssh = self.home / "bin" / "ssh"  # the other machine is this one
        ssh.write_text('#!/bin/sh\nshift\nexec "$@"\n')
        ssh.chmod(0o755)

    def has_made_calls(self) -> None:
        """One call in the ledger, with budgets beside it, and copies of it under the names that pages give to other ledgers."""
        self.types("OTEL_COSTSPAN_BUDGETS=budgets.yaml costspan run python agent.py")
        self.types("mkdir old-laptop && costspan ledger export usage.jsonl")
        for name in ("old-laptop/ledger.db", "calls.db", "costs.db"):
            self.types(f"costspan ledger backup {name}")

    def has_made_the_calls_of(self, other: Reader) -> None:
        """What another reader's calls left in his home: no file of theirs says where it lies."""
        for name in (".local", "old-laptop"):
            shutil.copytree(other.home / name, self.home / name)
        for name in ("usage.jsonl", "calls.db", "costs.db"):
            shutil.copy(other.home / name, self.home)

    def here(self, line: str) -> str:
        """The line with the ports, addresses and paths of this reader."""
        line = re.sub(r"\bcostspan serve\b(?! --port)", f"costspan serve --port {self.port}", line)
        line = re.sub(r"(127\.0\.0\.1|costs\.example\.com):8321", rf"\1:{self.port}", line)
        for place, own in self.places.items():
            line = line.replace(place, own)
        return line

    def _edit(self, line: str) -> None:
        """What the page leaves to the reader before the line: the digest of his token, a reservation of his own."""
        if "--tokens" in line:
            digest = hashlib.sha256((self.home / "token").read_bytes().strip()).hexdigest()
            (self.home / "tokens.yaml").write_text(f"tokens:\n  - {{name: me, sha256: {digest}, sees: all}}\n")
            self.types(CERTIFICATE)
        if "--clear order-17" in line:
            (self.home / "order.py").write_text(ORDER)
            self.types("OTEL_COSTSPAN_BUDGETS=budgets.yaml costspan run python order.py")

    def books(self, records: str) -> None:
        """Write a page's example of usage down, and send it to the server that takes some."""
        if '"records"' not in records:
            return
        (self.home / "usage.json").write_text(records)
        if self.accepts:
            self.types(
                f"curl -s http://127.0.0.1:{self.port}/v1/usage/records -H 'Content-Type: application/json' -d @usage.json"
            )

    def types(self, line: str) -> str:
        """What a line prints, on both outputs; it must end well."""
        self._edit(line)
        line = self.here(line)
        before = list(self._kept)
        if line.startswith(("export ", "cd ")):
            self._kept.append(line)
        ran = subprocess.run(
            [BASH, "-e", "-o", "pipefail", "-c", "\n".join([*before, line])], cwd=self.home, env=self.environ,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (ran.returncode, "Traceback" in ran.stdout) == (0, False), f"{line}\n{ran.stdout}"
        return ran.stdout

    def starts(self, line: str, sign: str) -> None:
        """Start on a terminal what goes on until Ctrl+C, in the place of what went on before, and wait for the sign."""
        self.presses_ctrl_c()
        self._edit(line)
        self.accepts = "--accept" in line
        command = "\n".join([*self._kept, f"exec {self.here(line)}"])
        screen, terminal = os.openpty()
        self._screen = screen
        self._going_on = subprocess.Popen(
            [BASH, "-c", command], cwd=self.home, env=self.environ, stdin=terminal, stdout=terminal, stderr=terminal
        )
        os.close(terminal)
        said = ""
        while not re.search(sign, said):
            told = self._told()
            assert told, f"{line}\n{said}"
            said += told

    def _told(self) -> str:
        """What is told next; nothing at the end of the program."""
        try:
            return os.read(self._screen, 4096).decode(errors="replace")
        except OSError:  # a terminal that nobody holds any more
            return ""

    def presses_ctrl_c(self) -> None:
        """End what goes on; it ends well."""
        going_on, self._going_on = self._going_on, None
        if going_on is None:
            return
        going_on.send_signal(signal.SIGINT)
        said = "".join(iter(self._told, ""))
        os.close(self._screen)
        assert (going_on.wait(20), "Traceback" in said) == (0, False), said

    def leaves(self) -> None:
        """Nothing goes on, also where a test has failed."""
        if self._going_on is not None:
            self._going_on.kill()
            self._going_on.wait()
            os.close(self._screen)
            self._going_on = None
