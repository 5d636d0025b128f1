"""Sessions that run away: one that costs many times what others of its task type do, one that calls in a loop."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from costspan.budgets.finding import BURN, DAY_NS, LOOP, Finding, Unjudged
from costspan.budgets.usual import Usual, median
from costspan.facts.attribution_words import SESSION, TASK_TYPE
from costspan.facts.call import REFUSED
from costspan.facts.money import NANO_PER_USD
from costspan.facts.periods import NS_PER_S
from costspan.ledger.columns import COLUMNS, IS_CALL

if TYPE_CHECKING:
    from costspan.budgets.policy import Anomaly
    from costspan.ledger.store import Store

#: With fewer other sessions of its task type none is judged by what they do.
FEWEST_SESSIONS: Final = 10
_DAYS: Final = 28
# A loop goes on over so many calls with shorter prompts (of a smaller task, of a title), and over a pause of so long.
_MOST_BETWEEN: Final = 5
_LONGEST_PAUSE_NS: Final = 600 * NS_PER_S
_MADE: Final = f"{IS_CALL} AND outcome IS NOT '{REFUSED}'"
_SESSIONS: Final = (
    f"SELECT {SESSION}, {TASK_TYPE}, coalesce(sum(cost_nano_usd), 0) AS nano_usd, sum(unpriced_reason IS NOT NULL) AS unpriced,"  # noqa: S608
    f" sum({_MADE}) AS calls, min(started_ns) AS first, max(started_ns) AS last FROM calls"
    f" WHERE started_ns >= ? AND started_ns < ? AND {SESSION} IS NOT NULL GROUP BY 1, 2"
)  # words of the code; values are bound
_CONVERSATIONS: Final = (
    f"SELECT c.{SESSION}, c.{TASK_TYPE}, {COLUMNS['model']}, c.started_ns, c.input_tokens, c.cost_nano_usd,"  # noqa: S608
    " c.unpriced_reason IS NOT NULL FROM calls AS c"
    f" JOIN {{}} AS s ON s.{SESSION} = c.{SESSION} AND s.{TASK_TYPE} IS c.{TASK_TYPE}"
    f" WHERE c.started_ns >= ? AND c.started_ns < ? AND s.last >= ? AND s.calls >= ? AND c.input_tokens IS NOT NULL AND {_MADE}"
    " ORDER BY 1, 2, 3, 4, c.n"
)  # the same


class Session(NamedTuple):
    """What a session came to by its calls of one task type."""

    session: str
    task_type: str | None
    nano_usd: int
    unpriced: int
    calls: int
    first_ns: int
    last_ns: int

    @property
    def who(self) -> tuple[tuple[str, str | None], ...]:
        """Whose calls these are."""
        return (SESSION, self.session), (TASK_TYPE, self.task_type)


class _Others:
    """The sessions of one task type: what is usual, with one of them left out."""

    def __init__(self, sessions: Iterable[Session]) -> None:
        known = list(sessions)
        self._costs = sorted(each.nano_usd for each in known if each.nano_usd)
        self._calls = sorted(each.calls for each in known if each.calls)

    def costs_without(self, own: int) -> list[int]:
        """What others cost that cost anything."""
        return _without(self._costs, own)

    def calls_without(self, own: int) -> list[int]:
        """How many calls others made."""
        return _without(self._calls, own)

    def may_exceed(self, own: int, factor: Decimal) -> bool:
        """A quick look: without one of the upper half, the median is that amount or the one before it."""
        half = (len(self._costs) - 2) // 2
        return half < 0 or own > factor * self._costs[half]


def _without(inner: Sequence[int], own: int) -> list[int]:
    at = bisect_left(inner, own)
    return [*inner[:at], *inner[at + 1 :]]


class _Row(NamedTuple):
    """A call of a conversation. With `prompt` tokens of input."""

    session: str
    task_type: str | None
    model: str | None
    started_ns: int
    prompt: int
    nano_usd: int | None
    is_unpriced: bool


def unusual(ledger: Store, anomaly: Anomaly, start_ns: int, end_ns: int) -> Iterator[Finding | Unjudged]:
    """The sessions with calls in a stretch of time that run away. Raises LedgerError."""
    since_ns = start_ns - _DAYS * DAY_NS
    with ledger.at_one_moment():
        table = ledger.kept(_SESSIONS, (since_ns, end_ns))
        sessions = [Session(*row) for row in ledger.each(f"SELECT * FROM {table}")]  # noqa: S608 - a name of ours
        by_task: dict[str | None, list[Session]] = defaultdict(list)
        for each in sessions:
            by_task[each.task_type].append(each)
        others = {task: _Others(of_task) for task, of_task in by_task.items()}
        yield from _burning([each for each in sessions if each.last_ns >= start_ns], others, anomaly)
        calls_of = {(each.session, each.task_type): each.calls for each in sessions}
        rows = ledger.each(_CONVERSATIONS.format(table), (since_ns, end_ns, start_ns, anomaly.loop_calls))
        for run in _runs(map(_Row._make, rows)):
            if len(run) >= anomaly.loop_calls and run[-1].started_ns >= start_ns:
                first = run[0]
                known = others[first.task_type].calls_without(calls_of[first.session, first.task_type])
                yield from _looping(run, known, anomaly)


def _burning(
    judged: Iterable[Session], others: dict[str | None, _Others], anomaly: Anomaly
) -> Iterator[Finding | Unjudged]:
    floor = int(anomaly.floor_usd * NANO_PER_USD)
    unjudged: dict[str | None, list[int]] = defaultdict(list)
    for each in judged:
        of_task = others[each.task_type]
        if not each.nano_usd or each.nano_usd < floor or not of_task.may_exceed(each.nano_usd, anomaly.session_factor):
            continue
        known = of_task.costs_without(each.nano_usd)
        usual = Usual.of(known)
        if len(known) < FEWEST_SESSIONS:
            unjudged[each.task_type].append(len(known))
        elif usual.is_exceeded(each.nano_usd, anomaly.session_factor):
            yield Finding(
                BURN, each.first_ns, each.last_ns + 1, each.who, each.nano_usd, usual.amount, len(known), "other sessions",
                each.nano_usd, each.unpriced, each.calls,
            )  # fmt: skip
    for task, known_of in unjudged.items():
        yield Unjudged(BURN, ((TASK_TYPE, task),), len(known_of), min(known_of), FEWEST_SESSIONS)


def _runs(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    """The longest row of growing prompts of each session, task type and model."""
    for _, conversation in itertools.groupby(rows, lambda row: row[:3]):
        yield max(_growing(conversation), key=len)


def _growing(conversation: Iterable[_Row]) -> Iterator[list[_Row]]:
    """The rows of calls with a longer prompt than any before; a few others may lie between two of them."""
    run: list[_Row] = []
    between, seen_ns = 0, 0
    for row in conversation:
        is_paused = row.started_ns - seen_ns > _LONGEST_PAUSE_NS
        seen_ns = row.started_ns
        if run and not is_paused and row.prompt <= run[-1].prompt and between < _MOST_BETWEEN:
            between += 1
            continue
        if run and (is_paused or row.prompt <= run[-1].prompt):
            yield run
            run = []
        run.append(row)
        between = 0
    yield run


def _looping(run: Sequence[_Row], known: Sequence[int], anomaly: Anomaly) -> Iterator[Finding]:
    """A row that is many times longer than sessions usually are; where too few are known, one that gets many times faster."""
    usual = median(known) if len(known) >= FEWEST_SESSIONS else None
    if not (_is_faster(run, anomaly.factor) if usual is None else len(run) > anomaly.factor * usual):
        return
    first, last = run[0], run[-1]
    who = ((SESSION, first.session), (TASK_TYPE, first.task_type), ("model", first.model))
    yield Finding(
        LOOP, first.started_ns, last.started_ns + 1, who, len(run), usual, len(known), "other sessions",
        sum(row.nano_usd or 0 for row in run), sum(row.is_unpriced for row in run), len(run), (first.prompt, last.prompt),
    )  # fmt: skip


def _is_faster(run: Sequence[_Row], factor: Decimal) -> bool:
    """Whether the second half came so many times faster than the first."""
    half = len(run) // 2
    first_ns, then_ns = run[half].started_ns - run[0].started_ns, run[-1].started_ns - run[half].started_ns
    return first_ns > 0 and first_ns * (len(run) - 1 - half) >= factor * then_ns * half
