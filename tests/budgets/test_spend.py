"""The spend of a day and a month, asked of a real Prometheus, is what was truly spent, at every boundary."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from grafana.source.promql import RANGE, grown

from costspan.alerting import calendar
from costspan.alerting.rules import budget_rules
from costspan.alerting.series import (
    CURRENT_DAY,
    CURRENT_MONTH,
    CURRENT_WEEK,
    CURRENT_WEEKDAY,
    LOCAL_TIME,
    SPEND_DAY,
    SPEND_MONTH,
    SPEND_WEEK,
    Series,
)
from costspan.alerting.spend import window
from costspan.budgets.periods import WEEK
from costspan.budgets.policy import USD, Budget, Policy
from costspan.facts.periods import NS_PER_S, Periods, zone
from costspan.names import COST_USD
from fleet import Fleet, Process, Spend, busy_fleet, moment_s
from promtools import Server, prometheus

# A zone without changes, one that changes at 01:00 UTC, one that changes at 02:00 of its own time (in 2026 on the
# first of November), the southern half of the year, an odd offset, half an hour of change, changes at midnight.
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Asia/Kathmandu", "Australia/Lord_Howe",
    "Africa/Cairo", "Africa/Casablanca",
]  # fmt: skip


def recorded(time_zone: str) -> dict[str, str]:
    """The expressions of the rules by the series they record (the first where there are several)."""
    weekly = Budget("weekly", "week", USD, Decimal(1))  # the week is recorded where a budget is for it
    rules = cast("Any", budget_rules(Policy((weekly,), time_zone)))["groups"][0]["rules"]
    return {rule["record"]: rule["expr"] for rule in reversed(rules) if "record" in rule}


def whole(series: Series, rules: dict[str, str]) -> str:
    """The expression of a recorded series with all other recorded series in it written out: it needs no rule run."""
    expression = rules[series.name]
    names = re.compile("|".join(rf"{name}(?![\w:{{])" for name in rules))
    while names.search(expression):
        expression = names.sub(lambda found: f"({rules[found[0]]})", expression)
    return expression


def borders_s(time_zone: str) -> list[int]:
    """Every change of the clock in the table, every month's beginning, and every third day's in 2026 and 2027."""
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(730)]
    months = [dt.date(year, month, 1) for year in range(2025, 2041) for month in range(1, 13)]
    starts = [moment_s(time_zone, day.year, day.month, day.day) for day in [*days[::3], *months]]
    return sorted({*starts, *(change.at_s for change in calendar.changes(zone(time_zone)))})


@pytest.mark.parametrize("time_zone", ZONES)
def test_promql_knows_the_day_in_every_second_around_every_boundary(time_zone: str, empty_prometheus: Server) -> None:
    """Second by second, the compiled calendar says the same as the program that stamps the calls."""
    rules, periods = recorded(time_zone), Periods(time_zone)
    words = " or ".join(
        f"({whole(series, rules)})" for series in (CURRENT_MONTH, CURRENT_DAY, CURRENT_WEEK, CURRENT_WEEKDAY)
    )
    wrong: list[tuple[int, object, object]] = []
    for border in borders_s(time_zone):
        known = range(round(calendar.TABLE_START.timestamp()), round(calendar.TABLE_END.timestamp()))
        seconds = [second for second in (border - 1, border) if second in known]
        for second, found in empty_prometheus.told_in(words, seconds).items() if seconds else ():
            ns, told = second * NS_PER_S, {labels[0][1] for labels in found}
            week = WEEK.around(zone(time_zone), ns).label
            if told != {periods.month(ns), periods.day(ns), week, periods.weekday(ns)}:
                wrong.append((second, told, periods.day(ns)))
    assert wrong == []


def test_after_the_last_known_change_the_clock_is_absent_rather_than_wrong(empty_prometheus: Server) -> None:
    """The table of changes ends; a zone without changes goes on."""
    end_s = round(calendar.TABLE_END.timestamp())
    berlin = whole(LOCAL_TIME, recorded("Europe/Berlin"))
    assert empty_prometheus.query(berlin, end_s - 1)
    assert empty_prometheus.query(berlin, end_s) == {}
    assert empty_prometheus.query(whole(LOCAL_TIME, recorded("UTC")), end_s) == {(): end_s}


# From, to: each with a change of the clock or of the year, and the end of a month in it.
STRETCHES = [
    ("UTC",              (2026, 12, 19), (2027, 1, 8)),
    ("Europe/Berlin",    (2026, 3, 18),  (2026, 4, 7)),
    ("Europe/Berlin",    (2026, 10, 14), (2026, 11, 3)),
    ("Europe/Berlin",    (2026, 12, 19), (2027, 1, 8)),
    ("America/New_York", (2026, 2, 25),  (2026, 3, 17)),
    ("America/New_York", (2026, 10, 22), (2026, 11, 11)),
]  # fmt: skip


@pytest.mark.parametrize(("time_zone", "start", "end"), STRETCHES, ids=[f"{row[0]}-{row[1]}" for row in STRETCHES])
def test_prometheus_knows_the_spend_of_day_week_and_month_to_the_cent(
    time_zone: str, start: tuple[int, ...], end: tuple[int, ...], tmp_path: Path
) -> None:
    """At every midnight, around it, and in between: restarts, short jobs, outages of days, late calls, repeated weekdays."""
    start_s, end_s = moment_s(time_zone, *start), moment_s(time_zone, *end)
    fleet, rules = busy_fleet(time_zone, start_s, end_s, seed=start_s), recorded(time_zone)
    wrong: list[tuple[int, str, float, float]] = []
    with prometheus(tmp_path, fleet.samples()) as server:
        for second in asked_s(time_zone, start_s, end_s):
            for series, true in zip((SPEND_DAY, SPEND_MONTH, SPEND_WEEK), fleet.spent(second), strict=True):
                told = sum(server.query(whole(series, rules), second).values())
                if told != pytest.approx(true, rel=1e-9, abs=1e-9):
                    wrong.append((second, series.name, told, true))
    assert wrong == []


def asked_s(time_zone: str, start_s: int, end_s: int) -> Iterator[int]:
    """Around each midnight, and every seven hours and a bit."""
    first = dt.datetime.fromtimestamp(start_s, zone(time_zone)).date()
    for number in range(1, (end_s - start_s) // 86_400 + 1):
        day = first + dt.timedelta(days=number)
        midnight_s = moment_s(time_zone, day.year, day.month, day.day)
        yield from (midnight_s - 1, midnight_s, midnight_s + 3_700)
    yield from range(start_s + 3_600, end_s, 45_357)


MONDAY_S = moment_s("UTC", 2026, 11, 9)
HOUR_S = 3_600
DAY_S = 86_400


def told(server: Server, series: Series, moment: int) -> float:
    """What the rules say in UTC."""
    return sum(server.query(whole(series, recorded("UTC")), moment).values())


@pytest.mark.parametrize("silent_h", [2, 26, 84, 96, 120, 150, 167, 14 * 24, 40 * 24])
def test_a_process_may_be_silent_for_as_long_as_it_likes(silent_h: int, tmp_path: Path) -> None:
    """It could not export until Monday, spent on the Mondays before as well, and is counted right on Monday."""
    silence = (MONDAY_S - (silent_h - 1) * HOUR_S, MONDAY_S + HOUR_S)
    process = Process("one", MONDAY_S - 60 * DAY_S, MONDAY_S + DAY_S, 600, silent=[silence])
    mondays = range(MONDAY_S - 56 * DAY_S, MONDAY_S, 7 * DAY_S)
    process.calls = [Spend(at_s + HOUR_S, at_s + HOUR_S, 10.0) for at_s in mondays]
    process.calls += [Spend(MONDAY_S + hours * HOUR_S, MONDAY_S + hours * HOUR_S, 2.5) for hours in (0, 3)]
    with prometheus(tmp_path, Fleet("UTC", [process]).samples()) as server:
        spent = [told(server, SPEND_DAY, MONDAY_S + hours * HOUR_S) for hours in (1, 2, 4, 11, 23)]
        assert spent == [2.5, 2.5, 5.0, 5.0, 5.0]
        assert told(server, SPEND_MONTH, MONDAY_S + 2 * HOUR_S) == 12.5


def test_a_time_range_of_a_panel_forgives_a_week_of_silence(tmp_path: Path) -> None:
    """What a laptop spent before it slept is not counted again when it wakes up."""
    process = Process("one", MONDAY_S - 20 * DAY_S, MONDAY_S + DAY_S, 600, silent=[(MONDAY_S - 7 * DAY_S, MONDAY_S)])
    process.calls = [
        Spend(at_s, at_s, 2.5) for at_s in (MONDAY_S - 12 * DAY_S, MONDAY_S - 8 * DAY_S, MONDAY_S + HOUR_S)
    ]
    query = grown(COST_USD.prometheus).replace(RANGE, "12h")
    with prometheus(tmp_path, Fleet("UTC", [process]).samples()) as server:
        assert list(server.query(query, MONDAY_S + 11 * HOUR_S).values()) == [2.5]


def test_a_process_of_half_a_year_is_counted_right_and_keeps_few_series(tmp_path: Path) -> None:
    """Every day and month is exact although months are let go; it tells three months at most, and five weekdays."""
    start_s, end_s = moment_s("UTC", 2026, 6, 1), moment_s("UTC", 2026, 12, 5)
    process = Process("one", start_s, end_s, 4 * HOUR_S, silent=[(MONDAY_S - 5 * DAY_S, MONDAY_S + HOUR_S)])
    process.calls = [Spend(at_s, at_s + 60, 0.25) for at_s in range(start_s, end_s - DAY_S, 5 * HOUR_S)]
    fleet = Fleet("UTC", [process])
    exports = list(fleet.exported(process))
    assert max(len(months) for _, months, _ in exports) == 3
    assert max(len(weekdays) for _, _, weekdays in exports) == 4
    with prometheus(tmp_path, fleet.samples()) as server:
        for moment in range(start_s + HOUR_S, end_s, 37 * HOUR_S):
            true = fleet.spent(moment)
            assert (told(server, SPEND_DAY, moment), told(server, SPEND_MONTH, moment)) == true[:2]


@pytest.mark.parametrize("back_h", [1, 5, 30])
@pytest.mark.parametrize("ahead_s", [0, 900], ids=["was-right", "was-ahead"])
def test_a_clock_that_steps_back_takes_no_cent_away(back_h: int, ahead_s: int, tmp_path: Path) -> None:
    """The newest time has an older value then, by which `last_over_time` would go."""
    noon_s = MONDAY_S + 2 * DAY_S + 12 * HOUR_S
    process = Process(
        "one", MONDAY_S, noon_s + 3_000, 600, steps=[(MONDAY_S, ahead_s), (noon_s, ahead_s - back_h * HOUR_S - 7)]
    )
    process.calls = [Spend(at_s, at_s, 1.0) for at_s in (MONDAY_S + 40, noon_s - 7_000, noon_s - 700, noon_s + 640)]
    with prometheus(tmp_path, Fleet("UTC", [process]).samples()) as server:
        month = [told(server, SPEND_MONTH, noon_s + after_s) for after_s in (1_300, 7_200, 86_399)]
        newest = server.query("sum(last_over_time(llm_cost_usd_total[32d]))", noon_s + 1_300)
        assert month == [4.0, 4.0, 4.0]
        assert list(newest.values()) == [3.0]
        for after_s in (600, 1_300, 7_200):
            windows = server.query(window(COST_USD, "1h"), noon_s + after_s)
            assert all(0 <= grown <= 2 for grown in windows.values())


def test_a_clock_that_was_wrong_by_months_for_an_hour_loses_neither_month_nor_day(tmp_path: Path) -> None:
    """What was counted in the wrong hour is counted in that month; the sums from before go on where they were."""
    noon_s = MONDAY_S + 12 * HOUR_S
    process = Process("one", MONDAY_S, MONDAY_S + DAY_S, 600, steps=[(noon_s, 90 * DAY_S), (noon_s + HOUR_S, 0)])
    process.calls = [Spend(at_s, at_s, 1.0) for at_s in (MONDAY_S + 40, noon_s - 7_000, noon_s + 2 * HOUR_S)]
    with prometheus(tmp_path, Fleet("UTC", [process]).samples()) as server:
        moment = noon_s + 3 * HOUR_S
        assert (told(server, SPEND_DAY, moment), told(server, SPEND_MONTH, moment)) == (3.0, 3.0)
