"""Counters tagged with the session, for as many sessions as are active; they ride with the SDK's own export.

A session is unbounded, and an SDK counter that carries it stops working after 2000 of them. So these sums live in a
table of bounded size, from which the longest idle session goes first.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import chain
from time import time_ns
from typing import Final, TypeAlias

from costspan import guard
from costspan.facts import usage as units
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.facts.recent import Recent
from costspan.metrics.cardinality import CardinalityLimit
from costspan.metrics.reentry import Reentrant
from costspan.names import OTHER, UNKNOWN

#: Session, task type, model, source: the labels of the session counters.
Key: TypeAlias = tuple[str, str, str, str]
_Kind: TypeAlias = tuple[str | None, str | None, str | None]

_MOST_KINDS: Final = 16_384


class Spent:
    """What one session spent on one kind of work with one model. Money in nano-USD."""

    __slots__ = ("changed", "input", "nano_usd", "output", "started_ns")

    def __init__(self, started_ns: int) -> None:
        self.started_ns = started_ns
        self.nano_usd = self.input = self.output = self.changed = 0


class Sessions(Reentrant):
    """The active sessions of this process."""

    def __init__(self, limit: int, label_limit: int, clock: Callable[[], int] = time_ns) -> None:
        self.limit = limit
        self._now_ns = clock
        self._caps = tuple(CardinalityLimit(label_limit) for _ in range(3))
        self._kinds: Recent[_Kind, tuple[str, str, str]] = Recent(_MOST_KINDS)
        self._renew()
        self.active: OrderedDict[Key, Spent] = OrderedDict()
        #: Went before every reader had delivered them; dropped then, or when as many again have gone.
        self.departed: OrderedDict[Key, Spent] = OrderedDict()
        self.clock = 0
        self._delivered: dict[int, int] = {}  # by reader: up to which clock

    def add(self, call: Call) -> None:
        """Add one finished call; nothing happens for a call without a session."""
        who = call.attribution
        if who.session is None:
            return
        if self._is_within():
            self._put_off.append(functools.partial(self.add, call))
            return
        kind = (who.task_type, call.request_model, who.source)
        usage, price = call.answer.usage, call.price
        with self.lock:
            key = (who.session, *(self._kinds.young.get(kind) or self._kinds.get(kind) or self._kind(kind)))
            spent = self.active.get(key)
            if spent is None:
                spent = self._admit(key)
            else:
                self.active.move_to_end(key)
            self.clock += 1
            spent.changed = self.clock
            if usage is not None:
                spent.input += usage.counts.get(units.INPUT, 0)
                spent.output += usage.counts.get(units.OUTPUT, 0)
            if isinstance(price, Cost):
                spent.nano_usd += price.nano_usd
        if self._put_off:
            self._catch_up()

    def _kind(self, kind: _Kind) -> tuple[str, str, str]:
        """The labels for a task type, model and source, within their caps."""
        task_type, model, source = (cap.value(text) for cap, text in zip(self._caps, kind, strict=True))
        return self._kinds.keep(kind, (task_type, model, source))

    def _admit(self, key: Key) -> Spent:
        spent = self.departed.pop(key, None) or Spent(self._now_ns())
        self.active[key] = spent
        if len(self.active) > self.limit:
            gone, last = self.active.popitem(last=False)
            if last.changed > self._delivered_to_all():
                self.departed[gone] = last
                if len(self.departed) > self.limit:
                    self.departed.popitem(last=False)
                    if self._delivered:  # somebody was to be told
                        _tell_of_a_loss()
        return spent

    def restore(self, key: Key, spent: Spent) -> None:
        """A session that another process's sums had."""
        for cap, text in zip(self._caps, key[1:], strict=True):
            if text not in {OTHER, UNKNOWN}:
                cap.value(text)
        self.clock += 1
        spent.changed = self.clock
        self.active[key] = spent

    def _delivered_to_all(self) -> int:
        return min(self._delivered.values(), default=0)

    def changed_since(self, clock: int) -> list[tuple[int, Key, Spent]]:
        """The sessions that changed after `clock`, each with when it did by the clock, the longest idle first."""
        return self.read(lambda: list(self._changed_since(clock)))

    def _changed_since(self, clock: int) -> Iterator[tuple[int, Key, Spent]]:
        for key, spent in chain(self.departed.items(), self.active.items()):  # in the order in which they changed
            if spent.changed > clock:
                yield spent.changed, key, spent

    def delivered(self, reader: int, clock: int) -> None:
        """A reader has delivered everything up to `clock`. One that is to be waited for says so first, with 0."""
        with self.lock:
            self._delivered[reader] = clock
            known = self._delivered_to_all()
            for key in [key for key, spent in self.departed.items() if spent.changed <= known]:
                del self.departed[key]

    def clear(self) -> None:
        """Start from zero (a forked child)."""
        self._renew()
        self.active.clear()
        self.departed.clear()
        self._kinds.clear()
        for cap in self._caps:
            cap.clear()


def _tell_of_a_loss() -> None:
    """Only the counters of the session lack it: totals, events and ledger have it."""
    guard.count("metrics.sessions.limit")
    guard.tell_once(
        "sessions",
        "costspan: between two exports came more than twice as many sessions as OTEL_COSTSPAN_SESSION_LIMIT allows: the "
        "counters of some sessions lack their last spend; totals, usage events and the ledger have all of it",
    )
