"""Tells that labels of the counters went to `other`: once in the log, and by a note that `costspan doctor` shows."""

from __future__ import annotations

from time import monotonic
from typing import Final

from costspan import guard
from costspan.ledger import notes
from costspan.metrics.totals import Totals

#: How often the note is written again with nothing new: it grows old.
_EVERY_S: Final = 3_600.0


class Overflow:
    """Looks at the totals with every batch of calls, off the caller's thread."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._noted = ("", "")
        self._written_s = float("-inf")

    def take(self, _: object) -> None:
        """Calls have finished."""
        totals = self._totals
        if not totals.overflowed:
            return
        labels = totals.overflowed_labels()
        found = (totals.sets_told_apart if totals.overflowed_sets else "", ", ".join(labels))
        if found == self._noted and monotonic() - self._written_s < _EVERY_S:
            return
        self._noted, self._written_s = found, monotonic()
        self._log(found[0], labels)
        notes.leave(
            notes.OVERFLOW, sets=found[0], labels=found[1], label_limit=totals.label_limit,
            sdk=int(totals.shares_sdk_limit),
        )  # fmt: skip

    def _log(self, sets: str, labels: list[str]) -> None:
        if sets:
            guard.tell_once(
                "labels.sets",
                "costspan: more than %s (of team, task type, model, source, ... that occur together): counters have the "
                "further ones under `other`, their totals are exact; %s",
                sets,
                "a View or a reader has them leave by the SDK's counters, which keep no more apart"
                if self._totals.shares_sdk_limit else "OTEL_COSTSPAN_LABEL_SET_LIMIT is the limit",
            )  # fmt: skip
        for label in labels:
            guard.tell_once(
                f"labels:{label}",
                "costspan: more than %d values of %s in this process: counters have the further ones under `other`, their "
                "totals are exact. Ids belong into session or account; OTEL_COSTSPAN_LABEL_LIMIT is the limit",
                self._totals.label_limit, label,
            )  # fmt: skip
