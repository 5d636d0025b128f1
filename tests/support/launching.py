"""Programs that a test starts by a launcher, in an environment that says nothing of OpenTelemetry, and their ledger."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

BIN: Final = Path(sys.executable).parent
INSTRUMENT: Final = str(BIN / "opentelemetry-instrument")
COSTSPAN: Final = str(BIN / "costspan")

APP: Final = """
import anthropic, openai

asked = [{"role": "user", "content": "How are you?"}]
with openai.OpenAI() as client:
    client.chat.completions.create(model="gpt-4o-mini", messages=asked)
    for chunk in client.chat.completions.create(model="gpt-4o-mini", messages=asked, stream=True):
        assert chunk.choices, "the caller did not ask for a chunk without choices"
with anthropic.Anthropic() as client:
    client.messages.create(model="claude-haiku-4-5", max_tokens=50, messages=asked)
"""


def start(command: list[str], home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run to the end, in an environment that says nothing of OpenTelemetry but what `more` says."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}
    environ = kept | {"HOME": str(home), "XDG_DATA_HOME": "", "PATH": f"{BIN}{os.pathsep}{kept['PATH']}"} | more
    return subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, check=False, timeout=120)


def rows(home: Path) -> list[dict[str, Any]]:
    """What the default ledger holds; nothing where there is none."""
    path = home / ".local" / "share" / "costspan" / "ledger.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as ledger:
        ledger.row_factory = sqlite3.Row
        return [dict(row) for row in ledger.execute("SELECT * FROM calls")]
