"""Which values of labels have series of their own at `/metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from costspan.metrics.cardinality import CardinalityLimit
from costspan.names import OTHER, PERIOD, UNKNOWN


@dataclass
class LabelLimits:
    """So many values a label, and so many sets of labels, before `other` takes the rest.

    Which they are stays so for as long as the server runs: a value that became `other` between two scrapes would be a counter
    that falls.
    """

    values: int = 250
    sets: int = 20_000
    _values: dict[str, CardinalityLimit] = field(default_factory=dict[str, CardinalityLimit])
    _sets: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])

    def labels(self, said: Mapping[str, str | None]) -> tuple[str, ...]:
        """The labels for these values, in the same order."""
        found = tuple(self._label(label, value) for label, value in said.items())
        if found in self._sets or len(self._sets) < self.sets:
            self._sets.add(found)
            return found
        return tuple(one if label == PERIOD else OTHER for label, one in zip(said, found, strict=True))

    def _label(self, label: str, value: str | None) -> str:
        if label == PERIOD:
            return (value or UNKNOWN).replace("-", "")
        return self._values.setdefault(label, CardinalityLimit(self.values)).value(value)
