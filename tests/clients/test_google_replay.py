"""Recorded traffic of the Gemini API and of Vertex AI through Google's library: what it reported is what is counted."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import replaying
from google_caller import Asker, genai

pytestmark = [
    replaying.needs_recordings,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
]

_TEXT = "the server answers from a recording, whatever is asked"
#: The methods that are counted, by the end of the path.
METHODS = ("/interactions", "generateContent", "streamGenerateContent", "batchEmbedContents", "embedContent", "predict")
#: The library asks for events, never for an array in pieces; an answer in another API's form is another client's.
_APIS = (
    "google.generate_content",
    "google.embed_content",
    "google.interactions",
    "vertex.generate_content",
    "vertex.embed_content",
    "vertex.predict",
)


def method(exchange: dict[str, Any]) -> str:
    """The last part of a recorded path, behind the colon."""
    return "/interactions" if exchange["path"].endswith("/interactions") else exchange["path"].rpartition(":")[2]


RECORDINGS = [
    each
    for each in replaying.all_recordings()
    if each["api"] in _APIS and each["response"]["stream"] in {None, "sse"} and method(each) in METHODS
]


def is_under_way(exchange: dict[str, Any]) -> bool:
    """Nothing is reported yet, and the answer will be fetched: test_google_interactions.py fetches one."""
    return exchange["expected"]["finish_reasons"] == ["in_progress"]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The recordings, served."""
    with replaying.server() as running:
        yield running


async def replay(a: Asker, exchange: dict[str, Any]) -> None:
    """Make a recorded call again, and read its answer to the end."""
    model, asked = exchange["expected"]["request_model"], method(exchange)
    if asked == "streamGenerateContent":
        await a.stream(a.of.models.generate_content_stream(model=model, contents=_TEXT))
    elif asked == "/interactions":
        given = exchange["request"]["json"]
        of = {name: given[name] for name in ("model", "agent", "background", "stream") if name in given}
        answer = a.of.interactions.create(input=_TEXT, **of)
        answer = await answer if hasattr(answer, "__await__") else answer
        if of.get("stream"):
            await a.exhaust(answer)
    elif asked == "generateContent":
        await a.get(a.of.models.generate_content(model=model, contents=_TEXT))
    else:
        await a.get(a.of.models.embed_content(model=model, contents=_TEXT))


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("api", _APIS)
def test_what_google_reported_is_what_is_counted(api: str, mode: str, server: Any) -> None:
    """Tokens, model and outcome of every recorded exchange."""
    if api == "vertex.embed_content" and ":embedContent" not in inspect.getsource(genai.models):
        pytest.skip("this release asks Vertex AI for embeddings in the older way only")
    if api == "google.interactions" and importlib.util.find_spec("google.genai._gaos") is None:
        pytest.skip("this release has interactions on another transport, which is not watched")

    def again(exchange: dict[str, Any]) -> list[Any]:
        a = Asker(server.client_url(exchange["id"]), mode, is_vertex=api.startswith("vertex"))
        return a.run(lambda a: replay(a, exchange))

    differences = replaying.mismatches(
        [each for each in RECORDINGS if each["api"] == api and not is_under_way(each)], again
    )
    assert not differences, "\n".join(differences)
