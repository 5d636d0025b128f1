"""The counters and gauges of the contract, read from own sums when metrics are collected."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from time import time_ns
from typing import TypeAlias

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from costspan import names
from costspan.facts.periods import Periods
from costspan.metrics.counters import OF_DAYS, OF_LABELS, Counter
from costspan.metrics.days import Day
from costspan.metrics.numbers import number, usd
from costspan.metrics.totals import LabelTotals, Totals
from costspan.names import Metric

#: A value with its labels, and what gives them when metrics are collected.
Observed: TypeAlias = tuple[int | float, dict[str, str]]
Source: TypeAlias = Callable[[], Iterable[Observed]]


def observe(meter: Meter, metric: Metric, source: Source) -> None:
    """Have a counter or gauge read from a source at each collection."""

    def read(_: CallbackOptions) -> Iterator[Observation]:
        for value, labels in source():
            encodable = number(value)
            if encodable is not None:
                yield Observation(encodable, labels)

    create = meter.create_observable_counter if metric.kind == names.COUNTER else meter.create_observable_gauge
    create(metric.name, callbacks=[read], unit=metric.unit, description=metric.description)


def observe_totals(
    meter: Meter, totals: Totals, periods: Periods, leave_by_themselves: Callable[[], bool] = bool
) -> None:
    """Have the counters of the contract read from the totals; `periods` says what day it is.

    Where the totals leave by themselves (sdk/readers.py), the SDK's counters of the same names have no points.
    """

    def unless(source: Source) -> Source:
        return lambda: () if leave_by_themselves() else source()

    for counter in OF_LABELS:
        observe(meter, counter.metric, unless(functools.partial(_of_labels, totals, counter)))
    for counter in OF_DAYS:
        observe(meter, counter.metric, unless(functools.partial(_of_days, totals, counter, periods)))
    observe(meter, names.FOLDED, lambda: [(totals.overflowed, {})])
    observe(meter, names.RETIRED_USD, lambda: [(usd(totals.retired_nano_usd), {})])


def _of_labels(totals: Totals, counter: Counter) -> list[Observed]:
    return totals.read(lambda: [point for entry in totals.by_labels.values() for point in _points(counter, entry)])


def _of_days(totals: Totals, counter: Counter, periods: Periods) -> list[Observed]:
    return day_points(totals, counter, periods.day(time_ns()))


def day_points(totals: Totals, counter: Counter, today: str) -> list[Observed]:
    """The points of a counter of days on the date `today`."""
    return totals.read(lambda: [point for day in totals.recent(today) for point in _points(counter, day)])


def _points(counter: Counter, entry: LabelTotals | Day) -> Iterator[Observed]:
    labels = entry.labels
    for value, amount in counter.read(entry).items():
        yield counter.exported(amount), counter.labels(labels, value)
