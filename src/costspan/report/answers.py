"""What the server's API answers about usage, for whoever gives it and whoever asks: values under the names of `costspan.usage()`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from costspan.report.values import CacheSavings, UnpricedModel, UsageDay, UsageRow, UsageTotals

#: Most rows of one answer.
MOST_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class AskedPeriod:
    """The time that an answer is about: from (included) and to (not included); null is open."""

    asked: str
    start: datetime | None
    end: datetime | None
    time_zone: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """What was used this calendar month and in all time, and when the last call began. `notices` say what is not known of all time."""

    this_month: UsageTotals
    all_time: UsageTotals
    last_used: datetime | None
    time_zone: str
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """The sums of each group and of all calls that were chosen. `groups` says how many groups there are; `rows` may be
    the first of them. `days` are the calendar days of the period so far, `notices` say what is not known of it, `cache` what a
    provider's cache saved.
    """

    period: AskedPeriod
    by: tuple[str, ...]
    rows: tuple[UsageRow, ...]
    groups: int
    total: UsageTotals
    days: int
    unpriced: tuple[UnpricedModel, ...]
    cache: CacheSavings
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Daily:
    """The sums of each calendar day of the period so far, days without a call included. `notices` say what is not known of it."""

    period: AskedPeriod
    days: tuple[UsageDay, ...]
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UsageSpan:
    """When the first of some calls began, and the last, in UTC; None where there is none."""

    first_used: datetime | None
    last_used: datetime | None


@dataclass(frozen=True, slots=True)
class NewestWords:
    """The sessions and accounts of the last 1,000 of some calls, the newest first."""

    session: tuple[str | None, ...]
    account: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The ledger's file. `waiting_files` hold calls that could not be booked yet."""

    size_bytes: int
    waiting_files: int


@dataclass(frozen=True, slots=True)
class Stats:
    """The calls of a period: averages (null of nothing), how they ended, how sure the amounts are, how many have no word
    of the attribution. `ledger` is null for whoever does not see all; `notices` say what is not known of the period.
    """

    period: AskedPeriod
    total: UsageTotals
    days: int
    calls_per_day: float | None
    cost_usd_per_day: Decimal | None
    cost_usd_per_call: Decimal | None
    last_used: datetime | None
    outcomes: tuple[UsageRow, ...]
    qualities: tuple[UsageRow, ...]
    unattributed: Mapping[str, int]
    ledger: LedgerState | None
    notices: tuple[str, ...]
