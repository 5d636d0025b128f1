"""What is said of an anomaly: what it is, whose calls, when, how much against which usual amount, and how to look at it."""

from __future__ import annotations

import shlex
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Final, NamedTuple

from costspan.budgets.counted import in_words
from costspan.budgets.policy import USD
from costspan.facts.attribution_words import SESSION, TASK_TYPE
from costspan.facts.counting import number
from costspan.facts.money import NANO_PER_USD
from costspan.facts.periods import NS_PER_S

HOUR: Final = "hour"
#: A session that burns many times the usual has the kind of its word.
BURN: Final = SESSION
LOOP: Final = "loop"
DAY_NS: Final = 86_400 * NS_PER_S

_MINUTE_S: Final = 60
_ROUND: Final = 10
_SHORTEST_USD: Final = Decimal("0.01")


class Finding(NamedTuple):
    """One anomaly. `who` says whose calls it is about, by the words of the ledger; `amount` and `usual` are in nano-USD, of a loop
    in calls. `usual` is the median of `compared` others (`others` says what they are); None where there were too few, and a loop
    was told by its pace. What the calls cost is `nano_usd`, a lower bound where some are `unpriced`.
    """

    kind: str
    start_ns: int
    end_ns: int
    who: tuple[tuple[str, str | None], ...]
    amount: int
    usual: int | None
    compared: int
    others: str
    nano_usd: int
    unpriced: int
    calls: int
    prompts: tuple[int, int] | None = None

    @property
    def times(self) -> Decimal | None:
        """How many times the usual it is; None where nothing is usual."""
        return Decimal(self.amount) / self.usual if self.usual else None

    @property
    def subject(self) -> str:
        """Whose calls, in words: `team search`, `session s-1 of task type research`."""
        who = dict(self.who)
        if SESSION not in who:
            ((word, value),) = self.who
            return f"calls without a {word}" if value is None else f"{word} {value}"
        task = who[TASK_TYPE]
        return f"session {who[SESSION]}" + ("" if task is None else f" of task type {task}")

    def said(self, zone: tzinfo) -> str:
        """The anomaly in one sentence."""
        spent = ("at least " if self.unpriced else "") + _short(self.nano_usd)
        if self.kind == HOUR:
            return f"{self.subject} spent {spent} in the hour from {local(self.start_ns, zone):%Y-%m-%d %H:%M}, {self._usual()}"
        if self.kind == BURN:
            return f"{self.subject} has cost {spent} by {number(self.calls, 'call')}, {self._usual()}"
        first, last = self.prompts or (0, 0)
        minutes = max(1, round((self.end_ns - self.start_ns) / NS_PER_S / _MINUTE_S))
        return (
            f"{self.subject} is in a loop: {number(self.amount, 'call')} in {minutes:,} min, prompts growing from {first:,} to"
            f" {last:,} tokens, for {spent}, {self._usual()}"
        )

    def _usual(self) -> str:
        if self.usual is None:
            return "calls coming faster and faster"
        by = f"(by {self.compared:,} {self.others})"
        times = self.times
        if times is None:
            return f"where nothing is usual {by}"
        what = f"{number(self.usual, 'call')} a session" if self.kind == LOOP else _short(self.usual)
        return f"{times:,.{0 if times >= _ROUND else 1}f} times the usual {what} {by}"

    def look(self, zone: tzinfo) -> str:
        """The command that shows its calls."""
        by = "task_type,model" if self.kind == HOUR else "model,hour"
        where = "".join(f" --where {shlex.quote(_chosen(word, value))}" for word, value in self.who)
        since, until = (
            local(ns, zone).isoformat(timespec="seconds") for ns in (self.start_ns, self.end_ns + NS_PER_S - 1)
        )
        return f"costspan usage --by {by}{where} --since {since} --until {until}"


class Unjudged(NamedTuple):
    """So many hours or sessions (`kind`) that cost enough to be judged and were not, as too few others are known of theirs."""

    kind: str
    who: tuple[tuple[str, str | None], ...]
    number: int
    known: int
    needed: int

    @property
    def said(self) -> str:
        """The same in one sentence."""
        ((word, value),) = self.who
        whose = f"without a {word}" if value is None else f"of {word.replace('_', ' ')} {value}"
        few = f"{number(self.number, self.kind)} {whose}"
        known = f"{number(self.known, 'day')} before" if self.kind == HOUR else number(self.known, "other session")
        return f"Not judged: {few}, as the ledger has {known}, and {self.needed} are needed."


def _chosen(word: str, value: str | None) -> str:
    return f"{word}=" if value is None else f"{word}=={value}"


def local(ns: int, zone: tzinfo) -> datetime:
    """A moment, to the second, by the clock on the wall."""
    return datetime.fromtimestamp(ns // NS_PER_S, zone)


def _short(nano_usd: int | None) -> str:
    """An amount in a sentence: cents, and all of what is less."""
    amount = Decimal(nano_usd or 0) / NANO_PER_USD
    return f"{amount:,.2f} USD" if amount >= _SHORTEST_USD or not amount else in_words(nano_usd or 0, USD)
