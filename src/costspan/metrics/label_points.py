"""The totals by labels on their way to one metric reader: points of our own, in pieces of bounded size.

Not by counters of the SDK: it keeps 2000 sets of labels of a counter, and throws model, team and month of all others
away. What a piece says is sums, so that one which is refused is made good by the next export; of deltas, what a reader
has not taken is told again.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Final, TypeAlias

from opentelemetry.sdk.metrics.export import AggregationTemporality, NumberDataPoint, Sum
from opentelemetry.sdk.metrics.export import Metric as SdkMetric

from costspan.facts.periods import Periods
from costspan.metrics import batches
from costspan.metrics.counters import OF_DAYS, OF_LABELS, Counter
from costspan.metrics.days import Day
from costspan.metrics.totals import LabelTotals, Totals
from costspan.names import Metric

_Entry: TypeAlias = LabelTotals | Day
#: One series: of which entry, which metric, the value of the label that the counter adds.
_Series: TypeAlias = tuple[_Entry, str, str]
_Reading: TypeAlias = tuple[Counter, dict[str, int]]

#: So many entries are read at a time: a call that is to be added meanwhile waits for no more of them.
_AT_ONCE: Final = 25
#: A day that is over is told again so often though nothing of it has changed: panels and rules look back for hours.
_AGAIN_S: Final = 900.0


class Piece:
    """A part of the totals: what one message holds."""

    def __init__(self) -> None:
        self._points: dict[str, tuple[Metric, list[NumberDataPoint]]] = {}
        self.size = 0
        #: The place of the entry after its last one, and whether there is none.
        self.end = 0
        self.is_last = False
        #: What its series have reached, and when (deltas only).
        self.reached: dict[_Series, tuple[int, int]] = {}

    def of(self, metric: Metric) -> list[NumberDataPoint]:
        """Its points of a metric."""
        found = self._points.get(metric.name)
        if found is None:
            found = self._points[metric.name] = (metric, [])
        return found[1]

    def metrics(self, kind: AggregationTemporality) -> list[SdkMetric]:
        """The metrics of the message."""
        return [
            SdkMetric(metric.name, metric.description, metric.unit, Sum(points, kind, is_monotonic=True))
            for metric, points in self._points.values()
            if points
        ]


class LabelPoints:
    """The totals of one reader. A piece is taken, sent, and then either delivered or refused; at the end, `finished`."""

    def __init__(self, totals: Totals, periods: Periods, *, is_delta: bool, is_pulled: bool) -> None:
        self._totals = totals
        self._periods = periods
        self._is_delta = is_delta
        self._is_pulled = is_pulled
        self.kind = AggregationTemporality.DELTA if is_delta else AggregationTemporality.CUMULATIVE
        # Where the next export begins: after the piece that was refused, which may be so every time.
        self._begin = 0
        self._reached: dict[_Series, tuple[int, int]] = {}
        # When the days that are over were told: on which date, with how many late calls, by the steady clock.
        self._over_told = self._over_under_way = ("", 0, float("-inf"))
        self._entries: Sequence[_Entry] = ()
        self._is_whole = False

    def pieces(self, now: int) -> Iterator[Piece]:
        """All totals as of now, in pieces; a reader that is pulled takes them in one."""
        self._is_whole = False
        self._entries = self._totals.read(lambda: self._due(self._periods.day(now)))
        begin = self._begin if self._begin < len(self._entries) else 0
        entries = [*self._entries[begin:], *self._entries[:begin]]
        piece = Piece()
        for at in range(0, len(entries), _AT_ONCE):
            some = entries[at : at + _AT_ONCE]
            for end, (entry, readings) in enumerate(
                self._totals.read(functools.partial(_readings, some)), begin + at + 1
            ):
                labels = entry.labels
                size = sum(len(values) for _, values in readings) * batches.size_of_series(labels)
                if piece.size and piece.size + size > batches.MOST_BYTES and not self._is_pulled:
                    yield piece
                    piece = Piece()
                piece.size += size
                piece.end = end % len(entries)
                self._add(piece, entry, labels, readings, now)
        piece.is_last = self._is_whole = True
        yield piece

    def _due(self, today: str) -> list[_Entry]:
        """What is to be told on the date `today`, in an order that stays; with the lock of the totals held."""
        days, late = self._totals.recent(today), self._totals.late
        date, told_late, told_s = self._over_told
        is_known = (date, told_late) == (today, late) and monotonic() - told_s < _AGAIN_S
        if is_known and not self._is_delta and not self._is_pulled:
            days = [day for day in days if day.date >= today]
            self._over_under_way = self._over_told
        else:
            self._over_under_way = (today, late, monotonic())
        return [*self._totals.by_labels.values(), *days]

    def _add(self, piece: Piece, entry: _Entry, labels: dict[str, str], readings: list[_Reading], now: int) -> None:
        for counter, values in readings:
            points = piece.of(counter.metric) if values else []
            for value, reached in values.items():
                since, amount = entry.started_ns, reached
                if self._is_delta:
                    series = (entry, counter.metric.name, value)
                    before, since = self._reached.get(series, (0, since))
                    if amount == before and series in self._reached:
                        continue
                    piece.reached[series] = (reached, now)
                    amount -= before
                points.append(NumberDataPoint(counter.labels(labels, value), since, now, counter.exported(amount)))

    def delivered(self, piece: Piece) -> None:
        """The piece has arrived."""
        self._reached.update(piece.reached)

    def refused(self, piece: Piece) -> None:
        """The piece has not arrived: the next export has it last, lest it hold the others up."""
        self._begin = piece.end

    def finished(self) -> bool:
        """All pieces that there were have arrived: whether these are all totals."""
        if not self._is_whole:
            return False
        self._begin = 0
        self._over_told = self._over_under_way
        if self._reached:
            entries = set(self._entries)
            self._reached = {series: each for series, each in self._reached.items() if series[0] in entries}
        self._entries = ()
        return True

    def forget(self) -> None:
        """In a forked child: nothing was reported yet."""
        self._begin = 0
        self._reached.clear()
        self._over_told = ("", 0, float("-inf"))


def _readings(entries: list[_Entry]) -> list[tuple[_Entry, list[_Reading]]]:
    return [
        (each, [(counter, dict(counter.read(each))) for counter in (OF_DAYS if isinstance(each, Day) else OF_LABELS)])
        for each in entries
    ]
