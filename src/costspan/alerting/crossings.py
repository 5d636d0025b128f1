"""The alerts of budgets whose spend Prometheus cannot see: the programs that obey the file tell what reaches a threshold.

They count it by budget and threshold, each crossing once over all processes that share a store, and say in no label which
account or session it was. So these alerts are about what happened in the last hour, and not about how a budget stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from costspan.alerting import alert_texts as texts
from costspan.alerting import literals
from costspan.alerting.alert_texts import number, told
from costspan.alerting.rule import BUDGET_COMPONENT, CRITICAL, INFO, WARNING, Alert, recording
from costspan.alerting.series import (
    BUDGET_LABEL,
    CROSSINGS_HOUR,
    EVERY_LABEL,
    JOB_LABEL,
    OWNER_LABEL,
    THRESHOLD_LABEL,
)
from costspan.alerting.spend import growth, summed
from costspan.alerting.unruled import unruled
from costspan.budgets.policy import LOG
from costspan.facts.attribution_words import ACCOUNT, SESSION
from costspan.names import BUDGET, BUDGET_CROSSINGS, THRESHOLD, prometheus_label

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from costspan.alerting.as_yaml import Content
    from costspan.budgets.policy import Budget, Policy

CROSSED_ALERT: Final = "LlmBudgetCrossed"
#: How long the alert stays after a crossing. Alertmanager tells it again after as long, so that a crossing that comes while it
#: stays is told, too.
STAYS: Final = "1h"

_MODEL: Final = "model"
_BUDGET: Final = prometheus_label(BUDGET)
_THRESHOLD: Final = prometheus_label(THRESHOLD)
_WARNING_PERCENT: Final = 80
_FULL_PERCENT: Final = 100


def told_by_programs(policy: Policy) -> list[Budget]:
    """The budgets that have these alerts: no other rule watches them, and a threshold of theirs alerts."""
    return [budget for budget, _ in unruled(policy) if budget.alerting]


def alerts(policy: Policy) -> Iterator[Alert]:
    """One for each threshold that alerts, of each budget that no other rule watches."""
    for budget in told_by_programs(policy):
        for percent in budget.alerting:
            yield _alert(budget, percent)


def recorded(policy: Policy) -> Iterator[Content]:
    """The rule that these alerts read, where there are such."""
    if told_by_programs(policy):
        grown = growth(BUDGET_CROSSINGS.prometheus, STAYS)
        yield recording(CROSSINGS_HOUR, summed(grown, ", ".join(CROSSINGS_HOUR.labels)))


def counter(budget: Budget, percent: Decimal, name: str = BUDGET_CROSSINGS.prometheus) -> str:
    """The selector of the counters of one threshold, or of another series of it."""
    return literals.selector(name, **{_BUDGET: budget.name, _THRESHOLD: number(percent)})


def severity(budget: Budget, percent: Decimal) -> str:
    """As of all thresholds; but a spent session wakes nobody: it is one of many, and ends."""
    if percent >= _FULL_PERCENT and SESSION not in {budget.each, *budget.scope}:
        return CRITICAL
    return WARNING if percent >= _WARNING_PERCENT else INFO


def _alert(budget: Budget, percent: Decimal) -> Alert:
    grown = counter(budget, percent, CROSSINGS_HOUR.name)
    reached = f"{number(percent)} % of {told(budget)}"
    return Alert(
        CROSSED_ALERT,
        f"sum ({grown}) > 0",
        severity(budget, percent),
        f"Budget {budget.name} ({texts.scope_of_any(budget)}): {reached} is spent",
        f"{_how_many(budget, reached)} {_where(budget, percent, grown)}\nThis alert ends an hour after the last crossing, whatever is "
        "spent by then. It refuses nothing; what to do stands in the runbook.",
        BUDGET_COMPONENT,
        labels={
            BUDGET_LABEL: budget.name,
            EVERY_LABEL: budget.period,
            **({OWNER_LABEL: budget.owner} if budget.owner else {}),
            THRESHOLD_LABEL: number(percent),
        },
        page=texts.BUDGETS_PAGE,
        scope=texts.scope_of_any(budget),
    )


def _how_many(budget: Budget, reached: str) -> str:
    if budget.each is None:
        return f"{reached} was reached in the last hour."
    count = f"{{{{ $value | printf {literals.quoted('%.0f')} }}}}"
    return f"{reached} was reached in the last hour, each {texts.word(budget.each)} for itself: {count} times."


def _where(budget: Budget, percent: Decimal, grown: str) -> str:
    """Who told it, and what names what the counter does not: whose it is, and how much was spent."""
    (actions,) = (each.actions for each in budget.thresholds if each.percent == percent)
    by = next((word for word in (budget.each, *budget.scope) if word in {ACCOUNT, SESSION}), budget.each or _MODEL)
    asked = f"query {literals.quoted(f'sort_desc({grown} > 0)')}"
    jobs = f"{{{{ range $at, $told := {asked} }}}}{{{{ if $at }}}}, {{{{ end }}}}{{{{ $told.Labels.{JOB_LABEL} }}}}{{{{ end }}}}"
    whose = f" of {budget.each} ..." if budget.each else ""
    line = f", whose log has the line `budget {budget.name}{whose} has spent ...`" if LOG in actions else ""
    return (
        f"Told by {jobs}{line}. No metric says whose spend it is, nor how much: on that machine `costspan budgets status FILE` says "
        f"how the budget stands, and `costspan usage --by {by}` what each cost."
    )
