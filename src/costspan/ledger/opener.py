"""The ledger, or what counts the calls where there is none to be had; a program that calls no LLM makes no file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from costspan import guard
from costspan.facts.call import Call
from costspan.facts.money import Cost
from costspan.facts.periods import Periods

if TYPE_CHECKING:
    from costspan.ledger.writer import LedgerWriter


class LazyLedger:
    """Hands finished calls to the ledger at `path`, whose days are those of `periods`.

    Where there is no ledger to be had (a Python without SQLite), every call is counted lost, and it is told once.
    """

    def __init__(self, path: Path, periods: Periods) -> None:
        self._path = path
        self._periods = periods
        self._lost = 0
        self._lost_nano_usd = 0
        # Now, not with the first call: that is written by a thread, and a fork while another thread imports leaves
        # the child with a module that it can never import.
        self._writer: LedgerWriter | None = self._load()

    def hold(self, call: Call) -> None:
        """Keep a call in the caller's thread until it is written."""
        if self._writer is not None:
            self._writer.hold(call)

    def take(self, calls: Sequence[Call]) -> None:
        """Have the calls written."""
        if self._writer is not None:
            self._writer.take(calls)
            return
        self.lose(calls, "there is no ledger")

    def lose(self, lost: Sequence[Call], reason: str) -> None:
        """Count calls as lost. Waits for nothing."""
        if self._writer is not None:
            self._writer.lose(lost, reason)
            return
        self._lost += len(lost)
        self._lost_nano_usd += sum(call.price.nano_usd for call in lost if isinstance(call.price, Cost))

    @guard.guarded("ledger.open")
    def _load(self) -> LedgerWriter:
        from costspan.ledger.writer import LedgerWriter

        return LedgerWriter(self._path, periods=self._periods)

    def flush(self) -> None:
        """Have what waits written."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Have what waits written, and the file closed."""
        if self._writer is not None:
            self._writer.close()

    def before_fork(self, give_up_s: float) -> bool:
        """Close the file."""
        return self._writer is not None and self._writer.before_fork(give_up_s)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._writer is not None:
            self._writer.after_fork_in_parent()

    def forget(self) -> None:
        """In a forked child: begin anew."""
        self._lost = self._lost_nano_usd = 0
        if self._writer is not None:
            self._writer.forget()

    @property
    def written(self) -> int:
        """Records written."""
        return self._writer.written if self._writer is not None else 0

    @property
    def written_nano_usd(self) -> int:
        """Their cost."""
        return self._writer.written_nano_usd if self._writer is not None else 0

    @property
    def lost(self) -> int:
        """Records that the ledger could not take."""
        return self._lost + (self._writer.lost if self._writer is not None else 0)

    @property
    def lost_nano_usd(self) -> int:
        """Their cost."""
        return self._lost_nano_usd + (self._writer.lost_nano_usd if self._writer is not None else 0)

    @property
    def queued(self) -> int:
        """Records that wait to be written."""
        return self._writer.queued if self._writer is not None else 0
