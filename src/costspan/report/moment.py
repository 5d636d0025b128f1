"""One moment of a ledger, for all questions of one answer: figures that stand together cannot contradict each other."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from costspan.ledger.faults import NoLedger
from costspan.ledger.intake import read
from costspan.ledger.store import Store

_R = TypeVar("_R")


class Moment:
    """A ledger as it stands when it is first asked; questions see nothing that is booked later. For one thread, and to be closed.

    `now_s` is the time of the clock, for words like `today`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now_s = time.time()
        self._open = ExitStack()
        self._store: Store | None = None
        self._is_asked = False

    def ask(self, answer: Callable[[Store], _R]) -> _R | None:
        """What the ledger answers; None where there is none yet. Raises LedgerError."""
        if not self._is_asked:
            self._is_asked = True
            self._begin()
        return None if self._store is None else answer(self._store)

    def _begin(self) -> None:
        try:
            store = self._open.enter_context(read(self.path))
        except NoLedger:
            return
        self._open.enter_context(store.at_one_moment())
        store.select("SELECT 1 FROM kinds LIMIT 1")  # SQLite takes its moment with the first page that it reads
        self._store = store

    def __enter__(self) -> Moment:  # noqa: PYI034 - Self is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
