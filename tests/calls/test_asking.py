"""Asking for usage on behalf of a caller who did not: he gets no event that he did not ask for, and no refusal."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest

import ways
from answers import CHAT_USAGE, Reply, chat_chunks, error, events
from caller import KINDS, Caller, Kind, flavour
from comparing import OPENAI_USAGE, compared
from costspan import guard
from costspan.calls import streams
from costspan.clients.dialects import http_bodies
from costspan.facts.call import Call
from provider import Provider
from watching import Watched

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def _asking(options: dict[str, Any], *, extra: bool = False) -> Callable[[Caller], Any]:
    async def way(c: Caller) -> None:
        given = {"extra_body": {"stream_options": options}} if extra else {"stream_options": options}
        await c.look_at_each(await c.create(stream=True, **given))

    return way


# what the caller says of stream_options, what is sent, whether he gets the event without choices
SAID = [
    ("nothing", ways.to_the_end, {"include_usage": True}, False),
    ("yes", _asking({"include_usage": True}), {"include_usage": True}, True),
    ("no", _asking({"include_usage": False}), {"include_usage": False}, False),
    ("another option", _asking({"include_obfuscation": False}), {"include_obfuscation": False, "include_usage": True}, False),
    ("yes, beside the declared", _asking({"include_usage": True}, extra=True), {"include_usage": True}, True),
    ("no, beside the declared", _asking({"include_usage": False}, extra=True), {"include_usage": False}, False),
]  # fmt: skip


@_MODES
@pytest.mark.parametrize(("way", "sent", "is_kept"), [row[1:] for row in SAID], ids=[row[0] for row in SAID])
def test_the_callers_word_is_respected(
    way: Callable[[Caller], Any], sent: dict[str, Any], provider: Provider, mode: str, *, is_kept: bool
) -> None:
    """Who asked keeps the event that carries the usage; who did not never sees it; who said no is not overruled."""
    seen: list[list[Any]] = []

    async def noting(c: Caller) -> None:
        await way(c)
        seen.append([event[1] for event in c.seen if isinstance(event[1], dict)])

    call = compared(noting, "chat", provider, mode)
    assert provider.asked[-1].body["stream_options"] == sent
    assert [event["choices"] == [] for event in seen[1]].count(True) == is_kept
    assert call.usage is not None
    assert call.usage.complete == sent["include_usage"]
    if call.usage.complete:
        assert call.usage.counts == OPENAI_USAGE


@_MODES
@pytest.mark.parametrize("way", ["stream", "raw stream", "stream along by iter_lines"])
@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_to_be_asked_is_not_asked_again(
    status: int, way: str, provider: Provider, mode: str
) -> None:
    """The caller gets his stream: the call is made again as he wrote it, and the server is remembered."""

    def prepare(provider: Provider) -> None:
        provider.refuses_stream_options = status

    async def twice(c: Caller) -> None:
        await ways.READ_TO_THE_END[way](c)
        await ways.READ_TO_THE_END[way](c)

    prepare(provider)
    with Watched() as watched:
        seen = Caller(KINDS["chat"], provider.url, mode).run(twice)
        calls = watched.calls()
    assert len(calls) == 2
    assert all(call.usage is not None and not call.usage.complete and call.outcome == "ok" for call in calls)
    assert ["stream_options" in asked.body for asked in provider.asked] == [True, False, False]
    provider.refuses_stream_options = 0
    assert seen == Caller(KINDS["chat"], provider.url, mode).run(twice)


_TOO_LONG = "maximum context length exceeded"
_ECHO = "Validation: missing field in {'model': 'm', 'stream': True, 'stream_options': {'include_usage': True}}"
_MISSING = {"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}
_SENT_BACK = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
# what the server finds fault with, and what it says
CALLERS_OWN = [
    ("the prompt", error(400, _TOO_LONG)),
    ("the prompt, as FastAPI says it", error(422, _TOO_LONG)),
    ("a field, the whole request sent back beside it", Reply(json.dumps({"detail": [{**_MISSING, "input": _SENT_BACK}]}).encode(), 422)),
    ("a field, the whole request quoted", error(400, _ECHO)),
    ("a field, the whole request quoted as JSON", error(400, f"Bad request: {json.dumps(_SENT_BACK)}")),
    ("a field, the whole request quoted by pydantic", error(400, "stream=True stream_options=StreamOptions(include_usage=True)")),
    ("a field, the whole request quoted by Go", error(400, "{model:m stream:true stream_options:map[include_usage:true]}")),
    ("something, in HTML", Reply(b"<html>Bad Request</html>", 400, "text/html")),
    ("something, and does not say what", Reply(b"", 400)),
    ("something, in deep JSON", Reply(b"[" * 900 + b"]" * 900, 400)),
    ("many things", Reply(json.dumps({"errors": [_TOO_LONG] * 100_000}).encode(), 400)),
]  # fmt: skip
_ASKING_KINDS = ["chat", "completions", "azure", "together", "fireworks", "cerebras"]
_STREAMED = ["stream", "raw stream", "stream along by iter_lines", "stream along by parse"]


@_MODES
@pytest.mark.parametrize("reply", [row[1] for row in CALLERS_OWN], ids=[row[0] for row in CALLERS_OWN])
def test_an_error_of_the_callers_own_making_is_his(reply: Reply, provider: Provider, mode: str) -> None:
    """It is raised as it came, its request is sent once, and the streams after it are asked for usage as before."""
    _assert_sent_once(KINDS["chat"], ways.to_the_end, reply, provider, mode)


@_MODES
@pytest.mark.parametrize("way", [*_STREAMED, "whole", "raw", "read along by read"])
@pytest.mark.parametrize("kind", [*_ASKING_KINDS, "groq", "perplexity", "messages", "responses"])
def test_no_request_is_sent_twice(kind: str, way: str, provider: Provider, mode: str) -> None:
    """Whatever the client and the way of calling: a 400 between good calls is sent once, and takes nothing from them."""
    _assert_sent_once(KINDS[kind], ways.READ_TO_THE_END[way], error(400, _TOO_LONG), provider, mode)


def _assert_sent_once(kind: Kind, way: Callable[[Caller], Any], reply: Reply, provider: Provider, mode: str) -> None:
    raised: list[BaseException] = []

    async def three(c: Caller) -> None:
        for _ in range(3):
            try:
                await way(c)
            except Exception as error:  # noqa: BLE001, PERF203  # whatever the library raises
                raised.append(error)
                c.look(str(error))

    seen: list[list[Any]] = []
    calls: list[Call] = []
    for watched in (None, Watched()):
        provider.reset()
        provider.replies.extend([provider.usual, reply, provider.usual])
        with watched or contextlib.nullcontext():
            seen.append(Caller(kind, provider.url, mode).run(three))
            calls = list(watched.calls()) if watched is not None else []
    assert seen[0] == seen[1]
    first, _, third = provider.asked
    assert first.body == third.body
    assert [call.outcome for call in calls] == ["ok", "error", "ok"]
    assert calls[0].usage == calls[2].usage
    bare, observed = raised
    assert type(observed) is type(bare)
    assert _chain(observed) == _chain(bare)


def _chain(error: BaseException) -> list[tuple[type, bool]]:
    """The errors that a traceback would show, or hide, behind this one."""
    chain: list[tuple[type, bool]] = []
    while error.__context__ is not None:
        chain.append((type(error.__context__), error.__suppress_context__))
        error = error.__context__
    return chain


# what the server says when it refuses what was added
REFUSED = [
    ("OpenAI", error(400, "Unrecognized request argument supplied: stream_options")),
    ("a parameter beside the message", Reply(json.dumps({"error": {"message": "Unknown parameter", "param": "stream_options.include_usage"}}).encode(), 400)),
    ("FastAPI", Reply(json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "input": {"include_usage": True}}]}).encode(), 422)),
    ("pydantic in a text", error(400, "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'input': {'include_usage': True}}]")),
    ("Google", error(400, 'Invalid JSON payload received. Unknown name "stream_options": Cannot find field.')),
    ("serde", Reply(b"Failed to deserialize: unknown field `stream_options`, expected one of `model`, `stream`", 422, "text/plain")),
    ("Go", error(400, 'json: unknown field "stream_options"')),
    ("in words", error(400, "Stream options are not supported by this model")),
    ("by the inner name", error(400, "include_usage is not allowed here")),
]  # fmt: skip


@_MODES
@pytest.mark.parametrize("reply", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_refusal_is_known_by_the_field_that_it_names(reply: Reply, provider: Provider, mode: str) -> None:
    """Whoever refuses what was added answers the request as the caller wrote it, and is remembered."""

    async def twice(c: Caller) -> None:
        await ways.to_the_end(c)
        await ways.to_the_end(c)

    seen: list[list[Any]] = []
    for replies in ([], [reply]):
        provider.reset()
        provider.replies.extend(replies)
        with Watched() if replies else contextlib.nullcontext():
            seen.append(Caller(KINDS["chat"], provider.url, mode).run(twice))
    assert seen[0] == seen[1]
    assert ["stream_options" in asked.body for asked in provider.asked] == [True, False, False]


@_MODES
def test_what_one_model_refuses_the_others_are_still_asked(provider: Provider, mode: str) -> None:
    """Behind one URL a gateway has models of many vendors."""

    async def each(c: Caller) -> None:
        for model in ("first", "second", "first", "second"):
            c.arguments = {**c.arguments, "model": model}
            await ways.to_the_end(c)

    provider.replies.append(REFUSED[0][1])
    with Watched():
        Caller(KINDS["chat"], provider.url, mode).run(each)
    sent = [(asked.body["model"], "stream_options" in asked.body) for asked in provider.asked]
    assert sent == [("first", True), ("first", False), ("second", True), ("first", False), ("second", True)]


@_MODES
def test_what_is_refused_again_without_our_question_is_the_callers(provider: Provider, mode: str) -> None:
    """An error that names our field, and another one without it: the caller gets the second alone; nothing is learned."""
    raised: list[BaseException] = []

    async def twice(c: Caller) -> None:
        try:
            await ways.to_the_end(c)
        except Exception as error:  # noqa: BLE001  # whatever the library raises
            raised.append(error)
        await ways.to_the_end(c)

    provider.replies.extend([REFUSED[0][1], error(400, _TOO_LONG)])
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, mode).run(twice)
        calls = watched.calls()
    assert _TOO_LONG in str(raised[0])
    assert [kind.__name__ for kind, _ in _chain(raised[0])] == ["HTTPStatusError"]
    assert ["stream_options" in asked.body for asked in provider.asked] == [True, False, True]
    assert [call.outcome for call in calls] == ["error", "ok"]


@_MODES
def test_the_callers_own_words_are_no_refusal(provider: Provider, mode: str) -> None:
    """Who asks a model about `stream_options` and is refused may find his own words in the error."""

    async def asks_about_it(c: Caller) -> None:
        c.arguments = {**c.arguments, "messages": [{"role": "user", "content": "What does stream_options do?"}]}
        await ways.to_the_end(c)

    provider.replies.append(error(400, "Blocked by policy: 'What does stream_options do?'"))
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, mode).run(asks_about_it)
        assert watched.call().outcome == "error"
    assert len(provider.asked) == 1


HOSTS = [
    ("api.openai.com", "known", True),
    ("my-resource.openai.azure.com", "known", True),
    ("api.x.ai", "known", True),
    ("unknown.example", "known", False),
    ("notapi.openai.com.example", "known", False),
    ("unknown.example", "always", True),
    ("api.openai.com", "never", False),
    # These report usage to everybody.
    ("openrouter.ai", "known", False),
    ("api.deepseek.com", "known", False),
    ("api.groq.com", "known", False),
]


@_MODES
@pytest.mark.parametrize(("host", "setting", "is_asked"), HOSTS)
def test_only_hosts_that_are_known_to_answer_are_asked(
    host: str, setting: str, provider: Provider, mode: str, *, is_asked: bool
) -> None:
    """`ask_usage` says whether others are asked too, or none."""
    http = flavour("openai")
    base = http.AsyncHTTPTransport if mode == "async" else http.HTTPTransport

    class Diverted(base):  # pyright: ignore[reportUntypedBaseClass]
        """Whatever the host, the request goes to the provider of this test."""

        def handle_request(self, request: Any) -> Any:
            request.url = request.url.copy_with(host="127.0.0.1", port=provider.port)
            return super().handle_request(request)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

        async def handle_async_request(self, request: Any) -> Any:
            request.url = request.url.copy_with(host="127.0.0.1", port=provider.port)
            return await super().handle_async_request(request)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    client = (http.AsyncClient if mode == "async" else http.Client)(transport=Diverted())
    with Watched(ask_usage=setting) as watched:
        Caller(KINDS["chat"], f"http://{host}/v1", mode, http_client=client).run(ways.to_the_end)
        call = watched.call()
    assert call.host == host
    assert ("stream_options" in provider.asked[0].body) == is_asked


@_MODES
@pytest.mark.parametrize("way", ["stream", "raw stream", "stream along by iter_bytes", "stream along by parse"])
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_the_swallowed_event_leaves_no_trace_however_it_is_cut(
    size: int, way: str, provider: Provider, mode: str
) -> None:
    """The network cuts where it likes: within a line, within the event that is swallowed."""

    def cut(reply: Any) -> Any:
        whole = b"".join(reply.pieces)
        reply.pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        return reply

    def prepare(provider: Provider) -> None:
        asked = {True: CHAT_USAGE, False: None}
        provider.replies.append(
            lambda request: cut(events(chat_chunks(usage=asked["stream_options" in request.body])[8:]))
        )

    call = compared(ways.READ_TO_THE_END[way], "chat", provider, mode, prepare=prepare)
    assert call.usage is not None
    assert call.usage.counts == OPENAI_USAGE


#: Servers on this machine: those that report usage to everybody, in an event of its own or in the last one; and one
#: that does so only when asked.
_LAST = {**chat_chunks(usage=None)[-2], "usage": CHAT_USAGE}
EVERYBODY = {
    "in an event of its own": chat_chunks(),
    "in the last event": [*chat_chunks(usage=None)[:-2], _LAST, "[DONE]"],
    "in both": [*chat_chunks(usage=None)[:-2], _LAST, *chat_chunks()[-2:]],
}


@_MODES
@pytest.mark.parametrize("way", _STREAMED)
@pytest.mark.parametrize("chunks", EVERYBODY.values(), ids=EVERYBODY)
def test_what_a_server_sends_to_everybody_is_the_callers(
    chunks: list[Any], way: str, provider: Provider, mode: str
) -> None:
    """A server that reports usage unasked is not asked, and its event reaches the caller of every stream."""

    async def thrice(c: Caller) -> None:
        for _ in range(3):
            await ways.READ_TO_THE_END[way](c)

    seen: list[list[Any]] = []
    for watched in (None, Watched(ask_usage="known", hosts="")):
        provider.reset()
        provider.replies.extend([events(chunks)] * 3)
        with watched or contextlib.nullcontext():
            seen.append(Caller(KINDS["chat"], provider.url, mode).run(thrice))
            calls = watched.calls() if watched is not None else ()
    assert seen[0] == seen[1]
    assert not any("stream_options" in asked.body for asked in provider.asked)
    assert [call.usage.counts for call in calls if call.usage is not None and call.usage.complete] == [OPENAI_USAGE] * 3


@_MODES
@pytest.mark.parametrize("way", _STREAMED)
@pytest.mark.parametrize("kind", _ASKING_KINDS)
def test_a_server_on_this_machine_is_asked_once_it_has_shown_that_it_must_be(
    kind: str, way: str, provider: Provider, mode: str
) -> None:
    """The first stream goes out as it was written and is an estimate; the event of those asked for is swallowed."""

    async def thrice(c: Caller) -> None:
        for _ in range(3):
            await ways.READ_TO_THE_END[way](c)

    seen = [Caller(KINDS[kind], provider.url, mode).run(thrice)]
    provider.reset()
    with Watched(ask_usage="known", hosts="") as watched:
        seen.append(Caller(KINDS[kind], provider.url, mode).run(thrice))
        calls = watched.calls()
    assert seen[0] == seen[1]
    assert ["stream_options" in asked.body for asked in provider.asked] == [False, True, True]
    assert [call.usage.complete for call in calls if call.usage is not None] == [False, True, True]
    assert [call.usage.counts for call in calls[1:] if call.usage is not None] == [OPENAI_USAGE] * 2


@_MODES
@pytest.mark.parametrize("way", ["break", "with, raise"])
def test_a_stream_that_was_left_shows_nothing(way: str, provider: Provider, mode: str) -> None:
    """Usage comes at the end: who leaves before has not seen whether it would have come."""

    async def left_and_read(c: Caller) -> None:
        with contextlib.suppress(ways.Stop):
            await ways.CUT_SHORT[way](c)
        await ways.to_the_end(c)
        await ways.to_the_end(c)

    provider.always_reports_usage = True
    with Watched(ask_usage="known", hosts=""):
        Caller(KINDS["chat"], provider.url, mode).run(left_and_read)
    assert not any("stream_options" in asked.body for asked in provider.asked)


@_MODES
@pytest.mark.parametrize(
    ("vendor", "is_asked"), [("openai", True), ("deepseek", False), ("openrouter", False), ("mine", False)]
)
def test_who_is_said_to_answer_on_this_machine_is_asked_as_he_is_elsewhere(
    vendor: str, provider: Provider, mode: str, *, is_asked: bool
) -> None:
    """`hosts` says whose API it is: one that reports usage only to those who ask is asked from the first stream on."""
    with Watched(ask_usage="known", hosts=f"127.0.0.1:{provider.port}={vendor}"):
        Caller(KINDS["chat"], provider.url, mode).run(ways.to_the_end)
    assert ("stream_options" in provider.asked[0].body) == is_asked


@_MODES
@pytest.mark.parametrize("way", ["stream", "raw stream"])
def test_who_failed_once_to_look_at_a_stream_asks_no_more(
    way: str, provider: Provider, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event that we asked for stays in a stream that could not be watched: the caller meets it once, not always."""

    def fail(*_: object) -> None:
        raise RuntimeError("a type of stream that is not known")

    async def thrice(c: Caller) -> None:
        for _ in range(3):
            await ways.READ_TO_THE_END[way](c)

    monkeypatch.setattr(guard, "raise_again", False)
    monkeypatch.setattr(streams, "events", fail)
    monkeypatch.setattr(streams, "AsyncEvents", fail)
    monkeypatch.setattr(http_bodies, "follow", fail)
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, mode).run(thrice)
        calls = watched.calls()
    assert ["stream_options" in asked.body for asked in provider.asked] == [True, False, False]
    assert [call.outcome for call in calls] == ["ok"] * 3
