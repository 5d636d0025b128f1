"""Which store keeps the reservations: a file beside the ledger, or a server that a fleet shares, by its URL."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from costspan.budgets.address import Address, UnusableError
from costspan.budgets.link import DeclinedError, Server
from costspan.budgets.server_store import ServerStore

#: By scheme: the module and class of the server, and the extra that brings its library.
_SERVERS: Final = {
    "redis": ("costspan.budgets.redis_server", "RedisServer", "redis"),
    "rediss": ("costspan.budgets.redis_server", "RedisServer", "redis"),
    "postgresql": ("costspan.budgets.postgresql_server", "PostgresServer", "postgresql"),
}


def server_at(url: str) -> Server:
    """The server at a URL; nobody is asked. Raises UnusableError where there can be none."""
    address = Address.of(url, tuple(_SERVERS))
    module, name, extra = _SERVERS[address.scheme]
    try:
        made: Callable[[Address], Server] = getattr(importlib.import_module(module), name)
    except ImportError as fault:
        raise UnusableError(
            f"is {address.shown}, which takes a package ({' '.join(str(fault).split())}): pip install 'costspan[{extra}]'"
        ) from fault
    return made(address)


class _Nowhere:
    """What stands for a server that there cannot be: the budgets say whether calls pass."""

    shown = ""

    def __init__(self, why: str) -> None:
        self._why = why

    def connect(self, patience_s: float) -> NoReturn:
        del patience_s
        raise DeclinedError(self._why)


def server_store(url: str, **options: Any) -> ServerStore:
    """The store at a URL. One that there cannot be is unavailable: it is never replaced by another one."""
    try:
        server = server_at(url)
    except UnusableError as fault:
        server = _Nowhere(str(fault))
    return ServerStore(server, **options)


def store_beside(ledger: Path) -> Path:
    """Where the processes of this machine share their reservations."""
    return Path(f"{ledger}.budgets")
