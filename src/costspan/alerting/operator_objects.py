"""Prometheus' rules as the objects that its operator for Kubernetes reads: a PrometheusRule for each file of rules."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from costspan.alerting import as_yaml
from costspan.alerting.compiled import BUDGET_RULES, METER_RULES
from costspan.alerting.own_alerts import meter_rules
from costspan.alerting.rules import budget_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from costspan.budgets.policy import Policy

_PART_OF: Final = {"app.kubernetes.io/part-of": "costspan"}


def rule_objects(policy: Policy, source: str, namespace: str, labels: Mapping[str, str]) -> str:
    """The objects as YAML. `labels` are what the operator chooses rules by (`ruleSelector`), beside ours."""
    title = f"Compiled by `costspan budgets rules` from {source}."
    objects = [
        as_yaml.dump(
            {
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "PrometheusRule",
                "metadata": {
                    "name": f"costspan-{PurePosixPath(file).stem}", "namespace": namespace, "labels": {**_PART_OF, **labels},
                },
                "spec": rules(policy),
            },
            title=title,
        )
        for file, rules in ((BUDGET_RULES, budget_rules), (METER_RULES, meter_rules))
    ]  # fmt: skip
    return "---\n".join(objects)
