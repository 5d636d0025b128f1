"""Recorded traffic of Amazon Bedrock through AWS's library: what it reported is what is counted."""

from __future__ import annotations

import asyncio
import json
import statistics
import types
from collections.abc import Iterator
from typing import Any

import pytest

import replaying
from bedrock_caller import Asker, async_client, is_there, sync_client
from costspan.calls.estimating import input_tokens, output_tokens
from costspan.clients import bedrock_estimates

pytestmark = [replaying.needs_recordings, pytest.mark.filterwarnings("ignore::ResourceWarning")]
pytest.importorskip("botocore")

_TEXT = [{"role": "user", "content": [{"text": "the server answers from a recording, whatever is asked"}]}]
_AGENTS = "bedrock-agent-runtime"
RECORDINGS = [x for x in replaying.all_recordings() if x["provider"] == "bedrock"]
#: What is asked for, by the end of the recorded path: service, method, and the arguments besides the model.
METHODS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "/converse": ("bedrock-runtime", "converse", {"messages": _TEXT}),
    "/converse-stream": ("bedrock-runtime", "converse_stream", {"messages": _TEXT}),
    "/invoke": ("bedrock-runtime", "invoke_model", {"body": b"{}"}),
    "/invoke-with-response-stream": ("bedrock-runtime", "invoke_model_with_response_stream", {"body": b"{}"}),
    "/text": (_AGENTS, "invoke_agent", {"agentId": "AGENT00001", "agentAliasId": "ALIAS00001", "sessionId": "se-1", "inputText": "x"}),
    "/retrieveAndGenerate": (_AGENTS, "retrieve_and_generate", {"input": {"text": "x"}}),
    "/retrieveAndGenerateStream": (_AGENTS, "retrieve_and_generate_stream", {"input": {"text": "x"}}),
}  # fmt: skip
#: Asked for as recorded, and no call: docs/clients.md.
UNCOUNTED = {"/count-tokens", "/apply"}


def end_of(exchange: dict[str, Any]) -> str:
    """The last part of a recorded path."""
    return "/" + exchange["path"].rpartition("/")[2]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The recordings, served."""
    with replaying.server() as running:
        yield running


async def replay(a: Asker, exchange: dict[str, Any]) -> None:
    """Make a recorded call again, and read its answer to the end."""
    _, method, arguments = METHODS[end_of(exchange)]
    model = exchange["expected"]["request_model"]
    answer = await a.get(getattr(a.of, method)(**arguments, **({"modelId": model} if model else {})))
    for value in answer.values():
        if hasattr(value, "_event_generator"):
            await a.each(value)
        elif hasattr(value, "read"):
            await a.get(value.read())


def ask(server: Any, exchange: dict[str, Any], mode: str) -> list[Any]:
    """The same, with a client of its own; what the library raises is part of the answer."""
    service, url = METHODS[end_of(exchange)][0], server.client_url(exchange["id"])
    a = Asker(url, mode)

    async def way() -> None:
        async with async_client(url, service) as a.of:
            await raised(a, exchange)

    if mode == "async":
        asyncio.run(way())
        return a.seen
    a.of = sync_client(url, service)
    with pytest.raises(StopIteration):
        raised(a, exchange).send(None)
    a.of.close()
    return a.seen


async def raised(a: Asker, exchange: dict[str, Any]) -> None:
    """What the library raises is part of the answer."""
    try:
        await replay(a, exchange)
    except Exception as error:  # noqa: BLE001  # whatever it raises
        a.seen.append(error.with_traceback(None))


def test_estimates_are_near_what_was_counted() -> None:
    """Of every recorded stream that was charged: what its events show, and what its request has of the prompt."""
    factors: dict[str, list[float]] = {"input": [], "output": []}
    for exchange in RECORDINGS:
        asked, usage = exchange["request"].get("json"), exchange["expected"]["usage"]
        if (
            not asked
            or not usage["output_total"]
            or end_of(exchange) not in {"/converse-stream", "/invoke-with-response-stream"}
        ):
            continue
        said = asked if end_of(exchange) == "/converse-stream" else {"body": json.dumps(asked)}
        model = exchange["expected"]["request_model"]
        events = [types.SimpleNamespace(headers=each[0], payload=each[1]) for each in replaying.aws_frames(exchange)]
        estimated = {
            "input": input_tokens({**said, "modelId": model}, bedrock_estimates.prompt),
            "output": output_tokens(events, len(events), bedrock_estimates.shown),
        }
        for name, found in factors.items():
            counted = usage[f"{name}_total"]
            found.append(max(estimated[name], counted) / max(1, min(estimated[name], counted)))
    assert len(factors["output"]) > 20
    assert statistics.median(factors["output"]) < 1.3
    assert statistics.median(factors["input"]) < 1.5


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("end", sorted({end_of(x) for x in RECORDINGS} - UNCOUNTED))
def test_what_bedrock_reported_is_what_is_counted(end: str, mode: str, server: Any) -> None:
    """Tokens, model and outcome of every recorded exchange."""
    if not is_there(mode):
        pytest.skip("the library is not installed in this form")
    differences = replaying.mismatches(
        [x for x in RECORDINGS if end_of(x) == end], lambda exchange: ask(server, exchange, mode)
    )
    assert not differences, "\n".join(differences)
