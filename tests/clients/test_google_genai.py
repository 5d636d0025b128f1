"""Google's library: every way of asking, on the Gemini API and on Vertex AI, by the sync and by the async client."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import asker
from answers import CUT, Reply, events, whole
from asker import Replies
from costspan import attribution
from costspan.calls import finishing
from costspan.clients import google_body
from costspan.facts.call import ABANDONED, ERROR, OK, Answer, Call
from costspan.facts.money import Cost, Unpriced
from google_caller import Asker, genai
from provider import Provider

# The library's own: of the async HTTP library that it is used with, and of images, for which it has a newer method.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The generate_images method"),
]

MODEL = "gemini-2.5-flash"
#: 13 input tokens, 2 of them added by a tool and 3 cached; 7 output tokens, 3 of them thoughts.
USAGE = {
    "promptTokenCount": 11, "toolUsePromptTokenCount": 2, "cachedContentTokenCount": 3, "candidatesTokenCount": 4,
    "thoughtsTokenCount": 3, "totalTokenCount": 20, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 11}],
}  # fmt: skip
COUNTS = {"input": 13, "input_tool": 2, "cache_read": 3, "output": 7, "reasoning": 3}
_WORDS = ("Well", ", this", " is", " a", " stream", " of", " eight", " pieces")

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
_HOSTS = pytest.mark.parametrize("is_vertex", [False, True], ids=["gemini", "vertex"])


def content(text: str = "yes", *, usage: Any = USAGE, reason: str | None = "STOP", **more: Any) -> dict[str, Any]:
    """Generated content, or one event of its stream."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}}
    if reason is not None:
        candidate["finishReason"] = reason
    body = {"candidates": [candidate], "modelVersion": MODEL, "responseId": "r-1", **more}
    return body if usage is None else {**body, "usageMetadata": usage}


def so_far(**counts: int) -> dict[str, Any]:
    """What an event reports of the totals so far."""
    return {f"{name}TokenCount": number for name, number in counts.items()}


def pieces(last: Any = None) -> list[Any]:
    """The events of a stream that reports the totals so far with each."""
    *first, end = _WORDS
    running = [
        content(word, reason=None, usage=so_far(prompt=11, candidates=at + 1, total=12 + at))
        for at, word in enumerate(first)
    ]
    return [*running, content(end, usage=USAGE if last is None else last)]


async def ask(a: Asker) -> None:
    """The plain call."""
    await a.get(a.of.models.generate_content(model=MODEL, contents="Will it rain?"))


async def to_the_end(a: Asker) -> None:
    """A stream, read to its end."""
    await a.stream(a.of.models.generate_content_stream(model=MODEL, contents="Will it rain?"))


async def left_early(a: Asker) -> None:
    """A loop over a stream, left after three items."""
    await a.stream(a.of.models.generate_content_stream(model=MODEL, contents="Will it rain?"), 3)


async def chat(a: Asker) -> None:
    """Two messages of a chat, the second as a stream."""
    talk = a.of.chats.create(model=MODEL)
    await a.get(talk.send_message("Will it rain?"))
    await a.stream(talk.send_message_stream("And tomorrow?"))


def asked(
    way: Callable[[Asker], Coroutine[Any, Any, None]], replies: Callable[[], Replies], provider: Provider, mode: str,
    **options: Any,
) -> list[Call]:  # fmt: skip
    """The calls that costspan booked, where the caller saw the same with and without it."""
    return asker.asked(lambda: Asker(provider.url, mode, **options), way, replies, provider)


@_HOSTS
@_MODES
def test_a_call_is_booked_as_the_provider_reports_it(provider: Provider, mode: str, *, is_vertex: bool) -> None:
    """Thoughts and what tools added are charged beside what the answer shows; the path names the model."""
    (call,) = asked(ask, lambda: [whole(content())], provider, mode, is_vertex=is_vertex)
    assert call.usage is not None
    assert call.usage.counts == COUNTS
    assert call.usage.complete
    assert (call.provider, call.operation) == ("gcp.vertex_ai" if is_vertex else "gcp.gemini", "generate_content")
    assert (call.request_model, call.answer.model, call.answer.id) == (MODEL, MODEL, "r-1")
    assert call.answer.finish_reasons == ("STOP",)
    assert isinstance(call.price, Cost)


@_HOSTS
@_MODES
def test_a_stream_is_booked_by_its_last_totals(provider: Provider, mode: str, *, is_vertex: bool) -> None:
    """They run: none is added to another."""
    (call,) = asked(to_the_end, lambda: [events(pieces())], provider, mode, is_vertex=is_vertex)
    assert call.usage is not None
    assert call.usage.counts == COUNTS
    assert (call.outcome, call.is_stream, call.usage.complete) == (OK, True, True)
    assert call.first_chunk_s is not None


@_MODES
def test_a_chat_is_its_calls(provider: Provider, mode: str) -> None:
    """Each message is asked for in one way or another."""
    calls = asked(chat, lambda: [whole(content()), events(pieces())], provider, mode)
    assert [call.usage and call.usage.counts for call in calls] == [COUNTS, COUNTS]
    assert [call.is_stream for call in calls] == [False, True]


def rain(city: str) -> str:
    """Whether it rains in a city."""
    return f"no rain in {city}"


@pytest.mark.parametrize("is_stream", [False, True])
@_MODES
def test_each_round_of_automatic_function_calling_is_a_call(provider: Provider, mode: str, *, is_stream: bool) -> None:
    """The library returns the usage of the last round alone; the others are charged as well."""
    call_of_tool = content(usage=so_far(prompt=20, candidates=5, total=25))
    call_of_tool["candidates"][0]["content"]["parts"] = [{"functionCall": {"name": "rain", "args": {"city": "Ulm"}}}]

    async def way(a: Asker) -> None:
        given = {"model": MODEL, "contents": "Does it rain in Ulm?", "config": {"tools": [rain]}}
        if is_stream:
            await a.stream(a.of.models.generate_content_stream(**given))
        else:
            await a.get(a.of.models.generate_content(**given))

    def replies() -> Replies:
        bodies = [call_of_tool, content(usage=so_far(prompt=31, candidates=6, total=37))]
        return [events([body]) if is_stream else whole(body) for body in bodies]

    calls = asked(way, replies, provider, mode)
    assert [call.usage and call.usage.counts for call in calls] == [
        {"input": 20, "output": 5}, {"input": 31, "output": 6},
    ]  # fmt: skip


@_MODES
def test_a_stream_that_is_left_early_is_estimated(provider: Provider, mode: str) -> None:
    """The totals so far are a lower bound."""
    (call,) = asked(left_early, lambda: [events(pieces())], provider, mode)
    assert call.outcome == ABANDONED
    assert call.usage is not None
    assert call.usage.get("input") == 11
    assert call.usage.get("output") in range(3, 8)
    assert not call.usage.complete
    assert isinstance(call.price, Cost)
    assert call.price.quality == "estimated"


@_MODES
def test_an_estimate_needs_no_totals(provider: Provider, mode: str) -> None:
    """Where the events report none: by what they show, and by what the request has of the prompt."""
    bodies = [content("some words of an answer", usage=None, reason=None) for _ in range(9)]
    (call,) = asked(left_early, lambda: [events(bodies)], provider, mode)
    assert call.usage is not None
    assert call.usage.get("input") in range(3, 16)
    assert call.usage.get("output") in range(12, 24)
    assert not call.usage.complete


@_MODES
def test_a_stream_that_nobody_reads_was_not_asked_for(provider: Provider, mode: str) -> None:
    """The library sends the request with the first item."""

    async def way(a: Asker) -> None:
        stream = a.of.models.generate_content_stream(model=MODEL, contents="Will it rain?")
        if a.is_async:
            await stream

    assert asked(way, list, provider, mode) == []
    assert provider.asked == []


@_MODES
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
@pytest.mark.parametrize("way", [ask, to_the_end])
def test_a_refused_call_is_an_error_without_usage(way: Any, status: int, provider: Provider, mode: str) -> None:
    """The library's exception comes through; nothing is charged."""

    def refusal() -> Replies:
        return [Reply(json.dumps({"error": {"code": status, "message": "no", "status": "NO"}}).encode(), status)]

    (call,) = asked(way, refusal, provider, mode)
    assert (call.outcome, call.http_status, call.usage, call.price) == (ERROR, status, None, None)
    assert call.error_type in {"ClientError", "ServerError"}


@_MODES
def test_retries_of_the_library_are_one_call(provider: Provider, mode: str) -> None:
    """Only the answer is booked."""
    retry = genai.types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.01)
    refusal = Reply(b'{"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}', 503)
    (call,) = asked(ask, lambda: [refusal, whole(content())], provider, mode, retry_options=retry)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


@_MODES
@pytest.mark.parametrize("end", ["error", "cut"])
def test_a_stream_that_breaks_is_an_error_and_an_estimate(end: str, provider: Provider, mode: str) -> None:
    """By an event that says so, or by the connection."""
    fault: Any = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}} if end == "error" else CUT
    (call,) = asked(to_the_end, lambda: [events([*pieces()[:5], fault])], provider, mode)
    assert call.outcome == ERROR
    assert call.usage is not None
    assert (call.usage.get("input"), call.usage.complete) == (11, False)
    assert call.usage.get("output") >= 5
    assert call.http_status == (503 if end == "error" else None)


@_MODES
def test_a_prompt_that_is_blocked_is_charged_as_input(provider: Provider, mode: str) -> None:
    """There are no candidates, and no error."""
    usage = so_far(prompt=11, total=11)
    body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": usage, "modelVersion": MODEL}
    (call,) = asked(ask, lambda: [whole(body)], provider, mode)
    assert call.usage is not None
    assert (call.outcome, call.usage.counts) == (OK, {"input": 11, "output": 0})
    assert call.answer.finish_reasons == ("PROHIBITED_CONTENT",)


@_MODES
def test_embeddings_are_input(provider: Provider, mode: str) -> None:
    """On the Gemini API as the answer reports them, or unknown."""

    async def way(a: Asker) -> None:
        await a.get(a.of.models.embed_content(model="gemini-embedding-001", contents=["a", "b"]))

    vectors = {"embeddings": [{"values": [0.5] * 700}] * 2}
    (call,) = asked(way, lambda: [whole({**vectors, "usageMetadata": so_far(prompt=11)})], provider, mode)
    assert call.usage is not None
    assert (call.operation, call.usage.counts) == ("embeddings", {"input": 11, "output": 0})
    (call,) = asked(way, lambda: [whole(vectors)], provider, mode)
    assert call.usage is None
    assert isinstance(call.price, Unpriced)


@_MODES
def test_embeddings_on_vertex_are_predictions(provider: Provider, mode: str) -> None:
    """Each reports its own tokens."""

    async def way(a: Asker) -> None:
        await a.get(a.of.models.embed_content(model="text-embedding-005", contents=["a", "b"]))

    each = {"embeddings": {"values": [0.5], "statistics": {"token_count": 5.0, "truncated": False}}}
    body = {"predictions": [each, each], "metadata": {"billableCharacterCount": 40}}
    (call,) = asked(way, lambda: [whole(body)], provider, mode, is_vertex=True)
    assert call.usage is not None
    assert (call.operation, call.request_model) == ("embeddings", "text-embedding-005")
    assert call.usage.counts == {"input": 10, "output": 0}


@_MODES
def test_images_and_videos_are_counted(provider: Provider, mode: str) -> None:
    """They report no usage: an image is one, of a video nothing is known."""

    async def draw(a: Asker) -> None:
        await a.get(a.of.models.generate_images(model="imagen-4.0-generate-001", prompt="rain"))

    async def film(a: Asker) -> None:
        source = genai.types.GenerateVideosSource(prompt="rain")
        await a.get(a.of.models.generate_videos(model="veo-3.0-generate-001", source=source))

    drawn = {"bytesBase64Encoded": "AAAA", "mimeType": "image/png"}
    body = {"predictions": [drawn, {"raiFilteredReason": "no"}, drawn]}
    (call,) = asked(draw, lambda: [whole(body)], provider, mode, is_vertex=True)
    assert call.usage is not None
    assert (call.operation, call.usage.counts) == ("image_generation", {"images": 2})
    (call,) = asked(film, lambda: [whole({"name": "operations/1"})], provider, mode, is_vertex=True)
    assert (call.operation, call.request_model, call.usage) == ("video_generation", "veo-3.0-generate-001", None)
    assert isinstance(call.price, Unpriced)


@_MODES
def test_what_costs_nothing_is_no_call(provider: Provider, mode: str) -> None:
    """Token counts, files, caches, models."""

    async def way(a: Asker) -> None:
        await a.get(a.of.models.count_tokens(model=MODEL, contents="Will it rain?"))
        await a.get(a.of.models.get(model=MODEL))
        await a.get(a.of.files.get(name="files/1"))
        await a.get(a.of.caches.get(name="cachedContents/1"))

    replies = [{"totalTokens": 4}, {"name": f"models/{MODEL}"}, {"name": "files/1"}, {"name": "cachedContents/1"}]
    assert asked(way, lambda: [whole(reply) for reply in replies], provider, mode) == []


@_MODES
@pytest.mark.parametrize("way", [ask, to_the_end])
def test_a_call_belongs_to_the_scope_that_it_is_made_in(way: Any, provider: Provider, mode: str) -> None:
    """A stream to the one that reads it, for that is when it is asked for."""

    async def scoped(a: Asker) -> None:
        with attribution(team="weather"):
            await way(a)

    (call,) = asked(scoped, lambda: [whole(content()) if way is ask else events(pieces())], provider, mode)
    assert call.attribution.team == "weather"


@_MODES
def test_an_address_may_be_given_for_one_request(provider: Provider, mode: str) -> None:
    """It is the one that counts."""

    async def way(a: Asker) -> None:
        options = {"http_options": {"base_url": provider.url.replace("127.0.0.1", "localhost")}}
        await a.get(a.of.models.generate_content(model=MODEL, contents="x", config=options))

    (call,) = asked(way, lambda: [whole(content())], provider, mode)
    assert (call.host, call.port, call.provider) == ("localhost", provider.port, "unknown")


@_MODES
def test_an_answer_that_the_library_cannot_read_is_booked(provider: Provider, mode: str) -> None:
    """It was charged before it was looked at."""
    body = {**content(), "candidates": "none that one could read"}
    (call,) = asked(ask, lambda: [whole(body)], provider, mode)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


# --- what a usage says ------------------------------------------------------------------------------------------


def _read(usage: Any, **more: Any) -> Answer:
    answer = google_body.generated(content(usage=usage, **more))
    assert answer is not None
    return answer


_AUDIO = [{"modality": "AUDIO", "tokenCount": 6}, {"modality": "TEXT", "tokenCount": 5}]


@pytest.mark.parametrize(
    ("usage", "counts", "unread"),
    [
        (USAGE, COUNTS, ()),
        (so_far(prompt=11, total=11), {"input": 11, "output": 0}, ()),
        (so_far(prompt=11, thoughts=3, total=14), {"input": 11, "output": 3, "reasoning": 3}, ()),
        (so_far(prompt=11, thoughts=3), {"input": 11, "output": 3, "reasoning": 3}, ("candidatesTokenCount",)),
        (so_far(prompt=11), {"input": 11}, ()),
        (so_far(candidates=4, thoughts=3), {"output": 7, "reasoning": 3}, ()),
        (so_far(candidates=4, thoughts=3, total=18), {"input": 11, "output": 7, "reasoning": 3}, ()),
        # Thoughts that only the total tells of.
        (so_far(prompt=11, candidates=4, total=18), {"input": 11, "output": 7, "reasoning": 3}, ()),
        (so_far(prompt=11, candidates=4, thoughts=3, total=30), {"input": 11, "output": 7, "reasoning": 3}, ("totalTokenCount",)),
        (so_far(prompt=11, candidates=4, total=9), {"input": 11, "output": 4}, ("totalTokenCount",)),
        ({**so_far(prompt=11, candidates=4), "promptTokensDetails": _AUDIO}, {"input": 11, "output": 4, "input_audio": 6}, ()),
        ({**so_far(prompt=11, candidates=4, toolUsePrompt=6), "promptTokensDetails": _AUDIO, "toolUsePromptTokensDetails": _AUDIO},
         {"input": 17, "output": 4, "input_tool": 6, "input_audio": 12}, ()),
        ({**so_far(prompt=11, candidates=4, cachedContent=6), "cacheTokensDetails": _AUDIO},
         {"input": 11, "output": 4, "cache_read": 6, "cache_read_audio": 6}, ()),
        ({**so_far(prompt=11, candidates=9), "candidatesTokensDetails": [{"modality": 2, "tokenCount": 8}]},
         {"input": 11, "output": 9, "output_image": 8}, ()),
        ({**so_far(prompt=11, candidates=4), "promptTokensDetails": [{"modality": "SMELL", "tokenCount": 8}]},
         {"input": 11, "output": 4}, ("promptTokensDetails",)),
        ({**so_far(prompt=11, candidates=4), "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 60}]},
         {"input": 11, "output": 4, "input_audio": 60}, ("input_audio",)),
        (so_far(prompt=11, candidates=4, cachedContent=12), {"input": 11, "output": 4, "cache_read": 12}, ("cache_read",)),
        ({**so_far(prompt=11, candidates=4), "dreamTokenCount": 8}, {"input": 11, "output": 4}, ("dreamTokenCount",)),
        ({**so_far(prompt=11), "candidatesTokenCount": -4}, {"input": 11}, ("candidatesTokenCount",)),
        ({"promptTokenCount": "11", "candidatesTokenCount": 4.0}, {"input": 11, "output": 4}, ()),
        ({"promptTokenCount": True}, None, ("promptTokenCount",)),
        (5, None, ("usageMetadata",)),
        ({}, None, ()),
    ],
    ids=range(23),
)  # fmt: skip
def test_what_a_usage_comes_to(usage: Any, counts: dict[str, int] | None, unread: tuple[str, ...]) -> None:
    """What it leaves out is what its total leaves over; what is not understood is named."""
    answer = _read(usage)
    assert (answer.usage.counts if answer.usage is not None else None) == counts
    assert answer.unread == unread


@pytest.mark.parametrize(
    ("said", "tier"),
    [
        ({"trafficType": "ON_DEMAND"}, "ON_DEMAND"),
        ({"trafficType": "ON_DEMAND_FLEX", "serviceTier": "standard"}, "ON_DEMAND_FLEX"),
        ({"trafficType": "TRAFFIC_TYPE_UNSPECIFIED", "serviceTier": "priority"}, "priority"),
        ({"serviceTier": "unspecified"}, None),
        ({}, None),
    ],
)
def test_the_tier_is_the_one_that_was_charged(said: dict[str, str], tier: str | None) -> None:
    """Vertex AI says how a call was treated; what was asked for it may pass over."""
    assert _read({**USAGE, **said}).tier == tier


@pytest.mark.parametrize(
    ("model", "queries", "searches"),
    [
        ("gemini-2.5-flash", ["a", "b", "c"], 1),
        ("gemini-2.0-flash", ["a", "b", "c"], 1),
        ("gemini-3-flash-preview", ["a", "b", "c"], 3),
        ("gemini-3.8-flash", ["a", "b", "c"], 3),
        ("gemini-3.8-flash", ["a", "b", "a"], 2),
        ("gemini-3.8-flash", ["a", "", None, 7], 1),
        ("gemini-3.8-flash", [""], 0),
        ("gemini-2.5-flash", [""], 0),
    ],
)
def test_searches_are_charged_by_the_model(model: str, queries: list[Any], searches: int) -> None:
    """The older ones by the answer that rests on searches, the newer ones by the search; one that is empty is none."""
    body = content(modelVersion=model)
    body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": queries}
    answer = google_body.generated(body)
    assert answer is not None
    assert answer.usage is not None
    assert answer.usage.get("web_searches") == searches
    assert answer.unread == ()


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"groundingChunks": [{"maps": {"uri": "x"}}]}, "groundingMetadata.maps"),
        ({"imageSearchQueries": ["a"]}, "groundingMetadata.imageSearchQueries"),
    ],
)
def test_places_on_the_map_and_searches_for_pictures_are_named(said: dict[str, Any], named: str) -> None:
    """By a price that is in no table, or that is not said to be that of other searches."""
    body = content()
    body["candidates"][0]["groundingMetadata"] = said
    answer = google_body.generated(body)
    assert answer is not None
    assert answer.unread == (named,)


@pytest.mark.parametrize(
    ("last", "counts"),
    [
        (so_far(prompt=11, candidates=6, total=17), {"input": 11, "output": 9, "reasoning": 3}),
        (so_far(prompt=11, candidates=6), {"input": 11, "output": 9, "reasoning": 3}),
        (so_far(prompt=11, thoughts=5), {"input": 11, "output": 7, "reasoning": 5}),
        (so_far(candidates=6), {"input": 11, "output": 9, "reasoning": 3}),
        (so_far(prompt=0, candidates=6, thoughts=3), {"input": 11, "output": 9, "reasoning": 3}),
        (so_far(prompt=11, candidates=6, thoughts=4, total=21), {"input": 11, "output": 10, "reasoning": 4}),
    ],
)
@_MODES
def test_totals_are_joined_field_by_field(
    last: dict[str, Any], counts: dict[str, int], provider: Provider, mode: str
) -> None:
    """The last event may leave some of them out."""
    first = content("a", usage=so_far(prompt=11, candidates=2, thoughts=3), reason=None)
    (call,) = asked(to_the_end, lambda: [events([first, content("b", usage=last)])], provider, mode)
    assert call.usage is not None
    assert call.usage.counts == counts


def test_totals_that_come_early_are_not_lost(provider: Provider) -> None:
    """However many events follow without any."""
    bodies = [content("a", usage=USAGE, reason=None), *[content("b", usage=None, reason=None)] * 99]
    (call,) = asked(to_the_end, lambda: [events([*bodies, content("c", usage=None)])], provider, "sync")
    assert call.usage is not None
    assert call.usage.counts == COUNTS
    assert not finishing.late


@pytest.mark.parametrize("is_object", [True, False])
def test_answers_are_read_as_text_and_as_objects(*, is_object: bool) -> None:
    """Versions before 1.21 return the object itself."""
    body = content()
    answer = google_body.generated(body if is_object else {"headers": {}, "body": json.dumps(body)})
    assert answer is not None
    assert answer.usage is not None
    assert answer.usage.counts == COUNTS


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '{"usageMetadata": [1]}', '{"candidates": [1, null, {"content": 5}]}']
)
def test_a_body_that_is_none_is_read_as_nothing(body: str) -> None:
    """No reader raises."""
    message = {"headers": None, "body": body}
    for read in (google_body.generated, google_body.embedded, google_body.predicted, google_body.started):
        answer = read(message)
        assert answer is None or answer.usage is None
    google_body.shown(message)
    google_body.prompt({"contents": [1, {"parts": 3}], "systemInstruction": "x"})


@_MODES
def test_the_results_of_a_batch_are_calls(provider: Provider, mode: str, tmp_path: Path) -> None:
    """Whether they come with the job or in a file of its own, once each, for who handed the job in."""

    def job(**output: Any) -> Reply:
        return whole({"name": "batches/b-1", "metadata": {"model": f"models/{MODEL}", "output": output}})

    given = [
        {"response": content(responseId="r-a"), "metadata": {"key": "a"}},
        {"error": {"code": 13, "message": "no"}, "metadata": {"key": "b"}},
    ]
    embedded: dict[str, Any] = {"inlinedResponses": [{"response": {"embedding": {"values": []}, "tokenCount": "5"}}]}
    lines = [json.dumps({"key": key, "response": content(responseId=f"r-{key}")}).encode() for key in "cd"]
    files = [Reply(b"\n".join(found), kind="application/octet-stream") for found in (lines[:1], lines, [b"RIFF"])]

    async def way(a: Asker) -> None:
        def file(name: str, **more: Any) -> Any:
            return a.of.files.download(file=f"files/{name}", **more)

        source = [{"contents": [{"role": "user", "parts": [{"text": "Will it rain?"}]}]}]
        with attribution(team="night"):
            made = a.of.batches.create(model=MODEL, src=source)
            await made if a.is_async else made
        for _ in range(2):
            await a.get(a.of.batches.get(name="batches/b-1"))
        found = file("f-1")
        a.seen.append(await found if a.is_async else found)
        has_destination = "destination" in inspect.signature(a.of.files.download).parameters
        found = file("f-1", **({"destination": tmp_path / "results.jsonl"} if has_destination else {}))
        await found if a.is_async else found
        found = file("f-2")
        a.seen.append(await found if a.is_async else found)

    def replies() -> Replies:
        inlined: dict[str, Any] = {
            "inlinedResponses": {"inlinedResponses": given},
            "inlinedEmbedContentResponses": embedded,
        }
        return [job(), job(), job(**inlined, responsesFile="files/f-1"), *files]

    calls = asked(way, replies, provider, mode)
    assert [(call.answer.id, call.operation, call.error_type, call.answer.processing) for call in calls] == [
        ("r-a", "generate_content", None, "batch"),
        ("b-1/b", "generate_content", "13", "batch"),
        ("b-1/2", "embeddings", None, "batch"),
        ("r-c", "generate_content", None, "batch"),
        ("r-d", "generate_content", None, "batch"),
    ]
    assert [call.usage and call.usage.counts for call in calls] == [
        COUNTS, None, {"input": 5, "output": 0}, COUNTS, COUNTS,
    ]  # fmt: skip
    assert {call.attribution.team for call in calls} == {"night"}
    assert calls[2].request_model == MODEL
