"""How far estimates of calls were from what came, counted by model and figure while programs run.

The ledger has each of them (`costspan estimate --accuracy`); these are sums that leave with the metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.metrics import Meter

from costspan import guard, names
from costspan.facts.call import OK, Call
from costspan.facts.money import Cost
from costspan.facts.usage import INPUT, OUTPUT
from costspan.forecast import noted
from costspan.metrics.cardinality import CardinalityLimit
from costspan.metrics.instruments import Observed, observe

#: An SDK counter keeps 2,000 sets of labels apart: models, times three figures, times the steps below.
_MOST_MODELS: Final = 100
_STEPS: Final = ((0.1, "10%"), (0.2, "20%"), (0.5, "50%"), (1.0, "100%"))
_MORE: Final = "more"
#: The cost has the word that it has in tables.
_FIGURES: Final = {INPUT: INPUT, OUTPUT: OUTPUT, noted.COST: "cost"}


class EstimateErrors:
    """Compares the calls that carry an estimate, off the caller's thread."""

    def __init__(self, meter: Meter, label_limit: int) -> None:
        self._models = CardinalityLimit(min(label_limit, _MOST_MODELS))
        #: How many were off by at most so much, and how many bounds held: by model, figure and that.
        self._off: dict[tuple[str, str, str], int] = {}
        self._bounds: dict[tuple[str, str, str], int] = {}
        observe(meter, names.ESTIMATE_COMPARED, lambda: _points(names.ESTIMATE_COMPARED, self._off))
        observe(meter, names.ESTIMATE_BOUNDS, lambda: _points(names.ESTIMATE_BOUNDS, self._bounds))

    @guard.guarded("estimates.compare")
    def take(self, calls: Sequence[Call]) -> None:
        """Compare those that can be: as in the ledger, no failed call and no stream that was cut short."""
        for call in calls:
            usage = call.answer.usage
            if call.estimate is None or call.outcome != OK or usage is None or not usage.complete:
                continue
            note = noted.read(call.estimate)
            if note is not None:
                came = {unit: usage.counts.get(unit) for unit in (INPUT, OUTPUT)}
                came[noted.COST] = call.price.nano_usd if isinstance(call.price, Cost) else None
                self._add(self._models.value(call.request_model), note, came)

    def _add(self, model: str, note: noted.Noted, came: Mapping[str, int | None]) -> None:
        for figure, word in _FIGURES.items():
            number, expected, bound = came[figure], note.expected.get(figure), note.bound.get(figure)
            if number is None:
                continue
            if expected is not None:
                _count(self._off, (model, word, _step(noted.error(expected, number))))
            if bound is not None:
                _count(self._bounds, (model, word, "true" if number <= bound else "false"))

    def forget(self) -> None:
        """In a forked child: start from zero."""
        self._models.clear()
        self._off.clear()
        self._bounds.clear()


def _step(error: float) -> str:
    return next((word for most, word in _STEPS if error <= most), _MORE)


def _count(sums: dict[tuple[str, str, str], int], key: tuple[str, str, str]) -> None:
    sums[key] = sums.get(key, 0) + 1


def _points(metric: names.Metric, sums: Mapping[tuple[str, str, str], int]) -> list[Observed]:
    return [(count, dict(zip(metric.labels, labels, strict=True))) for labels, count in dict(sums).items()]
