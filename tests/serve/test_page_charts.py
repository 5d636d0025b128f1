"""What the usage page draws and compares: bars to scale, labels with room, steps without gaps, the period before."""

from __future__ import annotations

import itertools
import re
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from costspan.report.period import Period, parse
from costspan.report.values import UsageDay, UsageTotals
from costspan.serve import chart
from costspan.serve.page_before import before
from costspan.serve.page_figures import MOST_BARS, steps

BERLIN: Final = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("period", "zone", "now", "since", "until"),
    [
        ("today", BERLIN, "2026-03-30 15:00", "2026-03-29 00:00", "2026-03-29 15:00"),
        ("today", timezone.utc, "2026-03-30 15:00", "2026-03-29 00:00", "2026-03-29 15:00"),
        ("yesterday", BERLIN, "2026-03-30 15:00", "2026-03-28 00:00", "2026-03-29 00:00"),
        ("7d", BERLIN, "2026-10-28 09:30", "2026-10-15 00:00", "2026-10-21 09:30"),
        ("this-month", BERLIN, "2026-04-10 09:30", "2026-03-01 00:00", "2026-03-10 09:30"),
        ("this-month", BERLIN, "2026-03-31 09:30", "2026-02-01 00:00", "2026-03-01 00:00"),
        ("last-month", BERLIN, "2026-04-10 09:30", "2026-02-01 00:00", "2026-03-01 00:00"),
        ("2026-03-05..2026-03-07", BERLIN, "2026-04-10 09:30", "2026-03-02 00:00", "2026-03-05 00:00"),
        ("24h", timezone.utc, "2026-04-10 09:30", "2026-04-08 09:30", "2026-04-09 09:30"),
    ],
)
def test_a_period_is_compared_with_the_one_before(period: str, zone: tzinfo, now: str, since: str, until: str) -> None:
    """As many days by the calendar, a month with a month, and no more of it than has passed of this one."""

    def at(text: str) -> float:
        return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()

    asked = parse(period, zone, at(now))
    assert before(asked, zone, at(now)) == Period("", int(at(since)) * 10**9, int(at(until)) * 10**9)


def test_no_period_comes_before_all_time() -> None:
    """Nor before one that has not begun."""
    assert before(Period("all"), timezone.utc, 10.0) is None
    assert before(Period("", 20 * 10**9), timezone.utc, 10.0) is None


def _columns(*amounts: tuple[int, ...]) -> list[chart.Column]:
    return [chart.Column(f"{number}", "", amount, "/") for number, amount in enumerate(amounts)]


def test_bars_are_to_scale_and_what_is_little_is_seen() -> None:
    """Parts lie on each other; the least height is that of what is not zero."""
    picture = chart.stacked(_columns((600, 400), (1, 0), (0, 0)), str)
    assert picture is not None
    heights = [[float(re.findall(r"v([\d.]+)", part)[0]) if part else 0 for part in bar.parts] for bar in picture.bars]
    assert heights == [[93.6, 62.4], [chart.LEAST, 0], [0, 0]]
    assert [tick.text for tick in picture.ticks] == ["0", "500", "1000"]
    assert (picture.bars[0].top, picture.shown) == (chart.TOP, (0, 1))
    assert chart.stacked(_columns((0, 0)), str) is None
    assert chart.stacked([], str) is None


@pytest.mark.parametrize(("days", "labels"), [(1, 1), (14, 14), (15, 5), (31, 11), (32, 5), (93, 14)])
def test_labels_of_days_leave_room(days: int, labels: int) -> None:
    """Every day up to 14, every third up to 31, every seventh beyond."""
    picture = chart.stacked(_columns(*[(1,)] * days), str)
    assert picture is not None
    assert sum(bar.is_labelled for bar in picture.bars) == labels


@pytest.mark.parametrize(("count", "step"), [(1, "day"), (MOST_BARS, "day"), (101, "week"), (365, "week"), (2_000, "month"), (9_000, "year")])  # fmt: skip
def test_many_days_become_weeks_and_months(count: int, step: str) -> None:
    """No day is lost or counted twice, and none overlaps."""
    one = UsageTotals(1, 2, 3, 4, 5, 6, Decimal("0.1"), Decimal(0), Decimal(0), 0, 0)
    first = datetime(2020, 5, 6, tzinfo=timezone.utc).date()
    found, spans = steps([UsageDay(first + timedelta(days=n), one) for n in range(count)])
    assert found == step
    assert len(spans) <= MOST_BARS
    assert sum(span.totals.calls for span in spans) == count
    assert sum((span.totals.cost_usd for span in spans), Decimal(0)) == count * Decimal("0.1")
    assert all(here.last + timedelta(days=1) == there.first for here, there in itertools.pairwise(spans))
