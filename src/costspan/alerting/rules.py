"""From budgets to Prometheus rules: what is spent of each limit, and the alerts that watch it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from costspan.alerting import alert_texts as texts
from costspan.alerting import anomaly, calendar, crossings, cycles, literals, spend
from costspan.alerting.alert_texts import each_label, number, told
from costspan.alerting.periods import OF_DAYS, PERIOD_RULES, Pace, PeriodRules, rules_of
from costspan.alerting.rule import BUDGET_COMPONENT, CRITICAL, INFO, WARNING, Alert, group, recording
from costspan.alerting.series import (
    BUDGET_BURN,
    BUDGET_CROSSED,
    BUDGET_LABEL,
    BUDGET_PROJECTED,
    BUDGET_THRESHOLD,
    BUDGET_USED,
    CURRENT_WEEKDAY,
    DAYS_AGO,
    DAYS_OF,
    ELAPSED,
    EVERY_LABEL,
    LIMIT_OF,
    LOCAL_TIME,
    OWNER_LABEL,
    PAST_DAYS_OF,
    PERIOD_LABEL,
    SPENT_OF,
    THRESHOLD_LABEL,
    WINDOW_LABEL,
    WINDOW_OF,
    Series,
)
from costspan.alerting.unruled import ruled
from costspan.budgets.policy import UNITS, USD
from costspan.names import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from costspan.alerting.as_yaml import Content
    from costspan.budgets.policy import Budget, Policy

THRESHOLD_ALERT: Final = "LlmBudgetThreshold"
#: The groups in the order in which each reads what those before it recorded.
GROUPS: Final = ("costspan-budgets", "costspan-rates", "costspan-meter")
_DAYS_GROUP: Final = "costspan-days"

FORECAST_ALERT: Final = "LlmBudgetForecast"
BURN_ALERT: Final = "LlmBudgetBurnRate"

# Sums of doubles are off by 1e-13 or so; rounded here, 80 % is 80 % and 79.9999999 % is not.
_EXACT_TO: Final = "1e-10"
_WARNING_PERCENT: Final = 80
_FULL_PERCENT: Final = 100

_HOURS: Final = {"5m": "1 / 12", "30m": "0.5", "1h": "1", "2h": "2", "6h": "6", "1d": "24"}


def budget_rules(whole: Policy) -> Content:
    """The rule file of the budgets."""
    policy = ruled(whole)
    units = sorted({USD, *(budget.unit for budget in policy.budgets)})
    asked, days = _asked(policy), _units_of_days(policy)
    budgets = [
        *_calendar(policy.time_zone, asked),
        *_spend(policy, units, asked),
        *_recorded(policy, units),
        *_alerts(policy),
    ]
    rates = [*_windows(units), *_burn(policy), *anomaly.recorded(), *crossings.recorded(whole)]
    paced = (*_burn_alerts(policy), *anomaly.alerts(policy.anomaly), *crossings.alerts(whole))
    rates += [alert.rule(policy) for alert in paced]
    past = [recording(PAST_DAYS_OF[unit], cycles.past_days(OF_DAYS[unit])) for unit in days]
    written = ((GROUPS[0], budgets, ""), (_DAYS_GROUP, past, cycles.INTERVAL), (GROUPS[1], rates, ""))
    return {"groups": [group(*each) for each in written if each[1]]}


def groups(policy: Policy) -> list[str]:
    """The groups of the rule file, in their order."""
    return [GROUPS[0], *([_DAYS_GROUP] if _units_of_days(policy) else []), GROUPS[1]]


def _asked(policy: Policy) -> list[PeriodRules]:
    """The periods that panels read, and those that a budget is for."""
    names = {budget.period for budget in policy.budgets}
    known = [rules for rules in PERIOD_RULES.values() if rules.is_on_panels or rules.name in names]
    return [*known, *map(rules_of, sorted(names - PERIOD_RULES.keys()))]


def _units_of_days(policy: Policy) -> list[str]:
    """The units of which single days are recorded, for the periods that are sums of them."""
    return _in_order([budget.unit for budget in policy.budgets if rules_of(budget.period).is_of_days])


def _calendar(time_zone: str, asked: list[PeriodRules]) -> Iterator[Content]:
    local = LOCAL_TIME.name
    yield recording(LOCAL_TIME, calendar.local_time(time_zone))
    for rules in asked:
        for series, promql in rules.before:
            yield recording(series, promql(local), rules.labels)
        yield recording(rules.current, rules.is_current(local), rules.labels)
    yield recording(CURRENT_WEEKDAY, calendar.weekday(local))
    for rules in asked:
        current = literals.selector(rules.current.name, **rules.labels)
        elapsed = f"{current} * on () group_left () ({rules.elapsed(local)})"
        yield recording(ELAPSED, elapsed, {EVERY_LABEL: rules.name})
    if any(rules.is_of_days for rules in asked):
        yield recording(DAYS_AGO, cycles.days_ago())


def _spend(policy: Policy, units: list[str], asked: list[PeriodRules]) -> Iterator[Content]:
    for unit in _units_of_days(policy):
        yield recording(DAYS_OF[unit], cycles.recent_days(OF_DAYS[unit], PAST_DAYS_OF[unit]))
    wanted = {(budget.period, budget.unit) for budget in policy.budgets}
    for unit in _in_order(units):
        for rules in asked:
            if rules.is_on_panels or (rules.name, unit) in wanted:
                yield recording(*rules.spent[unit], rules.labels)


def _windows(units: list[str]) -> Iterator[Content]:
    for window in spend.WINDOWS:
        for unit in _in_order(units):
            yield recording(WINDOW_OF[unit], spend.OF_WINDOW[unit](window), {WINDOW_LABEL: window})


def _in_order(units: list[str]) -> list[str]:
    return [unit for unit in UNITS if unit in units]


def _recorded(policy: Policy, units: list[str]) -> Iterator[Content]:
    for budget in policy.budgets:
        yield recording(LIMIT_OF[budget.unit], f"vector({number(budget.limit)})", _owned(budget))
        for percent in budget.percents:
            labels = {**_identity(budget), THRESHOLD_LABEL: number(percent)}
            yield recording(BUDGET_THRESHOLD, f"vector({number(percent / 100)})", labels)
        rules = rules_of(budget.period)
        spent = _sum(budget, rules.spent[budget.unit][0], PERIOD_LABEL, **rules.labels)
        yield recording(SPENT_OF[budget.unit], spent, _identity(budget))
    used = "\nor\n".join(
        f"{SPENT_OF[unit].name} / on ({BUDGET_LABEL}) group_left () {LIMIT_OF[unit].name}" for unit in reversed(units)
    )
    yield recording(BUDGET_USED, f"round(\n{spend.indented(used)},\n  {_EXACT_TO}\n)")
    for budget in policy.budgets:
        yield recording(BUDGET_CROSSED, _crossed(budget), _identity(budget))
    projected = f"{BUDGET_USED.name} / on ({EVERY_LABEL}, {PERIOD_LABEL}) group_left () ({ELAPSED.name} > 0)"
    yield recording(BUDGET_PROJECTED, projected)


def _crossed(budget: Budget) -> str:
    """PromQL: the highest threshold that is reached. `^ 0` makes 1 of every share, also of one that is infinite."""
    used = _selected(BUDGET_USED, budget)
    reached = [
        f"({used} >= {part}) ^ 0 * {part}" for part in (number(each / 100) for each in reversed(budget.percents))
    ]
    return "\nor ".join([*reached, f"{used} ^ 0 * 0"])


def _alerts(policy: Policy) -> Iterator[Content]:
    for budget in policy.budgets:
        for percent in budget.alerting:
            yield _threshold(budget, percent).rule(policy)
        if budget.limit:
            yield _forecast(budget).rule(policy)


def _burn(policy: Policy) -> Iterator[Content]:
    for budget in policy.budgets:
        windows = sorted({window for pace in rules_of(budget.period).paces for window in (pace.long, pace.short)})
        for window in windows if budget.limit else ():
            yield recording(BUDGET_BURN, _burnt(budget, window), {**_identity(budget), WINDOW_LABEL: window})


def _burnt(budget: Budget, window: str) -> str:
    spent = _sum(budget, WINDOW_OF[budget.unit], **{WINDOW_LABEL: window})
    evenly = f"({number(budget.limit)} * {_HOURS[window]})"
    return f"{spent}{rules_of(budget.period).an_hour} / {evenly}"


def _burn_alerts(policy: Policy) -> Iterator[Alert]:
    for budget in policy.budgets:
        if budget.limit:
            yield from (_too_fast(budget, pace) for pace in rules_of(budget.period).paces)


# -- alerts of one budget --------------------------------------------------------------------------------------


def _threshold(budget: Budget, percent: Decimal) -> Alert:
    severity = CRITICAL if percent >= _FULL_PERCENT else WARNING if percent >= _WARNING_PERCENT else INFO
    of_limit = f"{{{{ $value | humanizePercentage }}}} of {told(budget)} is spent in {texts.current(budget)}."
    return _alert(
        budget,
        THRESHOLD_ALERT,
        f"{_selected(BUDGET_USED, budget)} >= {number(percent / 100)}",
        severity,
        f"{number(percent)} % of {told(budget)} is spent",
        f"{of_limit if budget.limit else 'Nothing may be spent.'} {texts.spent(budget)}\n{texts.dearest(budget)}\n"
        "Nothing is refused by this alert; what to do stands in the runbook.",
        kept="15m",
        labels={THRESHOLD_LABEL: number(percent)},
    )


def _forecast(budget: Budget) -> Alert:
    elapsed, held = rules_of(budget.period).forecast_from
    return _alert(
        budget,
        FORECAST_ALERT,
        f"{_selected(BUDGET_PROJECTED, budget)} >= 1\nand on ({EVERY_LABEL}, {PERIOD_LABEL}) {ELAPSED.name} >= {elapsed}",
        WARNING,
        f"at this pace the {budget.span.noun} ends above {told(budget)}",
        f"At the pace of {texts.current(budget)} so far, {{{{ $value | humanizePercentage }}}} of {told(budget)} "
        f"will be spent at its end. {texts.spent(budget)}\n{texts.dearest(budget)}",
        held=held,
    )


def _too_fast(budget: Budget, pace: Pace) -> Alert:
    long, short = (_selected(BUDGET_BURN, budget, **{WINDOW_LABEL: window}) for window in (pace.long, pace.short))
    window = {WINDOW_LABEL: pace.long}
    return _alert(
        budget,
        BURN_ALERT,
        f"{long} > {pace.factor}\nand ignoring ({WINDOW_LABEL}) {short} > {pace.factor}",
        pace.severity,
        f'spending {{{{ $value | printf "%.1f" }}}} times too fast for {told(budget)}',
        f'In the last {pace.long}, and still in the last {pace.short}, spending ran {{{{ $value | printf "%.1f" }}}} times '
        f"faster than {told(budget)} allows if spent evenly. {texts.spent(budget)}\nIn the last {pace.long}: "
        f"{texts.dearest(budget, WINDOW_OF[budget.unit], **window)}",
        kept=pace.kept,
        labels=window,
    )


def _alert(
    budget: Budget,
    name: str,
    expression: str,
    severity: str,
    summary: str,
    description: str,
    *,
    held: str = "",
    kept: str = "",
    labels: Mapping[str, str] = {},
) -> Alert:
    return Alert(
        name,
        expression,
        severity,
        f"{texts.titled(budget)}: {summary}",
        description,
        BUDGET_COMPONENT,
        held,
        kept,
        {**_owned(budget), **labels},
        texts.page(budget),
        texts.scope(budget),
    )


# -- words -----------------------------------------------------------------------------------------------------


def matchers(budget: Budget) -> list[str]:
    """The label matchers of a budget's scope. What has no value for `each` belongs to none of its budgets."""
    written = texts.scope_matchers(budget)
    return [*written, literals.differs(each_label(budget), f"|{UNKNOWN}")] if budget.each else written


def _sum(budget: Budget, series: Series, *kept: str, **equal: str) -> str:
    labels = ", ".join([*([each_label(budget)] if budget.each else []), *kept])
    return f"sum by ({labels}) ({literals.selector(series.name, *matchers(budget), **equal)})"


def _selected(series: Series, budget: Budget, **equal: str) -> str:
    return literals.selector(series.name, **{BUDGET_LABEL: budget.name, **equal})


def _identity(budget: Budget) -> dict[str, str]:
    return {BUDGET_LABEL: budget.name, EVERY_LABEL: budget.period}


def _owned(budget: Budget) -> dict[str, str]:
    return {**_identity(budget), **({OWNER_LABEL: budget.owner} if budget.owner else {})}
