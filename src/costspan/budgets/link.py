"""The way to a server that keeps reservations: who asks waits for so long and no longer, and nobody waits for one that is away.

A question that finds the server away says so; all that follow are told the same without asking, until the thread that looks
in the background (`looking`) has had an answer.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Generator, Sequence
from time import monotonic
from typing import Final, Protocol

from costspan.budgets.store import StoreUnavailableError
from costspan.settings import OTEL_COSTSPAN_BUDGET_STORE

_log: Final = logging.getLogger("costspan")


class LostError(Exception):
    """The connection is broken, or the answer did not come in time: nobody knows what the server has done."""


class DeclinedError(Exception):
    """The server has answered that it does not do this, or there is none: nothing was done."""


class Connection(Protocol):
    """One connection. It is used by one thread at a time."""

    def ask(self, operation: str, question: str) -> Sequence[str]:
        """Have an operation done, as a whole or not at all. Raises LostError and DeclinedError."""
        ...

    def doubts(self) -> tuple[str, list[str]]:
        """Which server answers, and what of its settings may lose reservations. Raises LostError."""
        ...

    def close(self) -> None:
        """End it; raises nothing."""
        ...


class Server(Protocol):
    """Where the reservations are. `shown` is its address without the password."""

    @property
    def shown(self) -> str:
        """Its address in messages."""
        ...

    def connect(self, patience_s: float) -> Connection:
        """A connection whose answers may take so long each. Raises LostError and DeclinedError."""
        ...


class Link:
    """One process's way to the server. Safe from any thread."""

    def __init__(self, server: Server, patience_s: float) -> None:
        self.server = server
        self._patience_s = patience_s
        # Connections of a parent: to end one here could end the parent's session.
        self._inherited: list[Connection] = []
        self._connection: Connection | None = None
        self._begin()

    def _begin(self) -> None:
        # Re-entrant, as a signal's code may ask while this thread does: it is told that the connection is in use.
        self._lock = threading.RLock()
        self._is_asking = False
        self._away = ""
        self._away_s = 0.0
        self._faults = 0
        self._looker = 0
        self._pid = os.getpid()

    @property
    def _name(self) -> str:
        shown = self.server.shown
        return f"{OTEL_COSTSPAN_BUDGET_STORE} ({shown}) does not answer:" if shown else OTEL_COSTSPAN_BUDGET_STORE

    @property
    def is_away(self) -> bool:
        """Whether the last answer did not come."""
        return bool(self._away)

    def ask(self, operation: str, question: str, *, again: bool = True) -> Sequence[str]:
        """The server's answer. `again`: it may be asked a second time, where a connection turns out to be broken.

        Raises StoreUnavailableError.
        """
        if os.getpid() != self._pid:  # forked past our handlers, as C code may
            self.forget()
        give_up_s = monotonic() + self._patience_s
        self._refuse_if_away()
        if not self._lock.acquire(timeout=self._patience_s):
            raise StoreUnavailableError(f"{self.server.shown} is asked by another thread of this process for too long")
        try:
            self._refuse_if_away()
            if self._is_asking:
                raise StoreUnavailableError(f"{self.server.shown} is asked by this thread, which a signal interrupted")
            self._is_asking = True
            try:
                return self._answer(operation, question, give_up_s, again=again)
            finally:
                self._is_asking = False
        finally:
            self._lock.release()

    def _refuse_if_away(self) -> None:
        if self._away and threading.get_ident() != self._looker:
            raise StoreUnavailableError(self._away)

    def _answer(self, operation: str, question: str, give_up_s: float, *, again: bool) -> Sequence[str]:
        was_kept, is_unsure = self._connection is not None, False
        while True:
            try:
                connection = self._connection or self._connected(give_up_s)
                return connection.ask(operation, question)
            except LostError as fault:  # noqa: PERF203  # twice at most
                self._drop()
                is_unsure = True
                if not (again and was_kept and monotonic() < give_up_s):
                    raise self._is_lost(fault, is_unsure=True) from fault
                was_kept = False  # it was closed while nobody asked
            except DeclinedError as fault:
                raise self._is_lost(fault, is_unsure=is_unsure) from fault
            except BaseException:  # out of a signal: the answer would be taken for that of the next question
                self._drop()
                raise

    def _is_lost(self, fault: Exception, *, is_unsure: bool) -> StoreUnavailableError:
        self._away = f"{self._name} {fault}"
        self._away_s = self._away_s or monotonic()
        self._faults += 1
        return StoreUnavailableError(self._away, is_unsure=is_unsure)

    def _connected(self, give_up_s: float) -> Connection:
        """A connection made on a thread: nothing else bounds how long the name of the server is looked up."""
        made = _Attempt(lambda: self.server.connect(self._patience_s))
        self._connection = made.within(give_up_s - monotonic(), self._patience_s)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # -- the background ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def looking(self) -> Generator[None]:
        """What this thread asks within is asked though the server was away; when all was answered, others may ask again."""
        self._looker, faults = threading.get_ident(), self._faults
        try:
            yield
            if self._away and self._faults == faults:
                shown, away_s = self.server.shown, monotonic() - self._away_s
                self._away, self._away_s = "", 0.0
                _log.warning("costspan: %s answers again, after %.0f s: budgets are kept there", shown, away_s)
        finally:
            self._looker = 0

    # -- the end, and forks --------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the connection; the next question makes a new one."""
        with self._lock:
            if os.getpid() == self._pid and not self._is_asking:
                self._drop()

    def before_fork(self, give_up_s: float) -> bool:
        """Nobody is within a question when the process forks."""
        return self._lock.acquire(timeout=max(0.0, give_up_s - monotonic()))

    def after_fork_in_parent(self) -> None:
        """The connection is the parent's, as before."""
        self._lock.release()

    def forget(self) -> None:
        """In a forked child: begin anew."""
        if self._connection is not None:
            self._inherited.append(self._connection)
            self._connection = None
        self._begin()


class _Attempt:
    """A connection that is being made. One that comes too late is closed."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._is_done = threading.Event()
        self._made: Connection | None = None
        self._fault: BaseException | None = None
        self._is_late = False

    def within(self, left_s: float, patience_s: float) -> Connection:
        """Raises LostError where it takes longer, DeclinedError where nobody answers."""
        thread = threading.Thread(target=self._run, name="costspan-connect", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends
            return self._connect()
        self._is_done.wait(max(0.0, left_s))
        with self._lock:
            self._is_late = True
            if self._fault is not None:
                raise self._fault
            if self._made is None:
                raise DeclinedError(f"it could not be connected to within {patience_s:g} s")
            return self._made

    def _run(self) -> None:
        try:
            made = self._connect()
            with self._lock:
                if not self._is_late:
                    self._made = made
            if self._made is None:
                made.close()
        except (LostError, DeclinedError) as fault:  # whoever waits raises it
            self._fault = fault
        finally:
            self._is_done.set()
