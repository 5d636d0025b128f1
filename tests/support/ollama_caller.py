"""A program that asks models through Ollama's library, sync or async, and notes what it sees."""

from __future__ import annotations

from typing import Any

import pytest

import asker

ollama = pytest.importorskip("ollama")


class Asker(asker.Asker):
    """A program that uses one client of Ollama's library."""

    def __init__(self, url: str, mode: str) -> None:
        super().__init__(mode)
        kind = ollama.AsyncClient if self.is_async else ollama.Client
        self.of: Any = kind(host=url)

    async def close(self) -> None:
        """The HTTP client, which older releases leave open."""
        client = self.of._client
        await client.aclose() if self.is_async else client.close()
