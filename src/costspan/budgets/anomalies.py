"""Anomalies in the ledger: hours unlike the same hour of other days, sessions unlike others of their task type, loops."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, NamedTuple

from costspan.budgets import hours, runaways
from costspan.budgets.finding import Finding, Unjudged

if TYPE_CHECKING:
    from costspan.budgets.policy import Anomaly
    from costspan.ledger.store import Store


class Anomalies(NamedTuple):
    """What was found, the earliest first, and what could not be judged."""

    findings: Sequence[Finding]
    unjudged: Sequence[Unjudged]


def anomalies(ledger: Store, anomaly: Anomaly, zone: tzinfo, start_ns: int, end_ns: int) -> Anomalies:
    """The anomalies of a stretch of time, which is compared with the weeks before it. Raises LedgerError."""
    found = list(
        itertools.chain(
            hours.unusual(ledger, anomaly, zone, start_ns, end_ns), runaways.unusual(ledger, anomaly, start_ns, end_ns)
        )
    )
    findings = [each for each in found if isinstance(each, Finding)]
    return Anomalies(
        sorted(findings, key=lambda each: (each.start_ns, each.kind, str(each.who))),
        [each for each in found if isinstance(each, Unjudged)],
    )
