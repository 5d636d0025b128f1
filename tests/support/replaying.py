"""Recorded provider traffic, served on loopback to the real client libraries.

The recordings are no part of this project: COSTSPAN_CORPUS says where they lie (default: ../shared/corpus beside the
checkout). Without them the tests that need them are skipped, and say so.
"""

from __future__ import annotations

import base64
import functools
import gc
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from costspan.facts.call import ERROR, Call
from places import CORPUS
from watching import Watched

FOLDER = CORPUS
_TEXT = [{"role": "user", "content": "the server answers from a recording, whatever is asked"}]

# expected name -> unit
_UNITS = {
    "input_total": "input", "output_total": "output", "cache_read": "cache_read", "cache_write": "cache_write",
    "cache_write_5m": "cache_write_5m", "cache_write_1h": "cache_write_1h", "reasoning": "reasoning",
    "audio_in": "input_audio", "audio_out": "output_audio",
}  # fmt: skip

# Where the recordings' own reading of the usage is not what is billed.
_EXPLAINED = {
    (
        "bedrock.converse-6490df8786",
        "cache_write_5m",
    ): "`cacheDetails` tells the lifetime, which the reading passes over",
    ("anthropic.messages-36d4e1106d", "cache_read"): "the top level leaves out what the compaction read from the cache",
}

needs_recordings = pytest.mark.skipif(
    not (FOLDER / "replay.py").exists(),
    reason=f"no recorded traffic at {FOLDER}: set COSTSPAN_CORPUS to where it lies",
)


class Api(NamedTuple):
    """Which library asks for an API, and by which of its methods."""

    library: str
    operation: str
    provider: str


OPENAI_SHAPED = {
    "chat": "chat", "openai_chat": "chat", "completions": "completions", "responses": "responses",
    "responses_compact": "compact", "responses_retrieve": "retrieve", "embeddings": "embeddings",
    "audio_transcriptions": "transcription", "audio_translations": "translation", "audio_speech": "speech",
    "images": "images", "moderations": "moderations",
}  # fmt: skip
_BY_HOST = {
    "openai": "openai", "azure": "azure.ai.openai", "openrouter": "openrouter", "deepseek": "deepseek", "xai": "x_ai",
    "perplexity": "perplexity",
}  # fmt: skip
_OWN = {"groq": "groq", "together": "together", "cerebras": "cerebras"}


def api_of(name: str) -> Api | None:
    """How an API of the recordings is asked, or None for one that no watched library asks for."""
    provider, _, operation = name.partition(".")
    if name in {"anthropic.messages", "vertex.anthropic_messages"}:
        return Api("anthropic", "messages", "anthropic")
    asked = OPENAI_SHAPED.get(operation)
    if asked is None:
        return None
    if provider in _OWN and asked in {"chat", "completions", "transcription"}:
        return Api(_OWN[provider], asked, _OWN[provider])
    return Api("openai", asked, _BY_HOST[provider]) if provider in _BY_HOST else None


@functools.cache
def _exchanges() -> dict[str, dict[str, Any]]:
    if not (FOLDER / "replay.py").exists():
        return {}
    sys.path.insert(0, str(FOLDER))
    found = importlib.import_module("replay").load([str(FOLDER)])
    gc.freeze()  # a million small objects that no collection need look at again
    return found


def server() -> Any:
    """The replay server over all recordings; a context manager."""
    exchanges = _exchanges()
    return importlib.import_module("replay").Replay(exchanges=exchanges)


def recordings() -> list[dict[str, Any]]:
    """All recorded exchanges that a watched library can be asked for."""
    return [x for x in _exchanges().values() if api_of(x["api"]) is not None and not _is_left_out(x)]


def aws_frames(exchange: dict[str, Any]) -> Iterator[tuple[dict[str, str], bytes]]:
    """The headers and the content of each event of a stream that AWS framed."""
    _exchanges()
    found = importlib.import_module("streams").aws_frames(base64.b64decode(exchange["response"]["body_base64"]))
    return ((headers, payload) for headers, payload, _ in found)


def all_recordings() -> list[dict[str, Any]]:
    """All recorded exchanges, those of libraries that nobody watches included."""
    return list(_exchanges().values())


def _is_left_out(exchange: dict[str, Any]) -> bool:
    # A multipart request without its file, or a body that the recorder left out, cannot be asked for again.
    return exchange["response"].get("omitted_bytes") is not None


CLASSES = {
    "openai": ("openai", "OpenAI"),
    "azure": ("openai", "AzureOpenAI"),
    "anthropic": ("anthropic", "Anthropic"),
    "groq": ("groq", "Groq"),
    "together": ("together", "Together"),
    "cerebras": ("cerebras.cloud.sdk", "Cerebras"),
}


def transport(api: Api, *, is_async: bool) -> Any:
    """An HTTP client of the flavour that the library is built on, to be shared: making one costs 30 ms."""
    module = importlib.import_module(f"{CLASSES[api.library][0]}._base_client")
    flavour = getattr(module, "httpx2", None) or module.httpx
    return flavour.AsyncClient(verify=False) if is_async else flavour.Client(verify=False)


def client(exchange: dict[str, Any], base_url: str, http_client: Any, *, is_async: bool) -> Any:
    """A client of the library that asks for this exchange, pointed at the replay server."""
    api = api_of(exchange["api"])
    assert api is not None
    is_azure = api.provider == "azure.ai.openai"
    module, name = CLASSES["azure" if is_azure else api.library]
    kind = getattr(importlib.import_module(module), f"Async{name}" if is_async else name)
    more: dict[str, Any] = {"http_client": http_client}
    if is_azure:
        more["api_version"] = "2025-01-01-preview"
    if "warm_tcp_connection" in inspect.signature(kind).parameters:
        more["warm_tcp_connection"] = False
    prefix = {"groq": "/openai/v1", "together": "/v1", "cerebras": "/v1"}.get(api.library, "")
    return kind(api_key="local", base_url=base_url.removesuffix(prefix), max_retries=0, **more)


def method(api: Api, owner: Any, exchange: dict[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The public method of a client (or of its raw variant) and the arguments that ask for this exchange."""
    expected = exchange["expected"]
    model = expected.get("request_model") or "some-model"
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "chat": ("chat.completions.create", {"messages": _TEXT}),
        "messages": ("messages.create", {"messages": _TEXT, "max_tokens": 64}),
        "completions": ("completions.create", {"prompt": "x"}),
        "responses": ("responses.create", {"input": "x"}),
        "compact": ("responses.compact", {"input": "x"}),
        "retrieve": ("responses.retrieve", {"response_id": exchange["path"].rsplit("/", 1)[-1]}),
        "embeddings": ("embeddings.create", {"input": "x", "encoding_format": "float"}),
        "transcription": ("audio.transcriptions.create", {"file": ("a.wav", b"RIFF")}),
        "translation": ("audio.translations.create", {"file": ("a.wav", b"RIFF")}),
        "speech": ("audio.speech.create", {"input": "x", "voice": "alloy"}),
        "images": ("images.generate", {"prompt": "x"}),
        "moderations": ("moderations.create", {"input": "x"}),
    }
    path, arguments = asked[api.operation]
    if api.operation != "retrieve":
        arguments["model"] = model
    if exchange["response"]["stream"] is not None:
        arguments["stream"] = True
        _ask_as_recorded(exchange, arguments)
    found = owner
    for name in path.split("."):
        found = getattr(found, name)
    return found, arguments


def is_offered(exchange: dict[str, Any]) -> bool:
    """Whether the installed version of the library can ask for this exchange: old ones lack methods and arguments."""
    api = api_of(exchange["api"])
    assert api is not None
    with transport(api, is_async=False) as http:
        try:
            found, arguments = method(api, client(exchange, "http://127.0.0.1:9/v1", http, is_async=False), exchange)
        except AttributeError:
            return False
    return arguments.keys() <= inspect.signature(found).parameters.keys()


def _ask_as_recorded(exchange: dict[str, Any], arguments: dict[str, Any]) -> None:
    asked: dict[str, Any] = exchange["request"].get("json") or {}
    options = asked.get("stream_options")
    if options:
        # Not every library declares it: Groq's does not.
        arguments["extra_body"] = {"stream_options": options}


def _pieces(extra: dict[str, Any]) -> dict[str, int]:
    """What is charged beside tokens, or instead of them, by its unit."""
    said = {"pages": extra.get("usage_info", {}).get("pages_processed"), "search_units": extra.get("search_units")}
    return {unit: number for unit, number in said.items() if number is not None}


def _allowed(expected: dict[str, Any], name: str) -> list[Any]:
    """The numbers that an exchange allows for; of what Cohere bills, that, and none of the tokens that the model saw."""
    extra: dict[str, Any] = expected["extra"]
    if "billed_input" in extra and name in {"input_total", "output_total", "cache_read"}:
        return [extra.get(f"billed_{name.removesuffix('_total')}", 0)]
    return [expected["usage"][name] or 0, *expected["alternatives"].get(name, [])]


def differences(call: Call, exchange: dict[str, Any]) -> list[str]:
    """What of a call is not as its exchange reports it: tokens, model, outcome."""
    expected = exchange["expected"]
    counts = call.usage.counts if call.usage is not None else {}
    found: list[str] = []
    if expected["usage_present"]:
        for name, unit in _UNITS.items():
            allowed = _allowed(expected, name)
            if counts.get(unit, 0) not in allowed and (exchange["id"], name) not in _EXPLAINED:
                found.append(f"{name}: {allowed} expected, {counts.get(unit)} counted")
        if call.usage is not None and not call.usage.complete:
            found.append("marked as an estimate")
    for unit, number in _pieces(expected["extra"]).items():
        if counts.get(unit) != number:
            found.append(f"{unit}: {number} expected, {counts.get(unit)} counted")
    if expected["response_model"] is not None and call.answer.model != expected["response_model"]:
        found.append(f"model {expected['response_model']} expected, {call.answer.model} read")
    if (call.outcome == ERROR) != bool(expected["is_error"]):
        found.append(f"outcome {call.outcome}, error expected: {expected['is_error']}")
    return [f"{exchange['id']}: {difference}" for difference in found]


def mismatches(exchanges: list[dict[str, Any]], replay: Callable[[dict[str, Any]], list[Any]]) -> list[str]:
    """What is not counted as the exchanges report it, where `replay` makes the call of each, and gives what it saw."""
    assert exchanges
    found: list[str] = []
    with Watched() as watched:
        for exchange in exchanges:
            before = len(watched.calls())
            seen = replay(exchange)
            calls = list(watched.calls())[before:]
            if len(calls) != 1:
                found.append(f"{exchange['id']}: {len(calls)} calls counted, {seen[-1:]}"[:300])
            else:
                found += differences(calls[0], exchange)
    return found
