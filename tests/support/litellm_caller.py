"""A program that asks models through LiteLLM, sync or async, and notes what it sees."""

from __future__ import annotations

import os
from typing import Any

import pytest

import asker

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would download prices when it is imported
litellm = pytest.importorskip("litellm")
litellm.disable_streaming_logging = True  # a thread would keep a stream that was let go of for a while
#: What it warns of by itself, and leaves open.
WARNINGS = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
#: What differs from one call to the next.
_OWN = {"id", "created", "response_id"}


class Asker(asker.Asker):
    """A program that uses LiteLLM. `of` asks by the function of a name, or by its asynchronous twin."""

    def __init__(self, url: str, mode: str) -> None:
        super().__init__(mode)
        self.url = url

    def ask(self, name: str = "completion", **arguments: Any) -> Any:
        """What the function gives."""
        litellm.in_memory_llm_clients_cache.flush_cache()  # of HTTP clients: those of another loop are of no use
        function = getattr(litellm, f"a{name}" if self.is_async else name)
        return function(**{"api_base": self.url, "api_key": "local", "timeout": 20, **arguments})

    def look(self, value: Any) -> None:
        """Note a type and a content, without what LiteLLM makes up."""
        dumped: Any = value.model_dump() if hasattr(value, "model_dump") else str(value)
        if hasattr(dumped, "items"):
            dumped = {name: each for name, each in dumped.items() if name not in _OWN}
        self.seen.append((type(value), dumped))

    async def close(self) -> None:
        """Wait until LiteLLM's thread has told everybody: until then it keeps what it tells."""
        litellm.utils.executor.submit(lambda: None).result(20)
