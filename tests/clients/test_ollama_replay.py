"""Recorded traffic of Ollama through its library: what the server reported is what is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import replaying
from ollama_caller import Asker

pytestmark = replaying.needs_recordings

_APIS = ("ollama.chat", "ollama.generate", "ollama.embed")


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The recordings, served."""
    with replaying.server() as running:
        yield running


async def replay(a: Asker, exchange: dict[str, Any]) -> None:
    """Make a recorded call again, and read its answer to the end."""
    operation = exchange["api"].partition(".")[2]
    given = {
        "chat": {"messages": [{"role": "user", "content": "x"}]},
        "generate": {"prompt": "x"},
        "embed": {"input": "x"},
    }[operation]
    ask, model = getattr(a.of, operation), exchange["expected"]["request_model"]
    if exchange["response"]["stream"] is not None:
        await a.stream(ask(model=model, stream=True, **given))
    else:
        await a.get(ask(model=model, **given))


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("api", _APIS)
def test_what_ollama_reported_is_what_is_counted(api: str, mode: str, server: Any) -> None:
    """Tokens, model and outcome of every recorded exchange."""

    def again(exchange: dict[str, Any]) -> list[Any]:
        url = server.client_url(exchange["id"]).removesuffix("/v1")
        return Asker(url, mode).run(lambda a: replay(a, exchange))

    differences = replaying.mismatches([each for each in replaying.all_recordings() if each["api"] == api], again)
    assert not differences, "\n".join(differences)
