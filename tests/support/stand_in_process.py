"""The example's stand-in for the providers, as a process of its own for as long as a test needs it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from typing import Any, Final

from places import ROOT

EXAMPLE: Final = ROOT / "examples" / "agent"


@contextlib.contextmanager
def stand_in() -> Generator[str]:
    """The address of a stand-in that has served nothing yet; it must end without a complaint."""
    command = [sys.executable, "-m", "stand_in"]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=EXAMPLE, **pipes) as server:
        assert server.stdin
        assert server.stdout
        assert server.stderr
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()
            complaints = server.stderr.read()
    assert (server.returncode, complaints) == (0, "")


def served(address: str) -> dict[str, Any]:
    """What the stand-in has served so far: `totals` and `requests`."""
    with urllib.request.urlopen(f"{address}/served") as answer:
        return json.load(answer)


def client_environment(address: str) -> dict[str, str]:
    """The variables by which the clients find the stand-in."""
    return {
        "OPENAI_BASE_URL": f"{address}/v1",
        "OPENAI_API_KEY": "no key needed",
        "ANTHROPIC_BASE_URL": address,
        "ANTHROPIC_API_KEY": "no key needed",
        "OTEL_COSTSPAN_HOSTS": "127.0.0.1=vendor",
    }
