"""A program that asks Voyage's models through Voyage's library, sync or async, and notes what it sees."""

from __future__ import annotations

from typing import Any

import pytest

import asker

voyageai = pytest.importorskip("voyageai")


class Asker(asker.Asker):
    """A program that uses one client of the library, which takes its address from the module in older releases."""

    def __init__(self, url: str, mode: str, **options: Any) -> None:
        super().__init__(mode)
        voyageai.api_base = url
        kind = voyageai.AsyncClient if self.is_async else voyageai.Client
        try:
            self.of: Any = kind(api_key="local", base_url=url, timeout=20, **options)
        except TypeError:
            self.of = kind(api_key="local", timeout=20, **options)

    def look(self, value: Any) -> None:
        """Note a type and a content."""
        self.seen.append((type(value), str(value.__dict__)))
