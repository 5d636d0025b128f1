"""The example's stand-in for the providers, as a process of its own for as long as a test needs it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
EXAMPLE: Final = ROOT / "examples" / "agent"


@contextlib.contextmanager
def stand_in() -> Generator[str]:
    """The address of a stand-in that has served nothing yet."""
    command = [sys.executable, "-m", "stand_in"]
    with subprocess.Popen(command, cwd=EXAMPLE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()
            server.wait(30)


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
    }
