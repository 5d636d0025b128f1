"""Write into README.md what benchmarks/RESULTS.md says: how right the contenders are, and what they cost.

python scripts/show_benchmarks.py [--check]
"""

from __future__ import annotations

import re

from pages import ROOT, deliver, table, with_parts

RESULTS = ROOT / "benchmarks" / "RESULTS.md"
README = ROOT / "README.md"
_WAYS, _CALL, _PROCESS, _EVENT = (
    "Are the figures right?",
    "Instructions per call, in the caller's thread",
    "Instructions per call, whole process",
    "Instructions per event",
)
_HEAD = (
    "",
    "ways of calling counted right",
    "added to the process by a call, kIr",
    "of it in the caller's thread",
    "added to a stream's event, kIr",
)


def rows_of(results: str, title: str) -> list[list[str]]:
    """The lines of the table under a title, the columns' names first. Raises ValueError where there is none."""
    section = re.search(rf"^## {re.escape(title)}.*?(?=^## |\Z)", results, re.DOTALL | re.MULTILINE)
    lines = [line for line in section[0].splitlines() if line.startswith("|")] if section else []
    if not lines:
        raise ValueError(f"{RESULTS.name} has no table under `## {title}`: run make bench")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells[0], *cells[2:]]


def column(results: str, title: str, name: str) -> dict[str, str]:
    """One column of a table, by the first cell of each line."""
    head, *rows = rows_of(results, title)
    at = head.index(name)
    return {row[0]: row[at] for row in rows if row[at]}


def summary(results: str) -> str:
    """Contenders, the right ones first: ways of calling that they get right, what they add to a call and an event."""
    head, *_, last = rows_of(results, _WAYS)
    right = {name: found.strip("* ") for name, found in zip(head[1:], last[1:], strict=True)}
    costs = [column(results, title, name) for title, name in ((_PROCESS, "sync"), (_CALL, "sync"), (_EVENT, "stream"))]
    ranked = sorted(right, key=lambda name: -int(right[name].split()[0]))
    rows = [(f"`{name}`", right[name], *(cost.get(name, "not measured") for cost in costs)) for name in ranked]
    return table(_HEAD, rows)


if __name__ == "__main__":
    deliver({README: lambda page: with_parts(page, {"benchmarks": summary(RESULTS.read_text())})}, str(__doc__))
