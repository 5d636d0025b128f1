"""Bodies that the library has not parsed: read as they pass by, not instead of the caller.

A body that is already there is read at once. One that is still to come is read along with whoever reads it.
"""
# pyright: basic
# Objects of foreign libraries fight strict checking.

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final

from costspan import guard
from costspan.calls import items
from costspan.calls.engine import ObservedCall
from costspan.calls.messages import compacted, fields, parsed
from costspan.calls.observed_stream import ObservedStream
from costspan.clients.dialects import framing, http_wires
from costspan.facts.call import Answer

_FIRST_REFUSAL: Final = 400
#: Sound comes in events, too, of which the last reports what it took.
_EVENTS: Final = "text/event-stream"
_REPORTS: Final = re.compile(rb'"(?:usage|meta)"\s*:\s*\{')  # `meta`: Cohere
_PIECE: Final = 1024 * 1024
_ENCODINGS: Final = frozenset({"", "identity"})
#: Who is asked for usage says in every event that it is none yet.
_NO_USAGE: Final = re.compile(rb',\s*"usage"\s*:\s*null')
_EVENT_END: Final = re.compile(rb"(\r?\n\r?\n|\r\r)")
#: A larger event that reports no usage is not kept: its length is.
_LARGE: Final = 64 * 1024
#: Where usage is looked for in a large event: providers put it behind what it is about.
_END: Final = 256 * 1024


@guard.guarded_positional("calls.error")
def note_status(observed: ObservedCall, error: BaseException) -> None:
    """The status that an error of an HTTP library has in its response, or by itself."""
    status = fields(fields(error).get("response")).get("status_code", fields(error).get("status"))
    observed.call.http_status = status if type(status) is int else None


def take(observed: ObservedCall, response: Any) -> Any:
    """Look at an HTTP response that a library has not looked at yet: a refusal, or a body as `follow` has it."""
    observed.headers = response.headers
    if response.status_code >= _FIRST_REFUSAL:  # the library raises it further up, out of our sight
        observed.call.http_status = response.status_code
        observed.answered(Answer(error=str(response.status_code)))
    else:
        follow(observed, response)
    return response


def follow(observed: ObservedCall, response: Any, *, is_asked: bool = False) -> None:
    """Watch an httpx response until its body is known; `is_asked` where its stream was asked for usage by us."""
    if observed.endpoint.request_usage is not None and _EVENTS not in response.headers.get("content-type", ""):
        observed.answered(None)
        return
    tap = of(observed, response.headers, is_asked=is_asked)
    if hasattr(response, "_content"):
        tap.take_decoded(response.content)
        tap.end_decoded()
    else:
        _read_along(tap, response)


def take_text(observed: ObservedCall, body: str | bytes) -> None:
    """Look at a body that a library gives as it is."""
    tap = of(observed, {})
    tap.take_decoded(body.encode("utf-8", "replace") if isinstance(body, str) else body)
    tap.end_decoded()


def take_file(observed: ObservedCall, path: str | os.PathLike[str]) -> None:
    """Look at a body that a library has written into a file."""
    tap = of(observed, {})
    with open(path, "rb") as file:  # noqa: PTH123  # a path of any kind
        while not tap.is_other and (piece := file.read(_PIECE)):
            tap.take_decoded(piece)
    tap.end_decoded()


def of(observed: ObservedCall, headers: Any, *, is_asked: bool = False) -> Tap:
    """What takes a body that begins with these headers."""
    return Tap(ObservedStream.following(observed), headers.get("content-type", ""), is_asked=is_asked)


def _read_along(tap: Tap, response: Any) -> None:
    is_plain = response.headers.get("content-encoding", "").strip().lower() in _ENCODINGS
    if not is_plain:
        tap.is_encoded = True
        response._decoder = http_wires.Decoder(response._get_content_decoder(), tap)
    http_wires.attach(response, tap.close, tap)


class Tap:
    """Bytes on their way to the caller, and the messages in them.

    Where we asked for usage, an event is passed on when it is complete: it may be the one that is ours alone.
    """

    def __init__(self, observed: ObservedStream, content_type: str, *, is_asked: bool) -> None:
        self.observed = observed
        self.is_running = False  # the response is at work for the caller, and may close itself
        self.held = b""  # what he has not got yet: the beginning of an event that may be ours alone
        self.is_other = False  # what was looked for in it is not there
        self.is_encoded = False  # compressed: what passes is looked at when it has been decoded
        self._content_type = content_type
        self._is_asked = is_asked
        self._framing: framing.Framing | None = None
        self._only: bytes | None = None  # the message of a body that has had no other so far
        self._is_within = False  # the beginning of this event has been passed on
        self._count = 0  # of the messages that are calls of their own
        observed.call.is_stream = False
        if observed.endpoint.each:
            observed.claim()

    def __enter__(self) -> None:
        """The body is read within."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """It was read to its end, or broke. Who leaves it before closes the response: that tells it."""
        if error is None:
            self.end_decoded()
        elif not isinstance(error, GeneratorExit):
            self.observed.broken(error)

    def take(self, chunk: bytes) -> bytes | None:
        """A piece passes by. What the caller gets now, if it is not just what is held back and this."""
        return None if self.is_encoded else self.take_decoded(chunk)

    def end(self) -> None:
        """The body is over; of an encoded one, there may be more to come out of its decoder."""
        if self.is_encoded:
            self.is_running = True
        else:
            self.end_decoded()

    def release(self, chunk: bytes) -> bytes:
        """What is held back, and this."""
        return chunk if self.is_encoded else self.release_decoded(chunk)

    def release_decoded(self, chunk: bytes) -> bytes:
        """The same of an encoded body, as it is without its encoding."""
        held, self.held = self.held, b""
        return held + chunk if held else chunk

    @guard.guarded("calls.read_body")
    def take_decoded(self, chunk: bytes) -> bytes | None:
        """The same of a piece as it is without its encoding."""
        if not chunk or self.is_other:
            return None
        if self._framing is None:
            if self.observed.endpoint.is_item is not None and not chunk.lstrip().startswith(b"{"):
                self.is_other = True  # a file of another kind, and it may be large
                return None
            self._framing = framing.of(self._content_type, chunk)
            self.observed.call.is_stream = self._framing.is_stream
        if self._is_asked and self._framing.is_stream:
            return self._take_asked(self._framing, chunk)
        for message in self._framing.feed(chunk):
            self._message(message)
        return None

    def _take_asked(self, events: framing.Framing, chunk: bytes) -> bytes:
        """The events that are complete by now, without the one that nobody but we asked for."""
        *whole, rest = _EVENT_END.split(self.held + chunk)
        found = [event + end for event, end in zip(whole[::2], whole[1::2], strict=True)]
        passed = [_NO_USAGE.sub(b"", event) for event in found if not self._is_ours(events.feed(_in_lines(event)))]
        self.held = rest
        if len(rest) > _LARGE:  # no event of ours is as large
            self._is_ours(events.feed(rest))
            passed.append(rest)
            self.held, self._is_within = b"", True
        return b"".join(passed)

    def _is_ours(self, messages: Iterable[bytes]) -> bool:
        found = list(messages)
        for message in found:
            self._message(message)
        is_within, self._is_within = self._is_within, False
        return len(found) == 1 and not is_within and _is_usage_alone(found[0])

    @guard.guarded("calls.read_body")
    def end_decoded(self) -> None:
        """There is no more to come."""
        self.is_running = False
        if self._framing is not None:
            if self.held and self._is_ours(self._framing.feed(self.held + b"\n\n")):
                self.held = b""
            for message in self._framing.rest():
                self._message(message)
        if self._only is not None:
            self.observed.answered(self.observed.endpoint.read(parsed(self._only)))
        elif self.observed.call.is_stream:
            self.observed.ended()
        else:
            self.observed.answered(None)

    @guard.guarded_positional("calls.close")
    def close(self) -> None:
        """The response is closed."""
        if http_wires.is_dropped():
            self.observed.dropped()
        elif not self.is_running:
            self.observed.closed()

    def _message(self, message: bytes) -> None:
        if self.observed.endpoint.each:
            self._item(message)
        elif self.observed.call.is_stream:
            self._event(message)
        elif self._only is None:
            self._only = message
        else:  # several messages: a stream of them
            self.observed.call.is_stream = True
            only, self._only = self._only, None
            self._event(only)
            self._event(message)

    def _item(self, message: bytes) -> None:
        endpoint = self.observed.endpoint
        if endpoint.items is not None or endpoint.names is not None:
            items.within(self.observed, parsed(message))
        elif endpoint.is_item is None or endpoint.is_item(message):
            items.take(self.observed, parsed(message), self._count)
            self._count += 1

    def _event(self, data: bytes) -> None:
        observed = self.observed
        if data.startswith(b"{"):
            reports = _REPORTS.search(data, max(0, len(data) - _END)) is not None
            if len(data) > _LARGE:
                data = compacted(data)
            if len(data) > _LARGE and not reports:
                observed.pass_by(len(data))
                return
            observed.note(data)
            if reports:
                observed.carriers.append(data)
        elif data == b"[DONE]":
            observed.ended()


def _in_lines(event: bytes) -> bytes:
    """An event in lines that end in a newline; a carriage return alone ends one, too."""
    return event.replace(b"\r", b"\n") if event.endswith(b"\r\r") else event


def _is_usage_alone(data: bytes) -> bool:
    """Whether this is the event that a chat stream has only for those who ask for usage."""
    if len(data) > _LARGE or not _REPORTS.search(data):
        return False
    said = fields(parsed(data))
    return not said.get("choices", True) and said.get("usage") is not None and not said.get("error")
