"""A web application that calls a provider while it is loaded, in every new worker, and for every request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from program import call

# gunicorn reads its settings, and what it is to call, from the same file.
preload_app = True
workers = 2
bind = "127.0.0.1:0"
loglevel = "warning"
control_socket_disable = True


def when_ready(server: Any) -> None:
    """Tell the port."""
    print(server.LISTENERS[0].sock.getsockname()[1], flush=True)


def post_worker_init(_: Any) -> None:
    """A worker has begun."""
    call()
    print("called", flush=True)


def application(_: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Serve one request."""
    call()
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"called"]


if __name__ == "web":
    call()
