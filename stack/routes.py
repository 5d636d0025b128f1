"""Puts receivers.yml under the routes of the example budgets: prometheus/alertmanager.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from costspan.alerting import compiled
from costspan.budgets.reading import load
from costspan.budgets.receivers import receivers
from stack.compose import ROOT

FILE: Final = ROOT / "prometheus" / "alertmanager.yml"
BUDGETS: Final = ROOT / "examples" / "budgets" / "budgets.yaml"
RECEIVERS: Final = ROOT / "prometheus" / "receivers.yml"


def written(budgets: Path = BUDGETS, receivers_file: Path = RECEIVERS) -> str:
    """The configuration that belongs to a file of budgets and a file of receivers."""
    content = receivers_file.read_text(encoding="utf-8")
    return compiled.with_receivers(load(budgets), budgets.name, receivers(content, str(receivers_file)), content)
