"""Write the list of decisions into docs/decisions/README.md, by number.

python scripts/show_decisions.py [--check]
"""

from __future__ import annotations

from pages import ROOT, deliver, with_parts

FOLDER = ROOT / "docs" / "decisions"
PAGE = FOLDER / "README.md"


def shown(page: str) -> str:
    """The page with one line for each decision: its title, as it stands in its first line."""
    found = sorted(path for path in FOLDER.glob("*.md") if path != PAGE)
    lines = [f"- [{path.read_text().splitlines()[0].removeprefix('# ')}]({path.name})" for path in found]
    return with_parts(page, {"decisions": "\n".join(lines)})


if __name__ == "__main__":
    deliver({PAGE: shown}, str(__doc__))
