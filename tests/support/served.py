"""A client of the application, without a socket; and the command itself on one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from starlette.testclient import TestClient

from costspan.serve.app import build

_SERVED: Final = re.compile(r"is served at (\S+) ")


def client(ledger: Path, **options: Any) -> TestClient:
    """Asks the application over a ledger."""
    return TestClient(build(ledger, **options), base_url="http://127.0.0.1:8321", raise_server_exceptions=False)


@contextmanager
def serving(*words: str, **environ: str) -> Generator[tuple[str, subprocess.Popen[str]]]:
    """`costspan serve` with these words on a free port; its address and the process. Ended by SIGTERM."""
    command = [sys.executable, "-m", "costspan", "serve", "--port", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ or None)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        told = _SERVED.search(line)
        assert told, line + (process.communicate(timeout=60)[1] if not line else "")
        yield told[1], process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)
