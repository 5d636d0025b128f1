"""Recorded traffic of Hugging Face's router through its library: what it reported is what is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import replaying
from huggingface_caller import Asker

pytestmark = replaying.needs_recordings


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The recordings, served."""
    with replaying.server() as running:
        yield running


async def replay(a: Asker, exchange: dict[str, Any]) -> None:
    """Make a recorded call again, and read its answer to the end."""
    given = {"model": exchange["expected"]["request_model"], "messages": [{"role": "user", "content": "x"}]}
    if exchange["response"]["stream"] is not None:
        await a.stream(a.of.chat_completion(stream=True, **given))
    else:
        await a.get(a.of.chat_completion(**given))


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_what_the_router_reported_is_what_is_counted(mode: str, server: Any) -> None:
    """Tokens, model and outcome of every recorded exchange, whichever provider was behind it."""

    def again(exchange: dict[str, Any]) -> list[Any]:
        return Asker(server.client_url(exchange["id"]), mode).run(lambda a: replay(a, exchange))

    found = [each for each in replaying.all_recordings() if each["api"] == "huggingface.chat"]
    differences = replaying.mismatches(found, again)
    assert not differences, "\n".join(differences)
