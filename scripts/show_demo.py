"""Write what `make demo` prints into the README.

    python scripts/show_demo.py [--check]

tests/house/test_demo.py fails when the README shows something else.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from pages import ROOT, deliver

README = ROOT / "README.md"
BLOCK = re.compile(r"(?<=<!-- make demo -->\n```text\n).*?(?=```)", re.DOTALL)


def report() -> str:
    """The first table of the demo's report, and the sentences that are true of every run on every machine."""
    with tempfile.TemporaryDirectory() as home:
        environ = os.environ | {"HOME": home, "XDG_DATA_HOME": "", "COLUMNS": "110", "TERM": "dumb"}
        command = [str(Path(sys.executable).parent / "costspan"), "demo"]
        printed = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    lines = [line.rstrip() for line in printed.replace(home, "~").splitlines()]
    first, total, average, ledger = (
        next(number for number, line in enumerate(lines) if line.startswith(words))
        for words in ("The stand-in counted", " Total", "On average", "The ledger: ")
    )
    counted = lines[first].replace(". ", ".\n")  # a page does not wrap a block
    shown = [counted, *lines[first + 1 : total + 1], "", *lines[average + 1 : ledger]]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(shown)) + "\n"


if __name__ == "__main__":
    deliver({README: lambda page: BLOCK.sub(lambda _: report(), page)}, str(__doc__))
