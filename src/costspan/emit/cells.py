"""The sums of this process: one cell per set of labels, added to once a call, read when metrics are collected.

Own sums instead of SDK counters: one look-up a call for all counters, no limit that throws labels away (the SDK's
2000 sets: above them model and team are lost), and a forked child that starts from zero.
"""

from __future__ import annotations

import threading
from typing import Final, TypeAlias

from costspan import names
from costspan.emit.labels import Capped
from costspan.facts import usage as units
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.names import OTHER, UNKNOWN

_Raw: TypeAlias = tuple[str | None, ...]

#: The SDK keeps 2000 sets a counter; cost has up to six qualities and tokens up to four modalities a set.
_MOST_CELLS: Final = 300
_MOST_DAYS: Final = 1_900
_MOST_KEYS: Final = 4_096
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


class Cell:
    """The sums of one set of labels. Money in nano-USD."""

    __slots__ = ("cost", "days", "labels", "outcomes", "split", "unpriced", "whole")

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self.outcomes: dict[str, int] = {}
        self.cost: dict[str, int] = {}
        # Tokens by unit, of calls whose provider tells modalities apart, and of those whose does not.
        self.split: dict[str, int] = {}
        self.whole: dict[str, int] = {}
        self.unpriced: dict[str, list[int]] = {}  # reason: requests, tokens
        self.days: dict[str, Day] = {}

    def add(self, call: Call) -> None:
        """Add one call."""
        self.outcomes[call.outcome] = self.outcomes.get(call.outcome, 0) + 1
        usage = call.answer.usage
        if usage is not None:
            self._add_tokens(usage.counts)
        price = call.price
        if isinstance(price, Cost):
            self.cost[price.quality] = self.cost.get(price.quality, 0) + price.nano_usd
        elif price is not None:
            entry = self.unpriced.setdefault(price.reason, [0, 0])
            entry[0] += 1
            if usage is not None:
                entry[1] += usage.counts.get(units.INPUT, 0) + usage.counts.get(units.OUTPUT, 0)

    def _add_tokens(self, counts: dict[str, int]) -> None:
        is_split = units.INPUT_AUDIO in counts or units.INPUT_IMAGE in counts or units.OUTPUT_AUDIO in counts
        sums = self.split if is_split else self.whole
        for unit, count in counts.items():
            if count:
                if unit in _TOTAL_OF:
                    count = min(count, counts.get(_TOTAL_OF[unit], 0))  # noqa: PLW2901  # no part beyond its total
                sums[unit] = sums.get(unit, 0) + count

    def tokens(self, unit: str, parts: dict[str, str]) -> dict[str, int]:
        """The tokens of a total by modality. Input and output are there from the first call on, also where it failed."""
        found = {modality: self.split[part] for part, modality in parts.items() if self.split.get(part)}
        text = self.split.get(unit, 0) - sum(found.values())
        if text > 0:
            found[_TEXT] = text
        if unit in self.whole or unit in {units.INPUT, units.OUTPUT}:
            found[UNKNOWN] = self.whole.get(unit, 0)
        return found


class Day:
    """What one set of labels spent on one weekday. Money in nano-USD."""

    __slots__ = ("input", "labels", "nano_usd", "output")

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self.nano_usd = self.input = self.output = 0

    def add(self, call: Call) -> None:
        """Add one call."""
        if isinstance(call.price, Cost):
            self.nano_usd += call.price.nano_usd
        usage = call.answer.usage
        if usage is not None:
            self.input += usage.counts.get(units.INPUT, 0)
            self.output += usage.counts.get(units.OUTPUT, 0)


class Cells:
    """All sums of this process."""

    def __init__(self, label_limit: int, *, with_account: bool = False) -> None:
        self.lock = threading.Lock()
        self.cells: dict[_Raw, Cell] = {}
        self.days: dict[_Raw, Day] = {}
        self.with_account = with_account
        self._keys: dict[_Raw, Cell] = {}
        self._sets: set[tuple[str, ...]] = set()
        self.error_types = Capped(label_limit)
        self._caps: dict[str, Capped] = {name: Capped(label_limit) for name in (*names.COMMON[:-1], names.ACCOUNT)}

    def add(self, call: Call, month: str, weekday: str) -> None:
        """Add one finished call."""
        answer, who = call.answer, call.attribution
        raw = (
            call.operation, call.provider, call.request_model, answer.model,
            who.task_type, who.source, who.team, month, who.account if self.with_account else None,
        )  # fmt: skip
        with self.lock:
            cell = self._keys.get(raw)
            if cell is None:
                cell = self._cell(raw)
            cell.add(call)
            day = cell.days.get(weekday)
            if day is None:
                day = cell.days[weekday] = self._day(cell, weekday)
            day.add(call)

    def _cell(self, raw: _Raw) -> Cell:
        *dimensions, month, account = raw
        capped = [self._caps[name].value(text) for name, text in zip(names.COMMON, dimensions, strict=False)]
        key = (*capped, month, self._caps[names.ACCOUNT].value(account) if self.with_account else None)
        cell = self.cells.get(key)
        if cell is None and len(self.cells) >= _MOST_CELLS:
            key = self._folded(key)
            cell = self.cells.get(key)
        if cell is None:
            labels: dict[str, str] = dict(zip(names.COMMON, (text or UNKNOWN for text in key), strict=False))
            if self.with_account:
                labels[names.ACCOUNT] = key[-1] or UNKNOWN
            cell = self.cells[key] = Cell(labels)
        if len(self._keys) >= _MOST_KEYS:
            self._keys.clear()
        self._keys[raw] = cell
        return cell

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
        self._caps[names.TASK_TYPE].folded += 1
        operation, provider, *_, month, account = key
        return (operation, provider, OTHER, OTHER, OTHER, OTHER, OTHER, month, OTHER if account is not None else None)

    def _day(self, cell: Cell, weekday: str) -> Day:
        labels: dict[str, str] = {name: cell.labels[name] for name in names.DAY_LABELS[:-1]}
        if len(self.days) >= _MOST_DAYS:
            labels = dict.fromkeys(labels, OTHER)
        labels[names.WEEKDAY] = weekday
        key = tuple(labels.values())
        day = self.days.get(key)
        if day is None:
            day = self.days[key] = Day(labels)
        return day

    @property
    def folded(self) -> int:
        """How many label values went to `other`."""
        return sum(cap.folded for cap in self._caps.values())

    def clear(self) -> None:
        """Start from zero: the sums so far are another process's (a forked child)."""
        self.lock = threading.Lock()
        self._sets.clear()
        self.cells.clear()
        self.days.clear()
        self._keys.clear()
        for cap in self._caps.values():
            cap.clear()
