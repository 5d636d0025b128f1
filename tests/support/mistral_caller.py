"""A program that asks Mistral's models through Mistral's library, of whichever layout: before 2.0, and since."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

import asker

pytest.importorskip("mistralai")
#: Before 2.0 the library lay in the package itself; a module of it had the name `client` already.
IS_OLD = importlib.util.find_spec("mistralai.basesdk") is not None
ROOT = "mistralai" if IS_OLD else "mistralai.client"
_HTTP: Any = importlib.import_module(f"{ROOT}.httpclient").httpx


class Asker(asker.Asker):
    """A program that uses one client of the library."""

    def __init__(self, url: str, mode: str, **options: Any) -> None:
        super().__init__(mode)
        self.of: Callable[..., Any] = self._method
        self.http = _HTTP.Client(verify=False)
        self.http_async = _HTTP.AsyncClient(verify=False)
        kind: Any = importlib.import_module(ROOT).Mistral
        self.client = kind(
            api_key="local",
            server_url=url,
            client=self.http,
            async_client=self.http_async,
            timeout_ms=20_000,
            **options,
        )

    def _method(self, path: str) -> Callable[..., Any]:
        """A method of the client, or its asynchronous twin; skips the test where this version has none."""
        found: Any = self.client
        try:
            for name in f"{path}_async".split(".") if self.is_async else path.split("."):
                found = getattr(found, name)
        except AttributeError:
            pytest.skip(f"this version of mistralai has no {path}")
        return found

    def look(self, value: Any) -> None:
        """Note a type and a content."""
        self.seen.append((type(value), value.model_dump(mode="json", exclude_none=True)))

    async def close(self) -> None:
        """Both connections."""
        await self.http_async.aclose() if self.is_async else None
        self.http.close()
