"""A program that asks models through Azure's inference library, sync or async."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import asker

inference = pytest.importorskip("azure.ai.inference")
_KEY: Any = importlib.import_module("azure.core.credentials").AzureKeyCredential


class Asker(asker.Asker):
    """A program that uses one client of the library (`ChatCompletionsClient`, ...)."""

    def __init__(self, url: str, mode: str, kind: str = "ChatCompletionsClient", **options: Any) -> None:
        super().__init__(mode)
        module = importlib.import_module("azure.ai.inference.aio") if self.is_async else inference
        self.of: Any = getattr(module, kind)(endpoint=url, credential=_KEY("local"), retry_total=0, **options)

    def look(self, value: Any) -> None:
        """Note a type and a content."""
        self.seen.append((type(value), value.as_dict()))

    async def close(self) -> None:
        """The connection."""
        await self.of.close() if self.is_async else self.of.close()
