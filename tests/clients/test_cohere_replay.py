"""Recorded traffic of Cohere's API through Cohere's library: what it bills is what is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import replaying
from cohere_caller import Asker, cohere

pytestmark = [
    replaying.needs_recordings,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

_TEXT = "the server answers from a recording, whatever is asked"
#: An API, and what is asked of the library: the method, its arguments, whether it is the client of version 1.
_ASKED: dict[str, tuple[str, dict[str, Any], bool]] = {
    "cohere.chat": ("chat", {"messages": [{"role": "user", "content": _TEXT}]}, False),
    "cohere.chat_v1": ("chat", {"message": _TEXT}, True),
    "cohere.generate": ("generate", {"prompt": _TEXT}, True),
    "cohere.embed": ("embed", {"texts": [_TEXT], "input_type": "classification", "embedding_types": ["float"]}, False),
    "cohere.embed_v1": ("embed", {"texts": [_TEXT], "input_type": "classification"}, True),
    "cohere.rerank": ("rerank", {"query": _TEXT, "documents": [_TEXT]}, False),
    "cohere.rerank_v1": ("rerank", {"query": _TEXT, "documents": [_TEXT]}, True),
    "cohere.audio_transcriptions": ("audio.transcriptions.create", {"file": b"RIFF", "language": "en"}, False),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The recordings, served."""
    with replaying.server() as running:
        yield running


def method(a: Asker, name: str, *, is_stream: bool) -> Any:
    """A method of the client, or None where this version has none."""
    found = a.of
    for part in f"{name}_stream".split(".") if is_stream else name.split("."):
        found = getattr(found, part, None)
    return found


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("api", _ASKED)
def test_what_cohere_bills_is_what_is_counted(api: str, mode: str, server: Any) -> None:
    """Billed units and outcome of every recorded exchange. Of cached tokens, which are not billed, none are counted."""
    name, given, is_v1 = _ASKED[api]
    found = [each for each in replaying.all_recordings() if each["api"] == api]
    if method(Asker("http://127.0.0.1:9", mode, is_v1=is_v1), name, is_stream=False) is None:
        pytest.skip(f"cohere {cohere.__version__} has no {name}")

    def again(exchange: dict[str, Any]) -> list[Any]:
        a = Asker(server.client_url(exchange["id"]), mode, is_v1=is_v1)
        is_stream = exchange["response"]["stream"] is not None

        async def way(a: Asker) -> None:
            ask = method(a, name, is_stream=is_stream)
            answer = ask(model=exchange["expected"]["request_model"] or "some-model", **given)
            await (a.stream(answer) if is_stream else a.get(answer))

        return a.run(way)

    differences = replaying.mismatches(found, again)
    assert not differences, "\n".join(differences)
