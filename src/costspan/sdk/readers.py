"""The metric readers that costspan has joined, and whether the sums of the process leave by themselves or by the SDK.

A program may set its providers up after costspan, and add readers later: they are looked for with every batch of calls
and at every collection. Whether totals leave by themselves is settled at the first collection and stays so, because a
sum that the SDK has told once it tells for ever.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

from costspan import guard
from costspan.facts.periods import Periods
from costspan.metrics.durations import Durations
from costspan.metrics.sessions import Sessions
from costspan.metrics.totals import Totals
from costspan.sdk.after_fork import all_readers, readers_of
from costspan.sdk.expire_series import SeriesExpiry
from costspan.sdk.views import COUNTERS, HISTOGRAMS, is_default


class Readers:
    """The readers of one meter provider, which `meters` gives."""

    def __init__(
        self, meters: Callable[[], Any], totals: Totals, periods: Periods, sessions: Sessions | None,
        outbox: Any = None,
    ) -> None:  # fmt: skip
        self._outbox = outbox
        self._meters = meters
        self._totals = totals
        self._periods = periods
        self._sessions = sessions
        #: Set before the first call: the durations ask the readers in turn.
        self.durations: Durations | None = None
        self._expiry = SeriesExpiry(totals, meters, self.delivered_s)
        self._joined: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._is_apart: bool | None = None
        self._lock = threading.RLock()

    def take(self, _: object) -> None:
        """Calls have finished: join the readers that have appeared since, and settle how the totals leave."""
        if readers_of(self._meters()):
            self.leave_by_themselves()

    def _join_all(self) -> None:
        """Join the readers that have appeared since."""
        readers = readers_of(self._meters())
        if all(reader in self._joined for reader in readers):
            return
        with self._lock:
            for reader in readers:
                if reader not in self._joined:
                    # One that cannot be joined keeps none of the others from it.
                    guard.guarded("sdk.readers")(self._join)(reader)

    def _join(self, reader: Any) -> None:
        from costspan.sdk.export_extra import ExportExtra

        self._joined[reader] = ExportExtra(
            reader, self._totals, self._periods, self._sessions, self.durations,
            leave_by_themselves=self.leave_by_themselves, after_delivery=self._expiry.after_delivery,
            outbox=self._outbox,
        )  # fmt: skip

    def leave_by_themselves(self) -> bool:
        """Whether the totals leave by points of our own; otherwise by the SDK's counters. Asked at every collection."""
        self._join_all()  # one that was added since has nothing else to tell of the totals
        if self._is_apart is None:
            with self._lock:
                self._is_apart = bool(guard.guarded("sdk.readers")(self._can_leave_by_themselves)())
            if not self._is_apart:
                self._totals.share_sdk_limit()
        return self._is_apart

    def _can_leave_by_themselves(self) -> bool:
        """Every reader adds counters up and was joined, and no View concerns our counters."""
        meters = self._meters()
        joined = self._ours()
        return (
            is_default(meters, COUNTERS)
            and 0 < len(joined) == len(all_readers(meters))
            and all(each.has_plain_counters for each in joined)
        )

    def _ours(self) -> list[Any]:
        """What was added to each of the readers that there are."""
        return [self._joined[reader] for reader in readers_of(self._meters()) if reader in self._joined]

    def repeatable(self) -> Any:
        """What was added to the first reader that sends sums by OTLP; None where none does, or they are the SDK's."""
        found = next((each for each in self._joined_ones() if each.is_repeatable), None)
        return found if found is not None and self.leave_by_themselves() else None

    def leaves_otherwise(self) -> bool:
        """Whether there are readers, and it is settled that no sums leave by OTLP in messages of our own."""
        return bool(self._joined_ones()) and self.repeatable() is None

    def _joined_ones(self) -> list[Any]:
        self._join_all()
        return self._ours()

    def may_ride(self) -> bool | None:
        """Whether our own histograms reach every metric reader as the SDK's would; None before there is any."""
        meters = self._meters()
        if not readers_of(meters):
            return None
        return is_default(meters, HISTOGRAMS) and all(each.has_plain_histograms for each in self._ours())

    def delivered_s(self) -> float:
        """When, by the steady clock, the last of all readers last delivered."""
        return min((each.delivered_s for each in self._ours()), default=float("-inf"))

    def forget(self) -> None:
        """In a forked child: nothing was told yet, and the lock may be held by a thread that is not here."""
        self._lock = threading.RLock()
        for each in self._ours():
            guard.guarded("fork.ride")(each.forget)()
