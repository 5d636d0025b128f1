"""Asking for usage on behalf of a caller who did not: he gets no event that he did not ask for, and no refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import ways
from answers import CHAT_USAGE, chat_chunks, events
from caller import KINDS, Caller, flavour
from comparing import OPENAI_USAGE, compared
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


@_MODES
def test_a_refusal_for_another_reason_is_the_callers(provider: Provider, mode: str) -> None:
    """A 400 that is not about our question comes again, and is his."""

    def prepare(provider: Provider) -> None:
        provider.refuses_everything = True

    call = compared(ways.to_the_end, "chat", provider, mode, prepare=prepare)
    assert (call.outcome, call.http_status) == ("error", 400)


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
