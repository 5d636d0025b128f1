"""`costspan.record()` and `costspan.uptime()`: what costs money and is no call, booked in the ledger beside the calls."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from costspan import guard, instrumentor, scope
from costspan.facts import cost_items
from costspan.facts.attribution import Attribution
from costspan.facts.attribution_words import ACCOUNT, SESSION, SOURCE, TASK_TYPE, TEAM
from costspan.facts.money import Cost, usd
from costspan.facts.periods import Periods
from costspan.ledger import rolled
from costspan.ledger.booking import Booking
from costspan.ledger.faults import LedgerError
from costspan.ledger.item_rows import item
from costspan.ledger.place import path_of
from costspan.pricing import Prices
from costspan.settings import OFF

if TYPE_CHECKING:
    from types import TracebackType

    from costspan.facts.call import Call

_NS: Final = 1_000_000_000
#: An interval of uptime is written so often, in seconds: a kill takes one at most.
INTERVAL_S: Final = 60.0
_MS: Final = 1_000
_LONGEST: Final = 1_024


def record(
    kind: str, *, instance: str, rate: str, count: float | Decimal, id: str | None = None, started_at: datetime | None = None,  # noqa: A002 - the word of the API
    duration_s: float = 0.0, session: str | None = None, task_type: str | None = None, source: str | None = None,
    team: str | None = None, account: str | None = None,
) -> Decimal | None:  # fmt: skip
    """Book one cost item: seconds of `uptime`, byte-hours of `storage` or a number of `piece`, at a rate of the prices file.

    Gives its cost in USD; None where the file has no such rate: the item is booked as unpriced. The same `id` is booked once. Who
    it is for is that of the attribution around, where it is not said. Raises ValueError for a mistaken word, LedgerError where it
    was not booked.
    """
    who = Attribution(**{SESSION: session, TASK_TYPE: task_type, SOURCE: source, TEAM: team, ACCOUNT: account})
    started_ns = time.time_ns() if started_at is None else int(_aware(started_at).timestamp() * _NS)
    units = cost_items.counted(kind, count)
    price = _prices().item(kind, _word("rate", rate), units)
    made = item(
        _word("id", id or str(uuid.uuid4())), kind, _word("instance", instance), rate, units, price, started_ns,
        duration_s=duration_s, attribution=who.over(scope.current()),
    )  # fmt: skip
    _book([made])
    return usd(price.nano_usd) if isinstance(price, Cost) else None


class uptime:  # noqa: N801 - it is called like a function
    """Books how long an instance is up, at a rate of the prices file: `with costspan.uptime(instance="gpu-1", rate="a100"):`, or
    `async with`.

    Each minute is a row of its own, and so is what is left at the end. Rows that the ledger cannot take now are kept and tried
    again with the next; at the end a fault is told in the log, and never raised. Who they are for is that of the attribution at the
    beginning. A forked child books none. Raises ValueError for a mistaken word.
    """

    def __init__(self, *, instance: str, rate: str, interval_s: float = INTERVAL_S) -> None:
        if not 0 < interval_s < math.inf:
            raise ValueError(f"interval_s={interval_s!r}: expected seconds")
        self._instance, self._rate = _word("instance", instance), _word("rate", rate)
        self._interval_s = interval_s
        self._id = str(uuid.uuid4())
        self._waiting: list[Call] = []
        self._number = 0
        self._ended = threading.Event()

    def __enter__(self) -> uptime:  # noqa: PYI034 - Self is of Python 3.11
        if self._number or self._ended.is_set():
            raise ValueError("an uptime is entered once: expected a new one")
        self._who = scope.current()
        self._prices = _prices()
        self._pid = os.getpid()
        self._started_ns, self._begun_ns = time.time_ns(), time.monotonic_ns()
        self._booked_ms = 0
        self._thread = threading.Thread(target=self._work, name="costspan-uptime", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pid != os.getpid():
            return
        self._ended.set()
        self._thread.join()
        self._pass()

    async def __aenter__(self) -> uptime:  # noqa: PYI034 - the same
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, fault, trace)  # the ledger may be waited for

    def _work(self) -> None:
        while not self._ended.wait(self._interval_s):
            self._pass()

    @guard.guarded("recording.uptime")
    def _pass(self) -> None:
        """Book the time since the last row, with the rows that wait."""
        now_ms = (time.monotonic_ns() - self._begun_ns) // 1_000_000
        passed_ms = now_ms - self._booked_ms
        if passed_ms > 0:
            price = self._prices.item(cost_items.UPTIME, self._rate, passed_ms)
            self._waiting.append(
                item(
                    f"{self._id}-{self._number}", cost_items.UPTIME, self._instance, self._rate, passed_ms, price,
                    self._started_ns + self._booked_ms * 1_000_000, duration_s=passed_ms / _MS, attribution=self._who,
                )
            )  # fmt: skip
            self._number += 1
            self._booked_ms = now_ms
        try:
            _book(self._waiting)
        except LedgerError as fault:
            guard.tell_once(f"uptime:{fault}", "costspan: uptime of %s waits to be booked: %s", self._instance, fault)
            return
        self._waiting = []


def _book(calls: Sequence[Call]) -> None:
    settings = instrumentor.settings_in_force()
    if settings.ledger == OFF or (instrumentor.pipeline is not None and instrumentor.pipeline.ledger is None):
        raise LedgerError(
            "cost items are kept in a ledger, and this program has none, as OTLP takes its calls or OTEL_COSTSPAN_LEDGER is off: "
            "expected OTEL_COSTSPAN_LEDGER=on, or POST /v1/usage/records of a server"
        )
    booking = Booking(path_of(settings.ledger, os.environ), Periods(settings.time_zone))
    try:
        until_ns = booking.until_ns()
        too_old = next(filter(None, (rolled.refusal(call.started_ns, until_ns) for call in calls)), None)
        if too_old is not None:
            raise LedgerError(f"it {too_old}")
        booking.book(calls)
    finally:
        booking.close()


def _prices() -> Prices:
    own = instrumentor.settings_in_force().prices
    return Prices.load(Path(own) if own else None)


def _word(name: str, said: object) -> str:
    if not isinstance(said, str) or not said.strip() or len(said) > _LONGEST:
        raise ValueError(f"{name}={said!r}: expected a text of at most {_LONGEST:,} signs")
    return said


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"started_at={moment!r}: expected a time with a zone")
    return moment
