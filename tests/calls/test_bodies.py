"""Bodies that pass by unparsed, in every framing: what they report is booked, and the caller notices nothing."""

from __future__ import annotations

import copy
import gzip
import json
import pickle
import struct
from collections.abc import Callable
from time import process_time
from typing import Any, cast

import pytest

import ways
from answers import (
    CHAT_USAGE,
    EVENTS,
    Asked,
    Reply,
    chat_chunks,
    completion,
    events,
    message_events,
    response_events,
    whole,
)
from caller import KINDS, Caller
from comparing import ANTHROPIC_USAGE, OPENAI_USAGE, compared, usage_of
from costspan.calls.messages import parsed
from costspan.clients.dialects import framing
from provider import Provider
from watching import Watched

_MODES = pytest.mark.parametrize("mode", ["sync", "async"])


# --- framings -------------------------------------------------------------------------------------------------

_VALUES = [{"a": 1, "text": "x[{\n"}, {"b": [1, 2]}, {"c": {"d": "é"}}]
_TEXTS = [json.dumps(value, ensure_ascii=False).encode() for value in _VALUES]
FRAMINGS: list[tuple[str, str, bytes]] = [
    ("events", EVENTS, b"".join(b"data: %s\n\n" % text for text in _TEXTS)),
    ("events of another name", "text/plain", b"".join(b"event: x\ndata:%s\n\n" % text for text in _TEXTS)),
    ("events with other ends", EVENTS, b"".join(b": hi\r\nid: 1\r\ndata: %s\r\n\r\n" % text for text in _TEXTS)),
    ("events of several lines", EVENTS, b"".join(
        b"".join(b"data: %s\n" % line for line in json.dumps(value, indent=1, ensure_ascii=False).encode().splitlines()) + b"\n"
        for value in _VALUES)),
    ("events, the last not ended", EVENTS, b"\n\n".join(b"data: " + text for text in _TEXTS)),
    ("lines", "application/x-ndjson", b"\n".join(_TEXTS) + b"\n"),
    ("lines, the last not ended", "application/json", b"\r\n".join(_TEXTS)),
    ("an array", "application/json", b"[" + b",\r\n".join(_TEXTS) + b"]"),
    ("an array with lines", "application/json", json.dumps(_VALUES, indent=2).encode()),
    ("an array that is cut", "application/json", b"[" + b",".join(_TEXTS) + b',{"e": 1, "f'),
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
@pytest.mark.parametrize(("kind", "body"), [row[1:] for row in FRAMINGS], ids=[row[0] for row in FRAMINGS])
def test_every_framing_gives_its_messages_however_it_is_cut(kind: str, body: bytes, size: int) -> None:
    """The network cuts where it likes: within a line, within a character."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    # Of a body that begins with one byte, only its content type tells what it is.
    found = framing.of(kind if kind != "text/plain" else EVENTS, pieces[0])
    messages = [*[message for piece in pieces for message in found.feed(piece)], *found.rest()]
    assert [json.loads(message) for message in messages] == _VALUES


def test_a_whole_body_is_one_message() -> None:
    """However it is laid out."""
    for indent in (None, 2):
        found = framing.of("application/json", b"{")
        body = json.dumps(_VALUES[2], indent=indent).encode()
        assert [*found.feed(body[:5]), *found.feed(body[5:]), *found.rest()] == [body]


def test_a_frame_that_is_none_ends_the_reading() -> None:
    """Bytes that claim a length beyond reason are not waited for."""
    found = framing.of("application/vnd.amazon.eventstream", b"\xff" * 16)
    assert [*found.feed(b"\xff" * 64), *found.feed(b"\xff" * 64), *found.rest()] == []


def test_what_is_nested_beyond_reason_is_no_message() -> None:
    """An array of arrays, and a payload within a frame."""
    deep = b"[" * 100_000
    array = framing.of("application/json", deep)
    assert [*array.feed(deep), *array.rest()] == []
    frames = framing.of("application/vnd.amazon.eventstream", b"")
    payload = b'{"bytes": ' + deep
    assert list(frames.feed(struct.pack(">III", 16 + len(payload), 0, 0) + payload + b"\0\0\0\0")) == [b""]


# --- through the clients ----------------------------------------------------------------------------------------


@_MODES
@pytest.mark.parametrize("read", ["iter_bytes", "parse"])
def test_a_raw_stream_of_bedrock_is_read(read: str, provider: Provider, mode: str) -> None:
    """Its events are in binary frames."""
    call = compared(ways.stream_along(read), "bedrock", provider, mode)
    assert call.is_stream
    assert call.usage is not None
    assert call.usage.counts == ANTHROPIC_USAGE
    assert call.usage.complete


@_MODES
@pytest.mark.parametrize("size", [1, 100, 4096])
@pytest.mark.parametrize("kind", ["chat", "messages"])
def test_a_compressed_body_is_read_as_it_is_decoded(kind: str, size: int, provider: Provider, mode: str) -> None:
    """Whole and streamed, by whatever way, cut anywhere."""
    for way in (
        "read along by read",
        "read along by iter_bytes",
        "stream along by iter_bytes",
        "stream along by parse",
    ):
        call = compared(ways.READ_TO_THE_END[way], kind, provider, mode, prepare=_compressing(kind, size))
        assert call.usage is not None, way
        assert call.usage.counts == usage_of(kind), way


def _compressing(kind: str, size: int) -> Callable[[Provider], None]:
    def reply(asked: Any) -> Reply:
        plain = provider_usual(asked)
        body = gzip.compress(b"".join(plain.pieces) if plain.pieces is not None else plain.body)
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        return Reply(kind=plain.kind, headers={"content-encoding": "gzip"}, pieces=pieces)

    provider_usual: Callable[[Any], Reply]

    def prepare(provider: Provider) -> None:
        nonlocal provider_usual
        provider_usual = provider.usual
        provider.replies.append(reply)

    assert kind
    return prepare


# --- what shows -------------------------------------------------------------------------------------------------


async def _pieces(c: Caller) -> None:
    async with c.within(c.methods.with_streaming_response.create(**c.arguments, stream=True)) as response:
        c.look([piece async for piece in c.each(response.iter_bytes(7))])


async def _kept_alone(c: Caller) -> None:
    """Bound methods of a response that is let go of itself."""
    raw = c.methods.with_streaming_response.create(**c.arguments, stream=True)
    async with c.within(raw) as response:
        read, http = response.http_response.aiter_bytes if c.is_async else response.http_response.iter_bytes, response
        del response, http
        c.look([piece async for piece in c.each(read(7))])


async def _close_kept(c: Caller) -> None:
    stream = await c.create(stream=True)
    close = stream.response.aclose if c.is_async else stream.response.close
    is_closed = stream.response
    await c.some(stream, 2)
    del stream
    await c.get(close())
    c.look(is_closed.is_closed)


async def _attributes(c: Caller) -> None:
    """Every public attribute of what comes back, copied and pickled."""
    stream = await c.create(stream=True)
    await c.look_at_each(stream)
    raw = await c.get(c.methods.with_raw_response.create(**c.arguments))
    for response in (stream.response, raw.http_response):
        _look_at_all(c, response)
    _look_at_all(c, stream)
    _look_at_all(c, raw)


def _look_at_all(c: Caller, value: Any) -> None:
    held = cast("dict[str, Any]", vars(value))
    kind = cast("Any", type(value))
    c.look({name: type(each).__qualname__ for name, each in sorted(held.items()) if not name.startswith("_")})
    c.look({name: str(cast("Any", type(getattr(kind, name, None)))) for name in dir(value) if not name.startswith("_")})
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        c.look(_outcome(act, value))


def _outcome(act: Callable[[Any], Any], value: Any) -> str:
    try:
        return type(act(value)).__qualname__
    except Exception as fault:  # noqa: BLE001  # whatever it is: it must be the same without costspan
        return type(fault).__qualname__


async def _json_of_chunks(c: Caller) -> None:
    async for chunk in c.each(await c.create(stream=True)):
        c.look(chunk.to_json())


SHOWN = {
    "pieces": _pieces, "kept alone": _kept_alone, "close, kept": _close_kept, "attributes": _attributes,
    "json of chunks": _json_of_chunks,
}  # fmt: skip


@_MODES
@pytest.mark.parametrize("kind", ["chat", "responses", "messages"])
@pytest.mark.parametrize("way", SHOWN)
def test_nothing_shows_of_what_is_watched(way: str, kind: str, provider: Provider, mode: str) -> None:
    """Sizes of pieces, kept methods, attributes, copies, pickles: as without costspan."""
    seen = [Caller(KINDS[kind], provider.url, mode).run(SHOWN[way])]
    with Watched():
        seen.append(Caller(KINDS[kind], provider.url, mode).run(SHOWN[way]))
    assert seen[0] == seen[1]
    assert not any("costspan" in str(each) for each in seen[1])


# --- usage that is followed by more, large bodies -----------------------------------------------------------------


def _followed(more: int, *, is_asked: bool) -> list[Any]:
    *chunks, done = chat_chunks(usage=CHAT_USAGE if is_asked else None)
    empty: dict[str, Any] = {**chunks[0], "choices": [], **({"usage": None} if is_asked else {})}
    return [*chunks, *[empty] * more, done]


@_MODES
@pytest.mark.parametrize("more", [1, 4, 12, 60])
@pytest.mark.parametrize("way", ["stream", "raw stream", "stream along by iter_bytes"])
@pytest.mark.parametrize("kind", ["chat", "responses", "messages"])
def test_usage_may_be_followed_by_any_number_of_events(
    kind: str, way: str, more: int, provider: Provider, mode: str
) -> None:
    """It is found wherever it stands."""

    def prepare(provider: Provider) -> None:
        if kind == "chat":
            provider.replies.append(lambda asked: events(_followed(more, is_asked="stream_options" in asked.body)))
            return
        if kind == "responses":
            *first, last = response_events()
            bodies = [*first, last, *[first[5]] * more]
        else:
            *first, last = message_events()
            bodies = [*first, *[first[4]] * more, last]
        provider.replies.append(events(bodies, named=True))

    call = compared(ways.READ_TO_THE_END[way], kind, provider, mode, prepare=prepare)
    assert call.usage is not None
    assert call.usage.complete
    assert call.usage.counts == usage_of(kind)


@_MODES
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_no_event_of_the_caller_is_kept_from_him_whatever_ends_its_lines(
    size: int, end: bytes, provider: Provider, mode: str
) -> None:
    """A line ends with a line feed, a carriage return or both; only the event that we asked for is swallowed."""

    def answer(asked: Asked) -> Reply:
        bodies = _followed(0, is_asked="stream_options" in asked.body)
        body = b"".join(each.replace(b"\n", end) for each in events(bodies).pieces or ())
        return Reply(kind=EVENTS, pieces=[body[at : at + size] for at in range(0, len(body), size)])

    def prepare(provider: Provider) -> None:
        provider.replies.append(answer)

    call = compared(ways.READ_TO_THE_END["stream along by iter_bytes"], "chat", provider, mode, prepare=prepare)
    assert call.usage is not None
    assert call.usage.counts == usage_of("chat")


@pytest.mark.parametrize("text", ["picture", "tool call", "one event after the other"])
@pytest.mark.parametrize("usage", [False, True])
def test_reading_a_large_body_is_linear(text: str, provider: Provider, *, usage: bool) -> None:
    """Four times the body takes at most some eight times as long: each byte is passed over once."""
    took: list[float] = []
    for size in (1, 4):
        body = _large(text, size * 2_000_000, usage=usage)
        best = min(_time_to_read(body) for _ in range(3))
        took.append(best)
    assert took[1] < max(8 * took[0], 0.05)
    assert provider is not None


def _large(text: str, size: int, *, usage: bool) -> bytes:
    said = {"picture": '"' + "QUJD" * (size // 4) + '"', "tool call": json.dumps('{"a": "b"}' * (size // 10))}
    end = b'data: {"choices": [], "usage": {"prompt_tokens": 11}}\n\ndata: [DONE]\n\n' if usage else b""
    if text in said:
        return b'data: {"choices": [{"delta": {"content": ' + said[text].encode() + b"}}]}\n\n" + end
    return b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n' * (size // 50) + end


def _time_to_read(body: bytes) -> float:
    found = framing.of(EVENTS, b"data:")
    began = process_time()
    for at in range(0, len(body), 16_384):
        for message in found.feed(body[at : at + 16_384]):
            len(message)
    return process_time() - began


def test_a_large_picture_costs_the_caller_little(provider: Provider) -> None:
    """16 MB in one line of a raw stream, read by the bytes: the usage behind it is booked."""
    chunks = chat_chunks()  # of a server that reports usage to everybody
    chunks[3]["choices"][0]["delta"]["content"] = "QUJD" * 4_000_000
    provider.replies.append(events(chunks))
    with Watched() as watched:
        Caller(KINDS["chat"], provider.url, "sync").run(ways.stream_along("iter_bytes"))
        call = watched.call()
    assert call.usage is not None
    assert call.usage.counts == OPENAI_USAGE


def test_long_runs_are_cut_out_of_a_body_and_nothing_else() -> None:
    """What is parsed has the same fields, and lists of the same length but for numbers."""
    body = {
        "data": [{"index": at, "embedding": [at / 7, 0.25] * 4_000} for at in range(5)],
        "picture": "QUJD" * 20_000, "text": "a, b and c " * 3_000, "escaped": '\\"\n' * 9_000, "nested": [[1, 2], [3] * 9_000],
        "usage": {"prompt_tokens": 11},
    }  # fmt: skip
    said = parsed(json.dumps(body).encode())
    assert said.keys() == body.keys()
    assert said["usage"] == body["usage"]
    assert [row["index"] for row in said["data"]] == [0, 1, 2, 3, 4]
    assert said["escaped"] == body["escaped"]
    assert len(json.dumps(said)) < 0.3 * len(json.dumps(body))


@_MODES
def test_a_large_whole_body_is_read_along(provider: Provider, mode: str) -> None:
    """A picture of some megabytes in an answer."""

    def prepare(provider: Provider) -> None:
        provider.replies.append(whole({**completion(), "picture": "QUJD" * 1_000_000}))

    call = compared(ways.read_along("iter_bytes"), "chat", provider, mode, prepare=prepare)
    assert call.usage is not None
    assert call.usage.counts == OPENAI_USAGE
