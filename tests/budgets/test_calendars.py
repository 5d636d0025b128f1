"""Every period against a calendar that is written apart: local dates, one day after the other, in zones with odd clocks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.budgets import periods
from costspan.facts.periods import NS_PER_S
from ledger_calls import at_ns

# Clocks that change at midnight forwards and back, by half an hour and by two hours, in the south, and never.
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Asia/Beirut", "Africa/Cairo", "America/Havana",
    "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Kathmandu", "Pacific/Auckland",
)  # fmt: skip


def local(name: str, ns: int) -> date:
    """The date on the calendar of the zone."""
    return datetime.fromtimestamp(ns // NS_PER_S, ZoneInfo(name)).date()


def cycle(day: int, at: date) -> date:
    """The day on which the month around a date began: back to the first that is that day, or the last of a shorter month."""
    while at.day != day and not (at.day < day and (at + timedelta(days=1)).day == 1):
        at -= timedelta(days=1)
    return at


REFERENCE: list[tuple[periods.Period, Callable[[date], object]]] = [
    (periods.DAY, lambda at: at),
    (periods.WEEK, lambda at: at.isocalendar()[:2]),
    (periods.MONTH, lambda at: (at.year, at.month)),
    *((periods.month_from(day), functools.partial(cycle, day)) for day in (2, 15, 28, 29, 30, 31)),
]
_FIRST_S, _LAST_S = at_ns("2020-01-01") // NS_PER_S, at_ns("2040-01-01") // NS_PER_S


def _ns(seconds: int) -> int:
    return seconds * NS_PER_S


def _near_midnight(day: int, minute: int) -> int:
    return _ns(_FIRST_S + day * 86_400 + minute * 60)


# Any second of twenty years; and the minutes around midnight, where clocks change and periods end.
MOMENTS = st.one_of(
    st.integers(_FIRST_S, _LAST_S).map(_ns),
    st.builds(_near_midnight, st.integers(0, 20 * 365), st.integers(-180, 180)),
)


@given(st.sampled_from(REFERENCE), st.sampled_from(ZONES), MOMENTS)
def test_a_period_has_the_moments_of_its_dates_and_no_others(
    row: tuple[periods.Period, Callable[[date], object]], name: str, now_ns: int
) -> None:
    """What the calendar calls by one name is one stretch: it begins after the last second of another, and ends before the next."""
    period, named = row
    stretch = period.around(ZoneInfo(name), now_ns)
    mine = named(local(name, now_ns))
    assert stretch.start_ns <= now_ns < stretch.end_ns
    assert named(local(name, stretch.start_ns)) == mine == named(local(name, stretch.end_ns - 1))
    assert named(local(name, stretch.start_ns - 1)) != mine != named(local(name, stretch.end_ns))
    assert 0 <= stretch.elapsed < 1


LABELS = [
    # period, moment, label, as people write it
    ("week",     "2027-01-03 12:00", "2026W53",  "2026-W53"),
    ("week",     "2027-01-04 12:00", "2027W01",  "2027-W01"),
    ("month-31", "2028-02-29 00:00", "20280229", "from 2028-02-29"),
    ("month-31", "2028-02-28 23:59", "20280131", "from 2028-01-31"),
    ("month-29", "2027-02-28 00:00", "20270228", "from 2027-02-28"),
    ("month-15", "2026-12-14 23:59", "20261115", "from 2026-11-15"),
    ("day",      "2028-02-29 12:00", "20280229", "2028-02-29"),
    ("24h",      "2028-02-29 12:00", "24h",      "24h"),
    ("session",  "2028-02-29 12:00", "session",  "session"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "moment", "label", "shown"), LABELS)
def test_a_period_is_named_by_its_label(name: str, moment: str, label: str, shown: str) -> None:
    """The turn of the ISO year, leap days, and days that a month lacks."""
    span = periods.of(name)
    assert span.around(ZoneInfo("UTC"), at_ns(moment)).label == label
    assert span.shown(label) == shown


def test_a_window_is_so_many_hours_whatever_the_clock_does() -> None:
    """A day of 25 hours has no window of 25 hours; the moment itself is in the window, the one a day before is not."""
    now_ns = at_ns("2026-10-25 12:00")
    stretch = periods.of("24h").around(ZoneInfo("Europe/Berlin"), now_ns)
    assert (stretch.start_ns, stretch.end_ns) == (at_ns("2026-10-24 12:00") + 1, now_ns + 1)


@pytest.mark.parametrize("name", ["", "year", "month-0", "month-32", "month-x", "0h", "32d", "24", "1w", "day-2"])
def test_a_name_that_is_no_period_is_refused(name: str) -> None:
    """With the names that are."""
    with pytest.raises(ValueError, match="is no period: expected day, week, month, session"):
        periods.of(name)
