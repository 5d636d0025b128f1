"""One file per client library: a description and, where its answers differ, a reader."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from costspan.clients.libraries import WAITED_FOR

if TYPE_CHECKING:
    from costspan.calls.description import Client

    CLIENTS: tuple[Client, ...]

__all__ = ["CLIENTS", "WAITED_FOR", "described"]


def described(name: str) -> Client:
    """The description in the file of this name."""
    return import_module(f"{__name__}.{name}").CLIENT


def __getattr__(name: str) -> Any:
    """All descriptions, loaded with their first use: a process that imports no client library loads none."""
    if name != "CLIENTS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return tuple(described(file) for file in WAITED_FOR)
