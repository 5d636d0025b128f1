"""Where the exporters of OTLP send, by the environment, and whether somebody listens there."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

SIGNALS: Final = ("TRACES", "METRICS", "LOGS")
_PATIENCE_S: Final = 1.0
_PORTS: Final = {"grpc": 4317, "http": 4318}
_HERE: Final = ("localhost", "127.0.0.1", "::1")


def endpoint(signal: str, environ: Mapping[str, str]) -> tuple[str, int, bool]:
    """Host and port of a signal's OTLP endpoint, and whether somebody chose it."""
    own, common = (environ.get(f"OTEL_EXPORTER_OTLP_{part}ENDPOINT", "").strip() for part in (f"{signal}_", ""))
    protocol = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"
    )
    usual = _PORTS["http" if protocol.startswith("http") else "grpc"]
    chosen = own or common
    if not chosen:
        return "localhost", usual, False
    parts = urlsplit(chosen if "//" in chosen else f"//{chosen}")
    try:
        port = parts.port
    except ValueError:
        port = None
    return parts.hostname or "localhost", port or {"https": 443, "http": 80}.get(parts.scheme, usual), True


def listens(host: str, port: int) -> bool:
    """Whether a connection is accepted there; nothing is sent."""
    try:
        socket.create_connection((host, port), _PATIENCE_S).close()
    except OSError:
        return False
    return True


def silent_here(environ: Mapping[str, str]) -> list[str]:
    """The ports of this machine, as `localhost:4317`, where exporters of OTLP send and nobody listens.

    Other machines are not tried: that may take long, and asking one's own is answered at once.
    """
    if environ.get("OTEL_CONFIG_FILE") or environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    sending = [
        signal for signal in SIGNALS if environ.get(f"OTEL_{signal}_EXPORTER", "otlp").strip().startswith("otlp")
    ]
    places = dict.fromkeys(endpoint(signal, environ)[:2] for signal in sending)
    return [f"{host}:{port}" for host, port in places if host in _HERE and not listens(host, port)]
