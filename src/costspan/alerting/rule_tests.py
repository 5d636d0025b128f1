"""The promtool tests that come with compiled budgets: every threshold, one tenth of a percent below and exactly at it.

promtool's time begins on Thursday 1970-01-01 at 00:00 UTC, before the table of clock changes: there the zone's
clock runs evenly. The tests look at Saturday 1970-01-03 in the budget time zone.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from costspan.alerting.calendar import TABLE_START, offset_s
from costspan.alerting.rules import GROUPS, THRESHOLD_ALERT, THRESHOLD_LABEL, each_label, number
from costspan.alerting.series import BUDGET_LABEL, BUDGET_SPEND_TOKENS, BUDGET_SPEND_USD, PERIOD_LABEL, WEEKDAY_LABEL
from costspan.budgets.policy import DAY, DIMENSIONS, TOKENS
from costspan.facts.periods import zone
from costspan.names import (
    COST_USD,
    DAY_COST_USD,
    DAY_TOKENS,
    DIRECTION,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    UNKNOWN,
    Metric,
    prometheus_label,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from costspan.alerting.as_yaml import Content
    from costspan.budgets.policy import Budget, Policy

_STEP_MIN: Final = 30
_MONTH: Final = "197001"
_MONTH_BEFORE: Final = "196912"
_DAY: Final = "19700103"
_SATURDAY: Final = "6"
_FRIDAY: Final = "5"
# Spending begins on Saturday, at 02:00 in the budget time zone.
_START_MIN: Final = 2 * 1_440 + 120
# More thresholds than fit into the day are not tested one by one.
_MOST_TESTED: Final = 20
_BELOW_PERCENT: Final = Decimal("0.1")
_ELSEWHERE: Final = "elsewhere"

_SOMEBODY: Final = {
    "team": "search", "task_type": "review", "source": "main_agent", "provider": "openai", "model": "gpt-5",
}  # fmt: skip


def budget_tests(policy: Policy, rule_file: str) -> Content:
    """The test file for the budgets of a policy; `rule_file` is the path of the rules as seen from it."""
    ahead_min = offset_s(zone(policy.time_zone), round(TABLE_START.timestamp())) // 60
    tests = [_crossings(budget, (_START_MIN - ahead_min) // _STEP_MIN) for budget in policy.budgets]
    return {
        "rule_files": [rule_file],
        "evaluation_interval": f"{_STEP_MIN}m",
        "group_eval_order": list(GROUPS[:2]),
        "tests": tests,
    }


def _crossings(budget: Budget, start: int) -> Content:
    """One test: the spend goes up in steps from below to exactly at each threshold, beside spend of others."""
    thresholds = budget.thresholds[:_MOST_TESTED]
    amounts = sorted({amount for percent in thresholds for amount in _around(budget, percent)})
    times = [f"{(start + index) * _STEP_MIN}m" for index in range(len(amounts))]
    crossed = [[percent for percent in thresholds if amount >= _around(budget, percent)[1]] for amount in amounts]
    tests = [_fired(budget, time, percents) for time, percents in zip(times, crossed, strict=True)]
    return {
        "name": f"{budget.name}: each threshold fires at its own percentage and not one tenth of a percent below",
        "interval": f"{_STEP_MIN}m",
        "input_series": [
            *_inside(budget, start, amounts),
            *_outside(budget, start + len(amounts)),
        ],
        "promql_expr_test": [*tests, _spent(budget, times[-1], amounts[-1])],
    }


def _around(budget: Budget, percent: Decimal) -> tuple[Decimal, Decimal]:
    """The spend just below a threshold and at it. Of nothing, nothing and the least thing."""
    if not budget.limit:
        return Decimal(0), Decimal(1)
    return budget.limit * (percent - _BELOW_PERCENT) / 100, budget.limit * percent / 100


def _fired(budget: Budget, time: str, percents: list[Decimal]) -> Content:
    chosen = f'alertname="{THRESHOLD_ALERT}", alertstate="firing", {BUDGET_LABEL}="{budget.name}"'
    samples: list[Content] = [
        {"labels": f'{{{THRESHOLD_LABEL}="{number(percent)}"}}', "value": 1} for percent in percents
    ]
    return {
        "expr": f"count by ({THRESHOLD_LABEL}) (ALERTS{{{chosen}}})",
        "eval_time": time,
        "exp_samples": samples,
    }


def _spent(budget: Budget, time: str, amount: Decimal) -> Content:
    series = BUDGET_SPEND_TOKENS if budget.unit == TOKENS else BUDGET_SPEND_USD
    period = _DAY if budget.period == DAY else _MONTH
    return {
        "expr": f'round(sum by ({PERIOD_LABEL}) ({series.name}{{{BUDGET_LABEL}="{budget.name}"}}), 1e-6)',
        "eval_time": time,
        "exp_samples": [{"labels": f'{{{PERIOD_LABEL}="{period}"}}', "value": float(round(amount, 6))}],
    }


def _inside(budget: Budget, start: int, amounts: list[Decimal]) -> Iterator[Content]:
    """The spend of the scope."""
    values = [f"_x{start}", *(number(amount) for amount in amounts)]
    if budget.period == DAY:
        metric, more = (
            (DAY_TOKENS, {prometheus_label(DIRECTION): "input"}) if budget.unit == TOKENS else (DAY_COST_USD, {})
        )
        yield _series(metric, _labels(budget, **{WEEKDAY_LABEL: _SATURDAY}, **more), values)
        return
    metrics = (INPUT_TOKENS, OUTPUT_TOKENS) if budget.unit == TOKENS else (COST_USD,)
    for metric in metrics:
        values = [f"_x{start}", *(number(amount / len(metrics)) for amount in amounts)]
        yield _series(metric, _labels(budget, **{PERIOD_LABEL: _MONTH}), values)


def _outside(budget: Budget, count: int) -> Iterator[Content]:
    """Spend far above the limit that is none of this budget's: of another period, of others, of nobody."""
    is_day, is_tokens = budget.period == DAY, budget.unit == TOKENS
    metric = (DAY_TOKENS if is_tokens else DAY_COST_USD) if is_day else (INPUT_TOKENS if is_tokens else COST_USD)
    word, now, before = (WEEKDAY_LABEL, _SATURDAY, _FRIDAY) if is_day else (PERIOD_LABEL, _MONTH, _MONTH_BEFORE)
    values = [f"_x{count // 2}", f"{number(budget.limit * 10 + 10)}x{count - count // 2}"]
    yield _series(metric, _labels(budget, **{word: before}), values)
    for dimension in budget.scope:
        others = {prometheus_label(DIMENSIONS[dimension]): _ELSEWHERE, word: now}
        yield _series(metric, _labels(budget, **others), values)
    if budget.each:
        for nobody in ("", UNKNOWN):
            yield _series(metric, _labels(budget, **{each_label(budget): nobody, word: now}), values)


def _labels(budget: Budget, **more: str) -> dict[str, str]:
    values = {word: budget.scope[word][0] if word in budget.scope else _SOMEBODY[word] for word in DIMENSIONS}
    named = {prometheus_label(DIMENSIONS[word]): value for word, value in values.items()}
    return {"job": "agents", "instance": "one", **named, **more}


def _series(metric: Metric, labels: Mapping[str, str], values: list[str]) -> Content:
    chosen = ", ".join(f"{label}={json.dumps(value, ensure_ascii=False)}" for label, value in labels.items() if value)
    return {"series": f"{metric.prometheus}{{{chosen}}}", "values": " ".join(values)}
