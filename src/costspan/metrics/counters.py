"""What each counter of the contract reads of the sums of a process, in whole numbers: by the label that it adds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from costspan import names
from costspan.facts import usage as units
from costspan.metrics.days import Day
from costspan.metrics.numbers import integer, usd
from costspan.metrics.totals import LabelTotals
from costspan.names import UNKNOWN, Metric

#: Metric, the unit of its total, and the parts of that by modality.
_TOKENS: Final = (
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


class Counter(NamedTuple):
    """One counter: its metric, the label that it adds to those of its entry (or none), its values by that label."""

    metric: Metric
    label: str | None
    read: Callable[[Any], Mapping[str, int]]

    def labels(self, of_entry: dict[str, str], value: str) -> dict[str, str]:
        """The labels of one of its points."""
        return of_entry if self.label is None else {**of_entry, self.label: value}

    def exported(self, value: int) -> int | float:
        """A value as it is exported: money is kept in nano-USD."""
        return usd(value) if self.metric.unit == names.USD_UNIT else integer(value)


def _tokens(unit: str, parts: dict[str, str], entry: LabelTotals) -> Mapping[str, int]:
    """The tokens of a total by modality. Input and output are there from the first call on, also where it failed."""
    split, whole = entry.split, entry.whole
    found: dict[str, int] = {}
    if split:
        found = {modality: split[part] for part, modality in parts.items() if split.get(part)}
        text = split.get(unit, 0) - sum(found.values())
        if text > 0:
            found[_TEXT] = text
    if unit in whole or unit in {units.INPUT, units.OUTPUT}:
        found[UNKNOWN] = whole.get(unit, 0)
    return found


def _of_unpriced(index: int, entry: LabelTotals) -> Mapping[str, int]:
    return {reason: counts[index] for reason, counts in entry.unpriced.items()}


def _of_day(day: Day) -> Mapping[str, int]:
    return {"": day.nano_usd}


def _tokens_of_day(day: Day) -> Mapping[str, int]:
    return {"input": day.input, "output": day.output}


def _requests_of_day(day: Day) -> Mapping[str, int]:
    return {"": day.requests}


def _outcomes(entry: LabelTotals) -> Mapping[str, int]:
    return entry.outcomes


def _cost(entry: LabelTotals) -> Mapping[str, int]:
    return entry.cost


#: The counters of a set of labels.
OF_LABELS: Final = (
    *(Counter(metric, names.MODALITY, functools.partial(_tokens, unit, parts)) for metric, unit, parts in _TOKENS),
    Counter(names.COST_USD, names.QUALITY, _cost),
    Counter(names.REQUESTS, names.OUTCOME, _outcomes),
    Counter(names.UNPRICED_REQUESTS, names.UNPRICED_REASON, functools.partial(_of_unpriced, 0)),
    Counter(names.UNPRICED_TOKENS, names.UNPRICED_REASON, functools.partial(_of_unpriced, 1)),
)
#: The counters of a day.
OF_DAYS: Final = (
    Counter(names.DAY_COST_USD, None, _of_day),
    Counter(names.DAY_TOKENS, names.DIRECTION, _tokens_of_day),
    Counter(names.DAY_REQUESTS, None, _requests_of_day),
)
