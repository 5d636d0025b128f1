"""The running server: a socket, uvicorn on it, until somebody stops it."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from costspan.serve.door import log

_BACKLOG = 128
_GRACE_S = 5


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens at `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises OSError with a sentence."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as fault:
        raise OSError(f"{host}:{port} cannot be listened at: {fault.strerror or fault}") from None


def address(listening: socket.socket, host: str, *, is_secure: bool) -> str:
    """The address of the server for a browser."""
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if is_secure else 'http'}://{shown}:{listening.getsockname()[1]}/"


def run(
    app: Starlette, listening: socket.socket, began: Callable[[], object], certificate: tuple[Path, Path] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM. `began` is called when the socket is served."""
    _write_log()
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False, ws="none", lifespan="off",
        timeout_graceful_shutdown=_GRACE_S, ssl_certfile=certificate[0] if certificate else None,
        ssl_keyfile=certificate[1] if certificate else None,
    )  # fmt: skip
    config.load()  # a faulty certificate is told before anything is said of serving
    with contextlib.suppress(KeyboardInterrupt):
        _Server(config, began).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Tells when it serves: by then a signal ends it well, and finds no event loop that is half made."""

    def __init__(self, config: uvicorn.Config, began: Callable[[], object]) -> None:
        super().__init__(config)
        self._began = began

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._began()


def _write_log() -> None:
    """One line a request, on standard error."""
    writer = logging.StreamHandler(sys.stderr)
    writer.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for logger, level in ((log, logging.INFO), (logging.getLogger("uvicorn.error"), logging.WARNING)):
        logger.addHandler(writer)
        logger.setLevel(level)
        logger.propagate = False
