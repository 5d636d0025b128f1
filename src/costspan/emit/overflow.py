"""Tells that labels of the counters went to `other`: once in the log, and by a note that `costspan doctor` shows."""

from __future__ import annotations

from time import monotonic
from typing import Final

from costspan import guard
from costspan.ledger import notes
from costspan.metrics.totals import Totals

#: How often the note is written again while more overflows.
_EVERY_S: Final = 30.0


class Overflow:
    """Looks at the totals with every batch of calls, off the caller's thread."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._noted = 0
        self._written_s = float("-inf")

    def take(self, _: object) -> None:
        """Calls have finished."""
        overflowed = self._totals.overflowed
        if overflowed <= self._noted or monotonic() - self._written_s < _EVERY_S:
            return
        self._noted, self._written_s = overflowed, monotonic()
        sets, labels = self._totals.folded_sets, self._totals.overflowed_labels()
        if sets:
            _tell_of_sets(self._totals)
        for label in labels:
            guard.tell_once(
                f"labels:{label}",
                "costspan: more than %d values of %s in this process: counters have the further ones under `other`, their "
                "totals are exact. Ids belong into session or account; OTEL_COSTSPAN_LABEL_LIMIT is the limit",
                self._totals.label_limit, label,
            )  # fmt: skip
        notes.leave(
            notes.OVERFLOW, sets=sets, set_limit=self._totals.set_limit, labels=", ".join(labels),
            label_limit=self._totals.label_limit, sdk=int(self._totals.shares_sdk_limit),
        )  # fmt: skip


def _tell_of_sets(totals: Totals) -> None:
    why = (
        "a View or a reader has them leave by the SDK's counters, which keep no more apart"
        if totals.shares_sdk_limit
        else "OTEL_COSTSPAN_LABEL_SET_LIMIT is the limit"
    )
    guard.tell_once(
        "labels.sets",
        "costspan: more than %d sets of labels (team, task type, model, source, ... that occur together) in a month: "
        "counters have the further ones under `other`, their totals are exact; %s",
        totals.set_limit, why,
    )  # fmt: skip
