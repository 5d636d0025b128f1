"""Places in which processes share reservations, with a clock of their own: what every store promises is tested in each."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from costspan.budgets.opening import server_at
from costspan.budgets.owners import Owner
from costspan.budgets.server_store import ServerStore
from costspan.budgets.sqlite_store import SqliteStore
from costspan.budgets.store import SharedStore
from store_servers import Server

NS_PER_S = 1_000_000_000


class Process(SharedStore, Protocol):
    """The store as one process has it."""

    def end(self) -> None:
        """End as SIGKILL does, and begin anew as another process."""
        ...


class World:
    """A clock that goes on as the real one does, and as tests say."""

    def __init__(self) -> None:
        self.elapsed_ns = 0

    def now_ns(self) -> int:
        return time.time_ns() + self.elapsed_ns

    def process(self) -> Process:
        raise NotImplementedError


class _FileProcess(SqliteStore):
    def end(self) -> None:
        with self._file.writing() as db:
            owner = self._owner(db)
            db.execute("UPDATE owners SET started = 'another' WHERE n = ?", (owner.n,))
        self._me = Owner(*owner)
        self._file.close()  # as the system does; a fork keeps what it inherits
        self.forget()


class FileWorld(World):
    """A file of the machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(exist_ok=True)
        self.path = folder / "reservations"

    def process(self) -> Process:
        return _FileProcess(self.path, monotonic_ns=lambda: time.monotonic_ns() + self.elapsed_ns, now_ns=self.now_ns)


class ServerProcess(ServerStore):
    """Knows what it asked last."""

    def __init__(self, world: ServerWorld) -> None:
        super().__init__(server_at(world.server.url), patience_s=30, shift_us=lambda: world.elapsed_ns // 1_000)
        self.asked = ("", "")
        self._real, self._link.ask = self._link.ask, self._noted

    def _noted(self, operation: str, question: str, *, again: bool = True) -> Sequence[str]:
        self.asked = operation, question
        return self._real(operation, question, again=again)

    def ask_again(self) -> Sequence[str]:
        """The last question, as after an answer that was lost."""
        return self._real(*self.asked)

    def end(self) -> None:
        self._link.close()
        self.forget()


class ServerWorld(World):
    """A server, emptied."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        server.forget_all()

    def process(self) -> ServerProcess:
        return ServerProcess(self)
