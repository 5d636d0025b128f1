"""Where the cases play: the stack, a provider with its bill, a wire between agents and Collector, budgets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from costspan.alerting import compiled
from costspan.budgets.reading import load
from costspan.facts.money import NANO_PER_USD
from stack import HASTE, Stack, routes
from stack.chaos.load import Agent
from stack.chaos.panels import BUDGET, Panels
from stack.chaos.provider import Bill, serving
from stack.chaos.wire import Wire

#: Every case is a team with this limit a month; its load spends more, so that every threshold is crossed.
LIMIT_USD: Final = 0.02
BUDGETS: Final = f"""
time_zone: UTC
budgets:
  - name: {BUDGET}
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
    """What everyone says that a case cost, in USD; None where somebody says nothing.

    `sessions`, `panel` and `days` are the committed panels' own queries, and so is `budget`, which speaks of this month.
    """

    served: float
    ledger: float | None
    prometheus: float | None
    sessions: float | None
    panel: float | None
    days: float | None
    budget: float | None
    served_this_month: float

    def agree(self) -> bool:
        """True if all say what was served, to a billionth."""
        whole = (self.ledger, self.prometheus, self.sessions, self.panel, self.days)
        return all(is_same(each, self.served) for each in whole) and is_same(self.budget, self.served_this_month)


class Told(NamedTuple):
    """A threshold that was told: percent, the words, and the second of the evaluation that found it crossed."""

    percent: str
    said: str
    found_s: float


def _second(moment: str) -> float:
    """Seconds since 1970 of Alertmanager's times, `2026-11-22T08:25:40.123456789Z`."""
    return datetime.fromisoformat(f"{moment[:19]}+00:00").timestamp() + float(f"0{moment[19:-1]}")


def is_same(usd: float | None, served: float) -> bool:
    """True if somebody says what was served, to a billionth."""
    return usd is not None and abs(usd - served) <= 1e-9 * served


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
            "OTEL_COSTSPAN_OUTBOX": str(self.folder / "outbox"),
            **more,
        }
        return Agent(environment, self.folder / f"{case}.log", clock)

    def ledger(self, case: str) -> Path:
        """The ledger that all processes of a case write."""
        return self.folder / f"{case}.db"

    def figures(self, case: str, end_s: float | None = None) -> Figures:
        """What everyone says now; panels are looked at as of `end_s`, if that is not now."""
        end_s = time.time() if end_s is None else end_s
        panels = Panels(self.stack.places.address("prometheus", 9090), end_s, self.stack.headers("prometheus"))
        return Figures(
            served=self._served(case),
            ledger=self._told(case),
            prometheus=self.stack.value(f'sum(last_over_time(llm_cost_usd_total{{job="{case}"}}[32d]))'),
            sessions=panels.cost_in_sessions(case),
            panel=panels.cost(case),
            days=self._days(case, panels.days(case)),
            budget=panels.spent(case),
            served_this_month=self._served(case, time.strftime("%Y%m", time.gmtime())),
        )

    def _served(self, case: str, period: str = "") -> float:
        """What the provider served to a case, in a day or month if one is given."""
        return self.bill.of(f"{case}/{period}") / NANO_PER_USD

    def _days(self, case: str, bars: Mapping[str, float]) -> float | None:
        """The sum of the bars, if each is what was served on its day."""
        is_right = all(is_same(usd, self._served(case, day)) for day, usd in bars.items())
        return sum(bars.values()) if is_right else None

    def _told(self, case: str) -> float:
        costspan = Path(sys.executable).with_name("costspan")
        command = [str(costspan), "usage", "--ledger", str(self.ledger(case)), "--by", "total", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(json.loads(done.stdout)["total"]["cost_usd"])

    def told(self, case: str) -> list[Told]:
        """What a case's owner was told of thresholds, in order; resolved ones aside."""
        return [
            Told(alert["labels"]["threshold"], alert["annotations"]["description"], _second(alert["startsAt"]))
            for body in self.stack.notifications()
            for alert in body["alerts"]
            if alert["labels"].get("llm_team") == case
            and alert["status"] == "firing"
            and "threshold" in alert["labels"]
        ]


@contextmanager
def stage(folder: Path, evaluation_s: int = EVALUATION_S) -> Generator[Stage]:
    """Everything started, with budgets compiled, and with the pace of evaluation quickened."""
    stack = Stack(folder / "stack", haste=HASTE)
    _set_budgets(stack, folder, evaluation_s)
    bill = Bill()
    with ExitStack() as running:
        running.enter_context(stack)
        provider = running.enter_context(serving(bill))
        wire = running.enter_context(Wire(stack.places.address("collector", 4318)))
        yield Stage(stack, bill, wire, provider, folder)


def _set_budgets(stack: Stack, folder: Path, evaluation_s: int) -> None:
    budgets = folder / "budgets.yaml"
    budgets.write_text(BUDGETS, encoding="utf-8")
    home = stack.configuration("prometheus")
    compiled.write(compiled.compiled(load(budgets), budgets.name), home)
    settings = home / "prometheus.yml"
    edit(settings, r"evaluation_interval: \w+", f"evaluation_interval: {evaluation_s}s")
    receivers = stack.configuration("alertmanager") / "receivers.yml"
    told = re.sub(r"group_wait: \w+", f"group_wait: {GROUP_WAIT_S}s", routes.written(budgets, receivers))
    (receivers.parent / "alertmanager.yml").write_text(told, encoding="utf-8")


def edit(file: Path, pattern: str, by: str) -> None:
    """Replace one thing in a file; a ValueError where it is not there once."""
    text, count = re.subn(pattern, by, file.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"{file}: expected {pattern!r} once, found it {count} times")
    file.write_text(text, encoding="utf-8")


def collector_counted(stack: Stack, metric: str) -> float:
    """What the Collector says of itself: a counter, all its series added up."""
    lines = stack.text("collector", 8888, "/metrics").splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(metric))
