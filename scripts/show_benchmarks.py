"""Write into README.md and benchmarks/README.md what benchmarks/RESULTS.md says: how right the contenders are, and what they cost.

python scripts/show_benchmarks.py [--check]
"""

from __future__ import annotations

import re

from pages import ROOT, deliver, table, with_parts

RESULTS = ROOT / "benchmarks" / "RESULTS.md"
README = ROOT / "README.md"
PAGE = ROOT / "benchmarks" / "README.md"
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
    right = _right(results)
    costs = [column(results, title, name) for title, name in ((_PROCESS, "sync"), (_CALL, "sync"), (_EVENT, "stream"))]
    rows = [(f"`{name}`", right[name], *(cost.get(name, "not measured") for cost in costs)) for name in right]
    return table(_HEAD, rows)


def sentence(results: str) -> str:
    """The same of costspan alone, and of the best of the others."""
    (ours, right), (_, next_best), *_ = _right(results).items()
    times = re.search(r"\((.*?)x\)", column(results, _PROCESS, "sync")[ours])
    if ours != "costspan" or times is None:
        raise ValueError(f"{RESULTS.name} says nothing of costspan that the README could say")
    return (
        f"Of {right.split()[-1]} ways of calling, costspan counts {right.split()[0]} right, and the best of its peers "
        f"{next_best.split()[0]}. A call costs the process {times[1]} of\nwhat a hand-written wrapper adds: "
        "[how it is measured](benchmarks/README.md), [all results](benchmarks/RESULTS.md)."
    )


def _right(results: str) -> dict[str, str]:
    head, *_, last = rows_of(results, _WAYS)
    found = {name: count.strip("* ") for name, count in zip(head[1:], last[1:], strict=True)}
    return dict(sorted(found.items(), key=lambda one: -int(one[1].split()[0])))


if __name__ == "__main__":
    told = RESULTS.read_text()
    shown = {README: sentence(told), PAGE: summary(told)}
    deliver(
        {path: lambda page, text=text: with_parts(page, {"benchmarks": text}) for path, text in shown.items()},
        str(__doc__),
    )
