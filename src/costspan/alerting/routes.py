"""Alertmanager's part: who is told about a budget, once a crossing, and which alert makes another one needless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from costspan.alerting import anomaly, crossings
from costspan.alerting.alert_texts import number
from costspan.alerting.literals import equals, matches, one_of, regex
from costspan.alerting.periods import PERIOD_RULES
from costspan.alerting.rule import BUDGET_COMPONENT
from costspan.alerting.rules import BURN_ALERT, FORECAST_ALERT, OWNER_LABEL, THRESHOLD_ALERT, THRESHOLD_LABEL
from costspan.alerting.series import BUDGET_LABEL, DIMENSION_LABELS, PERIOD_LABEL, WINDOW_LABEL
from costspan.alerting.unruled import ruled
from costspan.budgets.policy import ALERT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal

    from costspan.alerting.as_yaml import Content
    from costspan.budgets.policy import Policy

#: The receiver of all that has no owner with a receiver of that name.
DEFAULT_RECEIVER: Final = "default"

#: What makes two alerts speak of the same budget in the same period. A label that both lack counts as equal.
IDENTITY: Final = (BUDGET_LABEL, PERIOD_LABEL, *DIMENSION_LABELS)

# 32 days: longer than the longest month (31 days, one of them of 25 hours) and the quarter of an hour that an alert stays
# after it. Alertmanager forgets what it told after `--data.retention` (120h by default): it has to run with 768h, too.
_ONCE_A_PERIOD: Final = "768h"
_A_DAY: Final = "24h"
_FULL_PERCENT: Final = 100


def alertmanager(policy: Policy, receivers: Sequence[str] = ()) -> dict[str, Content]:
    """The route and the inhibition. Owners that have a receiver of their name are told by it."""
    return {"route": _route(policy, receivers), "inhibit_rules": _inhibition(policy)}


def owned(policy: Policy) -> dict[str, list[str]]:
    """The owners, each with those of his budgets that have alerts."""
    found: dict[str, list[str]] = {}
    for budget in policy.budgets:
        if budget.owner and budget.alerting:
            found.setdefault(budget.owner, []).append(budget.name)
    return found


def _route(policy: Policy, receivers: Sequence[str]) -> Content:
    owners = sorted({budget.owner for budget in policy.budgets} & set(receivers))
    budgets: dict[str, Content] = {
        "matchers": [equals("component", BUDGET_COMPONENT)],
        "receiver": DEFAULT_RECEIVER,
        # A group for each crossing: it is told after `group_wait`, not with the next round of an older group.
        "group_by": ["alertname", THRESHOLD_LABEL, *IDENTITY],
        "group_wait": "10s",
        "group_interval": "1m",
        "repeat_interval": _ONCE_A_PERIOD,
    }
    told: list[Content] = [{"matchers": [equals(OWNER_LABEL, owner)], "receiver": owner} for owner in owners]
    if ALERT in policy.anomaly.actions:
        # It has no period at whose end it is over: one that goes on is told again the next day.
        named = one_of("alertname", (anomaly.ALERT, anomaly.SESSION_ALERT))
        told.append({"matchers": [named], "receiver": DEFAULT_RECEIVER, "repeat_interval": _A_DAY})
    if crossings.told_by_programs(policy):
        # An alert of several crossings that follow each other is one: it is told again for those that came since.
        crossed: dict[str, Content] = {
            "matchers": [equals("alertname", crossings.CROSSED_ALERT)],
            "receiver": DEFAULT_RECEIVER,
            "repeat_interval": crossings.STAYS,
        }
        told.insert(0, {**crossed, "routes": told[: len(owners)]} if owners else crossed)
    if told:
        budgets["routes"] = told
    return {
        "receiver": DEFAULT_RECEIVER,
        "group_by": ["alertname", "job"],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": _A_DAY,
        "routes": [budgets],
    }


def _inhibition(policy: Policy) -> list[Content]:
    """A crossed threshold silences all lower ones of its budget and period; a full budget needs no forecast; of the
    windows in which a budget burns, the shortest tells, which is the most severe.
    """
    crossed = sorted({percent for budget in ruled(policy).budgets for percent in budget.alerting}, reverse=True)
    rules: list[Content] = list(_told_by_programs(policy))
    for index, percent in enumerate(crossed[:-1]):
        lower = regex(number(each) for each in crossed[index + 1 :])
        rules.append(_silences(percent, [equals("alertname", THRESHOLD_ALERT), matches(THRESHOLD_LABEL, lower)]))
    full = [percent for percent in crossed if percent >= _FULL_PERCENT]
    rules += _burning()
    return rules + [_silences(percent, [equals("alertname", FORECAST_ALERT)]) for percent in full]


def _burning() -> list[Content]:
    paces = [rules.paces for rules in PERIOD_RULES.values() if len(rules.paces) > 1]
    return [
        {
            "source_matchers": [equals("alertname", BURN_ALERT), equals(WINDOW_LABEL, faster[index].long)],
            "target_matchers": [
                equals("alertname", BURN_ALERT),
                matches(WINDOW_LABEL, regex(slower.long for slower in faster[index + 1 :])),
            ],
            "equal": list(IDENTITY),
        }
        for faster in paces
        for index in range(len(faster) - 1)
    ]


def _told_by_programs(policy: Policy) -> Iterator[Content]:
    """The highest threshold tells where one budget reaches several at once. Of a budget for each account (session, ...) these may
    be several of them, so that each threshold is told.
    """
    for budget in crossings.told_by_programs(policy):
        percents = [number(percent) for percent in reversed(budget.alerting)]
        for index, percent in enumerate(percents[:-1] if budget.each is None else ()):
            one = [equals("alertname", crossings.CROSSED_ALERT), equals(BUDGET_LABEL, budget.name)]
            yield {
                "source_matchers": [*one, equals(THRESHOLD_LABEL, percent)],
                "target_matchers": [*one, matches(THRESHOLD_LABEL, regex(percents[index + 1 :]))],
                "equal": [BUDGET_LABEL],
            }


def _silences(percent: Decimal, targets: list[str]) -> Content:
    return {
        "source_matchers": [equals("alertname", THRESHOLD_ALERT), equals(THRESHOLD_LABEL, number(percent))],
        "target_matchers": targets,
        "equal": list(IDENTITY),
    }
