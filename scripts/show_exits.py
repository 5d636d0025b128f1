"""Write the table of exit paths into docs/exits.md.

    python scripts/show_exits.py [--check]

tests/process/test_exits.py proves the table, and fails when the document shows another.
"""

from __future__ import annotations

import re
import sys

from pages import ROOT, deliver

sys.path.insert(0, str(ROOT / "tests" / "support"))

from exits.ways import table  # found by the line above

DOCUMENT = ROOT / "docs" / "exits.md"
BLOCK = re.compile(r"(?<=<!-- ways -->\n).*?(?=<!-- end of ways -->)", re.DOTALL)

if __name__ == "__main__":
    deliver({DOCUMENT: lambda page: BLOCK.sub(lambda _: table(), page)}, str(__doc__))
