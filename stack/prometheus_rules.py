"""Prometheus' rules as the objects that its operator for Kubernetes reads: a PrometheusRule for each file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

import yaml

from stack.compose import ROOT

FOLDER: Final = ROOT / "prometheus" / "rules"
_PART_OF: Final = {"app.kubernetes.io/part-of": "costspan"}


def written(folder: Path, namespace: str, labels: dict[str, str]) -> str:
    """The objects as YAML, whose groups are those of the files.

    Args:
        folder: the rules that `costspan budgets compile` wrote.
        namespace: where the objects are to lie.
        labels: what the operator chooses rules by (`ruleSelector`), beside ours.

    Raises:
        ValueError: there is no rule file, or one holds no groups of rules.
    """
    files = sorted(folder.glob("*.yml"))
    if not files:
        raise ValueError(f"{folder}: no rules here: expected *.yml, which `costspan budgets compile --out` writes")
    objects = [_object(file, namespace, {**_PART_OF, **labels}) for file in files]
    return yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True, width=2**16)


def _object(file: Path, namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    try:
        said: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as fault:
        raise ValueError(f"{file}: is not valid YAML: {fault}") from fault
    groups: Any = cast("dict[str, Any]", said).get("groups") if isinstance(said, dict) else None
    if not isinstance(groups, list):
        raise ValueError(f"{file}: groups: expected a list of groups of rules")  # noqa: TRY004  a fault of the file
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": f"costspan-{file.stem}", "namespace": namespace, "labels": labels},
        "spec": {"groups": groups},
    }
