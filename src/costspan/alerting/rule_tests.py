"""The promtool tests that come with compiled budgets: every threshold, one tenth of a percent below and exactly at it.

promtool's time begins on Thursday 1970-01-01 at 00:00 UTC, before the table of clock changes: there the zone's
clock runs evenly. The tests look at Saturday 1970-01-03 in the budget time zone.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from costspan.alerting import literals
from costspan.alerting.alert_texts import each_label, number
from costspan.alerting.calendar import TABLE_START, offset_s
from costspan.alerting.periods import PERIOD_RULES
from costspan.alerting.rules import GROUPS, THRESHOLD_ALERT, THRESHOLD_LABEL
from costspan.alerting.series import BUDGET_LABEL, BUDGET_SPEND_TOKENS, BUDGET_SPEND_USD, PERIOD_LABEL
from costspan.budgets.policy import DIMENSIONS, TOKENS
from costspan.facts.attribution_words import MAIN_AGENT
from costspan.facts.periods import zone
from costspan.names import (
    UNKNOWN,
    Metric,
    prometheus_label,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from costspan.alerting.as_yaml import Content
    from costspan.budgets.policy import Budget, Policy

_STEP_MIN: Final = 30
# Spending begins on Saturday, at 02:00 in the budget time zone.
_START_MIN: Final = 2 * 1_440 + 120
# More thresholds than fit into the day are not tested one by one.
_MOST_TESTED: Final = 20
_BELOW_PERCENT: Final = Decimal("0.1")
_ELSEWHERE: Final = "elsewhere"

_SOMEBODY: Final = dict(zip(DIMENSIONS, ("search", "review", MAIN_AGENT, "openai", "gpt-5"), strict=True))


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
    firing = {"alertname": THRESHOLD_ALERT, "alertstate": "firing", BUDGET_LABEL: budget.name}
    samples: list[Content] = [
        {"labels": literals.labels({THRESHOLD_LABEL: number(percent)}), "value": 1} for percent in percents
    ]
    return {
        "expr": f"count by ({THRESHOLD_LABEL}) ({literals.selector('ALERTS', **firing)})",
        "eval_time": time,
        "exp_samples": samples,
    }


def _spent(budget: Budget, time: str, amount: Decimal) -> Content:
    series = BUDGET_SPEND_TOKENS if budget.unit == TOKENS else BUDGET_SPEND_USD
    period = PERIOD_RULES[budget.period].example.period
    chosen = literals.selector(series.name, **{BUDGET_LABEL: budget.name})
    return {
        "expr": f"round(sum by ({PERIOD_LABEL}) ({chosen}), 1e-6)",
        "eval_time": time,
        "exp_samples": [{"labels": literals.labels({PERIOD_LABEL: period}), "value": float(round(amount, 6))}],
    }


def _inside(budget: Budget, start: int, amounts: list[Decimal]) -> Iterator[Content]:
    """The spend of the scope."""
    example = PERIOD_RULES[budget.period].example
    counters = example.counters[budget.unit]
    values = [f"_x{start}", *(number(amount / len(counters)) for amount in amounts)]
    for metric, more in counters:
        yield _series(metric, _labels(budget, **{example.label: example.now}, **more), values)


def _outside(budget: Budget, count: int) -> Iterator[Content]:
    """Spend far above the limit that is none of this budget's: of another period, of others, of nobody."""
    example = PERIOD_RULES[budget.period].example
    word, (metric, _) = example.label, example.counters[budget.unit][0]
    values = [f"_x{count // 2}", f"{number(budget.limit * 10 + 10)}x{count - count // 2}"]
    yield _series(metric, _labels(budget, **{word: example.before}), values)
    for dimension in budget.scope:
        others = {prometheus_label(DIMENSIONS[dimension]): _ELSEWHERE, word: example.now}
        yield _series(metric, _labels(budget, **others), values)
    if budget.each:
        for nobody in ("", UNKNOWN):
            yield _series(metric, _labels(budget, **{each_label(budget): nobody, word: example.now}), values)


def _labels(budget: Budget, **more: str) -> dict[str, str]:
    values = {word: budget.scope[word][0] if word in budget.scope else _SOMEBODY[word] for word in DIMENSIONS}
    named = {prometheus_label(DIMENSIONS[word]): value for word, value in values.items()}
    return {"job": "agents", "instance": "one", **named, **more}


def _series(metric: Metric, labels: Mapping[str, str], values: list[str]) -> Content:
    said = {label: value for label, value in labels.items() if value}
    return {"series": literals.selector(metric.prometheus, **said), "values": " ".join(values)}
