"""Reservations on a server that all machines of a fleet share: each question is one operation there, done as a whole.

Numbers travel as text: what reads JSON as floating point would lose nano-USD above 2^53.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Final

from costspan.budgets import owners
from costspan.budgets import store as stores
from costspan.budgets.link import Link, Server
from costspan.budgets.store import ClockBehind, Granted, Hold, Refused, Reserved, Spent, StoreUnavailableError

#: How long a call waits for the server, at most, once. `docs/enforcement.md` says it.
_PATIENCE_S: Final = 0.5


class ServerStore:
    """The store of a fleet. `shift_us` is for tests: what is added to the server's clock."""

    def __init__(
        self, server: Server, *, patience_s: float = _PATIENCE_S, shift_us: Callable[[], int] = lambda: 0
    ) -> None:
        self._link = Link(server, patience_s)
        self._shift_us = shift_us
        self._begin()

    def _begin(self) -> None:
        self._me = self._who = ""
        self._pid = 0
        # Operations that the server keeps a mark of until it hears that their answers have come.
        self._answered: deque[str] = deque()

    @property
    def shown(self) -> str:
        """The server's address, without the password."""
        return self._link.server.shown

    def _ask(self, operation: str, *, again: bool = True, **words: Any) -> list[str]:
        """The answer, after its first word; StoreUnavailableError where that is none of the expected ones."""
        if self._pid != os.getpid():
            self._begin()
            me = owners.myself()
            self._me, self._pid = str(me.n), me.pid
            self._who = json.dumps([me.pid, socket.gethostname()])
        question = json.dumps({"me": self._me, "who": self._who, "shift": str(self._shift_us()), **words})
        answer = list(self._link.ask(operation, question, again=again))
        if answer[0] == "newer":
            raise StoreUnavailableError(f"what is kept at {self.shown} was made by a newer costspan: update this one")
        return answer

    # -- calls ---------------------------------------------------------------------------------------------

    def reserve(
        self, key: str, holds: Sequence[Hold], now_ns: int, *, label: str = "", parent: str | None = None,
        transaction: str = "",
    ) -> Granted | Refused | ClockBehind:  # fmt: skip
        """See ReservationStore."""
        answer = self._ask(
            "reserve", key=key, holds=_texts(holds), now=str(now_ns), label=label, parent=parent or "", tx=transaction or key
        )  # fmt: skip
        if answer[0] == "foreign":
            raise stores.held_elsewhere(key, _process(answer[1]))
        return _found(key, holds, answer)

    def settle(self, key: str, spent: Iterable[Spent], *, is_recorded: bool) -> None:
        """See ReservationStore."""
        self._once("settle", key, key=key, spent=_texts(spent), recorded=is_recorded)

    def book(self, calls: Iterable[tuple[str, Sequence[Spent]]], *, is_recorded: bool) -> None:
        """See ReservationStore."""
        told = [(key, _texts(spent)) for key, spent in calls]
        if told:
            mark = f"book:{told[0][0]}"
            self._once("book", mark, mark=mark, calls=told, recorded=is_recorded)

    def _once(self, operation: str, known_as: str, **words: Any) -> None:
        known = list(self._answered)
        self._ask(operation, acknowledged=known, **words)
        with contextlib.suppress(IndexError):  # another thread may have told the same
            for _ in known:
                self._answered.popleft()
        self._answered.append(known_as)

    # -- reservations by hand ------------------------------------------------------------------------------

    def commit(self, key: str, amounts: Mapping[str, int]) -> None:
        """See ReservationStore."""
        told = [(budget, str(amount)) for budget, amount in amounts.items()]
        answer = self._ask("commit", again=False, key=key, amounts=told)
        if answer[0] == "below":
            raise stores.below_used(key, answer[1], int(answer[2]), int(answer[3]))
        if answer[0] == "above":
            raise stores.above_held(key, answer[1], int(answer[2]), int(answer[3]))
        _check_mine(key, "committed", answer)

    def extend(self, key: str, holds: Sequence[Hold], now_ns: int) -> Granted | Refused | ClockBehind:
        """See ReservationStore."""
        answer = self._ask("extend", again=False, key=key, holds=_texts(holds), now=str(now_ns), parent="")
        _check_mine(key, "extended", answer)
        return _found(key, holds, answer)

    def release(self, key: str) -> None:
        """See ReservationStore."""
        _check_mine(key, "released", self._ask("release", again=False, key=key))

    def clear(self, key: str) -> bool:
        """See ReservationStore."""
        return self._ask("clear", again=False, key=key)[0] == "done"

    # -- what stands ---------------------------------------------------------------------------------------

    def standing(self, budget: str, since: int) -> tuple[int, int]:
        """See ReservationStore."""
        _, spent, reserved = self._ask("standing", budget=budget, since=str(since))
        return int(spent), int(reserved)

    def crossed(self, budget: str, slot: int, threshold: str) -> bool:
        """See ReservationStore."""
        by = str(owners.drawn())  # the same question, asked twice, has the same answer
        return self._ask("crossed", budget=budget, slot=str(slot), threshold=threshold, by=by)[1] == "1"

    def reservations(self) -> list[Reserved]:
        """See ReservationStore."""
        found = [_reserved(*json.loads(each)) for each in self._ask("reservations")[1:]]
        return sorted(found, key=lambda each: (each.made_ns, each.key))

    # -- processes -----------------------------------------------------------------------------------------

    def keep_alive(self) -> int:
        """See ReservationStore."""
        return int(self._ask("keep_alive")[1])

    # -- what ledgers have ---------------------------------------------------------------------------------

    def place(self, definition: str) -> tuple[int, str] | None:
        """See Books."""
        answer = self._ask("place", definition=definition)
        if answer[0] == "none":
            return None
        n, _, row = answer[1].partition(" ")
        return int(n), row

    def take_in(
        self, definition: str, after: tuple[int, str] | None, upto: tuple[int, str], rows: Iterable[tuple[str, Spent]]
    ) -> bool:
        """See Books."""
        told = [(key, *texts) for (key, spent) in rows for texts in _texts([spent])]
        was = "" if after is None else "{} {}".format(*after)
        answer = self._ask("take_in", definition=definition, after=was, upto="{} {}".format(*upto), rows=told)
        return answer[0] == "done"

    # -- the end -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def looking(self) -> Generator[None]:
        """See ReservationStore."""
        with self._link.looking():
            if self._link.is_away:
                self.keep_alive()
            yield

    def close(self) -> None:
        """See ReservationStore."""
        self._link.close()

    def before_fork(self, give_up_s: float) -> bool:
        """See ReservationStore."""
        return self._link.before_fork(give_up_s)

    def after_fork_in_parent(self) -> None:
        """See ReservationStore."""
        self._link.after_fork_in_parent()

    def forget(self) -> None:
        """See ReservationStore."""
        self._link.forget()
        self._begin()


def _texts(rows: Iterable[Sequence[object]]) -> list[list[str]]:
    return [[str(value) for value in row] for row in rows]


def _found(key: str, holds: Sequence[Hold], answer: Sequence[str]) -> Granted | Refused | ClockBehind:
    if answer[0] == "clock":
        return ClockBehind(int(answer[1]))
    if answer[0] == "refused":
        return Refused(holds[int(answer[1])], int(answer[2]), int(answer[3]))
    return Granted(key, *answer[1:])


def _check_mine(key: str, done: str, answer: Sequence[str]) -> None:
    if answer[0] == "none":
        raise stores.not_there(key, done)
    if answer[0] == "over":
        raise stores.is_over(key, done, answer[1])
    if answer[0] == "foreign":
        raise stores.not_here(key, done, _process(answer[1]))


def _process(who: str) -> str:
    """A process in words."""
    pid, host = json.loads(who) if who else (0, "")
    return f"number {pid} on {host}" if pid else "which has ended"


def _reserved(
    key: str, transaction: str, label: str, made_ns: str, who: str, is_alive: str, rows: Sequence[Sequence[str]]
) -> Reserved:
    pid, host = json.loads(who)
    holds: dict[str, int] = {}
    for budget, _, amount, *_ in rows:
        holds[budget] = holds.get(budget, 0) + int(amount)
    return Reserved(key, transaction, stores.HELD, label, int(made_ns), pid, is_alive == "1", holds, host)
