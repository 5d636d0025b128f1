"""The two histograms: how long calls took, and how long their first event.

An SDK histogram costs more per record than all counters of a call together. So the buckets are kept here and ride with
the readers (sdk/export_extra.py) like the session counters, unless the user has a View or another aggregation in force, or the
provider is not the SDK's: then they are the SDK's instruments.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Callable, Sequence
from time import time_ns
from typing import Final

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, Meter

from costspan import names
from costspan.facts.call import Call
from costspan.metrics.reentry import Reentrant
from costspan.metrics.totals import Totals

# Not empty: the SDK takes the current context for an empty one, and would keep the labels once more for an exemplar.
_NO_SPAN: Final = Context({"costspan": True})
_MOST_LABELS: Final = 1_024
_BOUNDS: Final = names.DURATION_BUCKETS_S


class Spread:
    """How the seconds of one set of labels are spread over the buckets."""

    __slots__ = ("buckets", "count", "labels", "least", "most", "started_ns", "total")

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self.buckets = [0] * (len(_BOUNDS) + 1)
        self.count = 0
        self.total = 0.0
        self.least = float("inf")
        self.most = 0.0
        self.started_ns = time_ns()

    def add(self, seconds: float) -> None:
        """One more."""
        self.buckets[bisect_left(_BOUNDS, seconds)] += 1
        self.count += 1
        self.total += seconds
        self.least = min(self.least, seconds)
        self.most = max(self.most, seconds)


class Durations(Reentrant):
    """Takes the durations of finished calls. `ride` tells, once there are metric readers, whether ours may ride along."""

    def __init__(self, meter: Meter, totals: Totals, ride: Callable[[], bool | None]) -> None:
        self._cells = totals
        self._ride = ride
        self._is_own: bool | None = None
        self._renew()
        #: Duration and first chunk: spreads by labels.
        self.own: tuple[dict[int, Spread], dict[int, Spread]] = ({}, {})
        self._sets: dict[tuple[str, ...], dict[str, str]] = {}
        self._labels: dict[tuple[str | None, ...], tuple[dict[str, str], dict[str, str]]] = {}
        self._instruments = [_instrument(meter, metric) for metric in (names.DURATION_S, names.FIRST_CHUNK_S)]

    def take(self, calls: Sequence[Call]) -> None:
        """Record finished calls."""
        if self._is_within():
            self._put_off.append(functools.partial(self.take, calls))
            return
        if self._is_own is None:
            self._is_own = self._ride()
        add = self._add_own if self._is_own else self._record
        with self.lock:
            for call in calls:
                labels, without_error = self._labels_of(call)
                add(0, call.duration_s, labels)
                if call.first_chunk_s is not None:
                    add(1, call.first_chunk_s, without_error)
        if self._put_off:
            self._catch_up()

    def _add_own(self, which: int, seconds: float, labels: dict[str, str]) -> None:
        table = self.own[which]
        spread = table.get(id(labels))  # `_sets` keeps the object alive, one for each set
        if spread is None:
            spread = table[id(labels)] = Spread(labels)
        spread.add(seconds)

    def _record(self, which: int, seconds: float, labels: dict[str, str]) -> None:
        self._instruments[which].record(seconds, labels, _NO_SPAN)

    def _labels_of(self, call: Call) -> tuple[dict[str, str], dict[str, str]]:
        key = (*_dimensions(call), call.error_type)
        labels = self._labels.get(key)
        if labels is None:
            labels = self._capped(call)
            if len(self._labels) < _MOST_LABELS:
                self._labels[key] = labels
        return labels

    def _capped(self, call: Call) -> tuple[dict[str, str], dict[str, str]]:
        common = self._cells.capped_labels(_dimensions(call))
        with_error = common
        if call.error_type is not None:
            with_error = {**common, names.ERROR_TYPE: self._cells.error_types.value(call.error_type)}
        return self._one(with_error), self._one(common)

    def _one(self, labels: dict[str, str]) -> dict[str, str]:
        """The one object that stands for these labels."""
        return self._sets.setdefault(tuple(labels.values()), labels)

    def forget(self) -> None:
        """In a forked child: start from zero."""
        self._renew()
        for table in self.own:
            table.clear()
        self._labels.clear()
        self._sets.clear()


def _instrument(meter: Meter, metric: names.Metric) -> Histogram:
    return meter.create_histogram(
        metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=list(_BOUNDS)
    )


def _dimensions(call: Call) -> tuple[str | None, ...]:
    who = call.attribution
    return (
        call.operation, call.provider, call.request_model, call.answer.model, who.task_type, who.source, who.team
    )  # fmt: skip
