"""The form of one Prometheus rule: a recorded series, or an alert with all that its reader needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from costspan.alerting.literals import as_template

if TYPE_CHECKING:
    from costspan.alerting.as_yaml import Content
    from costspan.alerting.series import Series
    from costspan.budgets.policy import Policy

#: Severities: somebody is called now, somebody looks today, somebody may look.
CRITICAL: Final = "critical"
WARNING: Final = "warning"
INFO: Final = "info"
#: In a text: the program, by its `service.name`.
JOB: Final = "{{ $labels.job }}"

#: Components: what spends, and what measures it. Routes go by them.
BUDGET_COMPONENT: Final = "llm-budget"
METER_COMPONENT: Final = "llm-meter"


class Alert(NamedTuple):
    """One alerting rule. `held` and `kept` are `for` and `keep_firing_for`; the runbook page has the alert's name, `page`
    is that of Grafana with its filters, `scope` says which calls are meant where alerts are told together.
    """

    name: str
    expression: str
    severity: str
    summary: str
    description: str
    component: str = METER_COMPONENT
    held: str = ""
    kept: str = ""
    labels: Mapping[str, str] = {}
    page: str = "costspan-health"
    scope: str = ""

    def rule(self, policy: Policy) -> Content:
        """The rule as Prometheus reads it; the policy says at which addresses its links begin."""
        written: dict[str, Content] = {"alert": self.name, "expr": self.expression}
        if self.held:
            written["for"] = self.held
        if self.kept:
            written["keep_firing_for"] = self.kept
        literal = {label: as_template(value) for label, value in self.labels.items()}
        written["labels"] = {"component": self.component, "severity": self.severity, **literal}
        written["annotations"] = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{as_template(policy.runbooks.rstrip('/'))}/{self.name}.md",
            "dashboard_url": f"{as_template(policy.grafana.rstrip('/'))}/d/{self.page}",
            **({"scope": self.scope} if self.scope else {}),
        }
        return written


def recording(series: Series, expression: str, labels: Mapping[str, str] | None = None) -> Content:
    """The rule that records a series."""
    written: dict[str, Content] = {"record": series.name, "expr": expression}
    if labels:
        written["labels"] = dict(labels)
    return written


def group(name: str, rules: list[Content], interval: str = "") -> Content:
    """A group: its rules are evaluated in order, at one moment, each seeing what those before it recorded."""
    return {"name": name, **({"interval": interval} if interval else {}), "rules": rules}
