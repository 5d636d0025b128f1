"""One call of an LLM: what was asked, what the answer said, and the finished record that every listener gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from costspan.facts.attribution import NOBODY, Attribution
from costspan.facts.money import Price
from costspan.facts.usage import Usage

OK: Final = "ok"
ERROR: Final = "error"
ABANDONED: Final = "abandoned"
REFUSED: Final = "refused"  # by a hard budget: it was never made
OUTCOMES: Final = (OK, ERROR, ABANDONED, REFUSED)


@dataclass(slots=True)
class Answer:
    """What one response (or one event of a stream) says about itself. None and () mean: said nothing.

    `tier` is the service tier the provider used, `geo` its place of inference where that changes the price,
    `speed` its speed class (Anthropic), `processing` is what else its rates depend on: "batch" for answers of a batch
    job, "decisions", the size of a video.
    `reported_nano_usd` is the cost in the provider's own words, `reported_in_part` is True where that is at most a part
    of it, `from_cache` where a gateway's cache answered, so that no model was asked and nothing is billed. `parts` are portions of the same answer made by
    other models; where they are given, they replace `usage` for pricing. `pending` is True for an answer that is
    still being worked on (a background response). `error` is the error a body or stream reports by itself.
    `unread` names the fields of the usage that were not understood, out of bounds or contradict each other: what the
    usage comes to is a lower bound then. The names are those that `facts.usage.field_name` makes.
    Of answers that are fetched together (results of a batch), `key` names this one among them, and `operation` is what it
    does, where that is told by it alone.
    """

    usage: Usage | None = None
    model: str | None = None
    id: str | None = None
    tier: str | None = None
    geo: str | None = None
    speed: str | None = None
    processing: str | None = None
    finish_reasons: tuple[str, ...] = ()
    reported_nano_usd: int | None = None
    parts: tuple[tuple[str | None, Usage], ...] = ()
    pending: bool = False
    error: str | None = None
    reported_in_part: bool = False
    from_cache: bool = False
    unread: tuple[str, ...] = ()
    key: str | None = None
    operation: str | None = None


#: What a call has before it is answered. Never changed: an answer is put in its place.
NO_ANSWER: Final = Answer()


@dataclass(slots=True)
class Call:
    """One finished call. `id` is given to it when it is booked. Times: `started_ns` since the epoch, durations in seconds.

    `is_fetchable` is True where the same answer may come again, in this process or another: a background response,
    a result of a batch, whether made or only fetched by this call. The ledger books such an answer once, by provider
    and answer id. Other answers are never matched by id: some servers number theirs from a short range.
    """

    id: str
    client: str
    provider: str
    operation: str
    started_ns: int
    request_model: str | None = None
    host: str | None = None
    port: int | None = None
    attribution: Attribution = NOBODY
    is_stream: bool = False
    duration_s: float = 0.0
    first_chunk_s: float | None = None
    outcome: str = OK
    error_type: str | None = None
    http_status: int | None = None
    answer: Answer = field(default_factory=lambda: NO_ANSWER)
    price: Price | None = None
    period: str = ""
    trace_id: int = 0
    span_id: int = 0
    is_fetchable: bool = False
    told: dict[str, Any] | None = None  # what its span was told, so that the usage event need not gather it again
    runs: Any = None  # those that it counts for, while it is under way (scope/run.py)
    day: str = ""  # `YYYYMMDD` in the time zone of spend, of which `period` is the month
    booked: int = 0  # its place in the sums of this process, from 1; 0 before it was added to them
    held: Any = None  # what it holds of hard budgets (budgets/held.py)
    transaction: str | None = None  # that of the reservation under which it was made
    estimate: str | None = None  # what was estimated of it before it was sent (forecast/noted.py)

    @property
    def address(self) -> str | None:
        """The host that was called, with the port where that is not the usual one."""
        if self.port is None or self.host is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def usage(self) -> Usage | None:
        """What the provider counted; None where it said nothing."""
        return self.answer.usage

    @property
    def model(self) -> str | None:
        """The model that answered, or the one that was asked for."""
        return self.answer.model or self.request_model
