"""The sums of this process: one entry per set of labels, added to once a call, read when metrics are collected.

Own sums instead of SDK counters: one look-up a call for all counters, a limit of our own instead of one that throws
labels away (the SDK's 2000 sets: above them model and team are lost), and a forked child that starts from zero.
docs/decisions/0066-own-totals.md says how they leave, and what that costs.

A process may live for years, so what nobody asks for any more is let go: docs/decisions/0022-days-and-months.md says
when, and why every figure stays exact.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import monotonic, time_ns
from typing import Final, TypeAlias

from costspan import names
from costspan.facts import usage as units
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.facts.recent import Recent
from costspan.metrics.cardinality import CardinalityLimit
from costspan.metrics.days import Day, Days
from costspan.metrics.reentry import Reentrant
from costspan.names import OTHER, UNKNOWN

_Raw: TypeAlias = tuple[str | None, ...]
_Key: TypeAlias = tuple[str | None, ...]  # the labels, capped, the month, and the account or None

#: What an SDK counter can keep apart: it has 2000 sets of labels, and cost takes up to six of them (qualities), tokens
#: up to four (modalities), tokens of a day two in each of seven weekdays.
_SDK_SETS: Final = 300
_SDK_SETS_A_DAY: Final = 140
#: A histogram takes 17 series a set: fewer of these.
_MOST_SETS_OF_DURATIONS: Final = 300
_MOST_KEYS: Final = 16_384
_DAY_S: Final = 86_400.0
# By a clock that is never set: whatever the time of day does meanwhile, the month is over by then.
_MONTH_KEPT_S: Final = 32 * _DAY_S
# Longer than any collection and export.
_ON_ITS_WAY_S: Final = 3_600.0
_MONTH: Final = len(names.COMMON) - 1  # where the month stands in a key
#: The total that a part by modality belongs to: a part can be no more than that.
_TOTAL_OF: Final = {
    units.INPUT_AUDIO: units.INPUT, units.INPUT_IMAGE: units.INPUT, units.INPUT_VIDEO: units.INPUT,
    units.OUTPUT_AUDIO: units.OUTPUT, units.OUTPUT_IMAGE: units.OUTPUT,
    units.CACHE_READ_AUDIO: units.CACHE_READ, units.CACHE_READ_IMAGE: units.CACHE_READ,
    units.CACHE_READ_VIDEO: units.CACHE_READ,
}  # fmt: skip


class LabelTotals:
    """The sums of one set of labels. Money in nano-USD."""

    __slots__ = (
        "cost", "counted", "date", "day", "key", "outcomes", "split", "started_ns", "still_since_s", "unpriced", "whole",
    )  # fmt: skip

    def __init__(self, key: _Key, started_ns: int) -> None:
        self.key = key
        self.started_ns = started_ns
        # How many calls there were at the last look, and since when there are no more.
        self.counted = 0
        self.still_since_s = 0.0
        self.outcomes: dict[str, int] = {}
        self.cost: dict[str, int] = {}
        # Tokens by unit, of calls whose provider tells modalities apart, and of those whose does not.
        self.split: dict[str, int] = {}
        self.whole: dict[str, int] = {}
        self.unpriced: dict[str, tuple[int, int]] = {}  # reason: requests, tokens
        #: The date of the last call that was added, and its day.
        self.date = ""
        self.day: Day | None = None

    @property
    def month(self) -> str:
        """The month of its calls."""
        return self.key[_MONTH] or UNKNOWN

    @property
    def labels(self) -> dict[str, str]:
        """The labels that all its counters have."""
        labels: dict[str, str] = dict(zip(names.COMMON, self.key, strict=False))  # type: ignore[arg-type]
        if self.key[-1] is not None:
            labels[names.ACCOUNT] = self.key[-1]
        return labels

    def add(self, call: Call) -> None:
        """Add one call."""
        self.outcomes[call.outcome] = self.outcomes.get(call.outcome, 0) + 1
        usage = call.answer.usage
        if usage is not None:
            counts = usage.counts
            is_split = units.INPUT_AUDIO in counts or units.INPUT_IMAGE in counts or units.OUTPUT_AUDIO in counts
            sums = self.split if is_split else self.whole
            for unit, count in counts.items():
                if count:
                    if unit in _TOTAL_OF:
                        count = min(count, counts.get(_TOTAL_OF[unit], 0))  # noqa: PLW2901  # no part beyond its total
                    sums[unit] = sums.get(unit, 0) + count
        price = call.price
        if isinstance(price, Cost):
            self.cost[price.quality] = self.cost.get(price.quality, 0) + price.nano_usd
        elif price is not None:
            requests, tokens = self.unpriced.get(price.reason, (0, 0))
            if usage is not None:
                tokens += usage.counts.get(units.INPUT, 0) + usage.counts.get(units.OUTPUT, 0)
            self.unpriced[price.reason] = (requests + 1, tokens)


class Totals(Reentrant):
    """All sums of this process. `steady` is a clock in seconds that is never set, `clock` the time in nanoseconds."""

    def __init__(
        self, label_limit: int, set_limit: int = 20_000, *, with_account: bool = False,
        steady: Callable[[], float] = monotonic, clock: Callable[[], int] = time_ns,
    ) -> None:  # fmt: skip
        self._renew()
        self._steady = steady
        self._clock = clock
        #: How many calls were added.
        self.booked = 0
        self._looked_s = steady()
        self._gone: set[frozenset[tuple[str, str]]] = set()
        #: Cost of what was let go of, in nano-USD.
        self.retired_nano_usd = 0
        self.by_labels: dict[_Key, LabelTotals] = {}
        self.days = Days()
        #: How many calls were added to a day that was over.
        self.late = 0
        self.with_account = with_account
        self.label_limit = label_limit
        self.set_limit = set_limit
        #: Whether the sums leave by counters of the SDK.
        self.shares_sdk_limit = False
        self._sets: dict[str, int] = {}  # by month
        self._folded_sets = 0
        self._keys: Recent[_Raw, LabelTotals] = Recent(max(_MOST_KEYS, set_limit))
        self._sets_of_durations: set[tuple[str, ...]] = set()
        self.error_types = CardinalityLimit(label_limit)
        self._caps: dict[str, CardinalityLimit] = {
            name: CardinalityLimit(label_limit) for name in (*names.COMMON[:-1], names.ACCOUNT)
        }

    def share_sdk_limit(self) -> None:
        """The sums leave by counters of the SDK: no more sets than those keep apart."""
        self.shares_sdk_limit = True
        self.set_limit = min(self.set_limit, _SDK_SETS)
        self.days.limit_sets(_SDK_SETS_A_DAY)

    def add(self, call: Call, month: str, date: str) -> None:
        """Add one finished call to the month and the date on which it began, `YYYYMM` and `YYYYMMDD`."""
        if self._is_within():
            self._put_off.append(functools.partial(self.add, call, month, date))
            return
        answer, who = call.answer, call.attribution
        raw = (
            call.operation, call.provider, call.request_model, answer.model,
            who.task_type, who.source, who.team, month, who.account if self.with_account else None,
        )  # fmt: skip
        with self.lock:
            self.booked = call.booked = self.booked + 1
            entry = self._keys.young.get(raw)
            if entry is None:
                entry = self._keys.get(raw) or self._entry(raw)
            entry.add(call)
            day = entry.day if entry.date == date else None
            if day is None:
                day = self._day(entry, date)
            day.add(call)
            if date < self.days.today:
                self.late += 1
        if self._put_off:
            self._catch_up()

    def _entry(self, raw: _Raw) -> LabelTotals:
        *dimensions, month, account = raw
        capped = [self._caps[name].value(text) for name, text in zip(names.COMMON, dimensions, strict=False)]
        key = (*capped, month or UNKNOWN, self._caps[names.ACCOUNT].value(account) if self.with_account else None)
        entry = self.by_labels.get(key)
        if entry is None and self._sets.get(key[_MONTH] or "", 0) >= self.set_limit:
            key = self._folded(key)
            entry = self.by_labels.get(key)
        if entry is None:
            entry = self._begun(key, self._clock())
        return self._keys.keep(key if key == raw else raw, entry)  # of equal texts one is kept

    def _begun(self, key: _Key, started_ns: int) -> LabelTotals:
        entry = self.by_labels[key] = LabelTotals(key, started_ns)
        self._sets[entry.month] = self._sets.get(entry.month, 0) + 1
        return entry

    def restore(self, key: _Key, started_ns: int) -> LabelTotals:
        """The entry of a set of labels that another process's sums had, begun when it was there."""
        for name, text in zip((*names.COMMON[:-1], names.ACCOUNT), (*key[:_MONTH], key[-1]), strict=True):
            if text not in {None, OTHER, UNKNOWN}:
                self._caps[name].value(text)
        return self._begun(key, started_ns)

    def capped_labels(self, dimensions: _Raw) -> dict[str, str]:
        """Labels of a histogram for these values of the common dimensions, without the month."""
        with self.lock:
            capped = [self._caps[name].value(text) for name, text in zip(names.COMMON, dimensions, strict=False)]
            if (*capped,) not in self._sets_of_durations:
                if len(self._sets_of_durations) >= _MOST_SETS_OF_DURATIONS:
                    capped[2:] = [OTHER] * (len(capped) - 2)
                self._sets_of_durations.add((*capped,))
        return dict(zip(names.COMMON, capped, strict=False))

    def _folded(self, key: _Key) -> _Key:
        """When every dimension is within its cap and the product is not: operation, provider and month remain."""
        self._folded_sets += 1
        operation, provider, *_, month, account = key
        return (operation, provider, OTHER, OTHER, OTHER, OTHER, OTHER, month, OTHER if account is not None else None)

    def _day(self, entry: LabelTotals, date: str) -> Day:
        entry.day = self.days.of(entry.labels, date, self._steady(), self._clock())
        entry.date = date
        return entry.day

    def recent(self, today: str) -> list[Day]:
        """The days that are told on the date `today`, each under another weekday; to be called with the lock held.

        Today, the three before, and tomorrow, because a clock may be set back over midnight.
        """
        gone, old = self.days.turn(today, self._steady())
        self._gone |= {frozenset(day.labels.items()) for day in gone}
        if old:
            for entry in self.by_labels.values():
                if entry.day in old:
                    entry.day, entry.date = None, ""
        return list(self.days.told())

    def let_go(self, delivered_s: float) -> set[frozenset[tuple[str, str]]]:
        """Let go of the months to which nothing has been added for 32 days, but for the newest month there is.

        Returns the labels under which nothing is told any more, since the last time. `delivered_s` is when, by the
        steady clock, everybody was last told the sums: what has changed since is kept.
        """
        with self.lock:
            now_s = self._steady()
            if now_s - self._looked_s >= _ON_ITS_WAY_S:
                self._looked_s = now_s
                for key in self._over(now_s, delivered_s):
                    entry = self.by_labels.pop(key)
                    self._sets[entry.month] -= 1
                    self.retired_nano_usd += sum(entry.cost.values())
                    self._gone.add(frozenset(entry.labels.items()))
                    self._keys.clear()
            gone, self._gone = self._gone, set()
            return gone

    def _over(self, now_s: float, delivered_s: float) -> list[_Key]:
        newest = max((entry.month for entry in self.by_labels.values()), default="")
        return [
            key
            for key, entry in self.by_labels.items()
            if self._is_still(entry, now_s, delivered_s) and entry.month != newest
        ]

    def _is_still(self, entry: LabelTotals, now_s: float, delivered_s: float) -> bool:
        counted = sum(entry.outcomes.values())
        if counted != entry.counted:
            entry.counted, entry.still_since_s = counted, now_s
        return now_s - entry.still_since_s > _MONTH_KEPT_S and delivered_s > entry.still_since_s + _ON_ITS_WAY_S

    @property
    def overflowed(self) -> int:
        """How many label values, and sets of them, went to `other`."""
        return sum(cap.overflowed for cap in self._caps.values()) + self.overflowed_sets

    @property
    def overflowed_sets(self) -> int:
        """How many sets of labels went to `other`, because there were too many in a month or on a day."""
        return self._folded_sets + self.days.overflowed

    @property
    def sets_told_apart(self) -> str:
        """How many sets of labels are told apart, in words."""
        a_day = f" or {_SDK_SETS_A_DAY} in a day" if self.shares_sdk_limit else ""
        return f"{self.set_limit} sets of labels in a month{a_day}"

    def overflowed_labels(self) -> list[str]:
        """The labels that have had more values than their limit."""
        return [name for name, cap in self._caps.items() if cap.overflowed]

    def clear(self) -> None:
        """Start from zero: the sums so far are another process's (a forked child)."""
        self._renew()
        self._sets.clear()
        self._sets_of_durations.clear()
        self.by_labels.clear()
        self.days.clear()
        self._keys.clear()
        self._gone.clear()
        self.retired_nano_usd = self._folded_sets = self.booked = 0
        for cap in self._caps.values():
            cap.clear()
