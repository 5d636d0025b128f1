"""The sums of this process: one entry per set of labels, added to once a call, read when metrics are collected.

Own sums instead of SDK counters: one look-up a call for all counters, no limit that throws labels away (the SDK's
2000 sets: above them model and team are lost), and a forked child that starts from zero.

A process may live for years, so what nobody asks for any more is let go: docs/decisions/0022-days-and-months.md says
when, and why every figure stays exact.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import monotonic
from typing import Final, TypeAlias

from costspan import names
from costspan.facts import usage as units
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.facts.recent import Recent
from costspan.metrics.cardinality import CardinalityLimit
from costspan.metrics.days import Day, told_on, weekday
from costspan.metrics.reentry import Reentrant
from costspan.names import OTHER, UNKNOWN

_Raw: TypeAlias = tuple[str | None, ...]

#: The SDK keeps 2000 sets a counter; cost has up to six qualities and tokens up to four modalities a set.
_MOST_CELLS: Final = 300
# Seven weekdays of which the SDK keeps sets, two directions of tokens.
_MOST_SETS_A_DAY: Final = 140
_MOST_KEYS: Final = 16_384
_DAY_S: Final = 86_400.0
# By a clock that is never set: whatever the time of day does meanwhile, the day and the month are over by then.
_DAY_KEPT_S: Final = 5 * _DAY_S
_MONTH_KEPT_S: Final = 32 * _DAY_S
# Longer than any collection and export.
_ON_ITS_WAY_S: Final = 3_600.0
#: Metric, the unit of its total, and the parts of that by modality.
TOKENS: Final = (
    (
        names.INPUT_TOKENS,
        units.INPUT,
        {units.INPUT_AUDIO: "audio", units.INPUT_IMAGE: "image", units.INPUT_VIDEO: "video"},
    ),
    (names.OUTPUT_TOKENS, units.OUTPUT, {units.OUTPUT_AUDIO: "audio", units.OUTPUT_IMAGE: "image"}),
    (
        names.CACHE_READ_TOKENS,
        units.CACHE_READ,
        {units.CACHE_READ_AUDIO: "audio", units.CACHE_READ_IMAGE: "image", units.CACHE_READ_VIDEO: "video"},
    ),
    (names.CACHE_WRITE_TOKENS, units.CACHE_WRITE, dict[str, str]()),
    (names.REASONING_TOKENS, units.REASONING, dict[str, str]()),
)
_TEXT: Final = "text"
#: The total that a part by modality belongs to: a part can be no more than that.
_TOTAL_OF: Final = {part: total for _, total, parts in TOKENS for part in parts}


class LabelTotals:
    """The sums of one set of labels. Money in nano-USD."""

    __slots__ = ("cost", "counted", "days", "labels", "outcomes", "split", "still_since_s", "unpriced", "whole")

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        # How many calls there were when somebody looked, and since when there are no more.
        self.counted = 0
        self.still_since_s = 0.0
        self.outcomes: dict[str, int] = {}
        self.cost: dict[str, int] = {}
        # Tokens by unit, of calls whose provider tells modalities apart, and of those whose does not.
        self.split: dict[str, int] = {}
        self.whole: dict[str, int] = {}
        self.unpriced: dict[str, list[int]] = {}  # reason: requests, tokens
        self.days: dict[str, Day] = {}  # by date

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
            entry = self.unpriced.setdefault(price.reason, [0, 0])
            entry[0] += 1
            if usage is not None:
                entry[1] += usage.counts.get(units.INPUT, 0) + usage.counts.get(units.OUTPUT, 0)

    def tokens(self, unit: str, parts: dict[str, str]) -> dict[str, int]:
        """The tokens of a total by modality. Input and output are there from the first call on, also where it failed."""
        found = {modality: self.split[part] for part, modality in parts.items() if self.split.get(part)}
        text = self.split.get(unit, 0) - sum(found.values())
        if text > 0:
            found[_TEXT] = text
        if unit in self.whole or unit in {units.INPUT, units.OUTPUT}:
            found[UNKNOWN] = self.whole.get(unit, 0)
        return found


class Totals(Reentrant):
    """All sums of this process. `steady` is a clock in seconds that is never set."""

    def __init__(
        self, label_limit: int, *, with_account: bool = False, steady: Callable[[], float] = monotonic
    ) -> None:
        self._renew()
        self._steady = steady
        self._today = ""
        self._told: frozenset[str] = frozenset()
        self._looked_s = steady()
        self._gone: set[frozenset[tuple[str, str]]] = set()
        #: Cost of what was let go of, in nano-USD.
        self.retired_nano_usd = 0
        self.by_labels: dict[_Raw, LabelTotals] = {}
        self.days: dict[_Raw, Day] = {}
        self.with_account = with_account
        self._keys: Recent[_Raw, LabelTotals] = Recent(_MOST_KEYS)
        self._sets: set[tuple[str, ...]] = set()
        self.error_types = CardinalityLimit(label_limit)
        self._caps: dict[str, CardinalityLimit] = {
            name: CardinalityLimit(label_limit) for name in (*names.COMMON[:-1], names.ACCOUNT)
        }

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
            entry = self._keys.young.get(raw)
            if entry is None:
                entry = self._keys.get(raw) or self._cell(raw)
            entry.add(call)
            day = entry.days.get(date)
            if day is None:
                day = entry.days[date] = self._day(entry, date)
            day.add(call)
        if self._put_off:
            self._catch_up()

    def _cell(self, raw: _Raw) -> LabelTotals:
        *dimensions, month, account = raw
        capped = [self._caps[name].value(text) for name, text in zip(names.COMMON, dimensions, strict=False)]
        key = (*capped, month, self._caps[names.ACCOUNT].value(account) if self.with_account else None)
        entry = self.by_labels.get(key)
        if entry is None and len(self.by_labels) >= _MOST_CELLS:
            key = self._folded(key)
            entry = self.by_labels.get(key)
        if entry is None:
            labels: dict[str, str] = dict(zip(names.COMMON, (text or UNKNOWN for text in key), strict=False))
            if self.with_account:
                labels[names.ACCOUNT] = key[-1] or UNKNOWN
            entry = self.by_labels[key] = LabelTotals(labels)
        return self._keys.keep(raw, entry)

    def capped_labels(self, dimensions: _Raw) -> dict[str, str]:
        """Labels of an SDK instrument for these values of the common dimensions, without the month."""
        with self.lock:
            capped = [self._caps[name].value(text) for name, text in zip(names.COMMON, dimensions, strict=False)]
            if (*capped,) not in self._sets:
                if len(self._sets) >= _MOST_CELLS:
                    capped[2:] = [OTHER] * (len(capped) - 2)
                self._sets.add((*capped,))
        return dict(zip(names.COMMON, capped, strict=False))

    def _folded(self, key: _Raw) -> _Raw:
        """When every dimension is within its cap and the product is not: operation, provider and month remain."""
        self._caps[names.TASK_TYPE].overflowed += 1
        operation, provider, *_, month, account = key
        return (operation, provider, OTHER, OTHER, OTHER, OTHER, OTHER, month, OTHER if account is not None else None)

    def _day(self, entry: LabelTotals, date: str) -> Day:
        labels: dict[str, str] = {name: entry.labels[name] for name in names.DAY_LABELS[:-1]}
        key = (*labels.values(), date)
        day = self.days.get(key)
        if day is None and sum(other.date == date for other in self.days.values()) >= _MOST_SETS_A_DAY:
            self._caps[names.TASK_TYPE].overflowed += 1
            labels = dict.fromkeys(labels, OTHER)
            key = (*labels.values(), date)
            day = self.days.get(key)
        if day is None:
            labels[names.WEEKDAY] = weekday(date)
            day = self.days[key] = Day(labels, date, self._steady())
        return day

    def recent(self, today: str) -> list[Day]:
        """The days that are told on the date `today`, each under another weekday; to be called with the lock held.

        Today, the three before, and tomorrow, because a clock may be set back over midnight.
        """
        if today != self._today:
            self._turn(today)
        return [day for day in self.days.values() if day.date in self._told]

    def _turn(self, today: str) -> None:
        told = frozenset(told_on(today))
        self._gone |= {frozenset(day.labels.items()) for day in self.days.values() if day.date in self._told - told}
        self._today, self._told = today, told
        over_s, first = self._steady() - _DAY_KEPT_S, min(told)
        old = {day for day in self.days.values() if day.date < first and day.began_s < over_s}
        self.days = {key: day for key, day in self.days.items() if day not in old}
        for entry in self.by_labels.values():
            entry.days = {date: day for date, day in entry.days.items() if day not in old}

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
                    self.retired_nano_usd += sum(entry.cost.values())
                    self._gone.add(frozenset(entry.labels.items()))
                    self._keys.clear()
            gone, self._gone = self._gone, set()
            return gone

    def _over(self, now_s: float, delivered_s: float) -> list[_Raw]:
        newest = max((entry.labels[names.PERIOD] for entry in self.by_labels.values()), default="")
        return [
            key
            for key, entry in self.by_labels.items()
            if self._is_still(entry, now_s, delivered_s) and entry.labels[names.PERIOD] != newest
        ]

    def _is_still(self, entry: LabelTotals, now_s: float, delivered_s: float) -> bool:
        counted = sum(entry.outcomes.values())
        if counted != entry.counted:
            entry.counted, entry.still_since_s = counted, now_s
        return now_s - entry.still_since_s > _MONTH_KEPT_S and delivered_s > entry.still_since_s + _ON_ITS_WAY_S

    @property
    def overflowed(self) -> int:
        """How many label values went to `other`."""
        return sum(cap.overflowed for cap in self._caps.values())

    def clear(self) -> None:
        """Start from zero: the sums so far are another process's (a forked child)."""
        self._renew()
        self._sets.clear()
        self.by_labels.clear()
        self.days.clear()
        self._keys.clear()
        self._gone.clear()
        self.retired_nano_usd = 0
        for cap in self._caps.values():
            cap.clear()
