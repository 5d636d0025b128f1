"""One file per client library: a description and, where its answers differ, a reader."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from costspan.calls.description import Client

    CLIENTS: tuple[Client, ...]

#: The files of this package, and the module of the library for which each is loaded.
WAITED_FOR: Final = {
    "openai": "openai._base_client",
    "anthropic": "anthropic._base_client",
    "groq": "groq._base_client",
    "together": "together._base_client",
    "fireworks": "fireworks._base_client",
    "cerebras": "cerebras.cloud.sdk._base_client",
    "perplexity": "perplexity._base_client",
}


def described(name: str) -> Client:
    """The description in the file of this name."""
    return import_module(f"{__name__}.{name}").CLIENT


def __getattr__(name: str) -> Any:
    """All descriptions, loaded with their first use: a process that imports no client library loads none."""
    if name != "CLIENTS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return tuple(described(file) for file in WAITED_FOR)
