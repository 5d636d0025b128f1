"""The sums of a process that has ended, made again from its outbox, and as metrics: what it would have told at its end.

They are cumulative and under its own identity, so that a receiver that has heard a part of them, or all, counts nothing
twice. Each point has the time of the last call in it, so that days and windows are as if it had been delivered then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, Final

from opentelemetry.sdk.metrics.export import AggregationTemporality, Metric, NumberDataPoint

from costspan.facts.call import Call
from costspan.facts.periods import Periods
from costspan.metrics import batches
from costspan.metrics.counters import OF_DAYS, OF_LABELS
from costspan.metrics.days import Day
from costspan.metrics.label_points import Piece
from costspan.metrics.session_points import SessionPoints
from costspan.metrics.sessions import Sessions, Spent
from costspan.metrics.totals import LabelTotals, Totals

_SUMS_OF_LABELS: Final = ("outcomes", "cost", "split", "whole", "unpriced")
# Files of version 2 have no requests of a day: their process told none.
_SUMS_OF_DAYS: Final = ("nano_usd", "input", "output", "requests")
# A process that exported in the very millisecond in which its last call was kept said the same a moment later.
_A_MOMENT_NS: Final = 2_000_000
# Within the days for which a day is told after its end, wherever it began.
_DAY_TOLD_NS: Final = 60 * 3_600 * 10**9


def settings(totals: Totals, sessions: Sessions | None, zone: str) -> dict[str, Any]:
    """What the sums depend on beside the calls, for the head of an outbox."""
    return {
        "labels": totals.label_limit,
        "sets": totals.set_limit,
        "accounts": totals.with_account,
        "sessions": sessions.limit if sessions is not None else 0,
        "zone": zone,
    }


def sums(totals: Totals, sessions: Sessions | None, now_ns: int) -> dict[str, Any]:
    """All sums as they stand, as JSON takes them, with how many calls are within them."""
    booked, labels, days = totals.read(
        lambda: (
            totals.booked,
            [(each.key, each.started_ns, *[dict(getattr(each, name)) for name in _SUMS_OF_LABELS])
             for each in totals.by_labels.values()],
            [(each.key, each.started_ns, *[getattr(each, name) for name in _SUMS_OF_DAYS])
             for each in totals.days.values()],
        )
    )  # fmt: skip
    told: list[Any] = []
    if sessions is not None:
        told = [[key, each.started_ns, each.nano_usd, each.input, each.output]
                for _, key, each in sessions.changed_since(-1)]  # fmt: skip
    return {"booked": booked, "kept_ns": now_ns, "labels": labels, "days": days, "sessions": told}


class Restored:
    """The sums of a process. Raises LookupError, TypeError or ValueError for sums and settings that are none."""

    def __init__(self, settings: Mapping[str, Any], sums: Mapping[str, Any] | None) -> None:
        self._now_ns = 0
        self._periods = Periods(str(settings["zone"]))
        self._totals = Totals(
            int(settings["labels"]), int(settings["sets"]), with_account=bool(settings["accounts"]), clock=self._clock
        )
        most = int(settings["sessions"])
        self._sessions = Sessions(most, int(settings["labels"]), self._clock) if most else None
        #: When the last call of a month or a date was kept.
        self._last_ns: dict[str, int] = {}
        self._within = 0
        if sums is not None:
            self._go_on_from(sums)

    def _clock(self) -> int:
        return self._now_ns

    def _go_on_from(self, sums: Mapping[str, Any]) -> None:
        self._within, self._now_ns = int(sums["booked"]), int(sums["kept_ns"])
        for key, started_ns, *values in sums["labels"]:
            entry = self._totals.restore(tuple(key), int(started_ns))
            for name, value in zip(_SUMS_OF_LABELS, values, strict=True):
                setattr(entry, name, value)
            self._last_ns[entry.month] = self._now_ns
        for key, started_ns, *values in sums["days"]:
            day = self._totals.days.restore(tuple(key), int(started_ns))
            for name, value in zip(_SUMS_OF_DAYS, values, strict=False):
                setattr(day, name, int(value))
            self._last_ns[day.date] = self._now_ns
        for key, *values in sums["sessions"] if self._sessions is not None else ():
            spent = Spent(int(values[0]))
            spent.nano_usd, spent.input, spent.output = map(int, values[1:])
            self._sessions.restore(tuple(key), spent)  # type: ignore[union-attr]

    def add(self, kept_ns: int, call: Call) -> None:
        """Add a call that was kept at that time, unless it is within the sums that were gone on from."""
        if call.booked and call.booked <= self._within:
            return
        self._now_ns = max(self._now_ns, kept_ns)
        date = self._periods.day(call.started_ns)
        self._last_ns[call.period] = self._last_ns[date] = self._now_ns
        self._totals.add(call, call.period, date)
        if self._sessions is not None:
            self._sessions.add(call)

    def messages(self) -> Iterator[list[Metric]]:
        """The metrics, in messages of bounded size: each month, each day, the sessions."""
        months: dict[str, list[LabelTotals]] = {}
        for entry in self._totals.by_labels.values():
            months.setdefault(entry.month, []).append(entry)
        for month, entries in sorted(months.items()):
            yield from _messages(entries, self._last_ns.get(month, self._now_ns) + _A_MOMENT_NS)
        dates: dict[str, list[Day]] = {}
        for day in self._totals.days.values():
            dates.setdefault(day.date, []).append(day)
        for date, days in sorted(dates.items()):
            # Later, what is told under its weekday would be taken for the spend of a week after it (0022).
            at_ns = min(self._last_ns.get(date, self._now_ns) + _A_MOMENT_NS, _midnight_ns(date) + _DAY_TOLD_NS)
            yield from _messages([day for day in days if day.started_ns < at_ns], at_ns)
        if self._sessions is not None:
            points = SessionPoints(self._sessions, is_delta=False, since_ns=0)
            backlog = points.backlog()
            while backlog:
                yield points.take(backlog, self._now_ns + _A_MOMENT_NS)


def _midnight_ns(date: str) -> int:
    """When a date `YYYYMMDD` begins in UTC."""
    return int(datetime.strptime(date, "%Y%m%d").replace(tzinfo=timezone.utc).timestamp()) * 10**9


def _messages(entries: Iterable[LabelTotals | Day], now_ns: int) -> Iterator[list[Metric]]:
    piece = Piece()
    for entry in entries:
        labels = entry.labels
        if piece.size > batches.MOST_BYTES:
            yield piece.metrics(AggregationTemporality.CUMULATIVE)
            piece = Piece()
        for counter in OF_DAYS if isinstance(entry, Day) else OF_LABELS:
            values = counter.read(entry)
            piece.size += len(values) * batches.size_of_series(labels)
            for value, reached in values.items():
                point = NumberDataPoint(
                    counter.labels(labels, value), entry.started_ns, now_ns, counter.exported(reached)
                )
                piece.of(counter.metric).append(point)
    if piece.size:
        yield piece.metrics(AggregationTemporality.CUMULATIVE)
