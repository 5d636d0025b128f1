"""Amazon Bedrock through AWS's library: every way of asking and of reading, by the sync and by the async client."""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import io
import json
import sys
import time
from base64 import b64encode
from typing import Any
from unittest import mock

import pytest

from answers import AWS_EVENTS, CUT, Reply, aws_frame, whole
from bedrock_caller import GIVEN, Asker, Replies, asked, sync_client
from costspan import attribution
from costspan.calls import observed_stream
from costspan.clients import bedrock_body, bedrock_estimates
from costspan.facts.call import ABANDONED, ERROR, OK, Answer
from costspan.facts.money import Cost, Unpriced
from entered import Way
from provider import Provider
from watching import Watched

pytest.importorskip("botocore")

# Of streams and bodies that are left unread the library leaves its sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MODEL = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
_MESSAGES = [{"role": "user", "content": [{"text": "Will it rain?"}]}]
#: 16 input tokens, 3 of them read from the cache and 2 written to it for an hour; 7 output tokens.
USAGE = {
    "inputTokens": 11, "outputTokens": 7, "totalTokens": 23, "cacheReadInputTokens": 3, "cacheWriteInputTokens": 2,
}  # fmt: skip
COUNTS = {"input": 16, "cache_read": 3, "cache_write": 2, "output": 7}
_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"  # which the service puts into its events
_WORDS = ("Well", ", this", " is", " a", " stream", " of", " eight", " pieces")
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def conversed(usage: Any = USAGE, **more: Any) -> dict[str, Any]:
    """An answer of Converse."""
    message = {"role": "assistant", "content": [{"text": "yes"}]}
    return {
        "output": {"message": message},
        "stopReason": "end_turn",
        "usage": usage,
        "metrics": {"latencyMs": 9},
        **more,
    }


def frames(events: list[tuple[str, Any]], *ends: Any) -> Reply:
    """An event stream, of pairs of kind and content; `ends` are frames, or CUT."""
    return Reply(kind=AWS_EVENTS, pieces=[*[aws_frame(body, kind) for kind, body in events], *ends])


def pieces(usage: Any = USAGE, **more: Any) -> list[tuple[str, Any]]:
    """The events of a stream of Converse."""
    deltas = [
        ("contentBlockDelta", {"delta": {"text": word}, "contentBlockIndex": 0, "p": _PADDING}) for word in _WORDS
    ]
    end = [
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 9}, **more}),
    ]
    return [("messageStart", {"role": "assistant"}), *deltas, ("contentBlockStop", {"contentBlockIndex": 0}), *end]


def chunks(*bodies: Any) -> list[tuple[str, Any]]:
    """The events of a stream of InvokeModel."""
    return [("chunk", {"bytes": b64encode(json.dumps(body).encode()).decode(), "p": "abcd"}) for body in bodies]


async def ask(a: Asker) -> None:
    """The plain call."""
    await a.ask("converse", modelId=MODEL, messages=_MESSAGES)


async def to_the_end(a: Asker) -> None:
    """A stream, read to its end."""
    await a.each((await a.ask("converse_stream", modelId=MODEL, messages=_MESSAGES))["stream"])


async def left_early(a: Asker) -> None:
    """A loop over a stream, left after three items."""
    await a.each((await a.ask("converse_stream", modelId=MODEL, messages=_MESSAGES))["stream"], 3)


def invoke(model: str = MODEL, **more: Any) -> Any:
    """A way that calls InvokeModel and reads its body at once."""

    async def way(a: Asker) -> None:
        answer = await a.ask("invoke_model", modelId=model, body=json.dumps({"prompt": "Will it rain?"}), **more)
        a.look(await a.get(answer["body"].read()))

    return way


def invoke_stream(model: str = MODEL) -> Any:
    """A way that calls InvokeModelWithResponseStream and reads to its end."""

    async def way(a: Asker) -> None:
        body = json.dumps({"prompt": "Will it rain?"})
        await a.each((await a.ask("invoke_model_with_response_stream", modelId=model, body=body))["body"])

    return way


def counted(*, reads: int = 3, writes: int = 2) -> dict[str, str]:
    """The headers of InvokeModel."""
    counts = {"input": 11, "output": 7, "cache-read-input": reads, "cache-write-input": writes}
    return {f"X-Amzn-Bedrock-{name}-Token-Count": str(number) for name, number in counts.items()}


# --- Converse ---------------------------------------------------------------------------------------------------


@_MODES
def test_a_call_is_booked_as_the_provider_reports_it(provider: Provider, mode: str) -> None:
    """Cache reads and writes stand beside the input; the request names the model."""
    (call,) = asked(ask, lambda: [whole(conversed(serviceTier={"type": "default"}))], provider, mode)
    assert call.usage is not None
    assert (call.usage.counts, call.usage.complete) == (COUNTS, True)
    assert (call.provider, call.operation, call.client) == ("aws.bedrock", "chat", "bedrock")
    assert (call.request_model, call.http_status) == (MODEL, 200)
    assert call.answer.tier in {"default", None}  # old versions of the library do not know it
    assert call.answer.finish_reasons == ("end_turn",)
    assert isinstance(call.price, Cost)


@_MODES
def test_a_stream_is_booked_by_its_last_event(provider: Provider, mode: str) -> None:
    """No other has the usage."""
    (call,) = asked(to_the_end, lambda: [frames(pieces())], provider, mode)
    assert call.usage is not None
    assert call.usage.counts == COUNTS
    assert (call.outcome, call.is_stream, call.usage.complete) == (OK, True, True)
    assert call.answer.finish_reasons == ("end_turn",)
    assert call.first_chunk_s is not None


def nothing_is_under_way() -> None:
    """Every call that began has been finished, whatever the caller still holds."""
    assert not getattr(observed_stream, "_live")  # noqa: B009  # private: the streams under way


async def closed_early(a: Asker) -> None:
    """A stream closed after three items, and kept."""
    answer = await a.ask("converse_stream", modelId=MODEL, messages=_MESSAGES)
    await a.each(answer["stream"], 3)
    answer["stream"].close()
    nothing_is_under_way()


@_MODES
@pytest.mark.parametrize("way", [left_early, closed_early])
def test_a_stream_that_is_left_early_is_estimated(way: Any, provider: Provider, mode: str) -> None:
    """Nothing is reported by then, not even the prompt."""
    (call,) = asked(way, lambda: [frames(pieces())], provider, mode)
    assert call.outcome == ABANDONED
    assert call.usage is not None
    assert call.usage.get("input") in range(3, 16)
    assert call.usage.get("output") in range(1, 8)
    assert not call.usage.complete
    assert isinstance(call.price, Cost)
    assert call.price.quality == "estimated"


@_MODES
def test_a_stream_that_is_left_after_its_last_event_is_whole(provider: Provider, mode: str) -> None:
    """Who waits for the usage need not wait for the end."""

    async def way(a: Asker) -> None:
        await a.each((await a.ask("converse_stream", modelId=MODEL, messages=_MESSAGES))["stream"], len(pieces()))

    (call,) = asked(way, lambda: [frames(pieces())], provider, mode)
    assert call.usage is not None
    assert (call.outcome, call.usage.counts, call.usage.complete) == (OK, COUNTS, True)


@_MODES
def test_a_stream_that_nobody_reads_is_charged(provider: Provider, mode: str) -> None:
    """The request was sent: an estimate of the prompt."""

    async def way(a: Asker) -> None:
        await a.ask("converse_stream", modelId=MODEL, messages=_MESSAGES)

    (call,) = asked(way, lambda: [frames(pieces())], provider, mode)
    assert call.usage is not None
    assert (call.outcome, call.usage.complete) == (ABANDONED, False)
    assert call.usage.get("input") in range(3, 16)


@_MODES
def test_a_stream_may_be_read_in_two_loops(provider: Provider, mode: str) -> None:
    """A loop that was left is no stream that was left."""

    async def way(a: Asker) -> None:
        stream = (await a.ask("converse_stream", modelId=MODEL, messages=_MESSAGES))["stream"]
        await a.each(stream, 3)
        await a.each(stream)

    (call,) = asked(way, lambda: [frames(pieces())], provider, mode)
    assert call.usage is not None
    assert (call.outcome, call.usage.counts) == (OK, COUNTS)


# --- InvokeModel ------------------------------------------------------------------------------------------------

_CLAUDE: Any = {
    "type": "message", "id": "msg_1", "model": "claude-haiku-4-5-20251001", "role": "assistant",
    "content": [{"type": "text", "text": "yes"}], "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 11, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 2},
    },
}  # fmt: skip
_PLAIN = {"input": 11, "output": 7}
_PLAIN_HEADERS = {name: number for name, number in counted().items() if "cache" not in name}

BODIES: list[tuple[str, str, Any, dict[str, str], dict[str, int], tuple[str, ...]]] = [
    ("claude", MODEL, _CLAUDE, counted(),
     {**COUNTS, "cache_write_5m": 0, "cache_write_1h": 2}, ("end_turn",)),
    ("claude 2", "anthropic.claude-v2", {"completion": "yes", "stop_reason": "stop"}, _PLAIN_HEADERS, _PLAIN, ("stop",)),
    ("nova", "us.amazon.nova-lite-v1:0",
     {**conversed({**USAGE, "cacheReadInputTokenCount": 3, "cacheWriteInputTokenCount": 2})}, {}, COUNTS, ("end_turn",)),
    ("titan", "amazon.titan-text-express-v1",
     {"inputTextTokenCount": 11, "results": [{"tokenCount": 3, "completionReason": "FINISH"}, {"tokenCount": 4}]},
     {}, _PLAIN, ("FINISH",)),
    ("titan embeddings", "amazon.titan-embed-text-v2:0",
     {"embedding": [0.5] * 256, "inputTextTokenCount": 11}, {}, {"input": 11, "output": 0}, ()),
    ("nova embeddings", "amazon.nova-2-multimodal-embeddings-v1:0", {"embeddings": [{"embedding": [0.5] * 99}]},
     {"X-Amzn-Bedrock-Input-Token-Count": "11"}, {"input": 11, "output": 0}, ()),
    ("cohere embeddings", "cohere.embed-english-v3", {"embeddings": [[0.5]], "texts": ["x"]},
     {"X-Amzn-Bedrock-Input-Token-Count": "11"}, {"input": 11, "output": 0}, ()),
    ("titan images", "amazon.titan-image-generator-v2:0", {"images": ["AAAA"] * 2, "error": None}, {}, {"images": 2}, ()),
    ("stability", "us.stability.stable-image-core-v1:1",
     {"images": ["AAAA"], "seeds": [1], "finish_reasons": [None]}, {}, {"images": 1}, ()),
    ("llama", "meta.llama3-70b-instruct-v1:0",
     {"generation": "yes", "prompt_token_count": 11, "generation_token_count": 7, "stop_reason": "stop"},
     _PLAIN_HEADERS, _PLAIN, ("stop",)),
    ("mistral", "mistral.mistral-7b-instruct-v0:2", {"outputs": [{"text": "yes", "stop_reason": "stop"}]},
     _PLAIN_HEADERS, _PLAIN, ("stop",)),
    ("mistral chat", "mistral.mistral-large-2407-v1:0",
     {"choices": [{"index": 0, "message": {"content": "yes"}, "stop_reason": "stop"}]}, _PLAIN_HEADERS, _PLAIN, ("stop",)),
    ("cohere", "cohere.command-text-v14", {"generations": [{"text": "yes", "finish_reason": "COMPLETE"}]},
     _PLAIN_HEADERS, _PLAIN, ("COMPLETE",)),
    ("cohere r", "cohere.command-r-v1:0", {"text": "yes", "finish_reason": "COMPLETE", "generation_id": "g"},
     _PLAIN_HEADERS, _PLAIN, ("COMPLETE",)),
    ("jurassic", "ai21.j2-mid-v1",
     {"id": 1, "prompt": {"tokens": [{}]}, "completions": [{"data": {}, "finishReason": {"reason": "length"}}]},
     _PLAIN_HEADERS, _PLAIN, ("length",)),
    ("jamba", "ai21.jamba-1-5-mini-v1:0",
     {"choices": [{"index": 0, "finish_reason": "stop"}], "model": "jamba-1.5-mini",
      "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}}, {}, _PLAIN, ("stop",)),
    ("deepseek", "us.deepseek.r1-v1:0", {"choices": [{"text": "yes", "stop_reason": "stop"}]},
     _PLAIN_HEADERS, _PLAIN, ("stop",)),
    ("gpt-oss", "openai.gpt-oss-20b-1:0",
     {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "yes"}}],
      "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}}, _PLAIN_HEADERS, _PLAIN, ("stop",)),
]  # fmt: skip


@_MODES
@pytest.mark.parametrize(
    ("model", "body", "headers", "counts", "reasons"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES]
)
def test_every_vendors_body_is_read(
    model: str, body: Any, headers: dict[str, str], counts: Any, reasons: Any, provider: Provider, mode: str
) -> None:
    """By its own counts, and where it has none, by those of the headers."""
    (call,) = asked(invoke(model), lambda: [whole(body, **headers)], provider, mode)
    assert call.usage is not None
    assert (call.usage.counts, call.usage.complete) == (counts, True)
    assert call.answer.finish_reasons == reasons
    assert (call.outcome, call.is_stream, call.first_chunk_s, call.answer.unread) == (OK, False, None, ())


async def _whole(a: Asker, body: Any) -> None:
    a.look(await a.get(body.read()))
    a.look(await a.get(body.read()))


async def _piecewise(a: Asker, body: Any) -> None:
    read = b""
    while chunk := await a.get(body.read(7)):
        read += chunk
    a.look(read)  # how much comes at once is the network's affair


async def _chunks(a: Asker, body: Any) -> None:
    await a.each(body.iter_chunks(64))


async def _lines(a: Asker, body: Any) -> None:
    await a.each(body.iter_lines())


async def _iterated(a: Asker, body: Any) -> None:
    await a.each(body)


async def _within(a: Asker, body: Any) -> None:
    if a.is_async:
        async with body as entered:
            a.look(await entered.read())
    else:
        with body as entered:
            a.look(entered.read())


async def _into(a: Asker, body: Any) -> None:
    buffer = bytearray(9_000)
    a.look(await a.get(body.readinto(buffer)))
    a.look(bytes(buffer))


async def _left(a: Asker, body: Any) -> None:
    a.look(await a.get(body.read(10)))


async def _unread(a: Asker, body: Any) -> None:
    del a, body


async def _closed(a: Asker, body: Any) -> None:
    a.look(body.close())
    if not a.is_async:  # the asynchronous library's hands it on, to be closed by its connection
        nothing_is_under_way()


async def _nothing_first(a: Asker, body: Any) -> None:
    a.look(await a.get(body.read(0)))
    await _whole(a, body)


async def _exactly(a: Asker, body: Any) -> None:
    a.look(await a.get(body.read(len(json.dumps(_CLAUDE)))))
    nothing_is_under_way()


def _wait() -> None:
    time.sleep(0.3)


async def _late(a: Asker, body: Any) -> None:
    await asyncio.sleep(0.3) if a.is_async else _wait()
    a.look(await a.get(body.read()))


READ_WHOLE = [_whole, _piecewise, _chunks, _lines, _iterated, _nothing_first, _exactly, _late]
READINGS = [*READ_WHOLE, _within, _into, _left, _unread, _closed]


@_MODES
@pytest.mark.parametrize("read", READINGS)
def test_a_body_is_the_callers_to_read_or_to_leave(read: Any, provider: Provider, mode: str) -> None:
    """However he reads it; where he does not, the headers tell. The call lasts until they come."""
    took_s: list[float] = []

    async def way(a: Asker) -> None:
        began_s = time.perf_counter()
        answer = await a.ask("invoke_model", modelId=MODEL, body=b"{}")
        took_s.append(time.perf_counter() - began_s)
        await read(a, answer["body"])

    (call,) = asked(way, lambda: [whole(_CLAUDE, **counted())], provider, mode)
    assert call.usage is not None
    assert {unit: call.usage.get(unit) for unit in COUNTS} == COUNTS
    assert (call.usage.complete, call.outcome) == (True, OK)
    assert isinstance(call.price, Cost)
    assert call.duration_s <= took_s[-1]
    if read in READ_WHOLE:
        assert (call.usage.get("cache_write_1h"), call.answer.model) == (2, "claude-haiku-4-5-20251001")


@_MODES
@pytest.mark.parametrize("read", [_whole, _piecewise])
def test_a_body_of_unknown_length_is_read_to_its_end(read: Any, provider: Provider, mode: str) -> None:
    """It ends with nothing."""

    async def way(a: Asker) -> None:
        answer = await a.ask("invoke_model", modelId=MODEL, body=b"{}")
        await read(a, answer["body"])
        nothing_is_under_way()

    body = json.dumps(_CLAUDE).encode()
    (call,) = asked(way, lambda: [Reply(pieces=[body[:40], body[40:]], headers=counted())], provider, mode)
    assert (call.usage and call.usage.get("cache_write_1h"), call.answer.model) == (2, "claude-haiku-4-5-20251001")


def test_a_body_that_comes_by_httpx_is_read_along(provider: Provider) -> None:
    """The asynchronous library can send by another."""
    pytest.importorskip("aiobotocore.session")  # first: the modules below it import one another in a circle
    sessions = pytest.importorskip("aiobotocore.httpxsession")
    pytest.importorskip("httpx")
    provider.replies.append(whole(_CLAUDE, **counted()))

    async def ask_by_httpx() -> bytes:
        config = importlib.import_module("aiobotocore.config").AioConfig(http_session_cls=sessions.HttpxSession)
        session = importlib.import_module("aiobotocore.session").get_session()
        async with session.create_client(
            "bedrock-runtime", endpoint_url=provider.url, config=config, **GIVEN
        ) as client:
            return await (await client.invoke_model(modelId=MODEL, body=b"{}"))["body"].read()

    with Watched() as watched:
        assert json.loads(asyncio.run(ask_by_httpx())) == _CLAUDE
        call = watched.call()
    assert (call.usage and call.usage.get("cache_write_1h"), call.answer.model) == (2, _CLAUDE["model"])


@_MODES
@pytest.mark.parametrize(("lifetime", "unread"), [("5m", ()), ("1h", ("cache_lifetime",))])
def test_headers_do_not_tell_how_long_a_cache_is_kept(
    lifetime: str, unread: tuple[str, ...], provider: Provider, mode: str
) -> None:
    """Where the request asks for more than the usual and nobody reads the body, the amount is a lower bound."""

    def way(*, is_read: bool) -> Any:
        async def asking(a: Asker) -> None:
            body = json.dumps({"system": [{"text": "x", "cache_control": {"type": "ephemeral", "ttl": lifetime}}]})
            answer = await a.ask("invoke_model", modelId=MODEL, body=body)
            if is_read:
                await a.get(answer["body"].read())

        return asking

    (call,) = asked(way(is_read=False), lambda: [whole(_CLAUDE, **counted())], provider, mode)
    assert call.answer.unread == unread
    (call,) = asked(way(is_read=True), lambda: [whole(_CLAUDE, **counted())], provider, mode)
    assert call.answer.unread == ()


def test_a_body_is_booked_when_it_has_been_read(provider: Provider) -> None:
    """And let go of as soon as without us: nothing keeps it alive."""
    provider.replies.extend([whole(_CLAUDE, **counted()) for _ in range(2)])
    gc.collect()
    with Watched() as watched:
        client = sync_client(provider.url)
        body = client.invoke_model(modelId=MODEL, body=b"{}")["body"]
        assert not watched.calls()
        body.read()
        assert watched.call()
        kept = client.invoke_model(modelId=MODEL, body=b"{}")["body"]
        raw = kept._raw_stream
        assert len(watched.calls()) == 1
        gc.disable()
        try:
            references = sys.getrefcount(raw)
            del kept
            assert sys.getrefcount(raw) == references - 1
        finally:
            gc.enable()
        assert len(watched.calls()) == 2
        client.close()


@_MODES
def test_a_body_that_nobody_counts_and_nobody_reads_is_unknown(provider: Provider, mode: str) -> None:
    """Not nothing."""

    async def way(a: Asker) -> None:
        await a.ask("invoke_model", modelId="amazon.titan-embed-text-v1", body=b"{}")

    (call,) = asked(way, lambda: [whole({"embedding": [0.5], "inputTextTokenCount": 11})], provider, mode)
    assert (call.outcome, call.usage) == (ABANDONED, None)
    assert isinstance(call.price, Unpriced)


@_MODES
def test_a_body_that_breaks_is_an_error_that_is_charged(provider: Provider, mode: str) -> None:
    """The headers had come."""
    cut = Reply(pieces=[b'{"type": "mess', CUT], headers=counted())
    (call,) = asked(invoke(), lambda: [cut], provider, mode)
    assert call.usage is not None
    assert (call.outcome, call.usage.counts) == (ERROR, COUNTS)
    assert call.error_type in {"ResponseStreamingError", "ClientPayloadError"}


_METRICS = {"amazon-bedrock-invocationMetrics": {
    "inputTokenCount": 11, "outputTokenCount": 7, "invocationLatency": 9, "firstByteLatency": 3,
}}  # fmt: skip
_CACHED_METRICS = {"amazon-bedrock-invocationMetrics": {
    **_METRICS["amazon-bedrock-invocationMetrics"], "cacheReadInputTokenCount": 3, "cacheWriteInputTokenCount": 2,
}}  # fmt: skip
_START: Any = {"type": "message_start", "message": {**_CLAUDE, "content": [], "stop_reason": None,
    "usage": {**_CLAUDE["usage"], "output_tokens": 1}}}  # fmt: skip
_TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "yes, it will rain"}}
_DELTA = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}
_STOP = {"type": "message_stop", **_METRICS}

STREAMS: list[tuple[str, str, list[Any], dict[str, int]]] = [
    ("claude", MODEL, [_START, *[_TEXT] * 20, _DELTA, _STOP],
     {**COUNTS, "cache_write_5m": 0, "cache_write_1h": 2, "output": 9}),
    ("claude, whose end leaves the cache out", MODEL,
     [_START, _TEXT, {**_DELTA, "usage": {"input_tokens": 11, "output_tokens": 9}}, _STOP],
     {**COUNTS, "cache_write_5m": 0, "cache_write_1h": 2, "output": 9}),
    ("claude 2", "anthropic.claude-v2", [{"completion": "yes", "stop_reason": None}, {"completion": "", **_METRICS}], _PLAIN),
    ("nova", "amazon.nova-lite-v1:0",
     [{"messageStart": {"role": "assistant"}}, *[{"contentBlockDelta": {"delta": {"text": "yes"}}}] * 20,
      {"messageStop": {"stopReason": "end_turn"}}, {"metadata": {"usage": USAGE, "metrics": {}}, **_CACHED_METRICS}], COUNTS),
    ("nova by its metrics", "amazon.nova-lite-v1:0",
     [*[{"contentBlockDelta": {"delta": {"text": "yes"}}}] * 20, {"metadata": {"metrics": {}}, **_CACHED_METRICS}], COUNTS),
    ("titan", "amazon.titan-text-lite-v1",
     [{"outputText": "yes", "index": 0, "totalOutputTextTokenCount": 7.0, "inputTextTokenCount": 11.0}], _PLAIN),
    ("llama", "meta.llama3-70b-instruct-v1:0",
     [{"generation": "", "prompt_token_count": 11, "generation_token_count": 1, "stop_reason": None},
      *[{"generation": "yes", "prompt_token_count": None, "generation_token_count": 5, "stop_reason": None}] * 20,
      {"generation": "", "prompt_token_count": None, "generation_token_count": 7, "stop_reason": "stop", **_METRICS}], _PLAIN),
    ("mistral", "mistral.mistral-7b-instruct-v0:2",
     [{"outputs": [{"text": "yes", "stop_reason": None}]}, {"outputs": [{"text": "", "stop_reason": "stop"}], **_METRICS}],
     _PLAIN),
    ("cohere", "cohere.command-r-v1:0",
     [{"is_finished": False, "event_type": "text-generation", "text": "yes"},
      {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", **_METRICS}], _PLAIN),
    ("jamba", "ai21.jamba-1-5-mini-v1:0",
     [{"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": None}]},
      {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}],
       "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}, **_METRICS}], _PLAIN),
]  # fmt: skip


@_MODES
@pytest.mark.parametrize(("model", "bodies", "counts"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
def test_every_vendors_stream_is_read(
    model: str, bodies: list[Any], counts: Any, provider: Provider, mode: str
) -> None:
    """By the model's own counts, and where it has none, by those that the service adds to the last event."""
    (call,) = asked(invoke_stream(model), lambda: [frames(chunks(*bodies))], provider, mode)
    assert call.usage is not None
    assert (call.usage.counts, call.usage.complete) == (counts, True)
    assert (call.outcome, call.is_stream, call.answer.unread) == (OK, True, ())


@_MODES
def test_a_stream_of_another_form_is_estimated_by_what_it_shows(provider: Provider, mode: str) -> None:
    """The first event has the prompt, if any has."""

    async def way(a: Asker) -> None:
        body = json.dumps({"messages": [{"role": "user", "content": "Will it rain? " * 10}]})
        await a.each((await a.ask("invoke_model_with_response_stream", modelId=MODEL, body=body))["body"], 9)

    (call,) = asked(way, lambda: [frames(chunks(_START, *[_TEXT] * 20, _DELTA, _STOP))], provider, mode)
    assert call.usage is not None
    assert (call.outcome, call.usage.complete, call.usage.get("input")) == (ABANDONED, False, 16)
    assert call.usage.get("output") in range(20, 50)
    (call,) = asked(way, lambda: [frames(chunks(*[{"outputText": "it will rain"}] * 20))], provider, mode)
    assert call.usage is not None
    assert call.usage.get("input") in range(20, 60)
    assert call.usage.get("output") in range(20, 40)


# --- agents and knowledge bases ---------------------------------------------------------------------------------


def trace(number: int, model: str = "amazon.nova-lite-v1:0", kind: str = "orchestrationTrace") -> list[tuple[str, Any]]:
    """What an agent says of one model that it asked."""
    step = f"trace-{number}"
    asked = {"modelInvocationInput": {"foundationModel": model, "traceId": step, "text": "x" * 99}}
    given = {"modelInvocationOutput": {"traceId": step, "metadata": {"usage": {"inputTokens": 11, "outputTokens": 7}}}}
    return [("trace", {"agentId": "a", "trace": {kind: each}}) for each in (asked, given)]


async def to_an_agent(a: Asker) -> None:
    """The whole answer of an agent."""
    answer = await a.ask(
        "invoke_agent", agentId="AGENT00001", agentAliasId="ALIAS00001", sessionId="se-1", inputText="x"
    )
    await a.each(answer["completion"])


async def left_an_agent(a: Asker) -> None:
    """Its beginning."""
    answer = await a.ask(
        "invoke_agent", agentId="AGENT00001", agentAliasId="ALIAS00001", sessionId="se-1", inputText="x"
    )
    await a.each(answer["completion"], 5)


_SAID = ("chunk", {"bytes": b64encode(b"it will").decode()})
_AGENTS: dict[str, Any] = {"service": "bedrock-agent-runtime"}


def saying(*replies: Reply) -> Replies:
    """These replies."""
    return list(replies)


@_MODES
@pytest.mark.parametrize("count", [1, 30])
def test_every_model_that_an_agent_asked_is_counted(count: int, provider: Provider, mode: str) -> None:
    """However many: each trace tells of one."""
    said = [event for number in range(count) for event in trace(number)]
    (call,) = asked(to_an_agent, lambda: [frames([*said, _SAID])], provider, mode, **_AGENTS)
    assert call.usage is not None
    assert call.usage.counts == {"input": 11 * count, "output": 7 * count}
    assert (call.operation, call.answer.model, call.outcome) == ("invoke_agent", "amazon.nova-lite-v1:0", OK)
    assert isinstance(call.price, Cost)


@_MODES
def test_models_of_one_agent_are_charged_each_by_its_own_price(provider: Provider, mode: str) -> None:
    """A supervisor asks other agents."""
    said = [*trace(0), *trace(1, "us.amazon.nova-premier-v1:0", "routingClassifierTrace")]
    (both,) = asked(to_an_agent, lambda: [frames(said)], provider, mode, **_AGENTS)
    singly = [
        asked(to_an_agent, functools.partial(saying, frames(each)), provider, mode, **_AGENTS)[0].price
        for each in (said[:2], said[2:])
    ]
    assert isinstance(both.price, Cost)
    assert both.price.nano_usd == sum(price.nano_usd for price in singly if isinstance(price, Cost)) > 0
    assert both.answer.model is None


@_MODES
def test_an_agent_that_tells_nothing_is_unknown(provider: Provider, mode: str) -> None:
    """It tells of its models only where it was asked for traces."""
    (call,) = asked(to_an_agent, lambda: [frames([_SAID])], provider, mode, **_AGENTS)
    assert (call.outcome, call.usage) == (OK, None)
    assert isinstance(call.price, Unpriced)
    (call,) = asked(to_an_agent, lambda: [frames([*trace(0)[:1], _SAID])], provider, mode, **_AGENTS)
    assert (call.usage, isinstance(call.price, Unpriced)) == (None, True)


@_MODES
def test_of_an_agent_that_was_left_the_beginning_is_a_lower_bound(provider: Provider, mode: str) -> None:
    """What it asked until then."""
    said = [event for number in range(9) for event in trace(number)]
    (call,) = asked(left_an_agent, lambda: [frames(said)], provider, mode, **_AGENTS)
    assert call.usage is not None
    assert (call.outcome, call.usage.complete, call.usage.get("input")) == (ABANDONED, False, 22)
    fault = aws_frame({"message": "no"}, "throttlingException", "exception")
    (call,) = asked(to_an_agent, lambda: [frames(said, fault)], provider, mode, **_AGENTS)
    assert call.usage is not None
    assert (call.outcome, call.usage.get("input")) == (ERROR, 99)


@_MODES
@pytest.mark.parametrize("is_stream", [False, True])
def test_answers_out_of_a_knowledge_base_report_no_usage(provider: Provider, mode: str, *, is_stream: bool) -> None:
    """The call is booked, and what it cost is unknown."""
    base = {"knowledgeBaseId": "BASE000001", "modelArn": "anthropic.claude-3-haiku-20240307-v1:0"}
    given = {
        "input": {"text": "x"},
        "retrieveAndGenerateConfiguration": {"type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": base},
    }

    async def way(a: Asker) -> None:
        answer = await a.ask(f"retrieve_and_generate{'_stream' if is_stream else ''}", **given)
        if is_stream:
            await a.each(answer["stream"])

    reply = (
        frames([("output", {"text": "it will rain"})])
        if is_stream
        else whole({"output": {"text": "yes"}, "sessionId": "s"})
    )
    (call,) = asked(way, lambda: [reply], provider, mode, **_AGENTS)
    assert (call.operation, call.request_model, call.usage) == ("retrieve_and_generate", base["modelArn"], None)
    assert isinstance(call.price, Unpriced)


# --- errors -----------------------------------------------------------------------------------------------------


def refusal(status: int, kind: str = "ThrottlingException") -> Reply:
    """An error of the service."""
    return Reply(json.dumps({"message": "no"}).encode(), status, headers={"x-amzn-errortype": kind})


@_MODES
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, "ThrottlingException"),
        (400, "ValidationException"),
        (403, "ExpiredTokenException"),
        (500, "InternalServerException"),
    ],
)
@pytest.mark.parametrize("way", [ask, to_the_end, invoke(), invoke_stream()], ids=["whole", "stream", "body", "chunks"])
def test_a_refused_call_is_an_error_without_usage(
    way: Any, status: int, kind: str, provider: Provider, mode: str
) -> None:
    """The library's exception comes through; nothing is charged."""
    (call,) = asked(way, lambda: [refusal(status, kind)], provider, mode)
    assert (call.outcome, call.http_status, call.usage, call.price) == (ERROR, status, None, None)
    assert call.error_type == kind


@_MODES
def test_retries_of_the_library_are_one_call(provider: Provider, mode: str) -> None:
    """Only the answer is booked."""
    more = {"retries": {"max_attempts": 2, "mode": "standard"}}
    (call,) = asked(
        ask, lambda: [refusal(503, "ServiceUnavailableException"), whole(conversed())], provider, mode, **more
    )
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


@_MODES
@pytest.mark.parametrize("end", ["exception", "cut"])
@pytest.mark.parametrize("way", [to_the_end, invoke_stream()], ids=["stream", "chunks"])
def test_a_stream_that_breaks_is_an_error_and_an_estimate(way: Any, end: str, provider: Provider, mode: str) -> None:
    """By an event that says so, or by the connection."""
    fault = aws_frame({"message": "slow down"}, "throttlingException", "exception") if end == "exception" else CUT
    said = pieces()[:6] if way is to_the_end else chunks(*[{"outputText": word} for word in _WORDS[:5]])
    (call,) = asked(way, lambda: [frames(said, fault)], provider, mode)
    assert call.outcome == ERROR
    assert call.usage is not None
    assert (call.usage.complete, call.usage.get("input") > 0) == (False, True)
    assert call.usage.get("output") >= 5
    if end == "exception":
        assert call.error_type == "throttlingexception"


@_MODES
def test_a_fault_within_a_stream_ends_the_call_at_once(provider: Provider, mode: str) -> None:
    """Not only when the caller lets go of the stream."""

    async def way(a: Asker) -> None:
        stream = (await a.ask("converse_stream", modelId=MODEL, messages=_MESSAGES))["stream"]
        with pytest.raises(importlib.import_module("botocore.exceptions").EventStreamError):
            await a.each(stream)
        nothing_is_under_way()
        del stream

    fault = aws_frame({"message": "slow down"}, "throttlingException", "exception")
    (call,) = asked(way, lambda: [frames(pieces()[:6], fault)], provider, mode)
    assert call.outcome == ERROR


# --- which model, which client ----------------------------------------------------------------------------------

_ARN = "arn:aws:bedrock:us-east-1:123456789012:"


@pytest.mark.parametrize(
    ("model", "same_as"),
    [
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("us.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        (f"{_ARN}inference-profile/global.anthropic.claude-haiku-4-5-20251001-v1:0",
         "global.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        (f"{_ARN}application-inference-profile/a1b2c3", None),
        (f"{_ARN}provisioned-model/a1b2c3", None),
        (f"{_ARN}imported-model/a1b2c3", None),
    ],
)  # fmt: skip
def test_the_model_is_the_one_that_was_asked_for(model: str, same_as: str | None, provider: Provider) -> None:
    """Prefixes tell the region and so the price; what a profile of the user's own stands for is not guessed."""

    def way(model: str) -> Any:
        async def asking(a: Asker) -> None:
            await a.ask("converse", modelId=model, messages=_MESSAGES)

        return asking

    (call,) = asked(way(model), lambda: [whole(conversed())], provider, "sync")
    assert call.request_model == model
    if same_as is None:
        assert isinstance(call.price, Unpriced)
    else:
        (other,) = asked(way(same_as), lambda: [whole(conversed())], provider, "sync")
        assert isinstance(call.price, Cost)
        assert isinstance(other.price, Cost)
        assert call.price.nano_usd == other.price.nano_usd > 0


@pytest.mark.parametrize(
    ("profile", "quality"), [("application-inference-profile", "alias"), ("provisioned-model", None)]
)
def test_the_model_of_the_answer_tells_no_region(profile: str, quality: str | None, provider: Provider) -> None:
    """Through a profile of the user's own it is an approximation, and what he rents costs nothing by the token."""
    (call,) = asked(invoke(f"{_ARN}{profile}/a1b2c3"), lambda: [whole(_CLAUDE, **counted())], provider, "sync")
    assert call.answer.model == _CLAUDE["model"]
    assert (call.price.quality if isinstance(call.price, Cost) else None) == quality


def test_regions_differ_in_price(provider: Provider) -> None:
    """Calls to a region cost more than those that may be answered anywhere."""
    prices: list[int] = []
    for prefix in ("eu", "global"):
        way = functools.partial(_ask_of, f"{prefix}.anthropic.claude-haiku-4-5-20251001-v1:0")
        (call,) = asked(way, lambda: [whole(conversed({"inputTokens": 1000, "outputTokens": 100}))], provider, "sync")
        assert isinstance(call.price, Cost)
        prices.append(call.price.nano_usd)
    assert prices[0] * 10 == prices[1] * 11


async def _ask_of(model: str, a: Asker) -> None:
    await a.ask("converse", modelId=model, messages=_MESSAGES)


@_MODES
def test_a_router_says_which_model_it_asked(provider: Provider, mode: str) -> None:
    """It is the one that is charged."""
    trace = {"promptRouter": {"invokedModelId": "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"}}
    way = functools.partial(_ask_of, f"{_ARN}default-prompt-router/amazon.nova:1")
    (call,) = asked(way, lambda: [whole(conversed(trace=trace))], provider, mode)
    assert call.answer.model == trace["promptRouter"]["invokedModelId"]
    assert isinstance(call.price, Cost)


@pytest.mark.parametrize("is_before", [True, False])
def test_clients_made_before_and_after_the_start_are_watched(provider: Provider, *, is_before: bool) -> None:
    """And calls of one that was watched pass through once costspan is gone."""
    provider.replies.extend([whole(conversed())] * 2)
    client = sync_client(provider.url) if is_before else None
    with Watched() as watched:
        client = client or sync_client(provider.url)
        client.converse(modelId=MODEL, messages=_MESSAGES)
        assert watched.call().usage is not None
    client.converse(modelId=MODEL, messages=_MESSAGES)
    assert len(watched.exporter.get_finished_spans()) == 1
    client.close()


def test_an_answer_that_was_not_asked_for_over_the_network_is_taken_as_it_is(provider: Provider) -> None:
    """Stand-ins of the library answer before a request is sent, and with bodies of any kind."""
    client = sync_client(provider.url)
    with importlib.import_module("botocore.stub").Stubber(client) as stub, Watched() as watched:
        stub.add_response("converse", conversed())
        stub.add_response("invoke_model", {"body": io.BytesIO(b"{}"), "contentType": "application/json"})
        assert client.converse(modelId=MODEL, messages=_MESSAGES)["usage"] == USAGE
        assert client.invoke_model(modelId=MODEL, body=b"{}")["body"].read() == b"{}"
        first, second = watched.calls()
    assert (first.usage and first.usage.counts, second.usage) == (COUNTS, None)
    client.close()


def test_anthropics_own_client_of_bedrock_is_counted_once(provider: Provider) -> None:
    """It signs with AWS's library, and sends by itself."""
    pytest.importorskip("anthropic")
    caller = importlib.import_module("caller")
    provider.replies.append(whole(_CLAUDE))
    kind = caller.KINDS["bedrock"]
    sync_client(provider.url).close()
    with Watched() as watched:
        caller.Caller(kind, provider.url, "sync").run(importlib.import_module("ways").READ_TO_THE_END["whole"])
        assert (watched.call().client, watched.call().provider) == ("anthropic", "aws.bedrock")


@_MODES
def test_a_call_is_seen_whoever_wrapped_it_before(provider: Provider, mode: str) -> None:
    """Costspan is within theirs, and leaves theirs where it is."""
    name, kind_name = ("botocore.client", "BaseClient") if mode == "sync" else ("aiobotocore.client", "AioBaseClient")
    kind: Any = getattr(pytest.importorskip(name), kind_name)
    method = kind._make_api_call

    seen: list[str] = []

    @functools.wraps(method)
    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(args[0])
        return method(self, *args, **kwargs)

    provider.replies.append(whole(conversed()))
    kind._make_api_call = theirs
    try:
        with Watched() as watched:
            Asker(provider.url, mode).run(ask)
            assert kind._make_api_call is theirs
            assert (watched.call().outcome, seen) == (OK, ["Converse"])
        assert kind._make_api_call is theirs
    finally:
        kind._make_api_call = method


def test_calls_of_other_services_pass_through_quickly(provider: Provider) -> None:
    """One look at the name of the service."""
    provider.replies.extend([Reply(b"{}")] * 3)
    client = sync_client(provider.url, "sqs")
    with Watched() as watched:
        sync_client(provider.url).close()
        client.list_queues()
        with Way() as way:
            client.list_queues()
        assert sum(way.entered.values()) <= 5, way
        assert not watched.calls()
    client.close()


def test_who_stands_in_for_the_library_is_not_counted(provider: Provider) -> None:
    """The usual stand-in of tests takes the place of the method: no request is sent, and nothing costs anything."""
    provider.replies.append(whole(conversed()))
    client = sync_client(provider.url)
    with Watched() as watched:
        with mock.patch("botocore.client.BaseClient._make_api_call", return_value={"usage": USAGE}):
            assert client.converse(modelId=MODEL, messages=_MESSAGES) == {"usage": USAGE}
        assert not watched.calls()
        client.converse(modelId=MODEL, messages=_MESSAGES)
        assert watched.call()
    client.close()


@_MODES
def test_what_costs_no_tokens_is_no_call(provider: Provider, mode: str) -> None:
    """Token counts are free, guardrails are charged by texts: docs/clients.md."""

    async def way(a: Asker) -> None:
        await a.ask("count_tokens", modelId=MODEL, input={"converse": {"messages": _MESSAGES}})
        content = [{"text": {"text": "x"}}]
        await a.ask("apply_guardrail", guardrailIdentifier="g", guardrailVersion="1", source="INPUT", content=content)

    if not hasattr(sync_client(provider.url), "count_tokens"):
        pytest.skip("this version of the library counts no tokens")
    guarded: Any = {"usage": {"topicPolicyUnits": 1}, "action": "NONE", "outputs": [], "assessments": []}
    assert asked(way, lambda: [whole({"inputTokens": 4}), whole(guarded)], provider, mode) == []


@_MODES
@pytest.mark.parametrize("way", [ask, to_the_end, invoke()], ids=["whole", "stream", "body"])
def test_a_call_belongs_to_the_scope_that_it_is_made_in(way: Any, provider: Provider, mode: str) -> None:
    """Wherever it is read."""

    async def scoped(a: Asker) -> None:
        with attribution(team="weather"):
            await way(a)

    reply = frames(pieces()) if way is to_the_end else whole(conversed() if way is ask else _CLAUDE)
    (call,) = asked(scoped, lambda: [reply], provider, mode)
    assert call.attribution.team == "weather"


# --- what a usage says ------------------------------------------------------------------------------------------


def _read(usage: Any, **more: Any) -> Answer:
    answer = bedrock_body.conversed(conversed(usage, **more))
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("usage", "counts", "unread"),
    [
        (USAGE, COUNTS, ()),
        ({"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}, {"input": 11, "output": 7}, ()),
        ({**USAGE, "totalTokens": 18}, COUNTS, ()),  # caches left out
        ({**USAGE, "cacheDetails": [{"ttl": "1h", "inputTokens": 2}]}, {**COUNTS, "cache_write_1h": 2}, ()),
        ({**USAGE, "cacheDetails": [{"ttl": "5m", "inputTokens": 2}]}, {**COUNTS, "cache_write_5m": 2}, ()),
        ({**USAGE, "cacheDetails": [{"ttl": "2d", "inputTokens": 2}]}, COUNTS, ("cacheDetails",)),
        ({**USAGE, "cacheDetails": []}, COUNTS, ()),
        ({**USAGE, "cacheDetails": [{"ttl": "1h", "inputTokens": 1}]}, {**COUNTS, "cache_write_1h": 2}, ("cache_creation",)),
        ({**USAGE, "cacheDetails": [{"ttl": "1h", "inputTokens": 9}]}, {**COUNTS, "cache_write_1h": 9}, ("cache_creation",)),
        ({"inputTokens": 11, "outputTokens": 7, "totalTokens": 23}, {"input": 11, "output": 7}, ("totalTokens",)),
        ({"inputTokens": 11, "outputTokens": 7, "serverToolUsage": {}}, {"input": 11, "output": 7}, ()),
        ({"inputTokens": 11, "outputTokens": 7, "serverToolUsage": {"searches": 2}}, {"input": 11, "output": 7},
         ("serverToolUsage.searches",)),
        ({"inputTokens": 11, "outputTokens": 7, "dreamTokens": 2}, {"input": 11, "output": 7}, ("dreamTokens",)),
        ({"inputTokens": -1, "outputTokens": 7}, {"output": 7}, ("inputTokens",)),
        ({"inputTokens": "11", "outputTokens": 7.0}, {"input": 11, "output": 7}, ()),
        ({"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}, {"input": 0, "output": 0}, ()),
        (5, None, ("usage",)),
    ],
    ids=range(17),
)  # fmt: skip
def test_what_a_usage_comes_to(usage: Any, counts: dict[str, int] | None, unread: tuple[str, ...]) -> None:
    """What is not understood is named."""
    answer = _read(usage)
    assert (answer.usage.counts if answer.usage is not None else None) == counts
    assert answer.unread == unread


def test_faster_answers_are_told() -> None:
    """They have a price of their own."""
    assert _read(USAGE, performanceConfig={"latency": "optimized"}).speed == "optimized"
    assert _read(USAGE, performanceConfig={"latency": "standard"}).speed is None
    headers = {"x-amzn-bedrock-performanceconfig-latency": "optimized", "x-amzn-bedrock-service-tier": "flex"}
    answer = bedrock_body.invoked({"headers": headers})
    assert answer is not None
    assert (answer.speed, answer.tier) == ("optimized", "flex")


class _Event:
    """An event as the library has it before it is parsed."""

    def __init__(self, headers: Any, payload: Any) -> None:
        self.headers, self.payload = headers, payload


@pytest.mark.parametrize(
    "message",
    [
        None, 5, "", [], {}, {"usage": [1]}, {"metadata": 5}, {"headers": {}}, {"headers": {"x-amzn-bedrock-input-token-count": "x"}},
        {"type": "message_start"}, {"choices": [5]}, {"results": [5, {"tokenCount": "x"}]}, {"images": [1]},
        {"outputs": [{"stop_reason": 5}]}, {"completions": 5},
        _Event({":event-type": "chunk"}, b"{"), _Event({":event-type": "chunk"}, b'{"bytes": "A"}'),
        _Event({":event-type": "chunk"}, b'{"bytes": 5}'), _Event({}, b"x"), _Event({":event-type": "metadata"}, b"[1]"),
        _Event({":exception-type": "x" * 999}, b"{}"), _Event(None, b"{}"),
    ],
    ids=range(22),
)  # fmt: skip
def test_a_message_that_is_none_is_read_as_nothing(message: Any) -> None:
    """No reader raises."""
    for read in (bedrock_body.conversed, bedrock_body.invoked, bedrock_body.embedded, bedrock_body.unreported):
        answer = read(message)
        assert answer is None or not answer.usage or set(answer.usage.counts) <= {"output", "images"}
    bedrock_estimates.shown(message)
    bedrock_estimates.prompt({"messages": [1, {"content": 3}], "system": "x", "body": message, "toolConfig": 5})
