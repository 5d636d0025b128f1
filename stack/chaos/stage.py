"""Where the cases play: the stack, a provider with its bill, a wire between agents and Collector, budgets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from costspan.budgets import compiled
from costspan.budgets.policy import load
from costspan.facts.money import NANO_PER_USD
from stack import Stack, routes
from stack.chaos.load import Agent
from stack.chaos.provider import Bill, serving
from stack.chaos.wire import Wire

#: Every case is a team with this limit a month; its load spends more, so that every threshold is crossed.
LIMIT_USD: Final = 0.02
BUDGETS: Final = f"""
time_zone: UTC
budgets:
  - name: chaos
    period: month
    limit_usd: {LIMIT_USD}
    each: team
"""
#: Instead of 30 s, and instead of 10 s: only the waiting gets shorter.
EVALUATION_S: Final = 2
GROUP_WAIT_S: Final = 1

_AGENT: Final = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    # How long an ending process keeps trying (SDK default 10): longer than the faults that it meets here.
    "OTEL_EXPORTER_OTLP_TIMEOUT": "30",
    # The stand-in host is no host that costspan knows to accept the question for usage.
    "OTEL_COSTSPAN_ASK_USAGE": "always",
}


class Figures(NamedTuple):
    """What everyone says that a case cost, in USD; None where somebody says nothing."""

    served: float
    ledger: float | None
    prometheus: float | None
    sessions: float | None
    panel: float | None
    rule: float | None

    def agree(self) -> bool:
        """True if all say what was served, to a billionth."""
        return all(each is not None and abs(each - self.served) <= 1e-9 * self.served for each in self)


class Stage(NamedTuple):
    """All that a case can use."""

    stack: Stack
    bill: Bill
    wire: Wire
    provider: str
    folder: Path

    def agent(self, case: str, clock: int | None = None, more: Mapping[str, str] = {}) -> Agent:
        """One more process of a case."""
        environment = {
            **_AGENT,
            "CHAOS_CASE": case,
            "CHAOS_PROVIDER": self.provider,
            "OTEL_SERVICE_NAME": case,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.wire.address}",
            "OTEL_COSTSPAN_LEDGER": str(self.ledger(case)),
            **more,
        }
        return Agent(environment, self.folder / f"{case}.log", clock)

    def ledger(self, case: str) -> Path:
        """The ledger that all processes of a case write."""
        return self.folder / f"{case}.db"

    def figures(self, case: str) -> Figures:
        """What everyone says now."""
        ask = self.stack.value
        return Figures(
            served=self.bill.of(f"{case}/") / NANO_PER_USD,
            ledger=self._told(case),
            prometheus=ask(f'sum(last_over_time(llm_cost_usd_total{{job="{case}"}}[32d]))'),
            sessions=ask(f'sum(last_over_time(llm_session_cost_usd_total{{job="{case}"}}[32d]))'),
            panel=ask(_since("llm_cost_usd_total", f'llm_team="{case}"', "1h")),
            rule=ask(f'llm:budget_spend:usd{{llm_team="{case}"}}'),
        )

    def _told(self, case: str) -> float:
        costspan = Path(sys.executable).with_name("costspan")
        command = [str(costspan), "usage", "--ledger", str(self.ledger(case)), "--by", "total", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(json.loads(done.stdout)["total"]["cost_usd"])

    def crossings(self, case: str) -> list[str]:
        """The thresholds of which a case's owner was told, in order; resolved ones aside."""
        return [
            alert["labels"]["threshold"]
            for body in self.stack.notifications()
            for alert in body["alerts"]
            if alert["labels"].get("llm_team") == case
            and alert["status"] == "firing"
            and "threshold" in alert["labels"]
        ]


def _since(counter: str, matchers: str, window: str) -> str:
    """What a counter has grown by within a window, exact with unique instance ids: last value minus the one before."""
    last = f"last_over_time({counter}{{{matchers}}}[{window}])"
    return f"sum({last} - ({counter}{{{matchers}}} offset {window} or {last} * 0))"


@contextmanager
def stage(folder: Path) -> Generator[Stage]:
    """Everything started, with budgets compiled and the pace of evaluation quickened."""
    stack = Stack(folder / "stack")
    _set_budgets(stack, folder)
    bill = Bill()
    with ExitStack() as running:
        running.enter_context(stack)
        provider = running.enter_context(serving(bill))
        wire = running.enter_context(Wire(stack.places.address("collector", 4318)))
        yield Stage(stack, bill, wire, provider, folder)


def _set_budgets(stack: Stack, folder: Path) -> None:
    budgets = folder / "budgets.yaml"
    budgets.write_text(BUDGETS, encoding="utf-8")
    home = stack.configuration("prometheus")
    compiled.write(compiled.compiled(load(budgets), budgets.name), home)
    settings = home / "prometheus.yml"
    edit(settings, r"evaluation_interval: \w+", f"evaluation_interval: {EVALUATION_S}s")
    receivers = stack.configuration("alertmanager") / "receivers.yml"
    told = re.sub(r"group_wait: \w+", f"group_wait: {GROUP_WAIT_S}s", routes.written(budgets, receivers))
    (receivers.parent / "alertmanager.yml").write_text(told, encoding="utf-8")


def edit(file: Path, pattern: str, by: str) -> None:
    """Replace one thing in a file; a ValueError where it is not there once."""
    text, count = re.subn(pattern, by, file.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"{file}: expected {pattern!r} once, found it {count} times")
    file.write_text(text, encoding="utf-8")


def refused_points(stack: Stack) -> float:
    """How many points the Collector's queue could not take."""
    lines: list[Any] = stack.text("collector", 8888, "/metrics").splitlines()
    failed = (line for line in lines if line.startswith("otelcol_exporter_enqueue_failed_metric_points"))
    return sum(float(line.split()[-1]) for line in failed)
