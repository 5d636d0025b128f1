"""Who answers the questions of a program: the ledger's file, or a server over one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from costspan.report.usage import Question
from costspan.report.values import CacheSavings, UsageDay, UsagePage, UsageSummary


class Source(Protocol):
    """Answers questions whose words were checked. Every method raises LedgerError where there is no answer to be had."""

    def now_s(self) -> float:
        """The time by which words like `today` are understood, in seconds since the epoch."""
        ...

    def apart(self) -> Source:
        """The same, with each answer of a moment of its own."""
        ...

    def summary(self, question: Question, top: int | None, *, is_brief: bool) -> UsageSummary:
        """The sums of each group (of the first `top`), and of all; `is_brief` without what is unpriced."""
        ...

    def cache_savings(self, question: Question) -> CacheSavings:
        """What reading input from a provider's cache saved."""
        ...

    def daily(self, question: Question) -> tuple[UsageDay, ...]:
        """The sums of each calendar day of the period so far."""
        ...

    def records(self, question: Question, limit: int, after: str | None) -> UsagePage:
        """Some calls, the newest first."""
        ...

    def last_used(self, question: Question) -> datetime | None:
        """When the last call began, in UTC."""
        ...

    def first_used(self, question: Question) -> datetime | None:
        """When the first call began, in UTC."""
        ...

    def lost(self) -> tuple[int, Decimal]:
        """What the ledger could not take in all time: calls, and USD."""
        ...

    def notices(self, question: Question) -> tuple[str, ...]:
        """What is not known of the period."""
        ...

    def unattributed(self, question: Question) -> Mapping[str, int]:
        """For each word of the attribution, how many calls have none."""
        ...

    def newest(self, question: Question) -> Mapping[str, Sequence[str | None]]:
        """The sessions and accounts of the last calls."""
        ...
