"""A program that asks models through Hugging Face's inference clients, sync or async."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

import asker

huggingface_hub = pytest.importorskip("huggingface_hub")


class Asker(asker.Asker):
    """A program that uses one client of the library, at an address of its own."""

    def __init__(self, url: str, mode: str) -> None:
        super().__init__(mode)
        kind = huggingface_hub.AsyncInferenceClient if self.is_async else huggingface_hub.InferenceClient
        self.of: Any = kind(model=url, token="hf_local", timeout=20)

    async def close(self) -> None:
        """What it keeps open, which older releases let go of by themselves."""
        with contextlib.suppress(AttributeError):
            await self.of.close() if self.is_async else self.of.exit_stack.close()
