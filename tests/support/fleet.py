"""A simulated fleet whose spend is known to the cent: what its processes export, and what they truly spent.

The sums are made by the process's own accumulator (metrics/totals.py), under a clock of the simulation.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from costspan.facts.money import NANO_PER_USD
from costspan.facts.periods import NS_PER_S, Periods
from costspan.metrics.counters import OF_DAYS
from costspan.metrics.instruments import day_points
from costspan.metrics.totals import Totals
from costspan.names import COST_USD, DAY_COST_USD, PERIOD, WEEKDAY, prometheus_label
from ledger_calls import COST, call

_LABELS = (
    'llm_team="search",llm_task_type="review",llm_source="main_agent",'
    'gen_ai_provider_name="openai",gen_ai_request_model="gpt-5",job="agents"'
)


@dataclass
class Spend:
    """One call: when it began and when it was counted, what it cost."""

    began_s: int
    counted_s: int
    usd: float


@dataclass
class Process:
    """One process: when it lives, when it exports, what it spends.

    `silent` are stretches without any export. `steps` are changes of its clock: from when on, and by how many seconds it
    is ahead of the truth from then on. All other times are true ones.
    """

    name: str
    start_s: int
    end_s: int
    every_s: int
    calls: list[Spend] = field(default_factory=list[Spend])
    silent: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    steps: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def shown_s(self, moment_s: int) -> int:
        """What its clock shows at a moment."""
        return moment_s + next((ahead_s for from_s, ahead_s in reversed(self.steps) if from_s <= moment_s), 0)

    @cached_property
    def exports_s(self) -> list[int]:
        """The moments at which its counters reach Prometheus; the last is its end."""
        moments_s = [*range(self.start_s + self.every_s, self.end_s, self.every_s), self.end_s]
        return [each for each in moments_s if not any(start_s <= each < end_s for start_s, end_s in self.silent)]

    def last_export_s(self, moment_s: int) -> int:
        """The last of them up to the moment; -1 where there is none."""
        count = bisect_right(self.exports_s, moment_s)
        return self.exports_s[count - 1] if count else -1


class Fleet:
    """Processes in one time zone."""

    def __init__(self, zone: str, processes: Iterable[Process]) -> None:
        self.zone = zone
        self.periods = Periods(zone)
        self.processes = list(processes)

    def samples(self) -> str:
        """The cost counters of all processes, as OpenMetrics with times."""
        text: dict[str, list[str]] = {COST_USD.prometheus: [], DAY_COST_USD.prometheus: []}
        for process in self.processes:
            for shown_s, months, weekdays in sorted(self.exported(process), key=lambda exported: exported[0]):
                for metric, label, sums in (
                    (COST_USD, PERIOD, months), (DAY_COST_USD, WEEKDAY, weekdays),
                ):  # fmt: skip
                    for value, usd in sums.items():
                        labels = f'{_LABELS},instance="{process.name}",{prometheus_label(label)}="{value}"'
                        text[metric.prometheus].append(f"{metric.prometheus}{{{labels}}} {usd!r} {shown_s}\n")
        return "".join(
            f"# TYPE {name.removesuffix('_total')} counter\n" + "".join(lines) for name, lines in text.items()
        )

    def exported(self, process: Process) -> Iterator[tuple[int, dict[str, float], dict[str, float]]]:
        """What a process exports, in the order of its doing: the time on its clock, sums by month and by weekday."""
        now_s = float(process.start_s)
        totals = Totals(50, steady=lambda: now_s)
        calls, counted = sorted(process.calls, key=lambda call: call.counted_s), 0
        for moment_s in process.exports_s:
            while counted < len(calls) and calls[counted].counted_s <= moment_s:
                now_s = float(calls[counted].counted_s)
                self._add(totals, process, calls[counted])
                counted += 1
            now_s, shown_s = float(moment_s), process.shown_s(moment_s)
            months = {cell.labels[PERIOD]: sum(cell.cost.values()) / NANO_PER_USD for cell in totals.by_labels.values()}
            today = self.periods.day(shown_s * NS_PER_S)
            yield shown_s, months, {labels[WEEKDAY]: usd for usd, labels in day_points(totals, OF_DAYS[0], today)}
            totals.let_go(now_s)

    def _add(self, totals: Totals, process: Process, spend: Spend) -> None:
        began_ns = process.shown_s(spend.began_s) * NS_PER_S
        made = call(started_ns=began_ns, price=replace(COST, nano_usd=round(spend.usd * NANO_PER_USD)))
        totals.add(made, self.periods.month(began_ns), self.periods.day(began_ns))

    @cached_property
    def _booked(self) -> list[tuple[Process, Spend, str, str]]:
        """Every call with the day and month it began in."""
        at = self.periods
        return [
            (process, call, at.day(call.began_s * NS_PER_S), at.month(call.began_s * NS_PER_S))
            for process in self.processes
            for call in process.calls
        ]

    def spent(self, moment_s: int) -> tuple[float, float, float]:
        """What was spent in the day, month and week of the moment, as far as it has been exported by then."""
        ns = moment_s * NS_PER_S
        today, this_month = self.periods.day(ns), self.periods.month(ns)
        date = datetime.strptime(today, "%Y%m%d").date()  # noqa: DTZ007 - the wall clock's
        week = {f"{date - timedelta(days=ago):%Y%m%d}" for ago in range(date.isoweekday())}
        seen_s = {process.name: process.last_export_s(moment_s) for process in self.processes}
        seen = [
            (call.usd, day, month)
            for process, call, day, month in self._booked
            if (month == this_month or day in week) and call.counted_s <= seen_s[process.name]
        ]
        return (
            sum(usd for usd, day, _ in seen if day == today),
            sum(usd for usd, _, month in seen if month == this_month),
            sum(usd for usd, day, _ in seen if day in week),
        )

    def spent_since(self, first: str, moment_s: int) -> float:
        """What was spent from a date on, `YYYYMMDD`, as far as it has been exported by then."""
        seen_s = {process.name: process.last_export_s(moment_s) for process in self.processes}
        return sum(
            call.usd
            for process, call, day, _ in self._booked
            if day >= first and call.counted_s <= seen_s[process.name]
        )


def moment_s(zone: str, *wall: int) -> int:
    """The second at which the zone's clock first shows this time."""
    return round(datetime(*wall, tzinfo=ZoneInfo(zone)).timestamp())  # type: ignore[arg-type]


def busy_fleet(zone: str, start_s: int, end_s: int, seed: int) -> Fleet:
    """Long processes, restarts in the middle of days and at midnight, short jobs, gaps, late calls, a dead one."""
    dice = random.Random(seed)  # noqa: S311 - a fixed seed
    day_s, hour_s = 86_400, 3_600
    processes = [
        Process("long", start_s, end_s, 900),
        Process("long-with-gaps", start_s, end_s, 900, silent=_gaps(dice, start_s, end_s)),
        Process("died-last-week", start_s, start_s + 6 * day_s + 5 * hour_s, 600),
        Process("idle-but-alive", start_s, end_s, 1_200),
    ]
    at_s = start_s
    while at_s < end_s:
        until_s = min(at_s + dice.randint(hour_s, 3 * day_s), end_s)
        processes.append(Process(f"restarted-{at_s}", at_s, until_s, 600))
        at_s = until_s + dice.randint(0, 2 * hour_s)
    for number in range(60):
        at_s = dice.randint(start_s, end_s - 400)
        processes.append(Process(f"job-{number}", at_s, at_s + dice.randint(5, 400), 60))
    for process in processes:
        process.calls = list(_calls(dice, process))
    return Fleet(zone, processes)


def _gaps(dice: random.Random, start_s: int, end_s: int) -> list[tuple[int, int]]:
    """Outages of minutes, hours and three days."""
    lengths_s = (1_500, 7_200, 20_000, 50_000, 72 * 3_600)
    return [(at_s, at_s + length_s) for length_s in lengths_s for at_s in [dice.randint(start_s, end_s - length_s)]]


def _calls(dice: random.Random, process: Process) -> Iterator[Spend]:
    """Calls of up to an hour; one process spends only in its first two days."""
    busy_until_s = process.start_s + 2 * 86_400 if process.name == "idle-but-alive" else process.end_s
    at_s = process.start_s
    while at_s < busy_until_s:
        lasts_s = dice.choice((1, 5, 30, 3_600))
        if at_s + lasts_s <= process.end_s:
            yield Spend(at_s, at_s + lasts_s, dice.randint(1, 5_000) / 1_000)
        at_s += dice.randint(1, 9_000)
