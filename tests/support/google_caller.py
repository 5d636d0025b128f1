"""A program that asks Google's models through Google's library, sync or async, and notes what it sees."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

import asker

genai = pytest.importorskip("google.genai")

#: In place of contexts that the library makes for each client, which take half a second.
_UNENCRYPTED: Any = {
    "client_args": {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)},
    "async_client_args": {"ssl": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)},
}


class Asker(asker.Asker):
    """A program that uses one client of Google's library."""

    def __init__(self, url: str, mode: str, *, is_vertex: bool = False, **options: Any) -> None:
        super().__init__(mode)
        given: dict[str, Any] = {"api_key": "local"}
        if is_vertex:
            from google.oauth2.credentials import Credentials  # comes with the library

            given = {
                "vertexai": True,
                "project": "local",
                "location": "us-east5",
                "credentials": Credentials("local"),  # type: ignore[no-untyped-call]
            }
        http_options = genai.types.HttpOptions(base_url=url, timeout=20_000, **_UNENCRYPTED, **options)
        self.client = genai.Client(**given, http_options=http_options)
        self.of = self.client.aio if self.is_async else self.client

    def look(self, value: Any) -> None:
        """Note a type and a content, without the date in the headers."""
        dumped = value.model_dump(mode="json", exclude_none=True, exclude={"sdk_http_response"})
        self.seen.append((type(value), dumped))

    async def close(self) -> None:
        """Both halves of the client."""
        if self.is_async:
            await self.client.aio.aclose()
        self.client.close()
