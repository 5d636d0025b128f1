"""The counters and gauges of the contract, read from own sums when metrics are collected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import time_ns
from typing import TypeAlias

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from costspan import names
from costspan.facts.periods import Periods
from costspan.metrics.numbers import number, usd
from costspan.metrics.totals import TOKENS, LabelTotals, Totals
from costspan.names import Metric

#: Gives (value, labels) pairs when metrics are collected.
Source: TypeAlias = Callable[[], Iterable[tuple[int | float, dict[str, str]]]]


def observe(meter: Meter, metric: Metric, source: Source) -> None:
    """Have a counter or gauge read from a source at each collection."""

    def read(_: CallbackOptions) -> Iterator[Observation]:
        for value, labels in source():
            encodable = number(value)
            if encodable is not None:
                yield Observation(encodable, labels)

    create = meter.create_observable_counter if metric.kind == names.COUNTER else meter.create_observable_gauge
    create(metric.name, callbacks=[read], unit=metric.unit, description=metric.description)


def observe_totals(meter: Meter, totals: Totals, periods: Periods) -> None:
    """Have the counters of the contract read from the totals; `periods` says what day it is."""
    for metric, unit, parts in TOKENS:
        observe(meter, metric, _tokens_of(totals, unit, parts))
    observe(meter, names.COST_USD, _each(totals, _costs))
    observe(meter, names.REQUESTS, _each(totals, _requests))
    observe(meter, names.UNPRICED_REQUESTS, _each(totals, lambda entry: _unpriced(entry, 0)))
    observe(meter, names.UNPRICED_TOKENS, _each(totals, lambda entry: _unpriced(entry, 1)))
    observe(meter, names.DAY_COST_USD, lambda: day_costs(totals, periods.day(time_ns())))
    observe(meter, names.DAY_TOKENS, lambda: _day_tokens(totals, periods.day(time_ns())))
    observe(meter, names.FOLDED, lambda: [(totals.overflowed, {})])
    observe(meter, names.RETIRED_USD, lambda: [(usd(totals.retired_nano_usd), {})])


def _each(totals: Totals, read: Callable[[LabelTotals], Iterable[tuple[int | float, dict[str, str]]]]) -> Source:
    def source() -> list[tuple[int | float, dict[str, str]]]:
        return totals.read(lambda: [point for entry in totals.by_labels.values() for point in read(entry)])

    return source


def _tokens_of(totals: Totals, unit: str, parts: dict[str, str]) -> Source:
    def read(entry: LabelTotals) -> Iterator[tuple[int | float, dict[str, str]]]:
        for modality, count in entry.tokens(unit, parts).items():
            yield count, {**entry.labels, names.MODALITY: modality}

    return _each(totals, read)


def _costs(entry: LabelTotals) -> Iterator[tuple[int | float, dict[str, str]]]:
    for quality, nano_usd in entry.cost.items():
        yield usd(nano_usd), {**entry.labels, names.QUALITY: quality}


def _requests(entry: LabelTotals) -> Iterator[tuple[int | float, dict[str, str]]]:
    for outcome, count in entry.outcomes.items():
        yield count, {**entry.labels, names.OUTCOME: outcome}


def _unpriced(entry: LabelTotals, index: int) -> Iterator[tuple[int | float, dict[str, str]]]:
    for reason, counts in entry.unpriced.items():
        yield counts[index], {**entry.labels, names.UNPRICED_REASON: reason}


def day_costs(totals: Totals, today: str) -> list[tuple[int | float, dict[str, str]]]:
    """The points of the day counter on the date `today`."""
    return totals.read(lambda: [(usd(day.nano_usd), day.labels) for day in totals.recent(today)])


def _day_tokens(totals: Totals, today: str) -> list[tuple[int | float, dict[str, str]]]:
    return totals.read(
        lambda: [
            (count, {**day.labels, names.DIRECTION: direction})
            for day in totals.recent(today)
            for direction, count in (("input", day.input), ("output", day.output))
        ]
    )
