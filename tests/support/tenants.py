"""A process of a service with many tenants: what it is given to count, and what has to come out."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, TypeAlias

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import View

from costspan import guard, instrumentor, names
from costspan.emit.pipeline import Pipeline
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.facts.usage import INPUT, OUTPUT, Usage
from ledger_calls import COST, call
from watching import Watched

#: Team, task type, model, source: 10,000 that occur together.
Tenant: TypeAlias = tuple[str, str, str, str]
TENANTS: Final[list[Tenant]] = list(
    itertools.product(
        (f"tenant-{number}" for number in range(100)), ("triage", "review", "answer", "summary", "search"),
        ("gpt-5.4", "gpt-5.4-mini", "claude-haiku-4-5", "gemini-3.5-flash", "sonar"),
        ("main_agent", "task_agent", "heartbeat", "user"),
    )
)  # fmt: skip
LABELS: Final = (names.TEAM, names.TASK_TYPE, names.REQUEST_MODEL, names.SOURCE)
#: Input tokens, output tokens, nano-USD of each tenant.
Sums: TypeAlias = dict[Tenant, tuple[int, int, int]]


def spends(number: int, tenant: Tenant) -> Call:
    """One call of a tenant: its number says how many tokens and how much money."""
    team, task_type, model, source = tenant
    made = call(request_model=model, team=team, task_type=task_type, source=source, session=None)
    made.answer = replace(made.answer, usage=Usage(input=1_000 + number, output=1 + number))
    return replace(made, price=replace(COST, nano_usd=7_000 + 13 * number))


def sums(calls: Iterable[Call]) -> Sums:
    """What was put in."""
    found: Sums = {}
    for made in calls:
        who, usage = made.attribution, made.answer.usage
        tenant = (str(who.team), str(who.task_type), str(made.request_model), str(who.source))
        before = found.get(tenant, (0, 0, 0))
        assert usage is not None
        assert isinstance(made.price, Cost)
        added = (usage.get(INPUT), usage.get(OUTPUT), made.price.nano_usd)
        found[tenant] = tuple(a + b for a, b in zip(before, added, strict=True))  # type: ignore[assignment]
    return found


def told(points: Callable[[str], Iterable[Any]]) -> Sums:
    """What came out, by one reading of the three counters; a set that is told twice is a fault."""
    columns: list[dict[Tenant, int]] = []
    for metric, unit in ((names.INPUT_TOKENS, 1), (names.OUTPUT_TOKENS, 1), (names.COST_USD, 1e9)):
        column: dict[Tenant, int] = {}
        for point in points(metric.name):
            tenant: Any = tuple(point.attributes[label] for label in LABELS)
            assert tenant not in column
            column[tenant] = round(point.value * unit)
        columns.append(column)
    given, made, cost = columns
    assert given.keys() == made.keys() == cost.keys()
    return {tenant: (given[tenant], made[tenant], cost[tenant]) for tenant in given}


def told_of_the_day(points: Callable[[str], Iterable[Any]]) -> Sums:
    """The same by the counters of the day."""
    found: dict[Tenant, list[int]] = {}
    for point in points(names.DAY_COST_USD.name):
        found.setdefault(tuple(point.attributes[label] for label in LABELS), [0, 0, 0])[2] += round(point.value * 1e9)  # type: ignore[arg-type]
    for point in points(names.DAY_TOKENS.name):
        place = ("input", "output").index(point.attributes[names.DIRECTION])
        found[tuple(point.attributes[label] for label in LABELS)][place] += point.value  # type: ignore[index]
    return {tenant: tuple(each) for tenant, each in found.items()}  # type: ignore[misc]


class Service:
    """A process with many tenants, whose metrics leave when the test says so."""

    def __init__(self, provider: MeterProvider, pipeline: Pipeline) -> None:
        self.provider = provider
        self.pipeline = pipeline
        self.calls: list[Call] = []

    def serves(self, tenants: Iterable[Tenant]) -> None:
        """One call of each, as the engine hands them over when they are priced."""
        for number, tenant in enumerate(tenants):
            made = spends(number, tenant)
            self.calls.append(made)
            guard.each(self.pipeline.recorder._at_booking, made)
        self.pipeline.flush()  # the durations, too, which a thread of its own takes when it comes to it

    def exports(self) -> bool:
        """What the reader does once a minute: whether all totals were delivered."""
        before = self.pipeline.readers.delivered_s()
        self.provider.force_flush(60_000)
        return self.pipeline.readers.delivered_s() > before

    def expected(self) -> Sums:
        """What was put in so far."""
        return sums(self.calls)


@contextmanager
def serving(*readers: Any, views: tuple[View, ...] = (), **settings: Any) -> Generator[Service]:
    """A service with these readers, on the day on which `ledger_calls.call` makes its calls."""
    watched = Watched(events=False, session_metrics=False, spans=False, **settings)
    watched.meter_provider = MeterProvider(readers, views=views, shutdown_on_exit=False)
    with watched:
        assert instrumentor.pipeline is not None
        _stay_on_the_day(instrumentor.pipeline)
        yield Service(watched.meter_provider, instrumentor.pipeline)
    watched.meter_provider.shutdown()


def _stay_on_the_day(pipeline: Pipeline) -> None:
    """The calls are of 2026-11-20, and this is today."""
    pipeline.readers._periods = _FixedDay(pipeline.readers._periods)  # type: ignore[assignment]


class _FixedDay:
    def __init__(self, periods: Any) -> None:
        self.today = "20261120"
        self.month = periods.month

    def day(self, _: int) -> str:
        return self.today
