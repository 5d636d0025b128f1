"""facts/periods.py: the day and month of a moment, against the standard library over a century of clocks."""

from __future__ import annotations

import threading
import timeit
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from costspan.facts.periods import NS_PER_S, Periods

ZONES = sorted(available_timezones())
MOMENTS_S = st.integers(0, 4_102_444_800)  # 1970 to 2100
# A zone, a moment, and steps from there: near ones hit the kept stretch, far ones leave it.
STEPS_S = st.lists(st.one_of(st.integers(-90, 90), st.integers(-100_000, 100_000)), max_size=30)


def words(periods: Periods, ns: int) -> tuple[str, str, str]:
    return periods.day(ns), periods.month(ns), periods.weekday(ns)


def truth(zone: str, moment_s: int) -> tuple[str, str, str]:
    local = datetime.fromtimestamp(moment_s, ZoneInfo(zone))
    return local.strftime("%Y%m%d"), local.strftime("%Y%m"), local.strftime("%u")


@given(zone=st.sampled_from(ZONES), moment_s=MOMENTS_S, steps_s=STEPS_S, below_s=st.integers(0, NS_PER_S - 1))
@example(zone="America/St_Johns", moment_s=1_289_097_060, steps_s=[-1, 60, -61, 3_599, 1, 60], below_s=0)
@example(zone="Africa/Monrovia", moment_s=63_593_070, steps_s=[-1, 1, 29, 1, 2_641], below_s=0)
@example(zone="Africa/Casablanca", moment_s=1_771_120_800, steps_s=[-1, 0, 1, 86_399], below_s=999_999_999)
def test_the_words_of_a_moment_are_those_of_the_zone(
    zone: str, moment_s: int, steps_s: list[int], below_s: int
) -> None:
    """Whatever was asked before, every moment gets the day, month and weekday that its zone's clock shows."""
    periods = Periods(zone)
    for step_s in [0, *steps_s]:
        moment_s = max(0, moment_s + step_s)
        assert words(periods, moment_s * NS_PER_S + below_s) == truth(zone, moment_s), (zone, moment_s)


BORDERS = [
    # zone                 first moment of the new day (UTC)   before                     after
    ("UTC",                "2026-12-01T00:00:00+00:00", ("20261130", "202611", "1"), ("20261201", "202612", "2")),
    ("UTC",                "2027-01-01T00:00:00+00:00", ("20261231", "202612", "4"), ("20270101", "202701", "5")),
    ("UTC",                "2028-02-29T00:00:00+00:00", ("20280228", "202802", "1"), ("20280229", "202802", "2")),
    ("Europe/Berlin",      "2026-11-30T23:00:00+00:00", ("20261130", "202611", "1"), ("20261201", "202612", "2")),
    ("Europe/Berlin",      "2027-03-27T23:00:00+00:00", ("20270327", "202703", "6"), ("20270328", "202703", "7")),
    ("Europe/Berlin",      "2027-03-28T22:00:00+00:00", ("20270328", "202703", "7"), ("20270329", "202703", "1")),
    ("Europe/Berlin",      "2026-10-24T22:00:00+00:00", ("20261024", "202610", "6"), ("20261025", "202610", "7")),
    ("Europe/Berlin",      "2026-10-25T23:00:00+00:00", ("20261025", "202610", "7"), ("20261026", "202610", "1")),
    ("America/New_York",   "2026-11-01T04:00:00+00:00", ("20261031", "202610", "6"), ("20261101", "202611", "7")),
    ("America/New_York",   "2026-11-02T05:00:00+00:00", ("20261101", "202611", "7"), ("20261102", "202611", "1")),
    ("Asia/Kathmandu",     "2026-12-31T18:15:00+00:00", ("20261231", "202612", "4"), ("20270101", "202701", "5")),
    ("Pacific/Kiritimati", "2026-12-31T10:00:00+00:00", ("20261231", "202612", "4"), ("20270101", "202701", "5")),
    # The clock goes from 24:00 straight to 01:00: the day begins with the change.
    ("Africa/Cairo",       "2027-04-29T22:00:00+00:00", ("20270429", "202704", "4"), ("20270430", "202704", "5")),
    # A day that never was: Samoa went from Thursday to Saturday.
    ("Pacific/Apia",       "2011-12-30T10:00:00+00:00", ("20111229", "201112", "4"), ("20111231", "201112", "6")),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "border", "before", "after"), BORDERS, ids=[f"{row[0]}-{row[1]}" for row in BORDERS])
def test_the_words_change_in_the_nanosecond_in_which_the_day_does(
    zone: str, border: str, before: tuple[str, str, str], after: tuple[str, str, str]
) -> None:
    """The last nanosecond belongs to the old day and the next one to the new day, asked in either order."""
    border_ns = int(datetime.fromisoformat(border).timestamp()) * NS_PER_S
    for order in ((-1, 0), (0, -1)):
        periods = Periods(zone)
        got = {step: words(periods, border_ns + step) for step in order}
        assert got == {-1: before, 0: after}


@pytest.mark.parametrize("name", ["", "Europe/Atlantis", "../etc/passwd", "/etc/localtime", "UTC+1", "Europe", "a\0b"])
def test_an_unknown_zone_is_refused_with_the_name_and_the_way_out(name: str) -> None:
    """A zone that the tz database does not know is a ValueError that says what was expected."""
    with pytest.raises(ValueError, match="expected a name of the tz database such as `UTC` or `Europe/Berlin`"):
        Periods(name)


def test_threads_on_both_sides_of_midnight_share_one_object() -> None:
    """A thread never gets the day of another thread's moment."""
    periods, border_ns, wrong = Periods("Europe/Berlin"), 1_796_079_600 * NS_PER_S, list[str]()

    def ask(ns: int, day: str, month: str) -> None:
        for _ in range(5_000):
            if (periods.day(ns), periods.month(ns)) != (day, month):
                wrong.append(day)

    rows = [(border_ns - 1, "20261130", "202611"), (border_ns, "20261201", "202612")] * 2
    threads = [threading.Thread(target=ask, args=row) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_question_about_the_same_day_is_cheap() -> None:
    """The kept stretch answers without the calendar: far below what one look at the calendar costs."""
    periods, now_ns = Periods("Europe/Berlin"), 1_795_600_000 * NS_PER_S
    periods.month(now_ns)
    kept_s = min(timeit.repeat(lambda: periods.month(now_ns), number=2_000, repeat=7))
    looked_up_s = min(timeit.repeat(lambda: Periods("Europe/Berlin").month(now_ns), number=500, repeat=7)) * 4
    assert kept_s * 4 < looked_up_s
