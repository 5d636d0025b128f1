"""The usage page over the ledger of a demo."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from pictures.photographing import Photographer

NAMES: Final = ("usage-page",)
_SIZE: Final = (1100, 1400)


def photograph(photographer: Photographer) -> None:
    """Run the demo, serve its ledger, and have the first screen of the page taken."""
    costspan = Path(sys.executable).with_name("costspan")
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "demo.db"
        subprocess.run([costspan, "demo", "--ledger", ledger], stdout=subprocess.DEVNULL, check=True)
        command = [costspan, "serve", "--port", "0", "--ledger", ledger]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
            try:
                said = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in server.stdout or ())
                address = next(found[0] for found in said if found)
                photographer.of_page(NAMES[0], _SIZE, lambda page, _: page.goto(address), is_whole=False)
            finally:
                server.terminate()
