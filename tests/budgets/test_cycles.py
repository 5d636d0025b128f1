"""A month that begins on another day: PromQL has its days, its length and its spend as budgets/periods.py and the fleet have them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast

import pytest

from costspan.alerting import calendar, compiled
from costspan.alerting.literals import selector
from costspan.alerting.rules import budget_rules
from costspan.alerting.series import (
    ELAPSED,
    EVERY_LABEL,
    LOCAL_TIME,
    PERIOD_LABEL,
    SPEND_CYCLE,
    SPEND_PAST_DAYS,
)
from costspan.budgets.periods import month_from
from costspan.budgets.policy import USD, Budget, Policy
from costspan.budgets.reading import parse
from costspan.facts.periods import NS_PER_S, zone
from costspan.metrics.days import DAYS_TOLD_AFTER
from fleet import Fleet, Process, Spend, moment_s
from promtools import Server, has_real_dates, prometheus, promtool

_DAYS: Final = (2, 15, 28, 29, 30, 31)
_DAY_S: Final = 86_400
_NOON: Final = 12


def written_out(day: int, name: str, second: int, time_zone: str) -> str:
    """The expression of a series in the rules of that month, with what other rules record written out: it needs no rule run.

    The clock is put in as it is: that PromQL knows it is proved in test_spend.py.
    """
    budget = Budget("budget", month_from(day).name, USD, Decimal(1))
    files = cast("Any", budget_rules(Policy((budget,), time_zone)))
    rules = [rule for group in files["groups"] for rule in group["rules"] if "record" in rule]
    chosen = {
        rule["record"]: rule["expr"]
        for rule in rules
        if rule.get("labels", {}).get(EVERY_LABEL, budget.period) == budget.period
    }
    local = datetime.fromtimestamp(second, zone(time_zone)).replace(tzinfo=None) - datetime(1970, 1, 1)  # noqa: DTZ001
    chosen[LOCAL_TIME.name] = f"vector({round(local.total_seconds())})"
    expression = chosen.pop(name)
    names = re.compile("|".join(sorted(chosen, key=len, reverse=True)))  # some begin like another one
    labelled, kept = selector("", **{EVERY_LABEL: budget.period}), f"max_over_time({SPEND_PAST_DAYS.name}[1d])"
    while names.search(expression):
        expression = expression.replace(labelled, "").replace(kept, SPEND_PAST_DAYS.name)
        expression = names.sub(lambda found: f"({chosen[found[0]]})", expression)
    return expression


def moments(time_zone: str, dice: random.Random) -> Iterator[int]:
    """Any, and the seconds around midnight at the end of any month: where months begin that lack a day."""
    start_s, end_s = round(calendar.TABLE_START.timestamp()), round(calendar.TABLE_END.timestamp())
    yield from (dice.randrange(start_s, end_s) for _ in range(15))
    for _ in range(10):
        year, month = dice.randrange(2025, 2041), dice.randrange(1, 13)
        midnight_s = moment_s(time_zone, year, month, dice.choice((1, 2, 15, 28)))
        yield from (
            midnight_s + dice.choice((0, 1, 2, 3)) * _DAY_S - 1,
            midnight_s + dice.choice((0, 1, 2, 3)) * _DAY_S,
        )


@pytest.mark.parametrize("time_zone", ["UTC", "America/Santiago", "Australia/Lord_Howe"])
def test_promql_knows_the_month_from_another_day(time_zone: str, empty_prometheus: Server) -> None:
    """At random moments: on which day it began, and how much of it is over."""
    dice, wrong = random.Random(time_zone), list[Any]()  # noqa: S311 - a fixed seed
    for second in moments(time_zone, dice):
        day = dice.choice(_DAYS)
        true = month_from(day).around(zone(time_zone), second * NS_PER_S)
        told = empty_prometheus.query(written_out(day, ELAPSED.name, second, time_zone), second)
        ((labels, over),) = told.items()
        if (dict(labels)[PERIOD_LABEL], over) != (true.label, pytest.approx(true.elapsed, abs=1e-9)):
            wrong.append((second, day, told, true))
    assert wrong == []


def fleet(time_zone: str, start_s: int, end_s: int) -> Fleet:
    """Long processes, one of them with gaps, restarts, short jobs: every day has calls of each."""
    dice = random.Random(start_s)  # noqa: S311 - a fixed seed
    gaps = [(at_s, at_s + 70 * 3_600) for at_s in range(start_s + 3 * _DAY_S, end_s - 4 * _DAY_S, 11 * _DAY_S)]
    processes = [
        Process("long", start_s, end_s, 3_600),
        Process("gaps", start_s, end_s, 3_600, silent=gaps),
        *(
            Process(f"from-{at_s}", at_s, at_s + 5 * _DAY_S + 7_000, 3_600)
            for at_s in range(start_s, end_s, 6 * _DAY_S)
        ),
        *(Process(f"job-{at_s}", at_s, at_s + 300, 60) for at_s in range(start_s + 5_000, end_s, 2 * _DAY_S + 1_000)),
    ]
    for process in processes:
        at_s = process.start_s
        while at_s < process.end_s - 60:
            process.calls.append(Spend(at_s, at_s + dice.choice((1, 50)), dice.randint(1, 5_000) / 1_000))
            at_s += dice.randint(1, 30_000)
    return Fleet(time_zone, processes)


def test_prometheus_knows_the_spend_of_a_month_from_another_day_to_the_cent(tmp_path: Path) -> None:
    """Over seven weeks with a change of the clock: at midnights, around the beginning of a month, and in between."""
    time_zone = "Europe/Berlin"
    start_s, end_s = moment_s(time_zone, 2026, 10, 3), moment_s(time_zone, 2026, 11, 20)
    spent, wrong = fleet(time_zone, start_s, end_s), list[Any]()
    midnights = [moment_s(time_zone, 2026, *date) for date in ((10, 15), (10, 31), (11, 4), (11, 15), (11, 18))]
    asked = [
        *(midnight_s + off_s for midnight_s in midnights for off_s in (-1, 0, 4_000)),
        *range(start_s, end_s, 401_000),
    ]
    with prometheus(tmp_path, spent.samples()) as server:
        for second in asked:
            for day in (15, 31):
                period = month_from(day).around(zone(time_zone), second * NS_PER_S)
                told = sum(server.query(written_out(day, SPEND_CYCLE.name, second, time_zone), second).values())
                true = spent.spent_since(period.label, second)
                if told != pytest.approx(true, rel=1e-9, abs=1e-9):
                    wrong.append((second, day, told, true))
    assert wrong == []


def _told(weekday: int, start: date, days: int) -> str:
    """What promtool is given of a weekday, hour by hour in UTC: a dollar at noon of each day from the start on, told
    until it is three days ago.
    """
    values = list[str]()
    for hours in range(days * 24):
        at = start + timedelta(days=hours // 24)
        (ago,) = (ago for ago in range(7) if (at - timedelta(days=ago)).isoweekday() == weekday)
        values.append("_" if ago > min(DAYS_TOLD_AFTER, hours // 24) else str(int(ago > 0 or hours % 24 >= _NOON)))
    return " ".join(values)


_START: Final = date(2026, 10, 10)
_STORY_D: Final = 40
#: Date, hour, and what is spent then of the day, of the month from the 15th, and of that from the last day.
_HANDED_ON: Final = (
    (date(2026, 10, 15), 0, (0, 0, 5)),
    (date(2026, 10, 20), 0, (0, 5, 10)),
    (date(2026, 10, 30), 12, (1, 16, 21)),
    (date(2026, 10, 31), 0, (0, 16, 0)),
    (date(2026, 11, 14), 12, (1, 31, 15)),
    (date(2026, 11, 15), 0, (0, 0, 15)),
    (date(2026, 11, 18), 12, (1, 4, 19)),
)
_BUDGETS: Final = """budgets:
  - {name: day, period: day, limit_usd: 100}
  - {name: mid, period: month, begins_on: 15, limit_usd: 100}
  - {name: end, period: month, begins_on: 31, limit_usd: 100}
"""


def _expected(day: date, hour: int, spent: tuple[int, ...]) -> dict[str, Any]:
    return {
        "expr": "sum by (llm_budget) (llm:budget_spend:usd)",
        "eval_time": f"{(day - _START).days * 24 + hour}h",
        "exp_samples": [
            {"labels": f'{{llm_budget="{name}"}}', "value": value}
            for name, value in zip(("day", "mid", "end"), spent, strict=True)
        ],
    }


def test_the_rules_of_a_month_from_another_day_hand_its_days_on(tmp_path: Path) -> None:
    """Both groups as they are loaded: nothing is missing when a day goes from one to the other, nor twice there.

    On the 15th the label of the month is that of the day.
    """
    if not has_real_dates(tmp_path):
        pytest.skip("this promtool's tests begin in 1970 (before 3.9)")
    compiled.write(compiled.compiled(parse(_BUDGETS), "budgets.yaml"), tmp_path)
    counter = 'llm_day_cost_usd_total{{llm_weekday="{}", instance="a"}}'
    story = {
        "start_timestamp": moment_s("UTC", _START.year, _START.month, _START.day),
        "interval": "1h",
        "input_series": [
            {"series": counter.format(weekday), "values": _told(weekday, _START, _STORY_D)} for weekday in range(1, 8)
        ],
        "promql_expr_test": [_expected(*row) for row in _HANDED_ON],
    }
    tests = {
        "rule_files": [compiled.BUDGET_RULES], "evaluation_interval": "12h", "tests": [story],
        "group_eval_order": ["costspan-budgets", "costspan-days", "costspan-rates"],
    }  # fmt: skip
    (tmp_path / "story.yml").write_text(json.dumps(tests))
    promtool("test", "rules", "story.yml", cwd=tmp_path)
