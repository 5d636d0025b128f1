"""Who answers at an address: as the user says, else as the client library says, else as the table of sellers does."""
# pyright: basic
# Addresses are objects of foreign libraries.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from costspan.facts import gateways
from costspan.facts.sellers import VENDOR, Seller, is_at, seller_at

_MOST_SERVERS: Final = 256


@dataclass(slots=True)
class Server:
    """Who answers at a base URL."""

    provider: str
    host: str
    port: int | None
    base: str
    is_direct: bool  # no gateway whose headers say something of money
    is_asked: bool | None = False  # chat streams are asked for usage here; None where nothing is known yet
    url: Any = None  # keeps the object alive whose id is the key in the cache


def over_http(url: str) -> str:
    """The address of a socket as that of HTTP: the same server is there."""
    return f"http{url.removeprefix('ws')}" if url.startswith("ws") else url


class Servers:
    """The servers that the client library of one vendor spoke to so far. `own_hosts` is what the user says of hosts."""

    def __init__(self, vendor: str, own_hosts: tuple[tuple[str, str], ...] = ()) -> None:
        self._vendor = vendor
        self._own_hosts = own_hosts
        self._known: dict[Any, Server] = {}

    def at(self, url: str, provider: str | None = None) -> Server:
        """The server at an address in text; `provider` is what the client library says of it, if it says so."""
        key = (url, provider)
        return self._known.get(key) or self.keep(key, self.found(urlsplit(url), provider))

    def known(self, key: Any, find: Callable[[], Server]) -> Server:
        """The server under a key of the dialect's own."""
        return self._known.get(key) or self.keep(key, find())

    def keep(self, key: Any, server: Server) -> Server:
        """Remember a server; some hundred at most."""
        if len(self._known) >= _MOST_SERVERS:
            self._known.clear()
        self._known[key] = server
        return server

    def found(self, url: Any, provider: str | None = None) -> Server:
        """The server at an address that is an object with `host` or `hostname`, `port` and `path`."""
        host = str(getattr(url, "host", None) or getattr(url, "hostname", None) or "").lower()
        port = getattr(url, "port", None)
        path = str(getattr(url, "path", "") or "")
        seller = seller_at(host, port, path)
        told = self.told(host, port, path)
        of_user = told if told is not None and told != VENDOR else None
        name = of_user or provider or (self._vendor if told else seller.provider)
        return Server(name, host, port, str(url), not _may_speak(seller), url=url)

    def told(self, host: str, port: int | None, path: str) -> str | None:
        """What the user says of the seller at this place."""
        return next((provider for place, provider in self._own_hosts if is_at(place, host, port, path)), None)


def _may_speak(seller: Seller) -> bool:
    return gateways.may_speak(seller)
