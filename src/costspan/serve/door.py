"""What every request passes: the name of the server, headers of the answer, a line in the log. No origin but its own."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from costspan.report.naming import harmless
from costspan.serve.asked import ANYBODY, Caller
from costspan.serve.problems import RequestError
from costspan.serve.rates import RateLimit
from costspan.serve.tokens import Tokens

log: Final = logging.getLogger("costspan.serve")
#: Says that the server runs, to whoever asks: no token, nothing of the ledger.
ALIVE: Final = "/healthz"
_LONGEST_PATH: Final = 200
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
#: Figures change with each call; what is shipped stays as it is.
_CACHING: Final = "no-store"
_SHIPPED: Final = "/static/"


class Door:
    """Lets a request in that calls the server by a name of its own, puts headers on the answer, and writes the log.

    A page of a stranger may reach a server on loopback by a name that it has lead there (DNS rebinding); the browser
    tells that name. An address is no such name. `tokens` is who may ask; None lets everybody. `per_s` is how many requests a
    second a caller may make, 0 for no limit.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], tokens: Tokens | None, per_s: float) -> None:
        self._app = app
        self._tokens = tokens
        self._rate = RateLimit(per_s)
        self._names = frozenset(name.lower().rstrip(".") for name in names) | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began_s = time.perf_counter()
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete(MutableHeaders(scope=message), scope["path"])
            await send(message)

        try:
            await self._let_in(scope, receive, sent)
        finally:
            # No value of a query: who asks about which session is nobody's business.
            path, took_ms = harmless(scope["path"][:_LONGEST_PATH]), (time.perf_counter() - began_s) * 1_000
            who = scope["caller"].name if "caller" in scope else "-"
            log.info("%s %s %s %s %d %.1f ms", _client(scope), who, scope["method"], path, status or 500, took_ms)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            self._check(headers, scope["method"])
            if scope["path"] != ALIVE:
                scope["caller"] = self._caller(headers, _client(scope))
        except RequestError as refused:
            await refused.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers, method: str) -> None:
        name = _name(headers.get("host", ""))
        if name not in self._names and not _is_address(name):
            expected = f"{', '.join(sorted(self._names))}, an address, or what --allow-host names"
            raise RequestError(421, f"Host {harmless(name)!r}: expected {expected}", field="Host", expected=expected)
        if method not in {"GET", "HEAD", "OPTIONS"} and headers.get("sec-fetch-site", "same-origin") not in _OWN_SITE:
            raise RequestError(403, "a page of another origin may not send here", field="Sec-Fetch-Site")

    def _caller(self, headers: Headers, client: str) -> Caller:
        try:
            caller = ANYBODY if self._tokens is None else self._tokens.caller(headers.get("authorization", ""))
        except RequestError:
            self._rate.take(f"address {client}")  # whoever tries tokens is slowed down, and nobody else
            raise
        self._rate.take(f"caller {caller.name}")
        return caller


_OWN_SITE: Final = {"same-origin", "none"}


def _complete(headers: MutableHeaders, path: str) -> None:
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("cache-control", "no-cache" if path.startswith(_SHIPPED) else _CACHING)


def _name(host: str) -> str:
    """The host without its port, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower().rstrip(".") if ":" in host else host.lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _client(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else "-"
