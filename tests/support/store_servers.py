"""Real servers for the budgets of a fleet, on loopback with a folder of their own; they end with the test that started them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
import redis


def missing(what: str) -> NoReturn:
    """Skip aloud; CI has to have it."""
    if os.environ.get("CI"):
        pytest.fail(f"CI has to ask the servers of budgets: {what}")
    pytest.skip(f"budgets on a server are not tested: {what}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(is_so: Callable[[], object]) -> None:
    """Wait for it, a minute at most."""
    give_up_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < give_up_s
        time.sleep(0.005)


class RedisHere:
    """Debian's redis-server, with an append-only file that is written through."""

    library = extra = "redis"
    module = "costspan.budgets.redis_server"

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._options = options
        self.port = free_port()
        self.url = self.address = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            missing("redis-server is missing (apt-get install redis-server)")
        words = [
            "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--appendonly", "yes",
            "--appendfsync", "always", "--save", "", *self._options,
        ]  # fmt: skip
        self.process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)
        self._client: Any = redis.Redis.from_url(self.url, decode_responses=True)  # pyright: ignore[reportUnknownMemberType]
        until(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self._client.ping())
        except redis.RedisError:  # not yet, or it reads its file
            return False

    def forget_all(self) -> None:
        self._client.flushall()

    def _keys(self, kind: str) -> list[str]:
        found: list[str] = self._client.keys(f"*:{kind}:*")
        return sorted(key.partition(f":{kind}:")[2] for key in found)

    def budgets(self) -> list[str]:
        """The keys of budgets that something was booked for."""
        return self._keys("sums")

    def marks(self) -> list[str]:
        """Operations whose answers are not known to have come."""
        return self._keys("done")

    def is_of(self, version: int) -> None:
        """What is kept there is of this version."""
        for key in self._client.keys("*:meta"):
            self._client.hset(key, "version", version)

    def kill(self) -> None:
        self._client.close()
        self.process.kill()
        self.process.wait()

    end = kill

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def _tell(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process of the server; one that has ended by itself, as a worker of autovacuum does, needs none."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


class PostgresHere:
    """Debian's PostgreSQL. Root may not run it: it runs as its own user, in a folder of its own."""

    library, extra = "psycopg", "postgresql"
    module = "costspan.budgets.postgresql_server"

    def __init__(self, folder: Path) -> None:
        del folder  # other users cannot get there
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not found:
            missing("PostgreSQL is missing (apt-get install postgresql)")
        self._programs = found[-1].parent
        self._user: Any = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        self._kept = tempfile.TemporaryDirectory(prefix="costspan-postgres-")
        self.folder = Path(self._kept.name)
        if self._user:
            shutil.chown(self.folder, "postgres", "postgres")
        words = [self._programs / "initdb", "-D", self.folder / "data", "-U", "me", "--auth=scram-sha-256", "--no-sync"]
        password = self.folder / "password"
        password.write_text("secret")
        password.chmod(0o644)
        subprocess.run(
            [*words, f"--pwfile={password}"], check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self._user
        )
        self.port = free_port()
        self.address = f"postgresql://127.0.0.1:{self.port}/postgres"
        self.url = self.address.replace("//", "//me:secret@")
        self.start()

    def start(self) -> None:
        words = ["-D", "data", "-p", str(self.port), "-h", "127.0.0.1", "-k", "", "-F", "-c", "shared_buffers=16MB"]
        self.process = subprocess.Popen(
            [self._programs / "postgres", *words], stderr=subprocess.DEVNULL, cwd=self.folder, **self._user
        )
        until(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self._ask("SELECT 1"))
        except psycopg.OperationalError:  # not yet, or it reads its log
            return False

    def _ask(self, question: Any) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(question)
            return cursor.fetchall() if cursor.description else []

    def forget_all(self) -> None:
        if self._ask("SELECT 1 FROM pg_namespace WHERE nspname = 'costspan_budgets'"):
            names = [
                row[0] for row in self._ask("SELECT tablename FROM pg_tables WHERE schemaname = 'costspan_budgets'")
            ]
            tables = ", ".join(f"costspan_budgets.{name}" for name in names if name != "meta")
            self._ask(f"TRUNCATE {tables}; UPDATE costspan_budgets.meta SET clock_us = 0, quiet_us = 0")  # noqa: S608

    def budgets(self) -> list[str]:
        """The keys of budgets that something was booked for."""
        return sorted(row[0] for row in self._ask("SELECT DISTINCT budget FROM costspan_budgets.sums"))

    def marks(self) -> list[str]:
        """Operations whose answers are not known to have come."""
        return sorted(row[0] for row in self._ask("SELECT mark FROM costspan_budgets.done"))

    def is_of(self, version: int) -> None:
        """What is kept there is of this version."""
        self._ask(f"UPDATE costspan_budgets.meta SET version = {version}")  # noqa: S608 - a number

    def waiting(self) -> int:
        """How many of its processes wait for a lock."""
        return self._ask("SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")[0][0]

    @contextmanager
    def locked(self) -> Generator[None]:
        """The lock that every question takes, held by somebody else."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(4857306581240)")
            yield

    def _all(self) -> list[int]:
        """The first process and those of its connections, which lead groups of their own."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid, *map(int, children.read_text().split())]

    def kill(self) -> None:
        self.pause()
        for pid in reversed(self._all()):
            _tell(pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        self.kill()
        self._kept.cleanup()

    def pause(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)  # before its children are counted
        for pid in self._all():
            _tell(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        for pid in self._all():
            _tell(pid, signal.SIGCONT)


Server = RedisHere | PostgresHere
SERVERS: dict[str, Callable[[Path], Server]] = {"redis": RedisHere, "postgresql": PostgresHere}


@contextmanager
def running(name: str, folder: Path) -> Generator[Server]:
    """A server of that name."""
    server = SERVERS[name](folder)
    try:
        yield server
    finally:
        server.go_on()
        server.end()
