"""The ways in which a program may call a client library, each written once for its sync and its async client.

Every way notes what the caller sees: types and contents of what came back, or the exception.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pydantic
import pytest

from caller import Caller


class Stop(Exception):  # noqa: N818  # not an error: the caller's own reason to leave a `with` block
    """Raised by a caller in mid-stream."""


# --- ways that every API has ----------------------------------------------------------------------------------


async def whole(c: Caller) -> None:
    """The plain call."""
    c.look(await c.create())


async def raw(c: Caller) -> None:
    """`with_raw_response`: status and headers, and the object on demand."""
    response = await c.get(c.methods.with_raw_response.create(**c.arguments))
    c.look_at_kind(response)
    c.look(response.status_code)
    c.look(await c.get(response.parse()))


def read_along(read: str) -> Callable[[Caller], Coroutine[Any, Any, None]]:
    """`with_streaming_response`, the body read in one of the ways that the response offers."""

    async def way(c: Caller) -> None:
        async with c.within(c.methods.with_streaming_response.create(**c.arguments)) as response:
            c.look_at_kind(response)
            method = getattr(response, read, None)
            if method is None:
                pytest.skip(f"this version of {c.kind.module} has no response.{read}")
            if read.startswith("iter_"):
                pieces = [piece async for piece in c.each(method())]
                c.look(type(pieces[0])().join(pieces))
            else:
                c.look(await c.get(method()))

    return way


async def not_read(c: Caller) -> None:
    """`with_streaming_response`, left without a look at the body."""
    async with c.within(c.methods.with_streaming_response.create(**c.arguments)) as response:
        c.look(response.status_code)


async def to_the_end(c: Caller) -> None:
    """A stream, read to its end."""
    stream = await c.create(stream=True)
    c.look_at_kind(stream)
    await c.look_at_each(stream)


async def one_by_one(c: Caller) -> None:
    """A stream, asked for its next item until there is none."""
    stream = await c.create(stream=True)
    with contextlib.suppress(StopIteration, StopAsyncIteration):
        while True:
            c.look(await c.get(stream.__anext__() if c.is_async else stream.__next__()))


async def raw_stream(c: Caller) -> None:
    """`with_raw_response` of a stream."""
    response = await c.get(c.methods.with_raw_response.create(**c.arguments, stream=True))
    stream = await c.get(response.parse())
    c.look_at_kind(stream)
    await c.look_at_each(stream)


def stream_along(read: str) -> Callable[[Caller], Coroutine[Any, Any, None]]:
    """`with_streaming_response` of a stream."""

    async def way(c: Caller) -> None:
        async with c.within(c.methods.with_streaming_response.create(**c.arguments, stream=True)) as response:
            pieces = await c.get(response.parse()) if read == "parse" else getattr(response, read)()
            if read == "parse":
                await c.look_at_each(pieces)
            else:
                parts = [piece async for piece in c.each(pieces)]
                c.look(type(parts[0])().join(parts))

    return way


async def let_go(c: Caller) -> None:
    """A loop over a stream, left after a few items; nobody keeps the stream."""
    stream = await c.create(stream=True)
    await c.some(stream, 5)
    del stream


async def kept(c: Caller) -> None:
    """A loop over a stream, left after a few items, and the stream closed."""
    stream = await c.create(stream=True)
    await c.some(stream, 5)
    await c.get(stream.close() if hasattr(stream, "close") else stream.response.aclose())


async def with_left(c: Caller) -> None:
    """A loop left within `with stream:`."""
    async with c.within(await c.create(stream=True)) as stream:
        await c.some(stream, 5)


async def with_raised(c: Caller) -> None:
    """The caller raises within `with stream:`."""
    async with c.within(await c.create(stream=True)) as stream:
        await c.some(stream, 5)
        raise Stop


async def closed_at_once(c: Caller) -> None:
    """A stream that is closed before its first item."""
    stream = await c.create(stream=True)
    c.look_at_kind(stream)
    await c.get(stream.close() if hasattr(stream, "close") else stream.response.aclose())


async def never_read(c: Caller) -> None:
    """A stream that nobody iterates over, let go of."""
    c.look_at_kind(await c.create(stream=True))


READ_TO_THE_END: dict[str, Callable[[Caller], Coroutine[Any, Any, None]]] = {
    "whole": whole,
    "raw": raw,
    **{f"read along by {read}": read_along(read) for read in ("read", "json", "text", "parse")},
    **{f"read along by {read}": read_along(read) for read in ("iter_bytes", "iter_text", "iter_lines")},
    "stream": to_the_end,
    "stream one by one": one_by_one,
    "raw stream": raw_stream,
    **{f"stream along by {read}": stream_along(read) for read in ("parse", "iter_lines", "iter_bytes")},
}
CUT_SHORT: dict[str, Callable[[Caller], Coroutine[Any, Any, None]]] = {
    "break": let_go,
    "break, close": kept,
    "with, break": with_left,
    "with, raise": with_raised,
}
UNREAD: dict[str, Callable[[Caller], Coroutine[Any, Any, None]]] = {
    "closed at once": closed_at_once,
    "never read": never_read,
}


# --- ways that some APIs have ---------------------------------------------------------------------------------


async def chat_manager(c: Caller) -> None:
    """Openai's `chat.completions.stream()`, read to its end and asked for the whole."""
    method = c.method("chat.completions.stream", "beta.chat.completions.stream")
    async with c.within(method(**c.arguments)) as stream:
        c.look_at_kind(stream)
        await c.look_at_each(stream)
        c.look(await c.get(stream.get_final_completion()))


async def responses_manager(c: Caller) -> None:
    """Openai's `responses.stream()`, read to its end and asked for the whole."""
    async with c.within(c.method("responses.stream")(**c.arguments)) as stream:
        c.look_at_kind(stream)
        await c.look_at_each(stream)
        c.look(await c.get(stream.get_final_response()))


async def messages_manager(c: Caller) -> None:
    """Anthropic's `messages.stream()`, read to its end and asked for the whole."""
    async with c.within(c.method(f"{c.kind.methods}.stream")(**c.arguments)) as stream:
        c.look_at_kind(stream)
        await c.look_at_each(stream)
        c.look(await c.get(stream.get_final_message()))


async def text_stream(c: Caller) -> None:
    """Anthropic's `messages.stream()`, of which only the text is read."""
    async with c.within(c.method(f"{c.kind.methods}.stream")(**c.arguments)) as stream:
        await c.look_at_each(stream.text_stream)


async def chat_manager_left(c: Caller) -> None:
    """Openai's `chat.completions.stream()`, left after a few events."""
    async with c.within(c.method("chat.completions.stream", "beta.chat.completions.stream")(**c.arguments)) as stream:
        await c.some(stream, 5)


async def responses_manager_left(c: Caller) -> None:
    """Openai's `responses.stream()`, left after a few events."""
    async with c.within(c.method("responses.stream")(**c.arguments)) as stream:
        await c.some(stream, 5)


async def messages_manager_left(c: Caller) -> None:
    """Anthropic's `messages.stream()`, left after a few events."""
    async with c.within(c.method(f"{c.kind.methods}.stream")(**c.arguments)) as stream:
        await c.some(stream, 5)


class Word(pydantic.BaseModel):
    """What a parsed answer holds."""

    word: str


async def chat_parse(c: Caller) -> None:
    """Openai's `chat.completions.parse()`."""
    method = c.method("chat.completions.parse", "beta.chat.completions.parse")
    c.look(await c.get(method(**c.arguments, response_format=Word)))


async def responses_parse(c: Caller) -> None:
    """Openai's `responses.parse()`."""
    c.look(await c.get(c.method("responses.parse")(**c.arguments, text_format=Word)))


async def create_and_fetch(c: Caller) -> None:
    """A response made in the background, fetched, and fetched again."""
    made = await c.create(background=True)
    c.look(made)
    for _ in range(2):
        c.look(await c.get(c.methods.retrieve(made.id)))


async def batch_results(c: Caller) -> None:
    """The results of a batch of messages."""
    results = await c.get(c.method("messages.batches.results", "beta.messages.batches.results")("batch_1"))
    await c.look_at_each(results)


async def batch_results_read_along(c: Caller) -> None:
    """The results of a batch as the lines that they come in."""
    messages = c.method("messages.batches", "beta.messages.batches")
    async with c.within(messages.with_streaming_response.results("batch_1")) as response:
        c.look([line async for line in c.each(response.iter_lines())])


async def batch_results_raw(c: Caller) -> None:
    """The results of a batch by `with_raw_response`."""
    messages = c.method("messages.batches", "beta.messages.batches")
    response = await c.get(messages.with_raw_response.results("batch_1"))
    await c.look_at_each(await c.get(response.parse()))


def method(path: str, **arguments: Any) -> Callable[[Caller], Coroutine[Any, Any, None]]:
    """One method of a client, with these arguments."""

    async def way(c: Caller) -> None:
        value = await c.get(c.method(path)(**arguments))
        c.look_at_kind(value) if hasattr(value, "response") else c.look(value)

    return way
