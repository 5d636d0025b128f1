"""The rules for "this hour is not like this hour in other weeks", and for sessions that programs found in their ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from costspan.alerting.literals import one_of, quoted, selector
from costspan.alerting.rule import BUDGET_COMPONENT, JOB, WARNING, Alert, recording
from costspan.alerting.series import LOCAL_TIME, SPEND_WINDOW, USUAL_SPEND, WINDOW_LABEL
from costspan.alerting.spend import growth, summed
from costspan.budgets.finding import BURN, LOOP
from costspan.budgets.policy import ALERT as POLICY_ALERT
from costspan.names import ANOMALIES, ANOMALY_KIND, TASK_TYPE, TEAM, prometheus_label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from costspan.alerting.as_yaml import Content
    from costspan.budgets.policy import Anomaly

ALERT: Final = "LlmSpendAnomaly"
SESSION_ALERT: Final = "LlmRunawaySession"

# The median of three weeks is not moved by one bad week; two weeks give their mean, one week itself.
_WEEKS: Final = ("1w", "2w", "3w")
_TEAM: Final = prometheus_label(TEAM)
_KIND: Final = prometheus_label(ANOMALY_KIND)
_TASK: Final = prometheus_label(TASK_TYPE)


def _hour(offset: str = "") -> str:
    return f"sum by ({_TEAM}) ({selector(SPEND_WINDOW.name, **{WINDOW_LABEL: '1h'})}{offset})"


def _week(offset: str) -> str:
    """The hour of that week: zero if the team spent nothing, absent if nothing was recorded then."""
    was_recorded = f"and on () {LOCAL_TIME.name} offset {offset}"
    hour = f"({_hour(f' offset {offset}')} or {_hour()} * 0)\n    {was_recorded}"
    return f'  label_replace(\n    {hour},\n    {quoted(WINDOW_LABEL)}, {quoted(offset)}, "", ""\n  )'


def recorded() -> Iterator[Content]:
    """The rule that records what is usual."""
    weeks = "\n  or\n".join(_week(week) for week in _WEEKS)
    yield recording(USUAL_SPEND, f"quantile by ({_TEAM}) (\n  0.5,\n{weeks}\n)")


def alerts(anomaly: Anomaly) -> Iterator[Alert]:
    """An hour far above the usual, with enough money to be worth a look; sessions that programs told. None where the file wants none."""
    if POLICY_ALERT not in anomaly.actions:
        return
    yield Alert(
        ALERT,
        f"{_hour()} > {anomaly.factor:f} * {USUAL_SPEND.name}\nand {_hour()} >= {anomaly.floor_usd:f}",
        WARNING,
        f"Spend of the last hour is unusual{{{{ with $labels.{_TEAM} }}}} for team {{{{ . }}}}{{{{ end }}}}",
        f'{{{{ $value | printf "%.2f" }}}} USD in the last hour: more than {anomaly.factor:f} times the median of the same '
        "hour in the last three weeks.",
        BUDGET_COMPONENT,
        held="10m",
        page=f"costspan-usage{{{{ with $labels.{_TEAM} }}}}?var-team={{{{ . | urlquery }}}}{{{{ end }}}}",
    )
    found = selector(ANOMALIES.prometheus, one_of(_KIND, (LOOP, BURN)))
    doing = (
        f"{{{{ if eq $labels.{_KIND} {quoted(LOOP)} }}}}in a loop{{{{ else }}}}far above the usual cost{{{{ end }}}}"
    )
    yield Alert(
        SESSION_ALERT,
        f"{summed(growth(found, '1h'), f'job, {_KIND}, {_TASK}')} > 0",
        WARNING,
        f"Sessions of task type {{{{ $labels.{_TASK} }}}} are {doing} ({JOB})",
        f"{{{{ $value }}}} found in the ledger in the last hour. The log of {JOB} names them (`Anomaly: session ...`), and so does "
        "`costspan anomalies` on its machine.",
        BUDGET_COMPONENT,
        page=f"costspan-sessions?var-task_type={{{{ $labels.{_TASK} | urlquery }}}}",
    )
