"""The spend of a day and a month, asked of a real Prometheus, is what was truly spent, at every boundary."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from costspan.budgets import clock
from costspan.budgets.policy import Policy
from costspan.budgets.rules import budget_rules
from costspan.budgets.series import (
    CURRENT_DAY,
    CURRENT_MONTH,
    CURRENT_WEEKDAY,
    LOCAL_TIME,
    SPEND_DAY,
    SPEND_MONTH,
    Series,
)
from costspan.facts.periods import NS_PER_S, Periods, zone
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
    rules = cast("Any", budget_rules(Policy((), time_zone)))["groups"][0]["rules"]
    return {rule["record"]: rule["expr"] for rule in reversed(rules) if "record" in rule}


def whole(series: Series, rules: dict[str, str]) -> str:
    """The expression of a recorded series with all other recorded series in it written out: it needs no rule run."""
    expression = rules[series.name]
    names = re.compile("|".join(rf"{name}(?![\w:{{])" for name in rules))
    while names.search(expression):
        expression = names.sub(lambda found: f"({rules[found[0]]})", expression)
    return expression


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prometheus that knows nothing but the time."""
    with prometheus(tmp_path_factory.mktemp("empty")) as server:
        yield server


def borders_s(time_zone: str) -> list[int]:
    """Every change of the clock in the table, every month's beginning, and every third day's in 2026 and 2027."""
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(730)]
    months = [dt.date(year, month, 1) for year in range(2025, 2041) for month in range(1, 13)]
    starts = [moment_s(time_zone, day.year, day.month, day.day) for day in [*days[::3], *months]]
    return sorted({*starts, *(change.at_s for change in clock.changes(zone(time_zone)))})


@pytest.mark.parametrize("time_zone", ZONES)
def test_promql_knows_the_day_in_every_second_around_every_boundary(time_zone: str, empty: Server) -> None:
    """Second by second, the compiled calendar says the same as the program that stamps the calls."""
    rules, periods = recorded(time_zone), Periods(time_zone)
    words = " or ".join(f"({whole(series, rules)})" for series in (CURRENT_MONTH, CURRENT_DAY, CURRENT_WEEKDAY))
    wrong: list[tuple[int, object, object]] = []
    for border in borders_s(time_zone):
        for second in (border - 1, border):
            if not clock.TABLE_START.timestamp() <= second < clock.TABLE_END.timestamp():
                continue
            ns = second * NS_PER_S
            told = {labels[0][1] for labels in empty.query(words, second)}
            if told != {periods.month(ns), periods.day(ns), periods.weekday(ns)}:
                wrong.append((second, told, periods.day(ns)))
    assert wrong == []


def test_after_the_last_known_change_the_clock_is_absent_rather_than_wrong(empty: Server) -> None:
    """The table of changes ends; a zone without changes goes on."""
    end_s = round(clock.TABLE_END.timestamp())
    berlin = whole(LOCAL_TIME, recorded("Europe/Berlin"))
    assert empty.query(berlin, end_s - 1)
    assert empty.query(berlin, end_s) == {}
    assert empty.query(whole(LOCAL_TIME, recorded("UTC")), end_s) == {(): end_s}


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
def test_prometheus_knows_the_spend_of_day_and_month_to_the_cent(
    time_zone: str, start: tuple[int, ...], end: tuple[int, ...], tmp_path: Path
) -> None:
    """At every midnight, around it, and in between: restarts, short jobs, outages of days, late calls, repeated weekdays."""
    start_s, end_s = moment_s(time_zone, *start), moment_s(time_zone, *end)
    fleet, rules = busy_fleet(time_zone, start_s, end_s, seed=start_s), recorded(time_zone)
    wrong: list[tuple[int, str, float, float]] = []
    with prometheus(tmp_path, fleet.samples()) as server:
        for second in asked_s(time_zone, start_s, end_s):
            for series, true in zip((SPEND_DAY, SPEND_MONTH), fleet.spent(second), strict=True):
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


def test_a_silence_of_three_days_and_a_half_costs_no_exactness(tmp_path: Path) -> None:
    """A process that could not export from Thursday to Sunday, and spent on both Mondays, is counted right on Monday."""
    start_s, hour_s = moment_s("UTC", 2026, 11, 2), 3_600
    monday_s = start_s + 7 * 86_400
    process = Process("one", start_s, monday_s + 86_400, 600, silent=[(monday_s - 84 * hour_s, monday_s)])
    process.calls = [Spend(at_s, at_s, usd) for at_s, usd in ((start_s + hour_s, 10.0), (monday_s + hour_s, 2.5))]
    with prometheus(tmp_path, Fleet("UTC", [process]).samples()) as server:
        for hours in (2, 6, 11):
            told = server.query(whole(SPEND_DAY, recorded("UTC")), monday_s + hours * hour_s)
            assert list(told.values()) == [2.5]
