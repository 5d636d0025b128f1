"""The metrics of the contract: counters and gauges read from own sums, durations recorded on the clerk's thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from costspan import names
from costspan.emit.cells import Cell, Cells
from costspan.facts.call import Call
from costspan.facts.money import NANO_PER_USD
from costspan.names import Metric

#: Gives (value, labels) pairs when metrics are collected.
Source: TypeAlias = Callable[[], Iterable[tuple[int | float, dict[str, str]]]]

# Not empty: the SDK takes the current context for an empty one, and would keep the labels once more for an exemplar.
_NO_SPAN: Final = Context({"costspan": True})
_MOST_LABELS: Final = 1_024


def observe(meter: Meter, metric: Metric, source: Source) -> None:
    """Have a counter or gauge read from a source at each collection."""

    def read(_: CallbackOptions) -> Iterator[Observation]:
        for value, labels in source():
            yield Observation(value, labels)

    create = meter.create_observable_counter if metric.kind == names.COUNTER else meter.create_observable_gauge
    create(metric.name, callbacks=[read], unit=metric.unit, description=metric.description)


def observe_cells(meter: Meter, cells: Cells) -> None:
    """Have the counters of the contract read from the cells."""
    for metric in (
        names.INPUT_TOKENS, names.OUTPUT_TOKENS, names.CACHE_READ_TOKENS, names.CACHE_WRITE_TOKENS, names.REASONING_TOKENS
    ):  # fmt: skip
        observe(meter, metric, _tokens_of(cells, metric.name))
    observe(meter, names.COST_USD, _each(cells, _costs))
    observe(meter, names.REQUESTS, _each(cells, _requests))
    observe(meter, names.UNPRICED_REQUESTS, _each(cells, lambda cell: _unpriced(cell, 0)))
    observe(meter, names.UNPRICED_TOKENS, _each(cells, lambda cell: _unpriced(cell, 1)))
    observe(meter, names.DAY_COST_USD, lambda: _day_costs(cells))
    observe(meter, names.DAY_TOKENS, lambda: _day_tokens(cells))
    observe(meter, names.FOLDED, lambda: [(cells.folded, {})])


def _each(cells: Cells, read: Callable[[Cell], Iterable[tuple[int | float, dict[str, str]]]]) -> Source:
    def source() -> list[tuple[int | float, dict[str, str]]]:
        with cells.lock:
            return [point for cell in cells.cells.values() for point in read(cell)]

    return source


def _tokens_of(cells: Cells, metric: str) -> Source:
    def read(cell: Cell) -> Iterator[tuple[int | float, dict[str, str]]]:
        for (name, modality), count in cell.tokens.items():
            if name == metric:
                yield count, {**cell.labels, names.MODALITY: modality}

    return _each(cells, read)


def _costs(cell: Cell) -> Iterator[tuple[int | float, dict[str, str]]]:
    for quality, nano_usd in cell.cost.items():
        yield nano_usd / NANO_PER_USD, {**cell.labels, names.QUALITY: quality}


def _requests(cell: Cell) -> Iterator[tuple[int | float, dict[str, str]]]:
    for outcome, count in cell.outcomes.items():
        yield count, {**cell.labels, names.OUTCOME: outcome}


def _unpriced(cell: Cell, index: int) -> Iterator[tuple[int | float, dict[str, str]]]:
    for reason, counts in cell.unpriced.items():
        yield counts[index], {**cell.labels, names.UNPRICED_REASON: reason}


def _day_costs(cells: Cells) -> list[tuple[int | float, dict[str, str]]]:
    with cells.lock:
        return [(day.nano_usd / NANO_PER_USD, day.labels) for day in cells.days.values()]


def _day_tokens(cells: Cells) -> list[tuple[int | float, dict[str, str]]]:
    with cells.lock:
        return [
            (count, {**day.labels, names.DIRECTION: direction})
            for day in cells.days.values()
            for direction, count in (("input", day.input), ("output", day.output))
        ]


class Durations:
    """The two histograms: how long calls took, and how long their first event."""

    def __init__(self, meter: Meter, cells: Cells) -> None:
        self._cells = cells
        self._labels: dict[tuple[str | None, ...], dict[str, str]] = {}
        self._duration, self._first_chunk = [
            meter.create_histogram(
                metric.name,
                metric.unit,
                metric.description,
                explicit_bucket_boundaries_advisory=list(names.DURATION_BUCKETS_S),
            )
            for metric in (names.DURATION_S, names.FIRST_CHUNK_S)
        ]

    def take(self, calls: Sequence[Call]) -> None:
        """Record finished calls."""
        for call in calls:
            labels = self._labels_of(call)
            self._duration.record(call.duration_s, labels, _NO_SPAN)
            if call.first_chunk_s is not None:
                without_error = {name: value for name, value in labels.items() if name != names.ERROR_TYPE}
                self._first_chunk.record(call.first_chunk_s, without_error, _NO_SPAN)

    def _labels_of(self, call: Call) -> dict[str, Any]:
        key = (*_dimensions(call), call.error_type)
        labels = self._labels.get(key)
        if labels is None:
            if len(self._labels) >= _MOST_LABELS:
                self._labels.clear()
            labels = self._labels[key] = self._capped(call)
        return labels

    def _capped(self, call: Call) -> dict[str, str]:
        labels = self._cells.capped_labels(_dimensions(call))
        if call.error_type is not None:
            labels[names.ERROR_TYPE] = self._cells.error_types.value(call.error_type)
        return labels


def _dimensions(call: Call) -> tuple[str | None, ...]:
    who = call.attribution
    return (
        call.operation, call.provider, call.request_model, call.answer.model, who.task_type, who.source, who.team
    )  # fmt: skip
