"""xAI's library over gRPC: chat, whole, streamed and deferred, images, videos and batches, against a server of its own protocol."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from budgeted import NOTHING_LEFT, budgeted, reserved_in
from costspan import BudgetExceeded, attribution, names
from costspan.clients import xai_body
from costspan.facts.call import ABANDONED, ERROR, OK, REFUSED, Call
from costspan.facts.money import Cost, Unpriced
from watching import Watched
from xai_caller import Asker, grpc, proto, serving

pytestmark = [
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

COUNTS = {"input": 11, "output": 7, "cache_read": 3, "reasoning": 2}
_USAGE = {
    "prompt_tokens": 11, "completion_tokens": 5, "reasoning_tokens": 2, "total_tokens": 18,
    "prompt_text_tokens": 11, "cached_prompt_text_tokens": 3,
}  # fmt: skip
_WORDS = ("Well", ", this", " is", " a", " stream")
_MODES = pytest.mark.parametrize("mode", ["sync", "async"])
Way = Callable[[Asker], Coroutine[Any, Any, None]]
Methods = dict[str, Callable[[Any], Any]]
_chat, _image, _video = proto.chat_pb2, proto.image_pb2, proto.video_pb2
_GROK = "grok-imagine-video"
_TELLS_COST = "cost_in_usd_ticks" in proto.usage_pb2.SamplingUsage.DESCRIPTOR.fields_by_name
_USER: Any = importlib.import_module("xai_sdk.chat").user


def usage(**more: Any) -> Any:
    """A usage; `more` replaces fields."""
    return proto.usage_pb2.SamplingUsage(**{**_USAGE, **more})


def completion(text: str = '{"word": "yes"}', spent: Any = None, **more: Any) -> Any:
    """A whole answer."""
    output = _chat.CompletionOutput(finish_reason="REASON_STOP", message=_chat.CompletionMessage(content=text))
    return _chat.GetChatCompletionResponse(
        id="resp-1", model="grok-4-0709", outputs=[output], usage=spent or usage(), **more
    )


def chunks() -> list[Any]:
    """A stream: each chunk has what was used by then."""

    def chunk(number: int, word: str, reason: str = "REASON_INVALID") -> Any:
        output = _chat.CompletionOutputChunk(delta=_chat.Delta(content=word), finish_reason=reason)
        spent = usage(completion_tokens=number, reasoning_tokens=2, total_tokens=13 + number)
        return _chat.GetChatCompletionChunk(id="resp-1", model="grok-4-0709", outputs=[output], usage=spent)

    return [*(chunk(at + 1, word) for at, word in enumerate(_WORDS[:-1])), chunk(5, _WORDS[-1], "REASON_STOP")]


def chat_of(a: Asker, model: str = "grok-4") -> Any:
    """A conversation."""
    chat = a.open().chat.create(model=model)
    chat.append(_USER("Will it rain?"))
    return chat


async def sample(a: Asker) -> None:
    """The plain call."""
    await a.get(chat_of(a).sample())


async def stream(a: Asker) -> None:
    """To its end."""
    await a.stream(chat_of(a).stream())


def asked(way: Way, methods: Methods, mode: str) -> list[Call]:
    """The calls that costspan booked, where the caller saw the same with and without it."""
    with serving(methods) as place:
        plain = Asker(place, mode).run(way)
        hosts = f"127.0.0.1:{place.rpartition(':')[2]}=x_ai"
        with Watched(hosts=hosts) as watched:
            seen = Asker(place, mode).run(way)
            assert seen == plain, (seen, plain)
            calls = list(watched.calls())
            assert len(watched.spans()) == len(calls), watched.spans()
            assert len(watched.events()) == len(calls)
            assert watched.total(names.REQUESTS) == len(calls)
    return calls


_SERVED: Methods = {"Chat.GetCompletion": lambda _: completion(), "Chat.GetCompletionChunk": lambda _: chunks()}


@_MODES
@pytest.mark.parametrize("way", [sample, stream])
def test_a_chat_is_booked_as_it_is_reported(way: Way, mode: str) -> None:
    """Reasoning stands beside the answer; the scope that asks is the one that pays."""

    async def scoped(a: Asker) -> None:
        with attribution(team="weather"):
            await way(a)

    (call,) = asked(scoped, _SERVED, mode)
    assert call.usage is not None
    assert (call.usage.counts, call.usage.complete, call.answer.unread) == (COUNTS, True, ())
    assert (call.outcome, call.operation, call.is_stream) == (OK, "chat", way is stream)
    assert (call.provider, call.host, call.attribution.team) == ("x_ai", "127.0.0.1", "weather")
    assert (call.request_model, call.answer.model, call.answer.id) == ("grok-4", "grok-4-0709", "resp-1")
    assert call.answer.finish_reasons == ("stop",)
    assert isinstance(call.price, Cost)
    assert call.price.nano_usd == 8 * 3_000 + 3 * 750 + 7 * 15_000


@_MODES
def test_what_it_cost_is_taken_as_it_is_told(mode: str) -> None:
    """In ticks of 1e-10 USD."""
    served: Methods = {"Chat.GetCompletion": lambda _: completion(spent=usage(cost_in_usd_ticks=123_450))}
    (call,) = asked(sample, served, mode)
    assert isinstance(call.price, Cost)
    assert (call.price.nano_usd, call.price.quality) == (12_345, "reported")


@_MODES
def test_tools_of_the_server_are_counted(mode: str) -> None:
    """By what each is charged as; one that nobody knows is named."""
    used = ["WEB_SEARCH", "WEB_SEARCH", "CODE_EXECUTION", "COLLECTIONS_SEARCH", "VIEW_IMAGE", "X_SEARCH"]
    spent = usage(server_side_tools_used=[f"SERVER_SIDE_TOOL_{name}" for name in used], num_sources_used=4)
    (call,) = asked(sample, {"Chat.GetCompletion": lambda _: completion(spent=spent)}, mode)
    assert call.usage is not None
    found = {unit: call.usage.get(unit) for unit in ("web_searches", "code_executions", "file_searches")}
    assert found == {"web_searches": 2, "code_executions": 1, "file_searches": 1}
    assert call.answer.unread == ("server_side_tools_used.x_search",)


def test_a_count_of_a_newer_version_is_named() -> None:
    """Nobody knows what it is charged as: the usage is a lower bound."""
    pool: Any = importlib.import_module("google.protobuf.descriptor_pool").DescriptorPool()
    added: list[str] = []

    def add(file: Any) -> None:
        """The file after those that it needs, and a count more in the usage."""
        if file.name in added:
            return
        for needed in file.dependencies:
            add(needed)
        described: Any = importlib.import_module("google.protobuf.descriptor_pb2").FileDescriptorProto()
        file.CopyToProto(described)
        for message in described.message_type:
            if message.name == "SamplingUsage":
                message.field.add(name="thought_tokens", number=1000, type="TYPE_INT32", label="LABEL_OPTIONAL")
        pool.Add(described)
        added.append(file.name)

    add(_chat.DESCRIPTOR)
    factory: Any = importlib.import_module("google.protobuf.message_factory")
    newer = factory.GetMessageClass(pool.FindMessageTypeByName(completion().DESCRIPTOR.full_name))
    message = newer.FromString(completion().SerializeToString())
    message.usage.thought_tokens = 4
    answer = xai_body.chat(message)
    assert answer is not None
    assert answer.usage is not None
    assert (answer.usage.counts, answer.usage.complete, answer.unread) == (COUNTS, True, ("thought_tokens",))


@_MODES
def test_tier_and_pictures_are_read(mode: str) -> None:
    """A picture in the prompt is a part of the input."""
    if "service_tier" not in completion().DESCRIPTOR.fields_by_name:
        pytest.skip("this version of xai-sdk has no service_tier")
    spent = usage(prompt_image_tokens=4)
    served: Methods = {"Chat.GetCompletion": lambda _: completion(spent=spent, service_tier="SERVICE_TIER_PRIORITY")}
    (call,) = asked(sample, served, mode)
    assert call.answer.tier == "priority"
    assert call.usage is not None
    assert call.usage.get("input_image") == 4


@_MODES
def test_the_librarys_own_span_is_the_span_of_the_call(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers stay, and what it costs stands beside them."""
    module = importlib.import_module("xai_sdk.aio.chat" if mode == "async" else "xai_sdk.sync.chat")
    with serving(_SERVED) as place, Watched() as watched:
        monkeypatch.setattr(module, "tracer", watched.tracer_provider.get_tracer("xai_sdk"))
        Asker(place, mode).run(sample)
        Asker(place, mode).run(stream)
        spans = watched.spans()
        assert [span.name for span in spans] == ["chat.sample grok-4", "chat.stream grok-4"]
        assert len(watched.calls()) == 2
    assert spans[0].attributes is not None
    assert spans[0].attributes["gen_ai.usage.prompt_text_tokens"] == 11
    assert spans[0].attributes["llm.outcome"] == "ok"


@_MODES
def test_a_stream_that_is_left_early_is_a_lower_bound(mode: str) -> None:
    """Each chunk says what was used by then."""

    async def way(a: Asker) -> None:
        await a.stream(chat_of(a).stream(), 2)

    (call,) = asked(way, _SERVED, mode)
    assert (call.outcome, call.usage and call.usage.complete) == (ABANDONED, False)
    assert call.usage is not None
    assert call.usage.get("input") == 11
    assert call.usage.get("output") >= 2


@_MODES
def test_a_stream_that_breaks_is_an_error_and_an_estimate(mode: str) -> None:
    """What came by then was made."""
    served: Methods = {"Chat.GetCompletionChunk": lambda _: [*chunks()[:2], grpc.StatusCode.INTERNAL]}
    (call,) = asked(stream, served, mode)
    assert (call.outcome, call.usage and call.usage.complete) == (ERROR, False)


@_MODES
@pytest.mark.parametrize("way", [sample, stream])
@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "INVALID_ARGUMENT"])
def test_a_refused_call_is_an_error_without_usage(way: Way, code: str, mode: str) -> None:
    """Told by its code. The library's exception comes through."""
    refusal = getattr(grpc.StatusCode, code)
    served: Methods = {"Chat.GetCompletion": lambda _: refusal, "Chat.GetCompletionChunk": lambda _: [refusal]}
    (call,) = asked(way, served, mode)
    assert (call.outcome, call.error_type, call.usage, call.price) == (ERROR, code, None, None)
    assert call.is_stream is (way is stream)


@_MODES
def test_an_answer_that_the_library_cannot_parse_is_booked(mode: str) -> None:
    """It was made all the same."""
    shape: Any = importlib.import_module("pydantic").create_model("Word", word=(int, ...))

    async def way(a: Asker) -> None:
        await a.get(chat_of(a).parse(shape))

    (call,) = asked(way, _SERVED, mode)
    assert (call.outcome, call.usage and call.usage.counts) == (OK, COUNTS)


@_MODES
def test_an_answer_without_usage_is_unknown(mode: str) -> None:
    """Not nothing."""
    bare = completion()
    bare.ClearField("usage")
    (call,) = asked(sample, {"Chat.GetCompletion": lambda _: bare}, mode)
    assert (call.outcome, call.usage) == (OK, None)


@_MODES
def test_a_deferred_answer_is_booked_when_it_is_there(mode: str) -> None:
    """Once, whoever fetches it: asking whether it is there is no call."""
    status = proto.deferred_pb2.DeferredStatus

    def fetched(_: Any) -> Any:
        polls.append(1)
        if len(polls) % 2:
            return _chat.GetDeferredCompletionResponse(status=status.PENDING)
        return _chat.GetDeferredCompletionResponse(status=status.DONE, response=completion())

    async def way(a: Asker) -> None:
        chat = chat_of(a)
        await a.get(chat.defer())
        await a.get(chat.defer())

    polls: list[int] = []
    started: Any = proto.deferred_pb2.StartDeferredResponse(request_id="later-1")
    (call,) = asked(
        way, {"Chat.StartDeferredCompletion": lambda _: started, "Chat.GetDeferredCompletion": fetched}, mode
    )
    assert (call.usage and call.usage.counts, call.is_fetchable) == (COUNTS, True)


@_MODES
def test_the_results_of_a_batch_are_booked_at_its_price(mode: str) -> None:
    """Each once, however often they are listed."""
    batch = proto.batch_pb2

    def listed(_: Any) -> Any:
        answered = batch.BatchResultData(completion_response=completion())
        drawn = batch.BatchResultData(image_response=_image.ImageResponse(images=[_image.GeneratedImage()]))
        failed = batch.BatchResult(batch_request_id="c", error={"code": 8, "message": "no"})
        given = [
            batch.BatchResult(batch_request_id=key, response=said) for key, said in (("a", answered), ("b", drawn))
        ]
        return batch.ListBatchResultsResponse(results=[*given, failed])

    async def way(a: Asker) -> None:
        client = a.open()
        await a.get(client.batch.list_batch_results("batch-1"))
        await a.get(client.batch.list_batch_results("batch-1"))

    calls = asked(way, {"BatchMgmt.ListBatchResults": listed}, mode)
    assert [call.usage and call.usage.counts for call in calls] == [COUNTS, {"images": 1}, None]
    assert {call.answer.processing for call in calls} == {"batch"}
    assert [call.answer.id for call in calls] == ["resp-1", "batch-1/b", "batch-1/c"]
    assert (calls[2].outcome, calls[2].error_type, calls[2].price) == (ERROR, "8", None)


@_MODES
def test_pictures_are_counted(mode: str) -> None:
    """With what else they used."""

    async def way(a: Asker) -> None:
        found = a.open().image.sample_batch("rain", "grok-2-image", 2)
        a.look(len(await found if a.is_async else found))

    drawn = _image.ImageResponse(images=[_image.GeneratedImage(url="u")] * 2, model="grok-2-image", usage=usage())
    (call,) = asked(way, {"Image.GenerateImage": lambda _: drawn}, mode)
    assert (call.operation, call.usage and call.usage.get("images")) == ("image_generation", 2)


@_MODES
def test_the_seconds_of_a_video_are_counted(mode: str) -> None:
    """Once, when it is there. What one costs depends on its size, which the answer does not tell, so that a cost is as reported or unknown."""
    spent = proto.usage_pb2.SamplingUsage(**({"cost_in_usd_ticks": 2_500_000_000} if _TELLS_COST else {}))
    made = [
        _video.VideoResponse(video=_video.GeneratedVideo(url="u", duration=5), model=_GROK, **more)
        for more in ({}, {"usage": spent})
    ]
    stands: dict[str, Any] = {
        "a": iter([{"status": "PENDING"}, *[{"status": "DONE", "response": made[0]}] * 2]),
        "b": iter([{"status": "DONE", "response": made[1]}]),
        "c": iter([{"status": "FAILED"}]),
    }

    async def way(a: Asker) -> None:
        client = a.open()
        for name in "aaabc":
            found = client.video.get(name)
            a.look(type(await found if a.is_async else found))

    def stand(request: Any) -> Any:
        return _video.GetDeferredVideoResponse(**next(stands[request.request_id]))

    with serving({"Video.GetDeferredVideo": stand}) as place, Watched(hosts=f"{place}=x_ai") as watched:
        Asker(place, mode).run(way)
        calls = list(watched.calls())
    assert [(call.answer.id, call.operation, call.outcome) for call in calls] == [
        ("a", "video_generation", OK), ("b", "video_generation", OK), ("c", "video_generation", ERROR),
    ]  # fmt: skip
    assert [call.usage and call.usage.get("output_video_ms") for call in calls] == [5_000, 5_000, None]
    assert isinstance(calls[0].price, Unpriced)
    assert not _TELLS_COST or (isinstance(calls[1].price, Cost) and calls[1].price.nano_usd == 250_000_000)
    assert calls[2].price is None


def test_other_services_over_grpc_are_left_alone() -> None:
    """What gRPC gives for a method that is not of the library's endpoints is the object that it always is."""
    with Watched(), serving({"Chat.DeleteStoredCompletion": lambda _: _chat.DeleteStoredCompletionResponse()}) as place:
        asker = Asker(place, "sync")
        asker.open().chat.delete_stored_completion("x")
        asker.of.close()
        chosen: Any = importlib.import_module("grpc.aio._channel").UnaryUnaryMultiCallable.__call__
        assert chosen.__wrapped__ is not None
    with Watched() as watched:
        assert not watched.calls()


@_MODES
@pytest.mark.parametrize("way", [sample, stream])
def test_a_hard_budget_refuses_before_anything_is_sent(way: Way, mode: str, tmp_path: Path) -> None:
    """Of a stream, too, whose request gRPC sends as soon as its method is called."""
    served: list[Any] = []
    found: list[BudgetExceeded] = []

    def serve(request: Any) -> Any:
        served.append(request)
        return completion() if way is sample else chunks()

    async def refused(a: Asker) -> None:
        with pytest.raises(BudgetExceeded) as caught:
            await way(a)
        found.append(caught.value)

    with serving({"Chat.GetCompletion": serve, "Chat.GetCompletionChunk": serve}) as place:
        hosts = f"127.0.0.1:{place.rpartition(':')[2]}=x_ai"
        with budgeted(tmp_path, NOTHING_LEFT, hosts=hosts) as watched:
            assert Asker(place, mode).run(refused) == []
            call = watched.call()
            assert watched.total(names.REQUESTS, llm__outcome=REFUSED) == watched.total(names.BUDGET_REFUSED) == 1
    assert served == []
    assert (found[0].budget, found[0].spent, call.outcome, call.price) == ("nothing", 0, REFUSED, None)
    assert reserved_in(tmp_path) == []
