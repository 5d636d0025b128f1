"""A program that asks Cohere's models through Cohere's library, in one of the two versions of its API."""

from __future__ import annotations

from typing import Any

import pytest

import asker

cohere = pytest.importorskip("cohere")
_HTTP: Any = pytest.importorskip("cohere.core.http_client").httpx


class Asker(asker.Asker):
    """A program that uses one client of the library."""

    def __init__(self, url: str, mode: str, *, is_v1: bool = False) -> None:
        super().__init__(mode)
        name = ("AsyncClient" if self.is_async else "Client") + ("" if is_v1 else "V2")
        self.http: Any = (_HTTP.AsyncClient if self.is_async else _HTTP.Client)(verify=False, timeout=20)
        self.of: Any = getattr(cohere, name)(api_key="local", base_url=url, httpx_client=self.http)

    def look(self, value: Any) -> None:
        """Note a type and a content."""
        self.seen.append((type(value), value.dict() if hasattr(value, "dict") else value))

    def told(self, error: Exception) -> str:
        """Without the date in the headers."""
        return str(getattr(error, "body", error))

    async def close(self) -> None:
        """The connections."""
        if self.is_async:
            await self.http.aclose()
        else:
            self.http.close()
