"""Recorded traffic of Mistral's API through Mistral's library: what it reported is what is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import replaying
from mistral_caller import IS_OLD, Asker

pytestmark = [
    replaying.needs_recordings,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_fields'"),
    pytest.mark.filterwarnings("ignore:ast:DeprecationWarning"),
]

_TEXT = "the server answers from a recording, whatever is asked"
_APIS = ("mistral.chat", "mistral.embeddings", "mistral.ocr", "mistral.audio_transcriptions")


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The recordings, served."""
    with replaying.server() as running:
        yield running


async def replay(a: Asker, exchange: dict[str, Any]) -> None:
    """Make a recorded call again, and read its answer to the end."""
    model = exchange["expected"]["request_model"] or "some-model"
    messages = [{"role": "user", "content": _TEXT}]
    if exchange["response"]["stream"] is not None:
        await a.stream(a.of("chat.stream")(model=model, messages=messages))
    elif exchange["api"] == "mistral.chat":
        await a.get(a.of("chat.complete")(model=model, messages=messages))
    elif exchange["api"] == "mistral.embeddings":
        await a.get(a.of("embeddings.create")(model=model, inputs=[_TEXT]))
    elif exchange["api"] == "mistral.ocr":
        document = {"type": "document_url", "document_url": "https://example.com"}
        await a.get(a.of("ocr.process")(model=model, document=document))
    else:
        file = {"file_name": "a.wav", "content": b"RIFF"}
        await a.get(a.of("audio.transcriptions.complete")(model=model, file=file))


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("api", _APIS)
def test_what_mistral_reported_is_what_is_counted(api: str, mode: str, server: Any) -> None:
    """Tokens, pages, model and outcome of every recorded exchange."""
    given_up: set[str] = set()  # the first releases raise on events of newer kinds, and read no further

    def again(exchange: dict[str, Any]) -> list[Any]:
        seen = Asker(server.client_url(exchange["id"]), mode).run(lambda a: replay(a, exchange))
        if IS_OLD and exchange["response"]["stream"] and issubclass(seen[-1][0], Exception):
            given_up.add(exchange["id"])
        return seen

    found = [each for each in replaying.all_recordings() if each["api"] == api]
    differences = [told for told in replaying.mismatches(found, again) if told.partition(":")[0] not in given_up]
    assert not differences, "\n".join(differences)
    assert len(given_up) * 4 < len(found)
