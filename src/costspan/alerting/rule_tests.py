"""The promtool tests that come with compiled budgets: every threshold, one tenth of a percent below and exactly at it.

promtool's time begins on Thursday 1970-01-01 at 00:00 UTC, before the table of clock changes: there the zone's
clock runs evenly. The tests look at Saturday 1970-01-03 in the budget time zone.

promtool evaluates all rules for each test. So budgets share a test where none counts what was written for another one: the
time it takes grows with their number, not with its square.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

from costspan.alerting import crossings, literals
from costspan.alerting.alert_texts import each_label, number
from costspan.alerting.calendar import TABLE_START, offset_s
from costspan.alerting.periods import rules_of
from costspan.alerting.rules import THRESHOLD_ALERT, THRESHOLD_LABEL, groups
from costspan.alerting.series import BUDGET_LABEL, PERIOD_LABEL, SPENT_OF
from costspan.alerting.unruled import ruled
from costspan.budgets.policy import COUNTED_DIMENSIONS
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

_SOMEBODY: Final = dict(zip(COUNTED_DIMENSIONS, ("search", "review", MAIN_AGENT, "openai", "gpt-5"), strict=True))


def budget_tests(whole: Policy, rule_file: str) -> Content:
    """The test file for the budgets of a policy; `rule_file` is the path of the rules as seen from it."""
    policy = ruled(whole)
    ahead_min = offset_s(zone(policy.time_zone), round(TABLE_START.timestamp())) // 60
    stories = [_crossings(budget, (_START_MIN - ahead_min) // _STEP_MIN) for budget in policy.budgets]
    return {
        "rule_files": [rule_file],
        "evaluation_interval": f"{_STEP_MIN}m",
        "group_eval_order": groups(policy),
        "tests": [*(_test(together) for together in _apart(stories)), *_told_by_programs(whole)],
    }


def _told_by_programs(policy: Policy) -> Iterator[Content]:
    """Of budgets that programs tell: each crossing fires its alert for an hour, from the first sample of its counter on."""
    told = crossings.told_by_programs(policy)
    steps = 60 // _STEP_MIN
    series: list[Content] = []
    expected: list[Content] = []
    for budget in told:
        thresholds = budget.percents[:_MOST_TESTED]
        end = 1 + steps * len(thresholds)
        for at, percent in enumerate(thresholds):
            first = 1 + steps * at
            series.append({"series": crossings.counter(budget, percent), "values": f"_x{first} 1x{end - first}"})
            fired = [percent] if percent in budget.alerting else []
            expected += [_crossed(budget, step, fired) for step in (first, first + steps - 1)]
        expected.append(_crossed(budget, end, []))
    if told:
        name = "budgets that programs tell: each crossing fires for an hour, and of its threshold alone"
        yield {"name": name, "interval": f"{_STEP_MIN}m", "input_series": series, "promql_expr_test": expected}


def _crossed(budget: Budget, step: int, percents: list[Decimal]) -> Content:
    return _fired(budget, f"{step * _STEP_MIN}m", percents, crossings.CROSSED_ALERT)


class _Spend(NamedTuple):
    """One series that is written for the test of a budget."""

    metric: Metric
    labels: Mapping[str, str]
    values: list[str]


class _Story(NamedTuple):
    """The spend goes up in steps from below to exactly at each threshold of a budget, beside spend of others."""

    budget: Budget
    spent: list[_Spend]
    expected: list[Content]


def _apart(stories: list[_Story]) -> list[list[_Story]]:
    """The stories in as few sets as a first fit finds, in none of which one budget counts what another one's story spends."""
    sets: list[list[_Story]] = []
    for story in stories:
        for others in sets:
            if not any(_touches(story, other) or _touches(other, story) for other in others):
                others.append(story)
                break
        else:
            sets.append([story])
    return sets


def _touches(story: _Story, other: _Story) -> bool:
    return any(_counts(other.budget, spend) for spend in story.spent)


def _counts(budget: Budget, spend: _Spend) -> bool:
    """Whether a budget counts a series: one of its counters, of the period, within the scope, of somebody."""
    example = rules_of(budget.period).example
    return (
        any(metric == spend.metric for metric, _ in example.counters[budget.unit])
        and spend.labels[example.label] in {example.now, *example.earlier}
        and all(
            spend.labels[prometheus_label(COUNTED_DIMENSIONS[word])] in values for word, values in budget.scope.items()
        )
        and (not budget.each or spend.labels[each_label(budget)] not in {"", UNKNOWN})
    )


def _test(stories: list[_Story]) -> Content:
    first, *more = (story.budget.name for story in stories)
    names = first if not more else f"{first} and {more[0]}" if len(more) == 1 else f"{first} and {len(more)} more"
    return {
        "name": f"{names}: each threshold fires at its own percentage and not one tenth of a percent below",
        "interval": f"{_STEP_MIN}m",
        "input_series": [_series(spend) for story in stories for spend in story.spent],
        "promql_expr_test": [expected for story in stories for expected in story.expected],
    }


def _crossings(budget: Budget, start: int) -> _Story:
    thresholds = budget.percents[:_MOST_TESTED]
    amounts = sorted({amount for percent in thresholds for amount in _around(budget, percent)})
    times = [f"{(start + index) * _STEP_MIN}m" for index in range(len(amounts))]
    crossed = [
        [percent for percent in thresholds if percent in budget.alerting and amount >= _around(budget, percent)[1]]
        for amount in amounts
    ]
    tests = [_fired(budget, time, percents) for time, percents in zip(times, crossed, strict=True)]
    spent = [*_inside(budget, start, amounts), *_outside(budget, start + len(amounts))]
    return _Story(budget, spent, [*tests, _spent(budget, times[-1], amounts[-1])])


def _around(budget: Budget, percent: Decimal) -> tuple[Decimal, Decimal]:
    """The spend just below a threshold and at it. Of nothing, nothing and the least thing."""
    if not budget.limit:
        return Decimal(0), Decimal(1)
    return budget.limit * (percent - _BELOW_PERCENT) / 100, budget.limit * percent / 100


def _fired(budget: Budget, time: str, percents: list[Decimal], alert: str = THRESHOLD_ALERT) -> Content:
    firing = {"alertname": alert, "alertstate": "firing", BUDGET_LABEL: budget.name}
    samples: list[Content] = [
        {"labels": literals.labels({THRESHOLD_LABEL: number(percent)}), "value": 1} for percent in percents
    ]
    return {
        "expr": f"count by ({THRESHOLD_LABEL}) ({literals.selector('ALERTS', **firing)})",
        "eval_time": time,
        "exp_samples": samples,
    }


def _spent(budget: Budget, time: str, amount: Decimal) -> Content:
    period = rules_of(budget.period).example.period
    chosen = literals.selector(SPENT_OF[budget.unit].name, **{BUDGET_LABEL: budget.name})
    return {
        "expr": f"round(sum by ({PERIOD_LABEL}) ({chosen}), 1e-6)",
        "eval_time": time,
        "exp_samples": [{"labels": literals.labels({PERIOD_LABEL: period}), "value": float(round(amount, 6))}],
    }


def _inside(budget: Budget, start: int, amounts: list[Decimal]) -> Iterator[_Spend]:
    """The spend of the scope."""
    example = rules_of(budget.period).example
    counters = example.counters[budget.unit]
    values = [f"_x{start}", *(number(amount / len(counters)) for amount in amounts)]
    for metric, more in counters:
        yield _Spend(metric, _labels(budget, **{example.label: example.now}, **more), values)


def _outside(budget: Budget, steps: int) -> Iterator[_Spend]:
    """Spend far above the limit that is none of this budget's: of another period, of others, of nobody, of no call."""
    example = rules_of(budget.period).example
    word, (metric, more) = example.label, example.counters[budget.unit][0]
    values = [f"_x{steps // 2}", f"{number(budget.limit * 10 + 10)}x{steps - steps // 2}"]
    if example.before:
        yield _Spend(metric, _labels(budget, **more, **{word: example.before}), values)
    for uncounted in example.uncounted.get(budget.unit, ()):
        yield _Spend(metric, _labels(budget, **uncounted, **{word: example.now}), values)
    for dimension in budget.scope:
        others = {prometheus_label(COUNTED_DIMENSIONS[dimension]): _another(budget.scope[dimension]), word: example.now}
        yield _Spend(metric, _labels(budget, **more, **others), values)
    if budget.each:
        for nobody in ("", UNKNOWN):
            yield _Spend(metric, _labels(budget, **more, **{each_label(budget): nobody, word: example.now}), values)


def _another(values: tuple[str, ...]) -> str:
    """A value that is none of these."""
    return next(word for at in count() if (word := f"{_ELSEWHERE}{at or ''}") not in values)


def _labels(budget: Budget, **more: str) -> dict[str, str]:
    values = {word: budget.scope[word][0] if word in budget.scope else _SOMEBODY[word] for word in COUNTED_DIMENSIONS}
    named = {prometheus_label(COUNTED_DIMENSIONS[word]): value for word, value in values.items()}
    return {"job": "agents", "instance": budget.name, **named, **more}


def _series(spend: _Spend) -> Content:
    said = {label: value for label, value in spend.labels.items() if value}
    return {"series": literals.selector(spend.metric.prometheus, **said), "values": " ".join(spend.values)}
