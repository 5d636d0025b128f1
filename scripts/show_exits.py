"""Write the table of exit paths into docs/exits.md.

    python scripts/show_exits.py

tests/test_exits.py proves the table, and fails when the document shows another.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from exits.ways import table  # noqa: E402  # found by the line above

DOCUMENT = ROOT / "docs" / "exits.md"
BLOCK = re.compile(r"(?<=<!-- ways -->\n).*?(?=<!-- end of ways -->)", re.DOTALL)

if __name__ == "__main__":
    DOCUMENT.write_text(BLOCK.sub(lambda _: table(), DOCUMENT.read_text()))
