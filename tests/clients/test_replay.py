"""Recorded traffic of real providers through the real client libraries: what they reported is what is counted."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest

import replaying
from watching import Watched

# Recorded models are retired by now, and the libraries say so.
pytestmark = [replaying.needs_recordings, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

RECORDINGS = replaying.recordings()
# Fetched answers are booked only if they were made in the background: test_engine.py.
_APIS = sorted({x["api"] for x in RECORDINGS if "retrieve" not in x["api"]})


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The recordings, served."""
    with replaying.server() as running:
        yield running


def _ask_all(server: Any, exchanges: list[dict[str, Any]], way: str) -> Iterator[BaseException | None]:
    """Make the calls in one of the ways; what one raises is part of its answer."""
    api = replaying.api_of(exchanges[0]["api"])
    assert api is not None
    if way == "async":
        yield from asyncio.run(_ask_all_async(server, exchanges, api))
        return
    with replaying.transport(api, is_async=False) as http:
        for exchange in exchanges:
            client = replaying.client(exchange, server.client_url(exchange["id"]), http, is_async=False)
            raised: BaseException | None = None
            try:
                _asked(client, api, exchange, way)
            except Exception as error:  # noqa: BLE001  # whatever a library raises is part of its answer
                raised = error.with_traceback(None)  # its frames would keep the stream alive
            yield raised


async def _ask_all_async(
    server: Any, exchanges: list[dict[str, Any]], api: replaying.Api
) -> list[BaseException | None]:
    raised: list[BaseException | None] = []
    async with replaying.transport(api, is_async=True) as http:
        for exchange in exchanges:
            client = replaying.client(exchange, server.client_url(exchange["id"]), http, is_async=True)
            try:
                await _asked_async(client, api, exchange)
            except Exception as error:  # noqa: BLE001  # whatever a library raises is part of its answer
                raised.append(error)
            else:
                raised.append(None)
    return raised


def _asked(client: Any, api: replaying.Api, exchange: dict[str, Any], way: str) -> None:
    method, arguments = replaying.method(api, client, exchange)
    owner: Any = getattr(method, "__self__")  # noqa: B009  # a bound method's
    if way == "raw":
        parsed = getattr(owner.with_raw_response, method.__name__)(**arguments).parse()
        if "stream" in arguments:
            list(parsed)
    elif way == "read along":
        with getattr(owner.with_streaming_response, method.__name__)(**arguments) as response:
            for _ in response.iter_lines():
                pass
    else:
        result = method(**arguments)
        if "stream" in arguments:
            list(result)


async def _asked_async(client: Any, api: replaying.Api, exchange: dict[str, Any]) -> None:
    method, arguments = replaying.method(api, client, exchange)
    result = await method(**arguments)
    if "stream" in arguments:
        async for _ in result:
            pass


@functools.cache
def _offered(api: str) -> list[dict[str, Any]]:
    """The exchanges of an API that the installed version of its library can ask for."""
    asked = [x for x in RECORDINGS if x["api"] == api]
    offers = {is_stream: _is_offered(asked, is_stream=is_stream) for is_stream in (False, True)}
    offered = [x for x in asked if offers[x["response"]["stream"] is not None]]
    if not offered:
        pytest.skip(f"the installed version of its library has no method for {api}")
    return offered


def _is_offered(exchanges: list[dict[str, Any]], *, is_stream: bool) -> bool:
    first = next((x for x in exchanges if (x["response"]["stream"] is not None) == is_stream), None)
    return first is not None and replaying.is_offered(first)


@pytest.mark.parametrize("way", ["sync", "async", "raw", "read along"])
@pytest.mark.parametrize("api", _APIS)
def test_what_a_provider_reported_is_what_is_counted(api: str, way: str, server: Any) -> None:
    """Tokens, model and outcome of every recorded exchange, however the call was made."""
    exchanges = _offered(api)
    differences: list[str] = []
    with Watched() as watched:
        before = 0
        raised = _ask_all(server, exchanges, way)
        if way == "async":
            raised = iter(list(raised))
            calls = list(watched.calls())
            assert len(calls) == len(exchanges), f"{len(calls)} calls counted of {len(exchanges)} made"
            differences = [
                d
                for call, exchange in zip(calls, exchanges, strict=True)
                for d in replaying.differences(call, exchange)
            ]
        else:
            for exchange, error in zip(exchanges, raised, strict=True):
                calls = list(watched.calls())[before:]
                before += len(calls)
                if len(calls) != 1:
                    differences.append(f"{exchange['id']}: {len(calls)} calls counted, raised {error!r}")
                else:
                    differences += replaying.differences(calls[0], exchange)
    assert not differences, "\n".join(differences)


def test_recordings_are_known_by_their_form() -> None:
    """The table above covers the libraries that share one request method."""
    libraries = {replaying.api_of(api).library for api in _APIS}  # type: ignore[union-attr]
    assert libraries >= {"openai", "anthropic", "groq", "together", "cerebras"}, json.dumps(sorted(libraries))
