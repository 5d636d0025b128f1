"""Real servers for the budgets of a fleet, on loopback with a folder of their own; they end with the test that started them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

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
        self.url = f"redis://127.0.0.1:{self.port}/0"
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

    def kill(self) -> None:
        self._client.close()
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


Server = RedisHere
SERVERS = {"redis": RedisHere}


@contextmanager
def running(name: str, folder: Path) -> Generator[Server]:
    """A server of that name."""
    server = SERVERS[name](folder)
    try:
        yield server
    finally:
        server.go_on()
        server.kill()
