"""The counters and gauges of the contract, read from own sums when metrics are collected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import time_ns
from typing import TypeAlias

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from costspan import names
from costspan.emit.cells import TOKENS, Cell, Cells
from costspan.emit.numbers import number, usd
from costspan.facts.periods import Periods
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


def observe_cells(meter: Meter, cells: Cells, periods: Periods) -> None:
    """Have the counters of the contract read from the cells; `periods` says what day it is."""
    for metric, unit, parts in TOKENS:
        observe(meter, metric, _tokens_of(cells, unit, parts))
    observe(meter, names.COST_USD, _each(cells, _costs))
    observe(meter, names.REQUESTS, _each(cells, _requests))
    observe(meter, names.UNPRICED_REQUESTS, _each(cells, lambda cell: _unpriced(cell, 0)))
    observe(meter, names.UNPRICED_TOKENS, _each(cells, lambda cell: _unpriced(cell, 1)))
    observe(meter, names.DAY_COST_USD, lambda: day_costs(cells, periods.day(time_ns())))
    observe(meter, names.DAY_TOKENS, lambda: _day_tokens(cells, periods.day(time_ns())))
    observe(meter, names.FOLDED, lambda: [(cells.folded, {})])
    observe(meter, names.RETIRED_USD, lambda: [(usd(cells.retired_nano_usd), {})])


def _each(cells: Cells, read: Callable[[Cell], Iterable[tuple[int | float, dict[str, str]]]]) -> Source:
    def source() -> list[tuple[int | float, dict[str, str]]]:
        with cells.lock:
            return [point for cell in cells.cells.values() for point in read(cell)]

    return source


def _tokens_of(cells: Cells, unit: str, parts: dict[str, str]) -> Source:
    def read(cell: Cell) -> Iterator[tuple[int | float, dict[str, str]]]:
        for modality, count in cell.tokens(unit, parts).items():
            yield count, {**cell.labels, names.MODALITY: modality}

    return _each(cells, read)


def _costs(cell: Cell) -> Iterator[tuple[int | float, dict[str, str]]]:
    for quality, nano_usd in cell.cost.items():
        yield usd(nano_usd), {**cell.labels, names.QUALITY: quality}


def _requests(cell: Cell) -> Iterator[tuple[int | float, dict[str, str]]]:
    for outcome, count in cell.outcomes.items():
        yield count, {**cell.labels, names.OUTCOME: outcome}


def _unpriced(cell: Cell, index: int) -> Iterator[tuple[int | float, dict[str, str]]]:
    for reason, counts in cell.unpriced.items():
        yield counts[index], {**cell.labels, names.UNPRICED_REASON: reason}


def day_costs(cells: Cells, today: str) -> list[tuple[int | float, dict[str, str]]]:
    """The points of the day counter on the date `today`."""
    with cells.lock:
        return [(usd(day.nano_usd), day.labels) for day in cells.recent(today)]


def _day_tokens(cells: Cells, today: str) -> list[tuple[int | float, dict[str, str]]]:
    with cells.lock:
        return [
            (count, {**day.labels, names.DIRECTION: direction})
            for day in cells.recent(today)
            for direction, count in (("input", day.input), ("output", day.output))
        ]
