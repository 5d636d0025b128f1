"""Pages with parts that a script writes. A part stands between `<!-- name -->` and `<!-- end of name -->`.

Each script of this folder that shows something (`show_*.py`) writes its pages, or with --check compares them, writes
nothing and exits with 1 where one is stale.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent


def with_parts(page: str, parts: Mapping[str, str]) -> str:
    """The page with each part as it is now. Raises KeyError for a part that the page has no place for."""
    for name, text in parts.items():
        place = re.compile(rf"(?<=<!-- {re.escape(name)} -->\n).*?(?=<!-- end of {re.escape(name)} -->)", re.DOTALL)
        if not place.search(page):
            raise KeyError(f"the page has no place for {name!r}: write <!-- {name} --> and <!-- end of {name} -->")
        page = place.sub(lambda _, text=text: f"\n{text.strip()}\n\n", page)
    return page


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown. An upright stroke within a cell is written so that it does not end the cell."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def code(*words: str) -> str:
    """Words as they are typed, with commas between."""
    return ", ".join(f"`{word}`" for word in words)


def deliver(shown: Mapping[Path, Callable[[str], str]], described: str, arguments: Sequence[str] | None = None) -> None:
    """Write each page as its function gives it back, or compare it; `described` is the script's docstring."""
    parser = argparse.ArgumentParser(description=described, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing, exit 1 if a page is stale")
    is_check = parser.parse_args(arguments).check
    stale: list[str] = []
    for path, written in shown.items():
        page = path.read_text(encoding="utf-8")
        fresh = written(page)
        if page == fresh:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if not is_check:
            path.write_text(fresh, encoding="utf-8")
    if stale and is_check:
        sys.exit(f"{Path(sys.argv[0]).name}: not as the code has it: {', '.join(stale)}. Run make generate.")
    print(f"{Path(sys.argv[0]).name}: {'wrote ' + ', '.join(stale) if stale else 'fresh'}")
