"""The page about the stack gives the number of series as the code reckons it."""

from __future__ import annotations

import re

from stack.chaos.series import A_HISTOGRAM, A_LEDGER, A_MONTH, A_PROCESS, A_SESSION, A_WEEKDAY, expected

from promtools import ROOT


def test_the_page_has_the_function_and_what_it_comes_to() -> None:
    """A metric more is a figure more on the page: formula, list and table."""
    page = (ROOT / "docs" / "stack.md").read_text(encoding="utf-8")
    a_kind = f"{A_MONTH} x months + {A_WEEKDAY} x weekdays + {A_HISTOGRAM} or, with streams, {2 * A_HISTOGRAM}"
    of_process = f"processes x ({A_PROCESS} + {A_LEDGER} with a ledger + kinds x ({a_kind}))"
    assert f"    {of_process} + {A_SESSION} x sessions\n" in page
    assert f"- {A_WEEKDAY} a weekday" in page
    assert f"10,000 kinds are {10_000 * (A_MONTH + A_WEEKDAY):,} series" in page
    rows = re.findall(r"^\| (?:\d+ (?:kind|models).*|the same.*) \| [\d,]+ \| ([\d,]+) \|$", page, re.MULTILINE)
    work = [expected(kinds, processes=processes) for kinds, processes in ((1, 1), (72, 1), (72, 3))]
    sessions = [expected(1, sessions=number) for number in (10, 1_000)]
    assert f"At 100,000 sessions, which are {expected(1, sessions=100_000):,} series" in page
    assert rows == [f"{number:,}" for number in (*work, *sessions)]
