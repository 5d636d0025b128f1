"""What a question to the ledger is answered with: plain values, amounts exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """Sums over calls and over items that are no call (uptime, storage); amounts exact, in USD. `cost_usd` is what has a price,
    the next two and `items_usd` are parts of it.

    `lost_calls` and `lost_usd` are what the ledger could not take in the period, whoever it was for: told for a whole
    period only, 0 in rows and days.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal
    estimated_usd: Decimal
    incomplete_usd: Decimal
    unpriced_calls: int
    unpriced_tokens: int
    lost_calls: int = 0
    lost_usd: Decimal = Decimal(0)
    items: int = 0
    items_usd: Decimal = Decimal(0)
    unpriced_items: int = 0

    @property
    def is_lower_bound(self) -> bool:
        """Whether more was spent than `cost_usd` says: without a price, with a price for a part, or lost."""
        return bool(self.unpriced_calls or self.unpriced_items or self.incomplete_usd or self.lost_calls)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One group: `words` has a value for each word asked by, None where nobody said."""

    words: Mapping[str, str | None]
    totals: UsageTotals


@dataclass(frozen=True, slots=True)
class UnpricedModel:
    """Calls of one model that have no price, and why."""

    provider: str | None
    model: str | None
    reason: str
    calls: int
    tokens: int


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """The sums of groups and of all calls, as they stood at one moment; `groups` is how many groups there are. `notices` say what is
    not known of the period.
    """

    rows: tuple[UsageRow, ...]
    groups: int
    total: UsageTotals
    days: int
    unpriced: tuple[UnpricedModel, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CacheSavings:
    """What reading input from a provider's cache saved at the list prices of now, in USD: less than 0 where writing to the cache cost
    more than reading from it saved; None where no rate is known.

    `unknown_tokens` were read or written at rates that nobody knows, and are in no amount. `assumed_tokens` were written at a rate that
    depends on how long they are kept, which sums do not tell: that of the usual lifetime is taken.
    """

    saved_usd: Decimal | None
    unknown_tokens: int
    assumed_tokens: int

    @property
    def rates(self) -> str:
        """`known`, `unknown`, or `known_in_part`."""
        if not self.unknown_tokens:
            return "known"
        return "unknown" if self.saved_usd is None else "known_in_part"


@dataclass(frozen=True, slots=True)
class UsageDay:
    """One calendar day in the zone that was asked for."""

    day: date
    totals: UsageTotals


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One call, or item that is no call (`kind`), as the ledger has it. None is not known. `units` are the counts by kind, `started_at` is in UTC."""

    id: str
    started_at: datetime | None
    session: str | None
    task_type: str | None
    source: str | None
    team: str | None
    account: str | None
    provider: str | None
    host: str | None
    client: str | None
    operation: str | None
    request_model: str | None
    response_model: str | None
    response_id: str | None
    outcome: str | None
    error_type: str | None
    http_status: int | None
    is_stream: bool | None
    duration_s: float | None
    first_chunk_s: float | None
    units: Mapping[str, int]
    cost_usd: Decimal | None
    quality: str | None
    price_version: str | None
    unpriced_reason: str | None
    trace_id: str | None
    span_id: str | None
    transaction_id: str | None
    kind: str
    instance: str | None


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Some records, the newest first. `next` goes on after them: the `after` of the next question; None at the end. `notices` say
    what is not known of the period.
    """

    records: tuple[UsageRecord, ...]
    next: str | None
    notices: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[UsageRecord]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)
