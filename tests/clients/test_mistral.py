"""Mistral's library: what it calls, by the sync and by the async client, in the layouts before 2.0 and since."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import asker
from answers import CHAT_USAGE, CUT, EVENTS, Reply, chat_chunks, completion, error, events, whole
from asker import Replies
from costspan import attribution
from costspan.clients import mistral_body
from costspan.facts.call import ABANDONED, ERROR, OK, Call
from costspan.facts.money import Cost, Unpriced
from mistral_caller import IS_OLD, ROOT, Asker
from provider import Provider
from watching import Watched

# The library's own: of connections, of a default, and in older releases of a newer pydantic or Python.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_fields'"),
    pytest.mark.filterwarnings("ignore:ast:DeprecationWarning"),
]

MODEL = "mistral-small-2603"
ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Will it rain?"}]}
COUNTS = {"input": 11, "output": 7, "cache_read": 3, "reasoning": 2}
Way = Callable[[Asker], Coroutine[Any, Any, None]]
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def asked(way: Way, replies: Callable[[], Replies], provider: Provider, mode: str, **options: Any) -> list[Call]:
    """The calls that costspan booked, where the caller saw the same with and without it."""
    return asker.asked(lambda: Asker(provider.url, mode, **options), way, replies, provider)


def answered() -> Replies:
    """A whole chat completion."""
    return [whole(completion(model=MODEL))]


def streamed() -> Replies:
    """One in pieces."""
    return [events(chat_chunks(MODEL))]


async def ask(a: Asker) -> None:
    """The plain call."""
    await a.get(a.of("chat.complete")(**ASKED))


async def to_the_end(a: Asker) -> None:
    """A stream, read to its end."""
    await a.stream(a.of("chat.stream")(**ASKED))


async def left_early(a: Asker) -> None:
    """A loop over a stream, left after three items."""
    await a.stream(a.of("chat.stream")(**ASKED), 3)


async def left_within(a: Asker) -> None:
    """A stream within a `with`, left after three items."""
    if a.is_async:
        async with await a.of("chat.stream")(**ASKED) as stream:
            await a.stream(stream, 3)
    else:
        with a.of("chat.stream")(**ASKED) as stream:
            await a.stream(stream, 3)


async def unread(a: Asker) -> None:
    """A stream that nobody reads."""
    stream = a.of("chat.stream")(**ASKED)
    if a.is_async:
        await stream


def of(path: str, **given: Any) -> Way:
    """A call of another method."""

    async def way(a: Asker) -> None:
        await a.get(a.of(path)(**given))

    return way


def stream_of(path: str, **given: Any) -> Way:
    """The same for one that streams."""

    async def way(a: Asker) -> None:
        await a.stream(a.of(path)(**given))

    return way


@_MODES
@pytest.mark.parametrize("way", [ask, to_the_end])
def test_a_call_is_booked_as_it_is_reported(way: Any, provider: Provider, mode: str) -> None:
    """Without a question: the last event of a stream has the usage."""
    (call,) = asked(way, answered if way is ask else streamed, provider, mode)
    assert call.usage is not None
    assert (call.outcome, call.usage.counts, call.usage.complete) == (OK, COUNTS, True)
    assert (call.provider, call.operation, call.is_stream) == ("mistral_ai", "chat", way is to_the_end)
    assert (call.request_model, call.answer.model, call.answer.finish_reasons) == (MODEL, MODEL, ("stop",))
    assert isinstance(call.price, Cost)
    assert call.price.quality == "exact"
    assert "stream_options" not in provider.asked[-1].body


@_MODES
@pytest.mark.parametrize("way", [left_early, left_within, unread])
def test_a_stream_that_is_left_early_is_estimated(way: Any, provider: Provider, mode: str) -> None:
    """One that nobody reads, too: it has been asked for."""
    (call,) = asked(way, streamed, provider, mode)
    assert call.outcome == ABANDONED
    assert call.usage is not None
    assert not call.usage.complete
    assert call.usage.get("input") in range(3, 20)
    assert call.usage.get("output") in range(8)
    assert isinstance(call.price, Cost)
    assert call.price.quality == "estimated"


@_MODES
def test_a_stream_that_breaks_is_an_error_and_an_estimate(provider: Provider, mode: str) -> None:
    """The connection is cut."""
    (call,) = asked(to_the_end, lambda: [events([*chat_chunks(MODEL)[:5], CUT])], provider, mode)
    assert (call.outcome, call.is_stream) == (ERROR, True)
    assert call.usage is not None
    assert not call.usage.complete
    assert call.usage.get("output") > 0


@_MODES
@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500])
@pytest.mark.parametrize("way", [ask, to_the_end])
def test_a_refused_call_is_an_error_without_usage(way: Any, status: int, provider: Provider, mode: str) -> None:
    """The library's exception comes through; nothing is charged."""
    (call,) = asked(way, lambda: [error(status)], provider, mode)
    assert (call.outcome, call.http_status, call.usage, call.price) == (ERROR, status, None, None)


@_MODES
def test_where_nobody_answers_is_an_error(mode: str, provider: Provider) -> None:
    """Of the HTTP library."""
    (call,) = asker.asked(lambda: Asker("http://127.0.0.1:9", mode), ask, list, provider)
    assert (call.outcome, call.error_type, call.usage) == (ERROR, "ConnectError", None)


@_MODES
def test_retries_of_the_library_are_one_call(provider: Provider, mode: str) -> None:
    """Only the answer is booked."""
    retries = importlib.import_module(f"{ROOT}.utils")
    backoff = retries.BackoffStrategy(1, 10, 1.0, 5_000)
    config = retries.RetryConfig("backoff", backoff, retry_connection_errors=False)
    provider.replies.extend([error(503), *answered()])
    if Asker(provider.url, mode, retry_config=config).run(ask)[0][0] is IndexError:
        provider.reset()
        pytest.skip("this release fails in its own hook when it asks again")
    (call,) = asked(ask, lambda: [error(503), *answered()], provider, mode, retry_config=config)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


@_MODES
def test_an_answer_that_the_library_refuses_is_booked(provider: Provider, mode: str) -> None:
    """It was charged before it was looked at."""
    body = {"object": "list", "data": "none that one could read", "model": "mistral-embed", "usage": CHAT_USAGE}
    (call,) = asked(of("embeddings.create", model="mistral-embed", inputs=["a"]), lambda: [whole(body)], provider, mode)
    assert (call.outcome, call.usage and call.usage.get("input")) == (OK, 11)


@_MODES
def test_a_call_belongs_to_the_scope_that_it_is_made_in(provider: Provider, mode: str) -> None:
    """Whoever reads the stream."""

    async def scoped(a: Asker) -> None:
        with attribution(team="weather"):
            stream = a.of("chat.stream")(**ASKED)
            stream = await stream if a.is_async else stream
        await a.stream(stream)

    (call,) = asked(scoped, streamed, provider, mode)
    assert call.attribution.team == "weather"


@_MODES
def test_other_completions_are_counted(provider: Provider, mode: str) -> None:
    """Code between two pieces, and agents, whose model only the answer names."""
    fim = {"model": "codestral-2508", "prompt": "def f(", "suffix": "return 1"}
    agent = {"agent_id": "ag:1", "messages": ASKED["messages"]}
    for name, given, model, operation in (
        ("fim", fim, "codestral-2508", "text_completion"),
        ("agents", agent, "ag:1", "invoke_agent"),
    ):
        if "agent_id" in given and "agent_id" not in inspect.signature(Asker("", mode).of("agents.stream")).parameters:
            continue  # 1.0 had not what it takes
        (call,) = asked(of(f"{name}.complete", **given), answered, provider, mode)
        assert (call.operation, call.request_model, call.answer.model) == (operation, model, MODEL)
        assert call.usage is not None
        assert call.usage.counts == COUNTS
        (call,) = asked(stream_of(f"{name}.stream", **given), streamed, provider, mode)
        assert call.usage is not None
        assert (call.is_stream, call.usage.counts) == (True, COUNTS)


@_MODES
def test_embeddings_are_input(provider: Provider, mode: str) -> None:
    """All of it."""
    usage = {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10}
    body: dict[str, Any] = {"id": "e", "object": "list", "data": [], "model": "mistral-embed", "usage": usage}
    (call,) = asked(of("embeddings.create", model="mistral-embed", inputs=["a"]), lambda: [whole(body)], provider, mode)
    assert (call.operation, call.usage and call.usage.counts) == ("embeddings", {"input": 10, "output": 0})
    assert isinstance(call.price, Cost)
    assert call.price.nano_usd == 1_000


_DOCUMENT = {"type": "document_url", "document_url": "https://example.com/a.pdf"}


def _read(**more: Any) -> dict[str, Any]:
    info = {"pages_processed": 3, "doc_size_bytes": 18_810}
    pages: list[Any] = [{"index": 0, "markdown": "#", "images": [], "dimensions": None}]
    return {"pages": pages, "model": "mistral-ocr-2512", "usage_info": info, **more}


@_MODES
@pytest.mark.parametrize(
    ("more", "counts", "nano_usd"),
    [({}, {"pages": 3}, 6_000_000), ({"document_annotation": "{}"}, {"annotated_pages": 3}, 9_000_000)],
    ids=["plain", "annotated"],
)
def test_documents_are_charged_by_the_page(
    more: dict[str, Any], counts: dict[str, int], nano_usd: int, provider: Provider, mode: str
) -> None:
    """At the price of pages that were annotated, where they were."""
    way = of("ocr.process", model="mistral-ocr-2512", document=_DOCUMENT)
    (call,) = asked(way, lambda: [whole(_read(**more))], provider, mode)
    assert (call.operation, call.usage and call.usage.counts) == ("ocr", counts)
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == (nano_usd, "exact")


_AUDIO = {
    "prompt_audio_seconds": 3, "prompt_tokens": 5, "completion_tokens": 11, "total_tokens": 391,
    "prompt_tokens_details": {"audio_tokens": 375},
}  # fmt: skip
_HEARD = {"input": 380, "input_audio": 375, "output": 11, "input_audio_ms": 3_000}


@_MODES
@pytest.mark.parametrize("is_stream", [False, True])
def test_transcriptions_are_charged_by_the_second(provider: Provider, mode: str, *, is_stream: bool) -> None:
    """The request is a form, and not read: the answer names the model."""
    said: dict[str, Any] = {
        "model": "voxtral-mini-2602",
        "text": "rain",
        "language": "en",
        "usage": _AUDIO,
        "segments": [],
    }
    given = {"model": "voxtral-mini-latest", "file": {"file_name": "a.wav", "content": b"RIFF"}}
    if is_stream:
        heard: list[Any] = [
            {"type": "transcription.text.delta", "text": "rain"},
            {"type": "transcription.done", **said},
        ]
        way = stream_of("audio.transcriptions.stream", **given)
        (call,) = asked(way, lambda: [events(heard, named=True)], provider, mode)
    else:
        (call,) = asked(of("audio.transcriptions.complete", **given), lambda: [whole(said)], provider, mode)
    assert (call.operation, call.usage and call.usage.counts) == ("transcription", _HEARD)
    assert (call.answer.model, call.is_stream) == ("voxtral-mini-2602", is_stream)
    assert isinstance(call.price, Cost)
    assert call.price.nano_usd == 150_000


@_MODES
def test_speech_is_charged_by_what_is_said(provider: Provider, mode: str) -> None:
    """Its answer is sound, and no more."""
    way = of("audio.speech.complete", model="voxtral-mini-tts-2603", input="Rain.", voice_id="v")
    (call,) = asked(way, lambda: [whole({"audio_data": "AAAA"})], provider, mode)
    assert (call.operation, call.usage and call.usage.counts) == ("speech", {"characters": 5})


_TALK: dict[str, Any] = {
    "prompt_tokens": 188, "completion_tokens": 55, "total_tokens": 7355, "connector_tokens": 7112,
    "connectors": {"web_search": 1},
}  # fmt: skip
_TALKED = {"input": 7300, "input_tool": 7112, "output": 55, "web_searches": 1}


def _talk(usage: Any = None) -> dict[str, Any]:
    entry = {"type": "message.output", "id": "m", "role": "assistant", "content": "Rain.", "model": MODEL}
    return {"object": "conversation.response", "conversation_id": "c", "outputs": [entry], "usage": usage or _TALK}


def _talk_events(end: Any = None) -> list[Any]:
    word = {"type": "message.output.delta", "id": "m", "content": "eight by", "model": MODEL, "role": "assistant"}
    done = {"type": "conversation.response.done", "usage": _TALK}
    return [{"type": "conversation.response.started", "conversation_id": "c"}, *[word] * 40, end or done]


_CONVERSATIONS: list[tuple[str, dict[str, Any]]] = [
    ("start", {"model": MODEL, "inputs": "Will it rain?"}),
    ("append", {"conversation_id": "c", "inputs": "And tomorrow?"}),
    ("restart", {"conversation_id": "c", "inputs": "And tomorrow?", "from_entry_id": "m"}),
]


@_MODES
@pytest.mark.parametrize(("name", "given"), _CONVERSATIONS, ids=["start", "append", "restart"])
def test_conversations_are_counted_with_what_connectors_add(
    name: str, given: dict[str, Any], provider: Provider, mode: str
) -> None:
    """Connectors put tokens into the prompt, as the total proves; the answer names the model."""
    path = f"beta.conversations.{name}"
    (call,) = asked(of(path, **given), lambda: [whole(_talk())], provider, mode)
    assert call.usage is not None
    assert (call.operation, call.usage.counts, call.answer.model) == ("chat", _TALKED, MODEL)
    assert isinstance(call.price, Cost)
    assert call.price.quality == "incomplete"  # nobody states what a search costs
    way = stream_of(f"{path}_stream", **given)
    (call,) = asked(way, lambda: [events(_talk_events(), named=True)], provider, mode)
    assert call.usage is not None
    assert (call.outcome, call.usage.counts, call.answer.model, call.is_stream) == (OK, _TALKED, MODEL, True)


@_MODES
def test_a_conversation_that_is_left_early_is_an_estimate(provider: Provider, mode: str) -> None:
    """Of what it had shown by then."""

    async def way(a: Asker) -> None:
        await a.stream(a.of("beta.conversations.start_stream")(model=MODEL, inputs="Will it rain?"), 21)

    (call,) = asked(way, lambda: [events(_talk_events(), named=True)], provider, mode)
    assert call.usage is not None
    assert (call.outcome, call.usage.complete) == (ABANDONED, False)
    assert 40 <= call.usage.get("output") <= 82
    assert call.usage.get("input") in range(3, 20)


@_MODES
def test_an_error_within_a_conversation_is_one(provider: Provider, mode: str) -> None:
    """It comes as an event, which some versions hand on and others raise."""
    fault = {"type": "conversation.response.error", "message": "no", "code": "overloaded"}
    way = stream_of("beta.conversations.start_stream", model=MODEL, inputs="Will it rain?")
    (call,) = asked(way, lambda: [events(_talk_events(fault), named=True)], provider, mode)
    assert (call.outcome, call.error_type) == (ERROR, "overloaded")
    assert call.usage is not None
    assert not call.usage.complete


@_MODES
def test_moderations_report_no_usage(provider: Provider, mode: str) -> None:
    """They are charged by the token: unknown, not zero."""
    body: dict[str, Any] = {"id": "x", "model": "mistral-moderation-2411", "results": []}
    way = of("classifiers.moderate", model="mistral-moderation-2411", inputs=["a"])
    (call,) = asked(way, lambda: [whole(body)], provider, mode)
    assert (call.operation, call.usage) == ("moderation", None)
    assert isinstance(call.price, Unpriced)


@_MODES
def test_what_costs_nothing_is_no_call(provider: Provider, mode: str) -> None:
    """Models, and the history of a conversation."""

    async def way(a: Asker) -> None:
        await a.get(a.of("models.list")())
        await a.get(a.of("beta.conversations.get_history")(conversation_id="c"))

    said: list[Any] = [
        {"object": "list", "data": []},
        {"object": "conversation.history", "conversation_id": "c", "entries": []},
    ]
    assert asked(way, lambda: [whole(each) for each in said], provider, mode) == []


@_MODES
def test_the_tier_stands_in_the_usage(provider: Provider, mode: str) -> None:
    """Whether a call had priority."""
    usage = {**CHAT_USAGE, "service_tier": "priority"}
    (call,) = asked(ask, lambda: [whole(completion(model=MODEL, usage=usage))], provider, mode)
    assert (call.answer.tier, call.usage and call.usage.counts) == ("priority", COUNTS)
    assert isinstance(call.price, Cost)
    assert call.price.quality == "incomplete"  # nobody states what that costs


@pytest.mark.skipif(IS_OLD, reason="before 2.0 it is a package of its own shape")
def test_the_variant_for_azure_is_watched(provider: Provider) -> None:
    """It lies beside the library, with a copy of the class that sends."""
    variant: Any = pytest.importorskip("mistralai.azure.client")
    provider.replies.extend(answered())
    with Watched() as watched:
        variant.MistralAzure(api_key="local", server_url=provider.url).chat.complete(**ASKED)
        call = watched.call()
    assert (call.client, call.usage and call.usage.counts) == ("mistralai", COUNTS)


@_MODES
def test_an_event_that_comes_in_pieces_is_read_as_one(provider: Provider, mode: str) -> None:
    """Whatever the network makes of a stream."""

    def pieces() -> Replies:
        stream = b"".join(events(chat_chunks(MODEL)).pieces or ())
        return [Reply(kind=EVENTS, pieces=[stream[at : at + 7] for at in range(0, len(stream), 7)])]

    (call,) = asked(to_the_end, pieces, provider, mode)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


# --- what is reported -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "counts", "unread"),
    [
        ({**_TALK, "total_tokens": 243}, {**_TALKED, "input": 188}, ("input_tool",)),
        ({**_TALK, "connectors": {"image_generation": 1}}, {"input": 7300, "input_tool": 7112, "output": 55},
         ("connectors.image_generation",)),
        ({**_TALK, "connectors": {"code_interpreter": 2, "document_library": 1}},
         {"input": 7300, "input_tool": 7112, "output": 55, "code_executions": 2, "file_searches": 1}, ()),
        ({**_TALK, "connector_tokens": None, "connectors": None, "total_tokens": 243}, {"input": 188, "output": 55}, ()),
        (7, None, ("usage",)),
    ],
    ids=range(5),
)  # fmt: skip
def test_what_a_conversation_comes_to(usage: Any, counts: dict[str, int] | None, unread: tuple[str, ...]) -> None:
    """What is not understood is named."""
    answer = mistral_body.conversed(_talk(usage))
    assert answer is not None
    assert (answer.usage.counts if answer.usage is not None else None, answer.unread) == (counts, unread)


@pytest.mark.parametrize(
    ("body", "counts", "unread"),
    [
        (_read(usage_info=None), None, ("usage_info.pages_processed",)),
        (_read(usage_info={"pages_processed": -1}), None, ("usage_info.pages_processed",)),
        (_read(usage_info={"pages_processed": 3, "figures": 2}), {"pages": 3}, ("figures",)),
        (_read(pages=[{"images": [{"image_annotation": "{}"}]}]), {"pages": 3}, ("image_annotation",)),
        (_read(pages=[{"images": [{"image_annotation": None}]}]), {"pages": 3}, ()),
    ],
    ids=range(5),
)
def test_what_a_document_comes_to(body: Any, counts: dict[str, int] | None, unread: tuple[str, ...]) -> None:
    """Of images that were annotated, nobody says what they make of their page."""
    answer = mistral_body.read_pages(body)
    assert answer is not None
    assert (answer.usage.counts if answer.usage is not None else None, answer.unread) == (counts, unread)


@_MODES
def test_the_results_of_a_batch_are_calls(provider: Provider, mode: str) -> None:
    """Whether they come with the job or in its file, once each, for who handed the job in."""
    job = {
        "id": "job-1", "input_files": ["file-in"], "endpoint": "/v1/chat/completions", "errors": [], "status": "RUNNING",
        "created_at": 1, "total_requests": 2, "completed_requests": 0, "succeeded_requests": 0, "failed_requests": 0,
    }  # fmt: skip
    lines: list[Any] = [
        {"id": f"batch-{key}", "custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}
        for key, body in (("a", completion(id="chat-a", model=MODEL)), ("b", completion(id="chat-b", model=MODEL)))
    ]
    done = {**job, "status": "SUCCESS", "output_file": "file-out"}
    file = Reply("\n".join(map(json.dumps, lines)).encode(), kind="application/octet-stream")

    async def way(a: Asker) -> None:
        with attribution(team="night"):
            await a.get(a.of("batch.jobs.create")(endpoint=job["endpoint"], input_files=["file-in"], model=MODEL))
        await a.get(a.of("batch.jobs.get")(job_id="job-1"))
        found = a.of("files.download")(file_id="file-out")
        response = await found if a.is_async else found
        a.seen.append(await response.aread() if a.is_async else response.read())

    def replies() -> Replies:
        return [whole(job), whole({**done, "outputs": lines[:1]}), file]

    calls = asked(way, replies, provider, mode)
    assert [(call.answer.id, call.attribution.team) for call in calls] == [("chat-a", "night"), ("chat-b", "night")]
    assert [call.usage and call.usage.counts for call in calls] == [COUNTS, COUNTS]
    assert {(call.operation, call.answer.processing) for call in calls} == {("chat", "batch")}
