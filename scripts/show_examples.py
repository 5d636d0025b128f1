"""Write the examples of examples/in_code into the pages of docs/start.

    python scripts/show_examples.py [--check]

A page has `<!-- file -->` and `<!-- end of file -->` where it shows one. tests/process/test_in_code.py runs the files.
"""

from __future__ import annotations

import re
from pathlib import Path

from pages import ROOT, deliver, with_parts

FOLDER = ROOT / "examples" / "in_code"
PAGES = sorted((ROOT / "docs" / "start").glob("*.md"))
#: Language of a block by the ending of the file. Not `python`: such blocks are run as they stand, and these as files.
LANGUAGES = {".py": "py", ".yaml": "yml"}


def shown(page: str) -> str:
    """The page with each file that it names."""
    names = re.findall(r"^<!-- end of (\S+) -->$", page, re.MULTILINE)
    return with_parts(page, {name: _block(FOLDER / name) for name in names})


def _block(file: Path) -> str:
    language = LANGUAGES.get(file.suffix, "text")
    return f"```{language}\n{file.read_text(encoding='utf-8').strip()}\n```"


if __name__ == "__main__":
    deliver(dict.fromkeys(PAGES, shown), str(__doc__))
