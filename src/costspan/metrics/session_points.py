"""Session counters on their way to one metric reader: what it has not delivered yet, oldest first, in bounded pieces."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, TypeAlias

from opentelemetry.sdk.metrics.export import AggregationTemporality, Metric, NumberDataPoint, Sum

from costspan import guard, names
from costspan.metrics import batches
from costspan.metrics.numbers import integer, usd
from costspan.metrics.sessions import Key, Sessions, Spent

#: Sessions still to be sent: when they changed by the clock of the sessions, labels, sums.
Backlog: TypeAlias = deque[tuple[int, Key, Spent]]
_Sums: TypeAlias = tuple[int, int, int]

_NONE: Final = (0, 0, 0)
_MOST_SESSIONS: Final = 500
_FEWER: Final = 4
#: A single session that is refused so often, each time right after totals were accepted, is passed over.
_MOST_REFUSALS: Final = 3


class SessionPoints:
    """The session counters of one reader. A piece is taken, sent, and then either delivered or refused."""

    def __init__(self, sessions: Sessions, *, is_delta: bool, since_ns: int) -> None:
        self._sessions = sessions
        self._is_delta = is_delta
        self._since_ns = since_ns
        # By the clock of the sessions: up to where everything is delivered, and up to where the piece under way goes.
        self._clock = self._under_way = 0
        self._sent: dict[Key, tuple[int, _Sums]] = {}
        self._sending: dict[Key, tuple[int, _Sums]] = {}
        self._most = _MOST_SESSIONS
        self._refusals = 0
        sessions.delivered(id(self), 0)

    def backlog(self) -> Backlog:
        """The sessions with something that this reader has not delivered, the longest idle first."""
        return deque(self._sessions.changed_since(self._clock))

    def take(self, backlog: Backlog, now: int) -> list[Metric]:
        """The next piece of the backlog as metrics; at least one session."""
        self._sending.clear()
        cost: list[Any] = []
        tokens: list[Any] = []
        size = 0
        while backlog and len(cost) < self._most and size < batches.MOST_BYTES:
            self._under_way, key, spent = backlog.popleft()
            labels: dict[str, Any] = dict(zip(names.SESSION_LABELS, key, strict=True))
            since, nano_usd, given, made = self._portion(key, spent)
            cost.append(NumberDataPoint(labels, since, now, usd(nano_usd)))
            for direction, value in (("input", given), ("output", made)):
                tokens.append(NumberDataPoint({**labels, names.DIRECTION: direction}, since, now, integer(value)))
            size += 3 * batches.size_of(tokens[-1])
        kind = AggregationTemporality.DELTA if self._is_delta else AggregationTemporality.CUMULATIVE
        return [
            Metric(metric.name, metric.description, metric.unit, Sum(points, kind, is_monotonic=True))
            for metric, points in ((names.SESSION_COST_USD, cost), (names.SESSION_TOKENS, tokens))
        ]

    def delivered(self, now: int) -> None:
        """The piece has arrived: what it said is not said again."""
        for key, told in self._sending.items():
            self._sent.pop(key, None)
            self._sent[key] = told  # the last ones last: the first ones go
        while len(self._sent) > 2 * self._sessions.limit:
            del self._sent[next(iter(self._sent))]
        self._most, self._refusals = min(_MOST_SESSIONS, 2 * self._most), 0
        self._since_ns = now
        self._advance()

    def refused(self) -> None:
        """The piece has not arrived, though others of the same reader do: it may be too large for the receiver."""
        if self._most == 1:
            self._refusals += 1
            if self._refusals >= _MOST_REFUSALS:
                self._refusals = 0
                _tell_of_a_refusal()
                self._advance()
        self._most = max(1, self._most // _FEWER)

    def _advance(self) -> None:
        self._sending.clear()
        self._clock = self._under_way
        self._sessions.delivered(id(self), self._clock)

    def _portion(self, key: Key, spent: Spent) -> tuple[int, int, int, int]:
        """Start, and what to report: everything since the start, or what came since the last that was delivered."""
        if not self._is_delta:
            return spent.started_ns, spent.nano_usd, spent.input, spent.output
        now = (spent.nano_usd, spent.input, spent.output)
        started_ns, before = self._sent.get(key, (0, _NONE))
        if started_ns != spent.started_ns:  # it went, and came back from zero
            before = _NONE
        self._sending[key] = (spent.started_ns, now)
        return (self._since_ns, *(b - a for a, b in zip(before, now, strict=True)))  # type: ignore[return-value]

    def forget(self, now: int) -> None:
        """In a forked child: nothing was reported yet."""
        self._sent.clear()
        self._sending.clear()
        self._since_ns = now


def _tell_of_a_refusal() -> None:
    """Only the counters of one session lack it: totals, events and ledger have it."""
    guard.count("metrics.sessions.refused")
    guard.tell_once(
        "sessions.refused",
        "costspan: the OTLP receiver refuses the counters of single sessions while it accepts everything else: they are "
        "passed over; totals, usage events and the ledger have all of it",
    )
